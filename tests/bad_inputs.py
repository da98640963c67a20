"""Every kind of bad or odd input file that users have, written with PyAV and soundfile, for tests."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile
from flash_click import FlashClick, write_flash_click
from numpy.typing import NDArray

_SHORT = FlashClick(seconds=1.0, events_s=(0.5,))

ODD_NAMES = (
    "with space.mp4",
    'it\'s "quoted".mp4',
    "übung 打击 🥁.mp4",
    "two..dots...mp4",
    "<b>bold<b><img src=x onerror=alert(1)>.mp4",
    "percent%20&amp;.mp4",
    "-starts-with-dash.mp4",
    "new\nline.mp4",
    "a" * 200 + ".mp4",
)
"""File names that break careless code."""


def write_bad_videos(folder: Path) -> dict[str, Path]:
    """Write videos that cannot be used, or not for everything; return them by what is wrong.

    Keys: ``truncated`` (no index), ``cut off`` (whole index, half the data), ``zero bytes``, ``text``,
    ``no video``, ``cover picture``, ``no audio``, ``short audio``, ``long audio``, ``one frame``, ``stereo``,
    ``5.1``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = write_flash_click(folder / "whole.mp4", FlashClick(seconds=4.0)).read_bytes()
    (folder / "whole.mp4").unlink()
    found = {
        "truncated": folder / "truncated.mp4",
        "cut off": cut_off_video(folder / "cut_off.mp4"),
        "zero bytes": folder / "zero_bytes.mp4",
        "text": folder / "text.mp4",
        "no video": folder / "no_video.mp4",
        "cover picture": folder / "cover_picture.mp4",
    }
    found["truncated"].write_bytes(whole[: len(whole) // 2])
    found["zero bytes"].touch()
    found["text"].write_text("This is no video.\n" * 40, encoding="utf-8")
    _sound_alone(found["no video"], cover=False)
    _sound_alone(found["cover picture"], cover=True)
    for key, spec in {
        "no audio": FlashClick(seconds=1.0, sound_seconds=0.0),
        "short audio": FlashClick(seconds=2.0, sound_seconds=0.7, events_s=(0.5,)),
        "long audio": FlashClick(seconds=1.0, sound_seconds=3.0, events_s=(0.5,)),
        "one frame": FlashClick(seconds=1 / 30, sound_seconds=1.0, events_s=(0.0,)),
        "stereo": FlashClick(seconds=1.0, events_s=(0.5,), layout="stereo"),
        "5.1": FlashClick(seconds=1.0, events_s=(0.5,), layout="5.1"),
    }.items():
        found[key] = write_flash_click(folder / f"{key.replace(' ', '_').replace('.', '_')}.mp4", spec)
    return found


def cut_off_video(path: Path, share: float = 0.5) -> Path:
    """Write a video whose index is whole and whose data ends early, as an aborted download leaves it."""
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        picture = container.add_stream("libx264", rate=30)
        picture.height, picture.width, picture.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        for number in range(120):
            pixels = noise.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            piece = av.AudioFrame.from_ndarray(
                noise.uniform(-0.5, 0.5, (1, 1600)).astype(np.float32), format="fltp", layout="mono"
            )
            piece.sample_rate, piece.pts = 48_000, number * 1600
            container.mux(sound.encode(piece))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def _sound_alone(path: Path, *, cover: bool) -> None:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        picture = container.add_stream("png", rate=1) if cover else None
        if picture is not None:
            picture.height, picture.width, picture.pix_fmt = 16, 16, "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), dtype=np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        tone = sine(1.0, 48_000)
        for first in range(0, tone.size, 1024):
            piece = av.AudioFrame.from_ndarray(tone[None, first : first + 1024], format="fltp", layout="mono")
            piece.sample_rate, piece.pts = 48_000, first
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))


def write_bad_sounds(folder: Path, sample_rate: int = 16_000) -> dict[str, Path]:
    """Write wav files of one second that cannot be used, or that careless code reads wrongly.

    Keys: ``nan``, ``inf``, ``empty``, ``text`` (refused); ``truncated`` (shorter than stated); ``silence``,
    ``clipping``, ``beyond full scale``, ``8 bit``, ``16 bit``, ``24 bit``, ``float``, ``double``, ``stereo``,
    ``5.1``, ``flac`` (all readable).
    """
    folder.mkdir(parents=True, exist_ok=True)
    tone = sine(1.0, sample_rate)
    hurt = {"nan": np.nan, "inf": np.inf}
    found: dict[str, Path] = {}

    def write(key: str, samples: NDArray[np.float32], subtype: str, suffix: str = ".wav") -> None:
        found[key] = folder / f"{key.replace(' ', '_').replace('.', '_')}{suffix}"
        soundfile.write(found[key], samples, sample_rate, subtype=subtype)

    for key, value in hurt.items():
        samples = tone.copy()
        samples[sample_rate // 4 : sample_rate // 4 + 3] = value
        write(key, samples, "FLOAT")
    write("empty", tone[:0], "PCM_16")
    write("silence", np.zeros_like(tone), "PCM_16")
    write("clipping", np.clip(4 * tone, -1, 1), "PCM_16")
    write("beyond full scale", 4 * tone, "FLOAT")
    for key, subtype in {
        "8 bit": "PCM_U8",
        "16 bit": "PCM_16",
        "24 bit": "PCM_24",
        "float": "FLOAT",
        "double": "DOUBLE",
    }.items():
        write(key, tone, subtype)
    write("stereo", np.column_stack((tone, 0 * tone)), "PCM_16")
    write("5.1", np.column_stack([tone] * 6), "PCM_16")
    write("flac", tone, "PCM_16", ".flac")
    found["text"] = folder / "text.wav"
    found["text"].write_text("This is no sound.\n", encoding="utf-8")
    found["truncated"] = folder / "truncated.wav"
    whole = found["16 bit"].read_bytes()
    found["truncated"].write_bytes(whole[: len(whole) // 2])
    return found


def write_odd_names(folder: Path) -> list[Path]:
    """Write good videos under `ODD_NAMES`."""
    folder.mkdir(parents=True, exist_ok=True)
    good = write_flash_click(folder / "good.mp4", _SHORT).read_bytes()
    (folder / "good.mp4").unlink()
    paths = [folder / name for name in ODD_NAMES]
    for path in paths:
        path.write_bytes(good)
    return paths


def sine(seconds: float, sample_rate: int, hertz: float = 440.0, amplitude: float = 0.5) -> NDArray[np.float32]:
    """Return a tone, shape (samples,)."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
