"""What every runner shares: reads the job, seeds each clip, writes float32 wav and the results stream.

Runs on the Python of an official repository (3.8 or newer) with the standard library alone; torch and numpy are
used only where the runner has already imported them. Copy it beside your own runner, or speak the protocol of
docs/runner-protocol.md in another language.

A runner is::

    import clapstick_runner

    def load(job):            # once: import the official code, build the models
        return model

    def make(model, clip):    # once a clip: samples (samples,) or (samples, channels), and their rate
        return clapstick_runner.Sound(samples, 16000)

    clapstick_runner.main(load, make)
"""

from __future__ import annotations

import array
import importlib
import json
import math
import os
import pickle
import platform
import random
import resource
import shutil
import struct
import subprocess
import sys
import time
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROTOCOL_VERSION = 1
_FLOAT_WAV = 3
_EXTENSIBLE_WAV = 0xFFFE


@dataclass
class Clip:
    """One pass to make sound for; paths are absolute."""

    id: str
    video: Path
    duration_s: float
    fps: float
    seed: int
    prompt_kind: str = "none"
    text: str | None = None
    prompt_audio: Path | None = None
    prompt_video: Path | None = None
    sound: Path | None = None
    """What a metric adapter judges together with the video."""
    scratch: Path = Path()
    """An empty folder of this clip, removed after it."""


@dataclass
class Job:
    """What is asked for; paths are absolute."""

    system: str
    device: str
    sample_rate: int | None
    parameters: dict[str, Any]
    clips: list[Clip]
    repository: Path | None = None
    weights: Path | None = None

    def weight(self, name: str) -> Path:
        """Return a checkpoint's path; raise FileNotFoundError that names it where it is not there."""
        if self.weights is None:
            raise FileNotFoundError("no weights folder was given; " + name + " is needed")
        path = self.weights / name
        if not path.exists():
            raise FileNotFoundError("checkpoint is missing: " + str(path))
        return path

    def enter_repository(self, *subfolders: str) -> Path:
        """Make the official code importable and the working folder; return its folder."""
        if self.repository is None or not self.repository.is_dir():
            raise FileNotFoundError("the official repository is missing: " + str(self.repository))
        for folder in (*subfolders, "."):
            sys.path.insert(0, str((self.repository / folder).resolve()))
        os.chdir(str(self.repository))
        return self.repository


@dataclass
class Sound:
    """What a clip's pass emitted."""

    samples: Any
    """numpy array, torch tensor or list; (samples,) or (samples, channels)."""
    sample_rate: int
    warnings: list[str] = field(default_factory=list)
    predictions: dict[str, Any] = field(default_factory=dict)


@dataclass
class Rows:
    """What a metric adapter makes of a clip's sound and picture."""

    values: Any
    """numpy array, torch tensor or lists; (rows, dimension)."""


