"""Making the data set: videos on several processes, into a folder that can be finished later."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.archive import atomic, write_text
from clapstick.protocols.cache import cache_dir, writable
from clapstick.protocols.problems import fail
from clapstick.protocols.synthetic.encode import write_video
from clapstick.protocols.synthetic.materials import MATERIALS, Material
from clapstick.protocols.synthetic.picture import Scene, place_objects
from clapstick.protocols.synthetic.settings import FPS, SAMPLE_RATE, SPLITS, Split, SyntheticSettings
from clapstick.protocols.synthetic.sound import render_sound
from clapstick.protocols.synthetic.strokes import PLAN_HEIGHT, Stroke, follow, plan_strokes

SETTINGS_FILE = "synthetic-hits.json"


@dataclass(frozen=True)
class Video:
    """One video before it is written."""

    name: str
    materials: tuple[Material, ...]
    strokes: tuple[Stroke, ...]
    """Air strokes, which make no sound, included."""
    scene: Scene
    sound: NDArray[np.float32]
    """Mono at `SAMPLE_RATE`, shape (samples,)."""

    @property
    def annotations(self) -> list[str]:
        """Lines ``time material action reaction`` of the strokes that can be heard."""
        lines = []
        for stroke in self.strokes:
            if stroke.action != "air":
                material = self.materials[stroke.target]
                lines.append(f"{stroke.time_s:.6f} {material.name} {stroke.action} {material.reaction}")
        return lines


def make_video(settings: SyntheticSettings, split: Split, index: int) -> Video:
    """Make one video in memory; it depends on seed, split, index and the size of one video alone.

    Parameters
    ----------
    settings : SyntheticSettings
        Numbers of videos do not matter here.
    split : str
        ``train`` or ``test``.
    index : int
        Counted from 0.
    """
    root = np.random.SeedSequence([settings.seed, SPLITS.index(split), index])
    plan_rng, look_rng, sound_rng = (np.random.Generator(np.random.PCG64(seed)) for seed in root.spawn(3))
    duration_s = settings.frames / FPS
    materials = [MATERIALS[index % len(MATERIALS)]]
    if plan_rng.random() < 0.4:
        others = [material for material in MATERIALS if material is not materials[0]]
        materials.append(others[int(plan_rng.integers(len(others)))])
    sizes = [float(plan_rng.uniform(0.8, 1.25)) for _ in materials]
    objects = place_objects(materials, sizes, settings.width, settings.height, look_rng)
    scale = settings.height / PLAN_HEIGHT
    centres = [(thing.centre[0] / scale, thing.centre[1] / scale) for thing in objects]
    strokes = plan_strokes(plan_rng, duration_s, [thing.half_width / scale for thing in objects])
    path = follow(strokes, duration_s, centres, plan_rng)
    scene = Scene(objects, strokes, path, (settings.height, settings.width), look_rng)
    sound = render_sound(strokes, materials, sizes, settings.samples, sound_rng)
    name = f"{split}-{index + 1:04d}"
    return Video(name, tuple(materials), tuple(strokes), scene, np.clip(sound, -1, 1).astype(np.float32))


def make_synthetic_hits(
    settings: SyntheticSettings,
    out_dir: Path,
    workers: int | None = None,
    *,
    splits: Sequence[Split] = SPLITS,
    progress: bool = True,
) -> Path:
    """Write the data set in the folder format of Greatest Hits; videos that are there already are kept.

    ::

        OUT/train.txt, test.txt          names, one a line
        OUT/<name>_denoised.mp4          H.264 and AAC
        OUT/<name>_denoised.wav          the same sound before coding, 16 bit
        OUT/<name>_times.txt             time material action reaction

    Parameters
    ----------
    settings : SyntheticSettings
        Size and seed.
    out_dir : Path
        Folder; made where it is missing.
    workers : int, optional
        Processes; all processors where None. The files are the same for any number.
    splits : sequence of str
        Which splits to make.
    progress : bool
        Whether to draw a progress bar on standard error.

    Returns
    -------
    Path
        `out_dir`

    Raises
    ------
    ClapstickError
        If the folder holds other settings, or cannot be written to.
    """
    _claim(settings, out_dir)
    missing = [
        (split, index)
        for split in splits
        for index, name in enumerate(settings.names(split))
        if not (out_dir / f"{name}_denoised.mp4").is_file()
    ]
    count = min(workers or len(os.sched_getaffinity(0)), len(missing))
    with _bar(len(missing), progress) as advance:
        for _ in _write_all(settings, out_dir, missing, count):
            advance()
    for split in splits:
        write_text(out_dir / f"{split}.txt", "".join(f"{name}\n" for name in settings.names(split)))
    return out_dir


def synthetic_hits_folder(
    settings: SyntheticSettings | None = None,
    workers: int | None = None,
    *,
    splits: Sequence[Split] = SPLITS,
    progress: bool = True,
) -> Path:
    """Return the folder of this data set in the user's cache, made where anything is missing.

    Parameters
    ----------
    settings : SyntheticSettings, optional
        Size and seed; the defaults where None.
    workers, splits, progress
        As `make_synthetic_hits`.
    """
    from filelock import FileLock

    settings = settings or SyntheticSettings()
    folder = cache_dir() / "synthetic-hits" / settings.key
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        return make_synthetic_hits(settings, folder, workers, splits=splits, progress=progress)


def _claim(settings: SyntheticSettings, folder: Path) -> None:
    """Refuse a folder that was made with other settings, write these where there are none."""
    path = folder / SETTINGS_FILE
    wanted = settings.model_dump_json(indent=1) + "\n"
    with writable(folder):
        found = path.read_text(encoding="utf-8") if path.is_file() else None
        if found is None:
            write_text(path, wanted)
    if found is not None and found != wanted:
        raise fail(
            "folder holds a data set with other settings",
            folder,
            found=" ".join(found.split()),
            expected=" ".join(wanted.split()),
            remedy="Name another folder, or remove this one.",
        )


def _write_all(
    settings: SyntheticSettings, folder: Path, missing: Sequence[tuple[Split, int]], workers: int
) -> Iterator[None]:
    write = partial(_write_one, settings, folder)
    if workers <= 1:
        yield from (write(item) for item in missing)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent) as pool:
        try:
            for done in as_completed([pool.submit(write, item) for item in missing]):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone: a killed parent cannot say goodbye."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _write_one(settings: SyntheticSettings, folder: Path, item: tuple[Split, int]) -> None:
    """Write one video's files; the mp4 comes last and says that the others are there."""
    import soundfile

    video = make_video(settings, *item)
    with writable(folder):
        write_text(folder / f"{video.name}_times.txt", "".join(f"{line}\n" for line in video.annotations))
        with atomic(folder / f"{video.name}_denoised.wav") as temporary:
            soundfile.write(temporary, video.sound, SAMPLE_RATE, subtype="PCM_16", format="WAV")
        with atomic(folder / f"{video.name}_denoised.mp4") as temporary:
            frames = video.scene.frames(settings.frames)
            write_video(temporary, frames, video.sound, fps=FPS, sample_rate=SAMPLE_RATE)


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[], None]]:
    """Draw a progress bar on standard error."""
    if not shown or total == 0:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("synthetic-hits", total=total)
        yield lambda: bar.advance(task)
