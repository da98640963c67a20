"""Makes a system ready on this machine: its official code at the pinned commit, and the image it runs in.

Nothing official is shipped. The image holds an environment alone (a Python and the libraries that the official
code imports); code and checkpoints are mounted beside it, so that no image contains them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from clapstick.protocols.problems import fail
from clapstick.systems.card import FoundProgram
from clapstick.systems.runtimes import docker
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.place import checkout_path

_COMMIT = re.compile(r"[0-9a-f]{40}")


def fetch_code(found: FoundProgram, source: str | None = None) -> Path:
    """Clone the official repository at the card's commit; return the folder.

    Parameters
    ----------
    found : FoundProgram
        The system.
    source : str, optional
        Where to clone from instead of the card's repository: a mirror, or a folder.

    Raises
    ------
    ClapstickError
        If the card pins no commit, git is missing or fails, or another commit comes out.
    """
    card = found.card
    if not card.repository or not _COMMIT.fullmatch(card.commit):
        raise fail(
            "card pins no official code",
            card.name,
            found=f"repository {card.repository!r}, commit {card.commit!r}",
            expected="an address and a full commit",
            remedy=card.card_note or "Add them to the card.",
        )
    target = checkout_path(found)
    if target.is_dir():
        _require_commit(target, card.commit)
        return target
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _git(part, "init", "--quiet")
    _git(part, "fetch", "--quiet", "--depth", "1", "--", source or card.repository, card.commit)
    _git(part, "checkout", "--quiet", "--detach", card.commit)
    for path, module in card.submodules.items():
        repository, _, commit = module.partition("@")
        (part / path).mkdir(parents=True, exist_ok=True)
        _git(part / path, "init", "--quiet")
        _git(part / path, "fetch", "--quiet", "--depth", "1", "--", repository, commit)
        _git(part / path, "checkout", "--quiet", "--detach", commit)
    _require_commit(part, card.commit)
    part.rename(target)
    return target


def _git(folder: Path, *arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        raise fail("git is not installed", folder, remedy="Install git.")
    command = [program, "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise fail(
            f"git {arguments[0]} failed",
            folder,
            found=done.stderr.strip()[-500:],
            remedy="Check the address and the network.",
        )
    return done.stdout.strip()


def _require_commit(folder: Path, commit: str) -> None:
    found = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if found != commit or changed:
        raise fail(
            "official code is not what the card pins",
            folder,
            found=found if found != commit else f"changed files: {changed[:200]}",
            expected=commit,
            remedy=f"Remove {folder} and build again.",
        )


def build_image(
    found: FoundProgram,
    options: RuntimeOptions,
    say: Callable[[str], None],
    *,
    base: str | None = None,
    network: str | None = None,
) -> str:
    """Build the image of a system from the Dockerfile in its folder; return the image's name.

    Parameters
    ----------
    found : FoundProgram
        The system.
    options : RuntimeOptions
        Which engine, and the image's name where it is not the usual one.
    say : callable
        Takes each line of the build.
    base : str, optional
        Image to build on instead of the Dockerfile's ``BASE``: a mirror's, or one for another GPU or processor.
    network : str, optional
        Network of the build's steps, ``host`` where the engine has no bridge; None for the engine's own.

    Raises
    ------
    ClapstickError
        If there is no Dockerfile, no engine answers or the build fails; its last lines are told.
    """
    import docker as sdk

    name = found.card.name
    dockerfile = found.folder / "Dockerfile"
    if not dockerfile.is_file():
        raise fail(
            "system has no Dockerfile",
            found.folder,
            remedy=found.card.card_note or "Write one, or set its runtime to env or files.",
        )
    image = docker.image_name(name, options)
    client = docker.connect(options)
    lines: list[str] = []
    try:
        for event in client.api.build(
            path=str(found.folder),
            tag=image,
            buildargs={"BASE": base} if base else {},
            network_mode=network,
            rm=True,
            decode=True,
        ):
            text = str(event.get("stream") or event.get("error") or "").strip()
            if text:
                lines.append(text)
                say(text)
            if "error" in event:
                raise fail(
                    "image does not build",
                    name,
                    found=" | ".join(lines[-5:]),
                    remedy=f"See {dockerfile}.",
                )
    except sdk.errors.APIError as error:
        raise fail(
            "engine refuses the build", name, found=error.explanation or error, remedy=f"See {dockerfile}."
        ) from error
    finally:
        client.close()
    return image