def main(load: Callable[[Job], Any], make: Callable[[Any, Clip], Any]) -> None:
    """Answer the job named on the command line; `make` returns `Sound`, or `Rows` in a metric adapter."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: runner JOB OUTPUT")
    output = Path(sys.argv[2]).resolve()
    scratch = output / "scratch"
    job = read_job(Path(sys.argv[1]), scratch)
    seed_everything(job.clips[0].seed if job.clips else 0)
    model = load(job)
    results = output / "results.jsonl"
    _append(results, {"kind": "ready", "protocol": PROTOCOL_VERSION, "versions": versions()})
    for clip in job.clips:
        clip.scratch.mkdir(parents=True)
        started = time.perf_counter()
        try:
            seed_everything(clip.seed)
            made = make(model, clip)
            line = measured(made) if isinstance(made, Rows) else done(made, output / (clip.id + ".wav"))
            line.update(
                clip=clip.id,
                seconds=time.perf_counter() - started,
                peak_memory_bytes=peak_memory_bytes(),
            )
        except Exception as error:  # noqa: BLE001 - whatever the official code raises costs this clip alone
            trace = traceback.format_exc()
            sys.stderr.write(trace)
            line = {
                "kind": "failed",
                "clip": clip.id,
                "error": type(error).__name__ + ": " + str(error)[:2000],
                "traceback": trace[-20000:],
            }
        shutil.rmtree(str(clip.scratch), ignore_errors=True)
        _append(results, line)


def done(sound: Sound, path: Path) -> dict[str, Any]:
    """Write the sound of one clip; return what its line says of it."""
    frames = write_wav(path, sound.samples, sound.sample_rate)
    return {
        "kind": "done",
        "samples": frames,
        "sample_rate": int(sound.sample_rate),
        "warnings": list(sound.warnings),
        "predictions": {name: as_list(value) for name, value in sound.predictions.items()},
    }


def measured(rows: Rows) -> dict[str, Any]:
    """Return what the line of one clip says; raise ValueError where a number is NaN or infinite."""
    values = as_list(rows.values)
    bad = [number for row in values for number in row if not math.isfinite(number)]
    if bad:
        raise ValueError(str(len(bad)) + " of the numbers are NaN or infinite")
    return {"kind": "measured", "rows": values}


def read_job(path: Path, scratch: Path) -> Job:
    """Read a job file."""
    folder = path.resolve().parent
    values = json.loads(path.read_text(encoding="utf-8"))
    if values["protocol"] != PROTOCOL_VERSION:
        raise SystemExit("job has protocol " + str(values["protocol"]) + ", this runner speaks 1")

    def beside(name: str | None) -> Path | None:
        return None if name is None else folder / name

    clips = [
        Clip(
            id=clip["id"],
            video=folder / clip["video"],
            duration_s=clip["duration_s"],
            fps=clip["fps"],
            seed=clip["seed"],
            prompt_kind=clip["prompt"]["kind"],
            text=clip["prompt"]["text"],
            prompt_audio=beside(clip["prompt"]["audio"]),
            prompt_video=beside(clip["prompt"]["video"]),
            sound=beside(clip.get("sound")),
            scratch=scratch / clip["id"],
        )
        for clip in values["clips"]
    ]
    repository, weights = values["repository"], values["weights"]
    return Job(
        system=values["system"],
        device=values["device"],
        sample_rate=values["sample_rate"],
        parameters=values["parameters"],
        clips=clips,
        repository=None if repository is None else Path(repository),
        weights=None if weights is None else Path(weights),
    )


def seed_everything(seed: int) -> None:
    """Seed every generator that the official code may draw from."""
    random.seed(seed)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(seed)
    if torch is not None:
        torch.manual_seed(seed)


def write_wav(path: Path, samples: Any, sample_rate: int) -> int:
    """Write float32 wav; return the number of samples a channel."""
    if hasattr(samples, "detach"):
        samples = samples.detach().cpu().float().numpy()
    if hasattr(samples, "astype"):
        channels = 1 if samples.ndim == 1 else int(samples.shape[1])
        data = samples.astype("<f4").tobytes()
    else:
        rows = list(samples)
        nested = bool(rows) and hasattr(rows[0], "__len__")
        channels = len(rows[0]) if nested else 1
        flat = array.array("f", [value for row in rows for value in row] if nested else rows)
        if sys.byteorder == "big":
            flat.byteswap()
        data = flat.tobytes()
    frames = len(data) // (4 * channels)
    header = b"RIFF" + struct.pack("<I", 50 + len(data)) + b"WAVE"
    header += b"fmt " + struct.pack(
        "<IHHIIHHH", 18, _FLOAT_WAV, channels, sample_rate, sample_rate * channels * 4, channels * 4, 32, 0
    )
    header += b"fact" + struct.pack("<II", 4, frames)
    header += b"data" + struct.pack("<I", len(data))
    with path.open("wb") as handle:
        handle.write(header)
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    return frames


def read_wav(path: Path) -> tuple[array.array[float], int, int]:
    """Read float32 wav as Clapstick writes it: samples, channel after channel in each frame; channels; rate."""
    data = path.read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(str(path) + " is no wav file")
    chunks, at = {}, 12
    while at + 8 <= len(data):
        (size,) = struct.unpack("<I", data[at + 4 : at + 8])
        chunks[data[at : at + 4]] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunks[b"fmt "][:16])
    if kind == _EXTENSIBLE_WAV:
        (kind,) = struct.unpack("<H", chunks[b"fmt "][24:26])
    if (kind, bits) != (_FLOAT_WAV, 32):
        raise ValueError(str(path) + " is not float32")
    samples = array.array("f", chunks[b"data"])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples, channels, rate


def as_list(value: Any) -> list[Any]:
    """Turn an array or tensor into nested lists of floats."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [as_list(item) if isinstance(item, (list, tuple)) else float(item) for item in value]


