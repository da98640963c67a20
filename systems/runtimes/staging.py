"""Private copies of what a system may see of a clip: silent video of each window, the prompt, nothing else.

Copies carry names that say nothing of the clip. Sound is never copied along with the picture, so that a system
cannot read the reference; frames are picked here once, so that they do not depend on a system's own ffmpeg.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.audio import write_wav
from clapstick.protocols.clips import Clip
from clapstick.protocols.media import frames_at, probe, read_audio, shown_size
from clapstick.protocols.problems import ClapstickError, Problem
from clapstick.systems.card import SystemCard
from clapstick.systems.lengths import Window, plan_windows, source_times
from clapstick.systems.runner_protocol import JobClip, JobPrompt

_QUALITY = "12"
"""x264 rate factor: no visible loss, so that the copy is not what a system is judged by."""


@dataclass(frozen=True)
class StagedClip:
    """A clip, its windows and the passes that stand for them in the job."""

    clip: Clip
    windows: tuple[Window, ...]
    passes: tuple[JobClip, ...]


def stage_clips(
    card: SystemCard, clips: Sequence[Clip], job_dir: Path, seed_of: Callable[[Clip], int]
) -> tuple[list[StagedClip], list[tuple[Clip, Problem]]]:
    """Copy what the system may see of each clip into ``job_dir/inputs``.

    Returns
    -------
    staged : list of StagedClip
    failed : list of (Clip, Problem)
        Clips whose video or prompt cannot be read.
    """
    inputs = job_dir / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    staged: list[StagedClip] = []
    failed: list[tuple[Clip, Problem]] = []
    for number, clip in enumerate(clips):
        try:
            staged.append(_stage_clip(card, clip, f"c{number:06d}", inputs, seed_of(clip)))
        except ClapstickError as error:
            failed.append((clip, error.problems[0]))
    return staged, failed


def _stage_clip(card: SystemCard, clip: Clip, token: str, inputs: Path, seed: int) -> StagedClip:
    windows = plan_windows(card.length, card.sample_rate, clip.duration_s)
    fps = card.staging_fps or probe(clip.video).fps or 25.0
    prompt = _stage_prompt(card, clip, token, inputs)
    passes = []
    for index, window in enumerate(windows):
        name = f"{token}w{index}"
        times = clip.start_s + source_times(clip.duration_s, window, fps)
        write_silent_video(clip.video, times, fps, inputs / f"{name}.mp4")
        passes.append(
            JobClip(
                id=name,
                video=f"inputs/{name}.mp4",
                duration_s=window.shown_s,
                fps=fps,
                prompt=prompt,
                seed=(seed + index) % 2**31,
            )
        )
    return StagedClip(clip, windows, tuple(passes))


def _stage_prompt(card: SystemCard, clip: Clip, token: str, inputs: Path) -> JobPrompt:
    prompt = clip.prompt
    if prompt.kind == "none" or prompt.kind not in card.prompts:
        return JobPrompt()
    if prompt.kind == "text" or prompt.path is None:
        return JobPrompt(kind=prompt.kind, text=prompt.text)
    audio = f"inputs/{token}p.wav"
    write_wav(inputs.parent / audio, read_audio(prompt.path, prompt.start_s, prompt.duration_s))
    if prompt.kind == "audio":
        return JobPrompt(kind="audio", text=prompt.text, audio=audio)
    video = f"inputs/{token}p.mp4"
    picture, start_s = prompt.path, prompt.start_s
    if prompt.video is not None:
        picture, start_s = prompt.video, prompt.video_start_s
    info = probe(picture)
    fps = card.staging_fps or info.fps or 25.0
    duration_s = prompt.duration_s or info.duration_s - start_s
    times = start_s + np.arange(max(1, round(duration_s * fps))) / fps
    write_silent_video(picture, times, fps, inputs.parent / video)
    return JobPrompt(kind="audio-visual", text=prompt.text, audio=audio, video=video)


def write_silent_video(source: Path, times_s: NDArray[np.float64], fps: float, target: Path) -> None:
    """Write the frames that `source` shows at these times as an mp4 of constant rate without sound.

    Times may step back (a loop); each rising stretch is read in one go.

    Raises
    ------
    ClapstickError
        If the video cannot be decoded or has no frame.
    """
    import av

    height, width = (_even(size) for size in shown_size(source))
    with av.open(str(target), mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": _QUALITY, "preset": "veryfast", "threads": "1"}
        breaks = np.flatnonzero(np.diff(times_s) < 0) + 1
        for stretch in np.split(times_s, breaks):
            for picture in frames_at(source, stretch, height=height, width=width):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _even(size: int) -> int:
    return max(2, size // 2 * 2)
