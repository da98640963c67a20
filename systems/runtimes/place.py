"""What every runtime is told: the folders of one start of a system and the command within them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clapstick.systems.card import FoundProgram
from clapstick.systems.runtimes.options import RuntimeOptions

KIT = Path(__file__).resolve().parent.parent / "kit"
"""Folder of ``clapstick_runner.py``, which runners import."""


@dataclass(frozen=True)
class Place:
    """One start of a system."""

    found: FoundProgram
    options: RuntimeOptions
    job: Path
    """Read-only for the system: ``job.json`` and ``inputs/``."""
    output: Path
    """The only folder that the system may write to."""
    log: Path

    @property
    def repository(self) -> Path | None:
        """Checkout of the official code; None where the card names none."""
        return code_folder(self.found, self.options)

    @property
    def weights(self) -> Path | None:
        """Folder of the checkpoints; None where the card lists none and the user names none."""
        return self.options.weights


@dataclass(frozen=True)
class Inside:
    """The same folders as the system sees them."""

    repository: str | None
    weights: str | None


def code_folder(found: FoundProgram, options: RuntimeOptions) -> Path | None:
    """Return the checkout of the official code, there or not; None where the card names none."""
    if not found.card.repository:
        return None
    return options.repository or checkout_path(found)


def checkout_path(found: FoundProgram) -> Path:
    """Return where ``clapstick systems build`` puts the official code of a system."""
    import platformdirs

    owner_name = "+".join(found.card.repository.rstrip("/").split("/")[-2:])
    cache = platformdirs.user_cache_path("clapstick")
    return cache / "checkouts" / f"{owner_name}@{found.card.commit[:12]}"


def quiet_environment() -> dict[str, str]:
    """Return the variables that keep libraries from looking for a network."""
    return {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "WANDB_MODE": "disabled",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
    }