def peak_memory_bytes() -> int:
    """Return the peak memory of the GPU in use, or of this process where there is none."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def versions() -> dict[str, str]:
    """Return the versions of Python and of whatever else was imported and tells its version."""
    found = {"python": platform.python_version()}
    for name in ("torch", "torchvision", "numpy", "librosa", "transformers", "diffusers", "pytorch_lightning"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found


def ffmpeg(*arguments: Any) -> None:
    """Run ffmpeg; raise RuntimeError with its last lines where it fails."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError("ffmpeg failed: " + done.stderr.decode("utf-8", "replace")[-500:])


def read_frames(video: Path, scratch: Path, filters: str = "null", scaler: str = "bicubic") -> Any:
    """Decode a video of constant rate with ffmpeg; return a numpy array (frames, height, width, 3) of bytes."""
    import numpy

    path = scratch / "frames.ppm"
    options = ("-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-sws_flags", scaler)
    ffmpeg("-i", video, "-an", "-vf", filters, *options, path)
    data = numpy.fromfile(str(path), dtype=numpy.uint8)
    path.unlink()
    header = bytes(data[:64]).split(b"\n", 3)[:3]  # P6, width and height, 255
    if header[:1] != [b"P6"]:
        raise ValueError("no frame came out of " + str(video))
    width, height = map(int, header[1].split())
    skipped = sum(len(line) + 1 for line in header)
    return data.reshape(-1, skipped + 3 * width * height)[:, skipped:].reshape(-1, height, width, 3)


def once_a_video(function: Callable[[Clip], Any]) -> Callable[[Clip], Any]:
    """Keep what `function` makes of a clip's video for the clips that follow with the same video."""
    last: dict[Path, Any] = {}

    def kept(clip: Clip) -> Any:
        if clip.video not in last:
            last.clear()
            last[clip.video] = function(clip)
        return last[clip.video]

    return kept


def stub_modules(*names: str) -> list[types.ModuleType]:
    """Put empty modules in place of packages that are imported and never used here; return them."""
    for name in names:
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            part = ".".join(parts[:count])
            if part not in sys.modules:
                sys.modules[part] = types.ModuleType(part)
            if count > 1:
                setattr(sys.modules[".".join(parts[: count - 1])], parts[count - 1], sys.modules[part])
    return [sys.modules[name] for name in names]


def alias_module(old: str, new: str) -> None:
    """Let imports of a module that a newer release has moved find it under its new name."""
    try:
        importlib.import_module(old)
    except ModuleNotFoundError:
        sys.modules[old] = importlib.import_module(new)


def without_training_loss(module: str, name: str) -> None:
    """Put an empty network in place of a loss that models build, with a download, and use in training alone."""
    import torch

    class NoLoss(torch.nn.Module):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__()

    setattr(importlib.import_module(module), name, NoLoss)


def load_checkpoint(job: Job, name: str) -> Any:
    """Load a torch checkpoint of the weights folder.

    Only tensors and plain values are read. A checkpoint that holds other objects can run code of its authors
    when it is read, so it needs the parameter ``trust_checkpoints``.
    """
    import torch

    path = str(job.weight(name))
    if job.parameters.get("trust_checkpoints", False):
        try:
            return torch.load(path, map_location="cpu", weights_only=False)
        except TypeError:  # torch before 1.13
            return torch.load(path, map_location="cpu")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, TypeError) as error:
        raise RuntimeError(
            name + " holds more than tensors; set trust_checkpoints = true to read it: " + str(error)
        ) from error


def fill(job: Job, model: Any, name: str, *keys: str, strict: bool = False) -> list[str]:
    """Load a checkpoint into a model; return warnings of what did not fit.

    `keys` lead to the state within the file, as far as they are there. With the parameter ``random_weights``
    the model keeps its initial values, but for layers of zeros: that shows whether an installation works before
    gigabytes are fetched.
    """
    if job.parameters.get("random_weights", False):
        draw_zero_layers(model)
        return ["weights are random"]
    state = load_checkpoint(job, name)
    for key in keys:
        state = state.get(key, state)
    missing, unexpected = model.load_state_dict(state, strict=strict)
    told = []
    if missing:
        told.append(f"{name} lacks {len(missing)} keys of the model, {missing[0]} ...")
    if unexpected:
        told.append(f"{name} has {len(unexpected)} keys that the model lacks, {unexpected[0]} ...")
    return told


def draw_zero_layers(model: Any) -> None:
    """Draw the layers that are zero before training: two clips would sound alike to the last bit."""
    import torch

    for values in model.parameters():
        if values.ndim > 1 and not values.any():
            torch.nn.init.normal_(values, std=0.02)


def _append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line, allow_nan=False) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
