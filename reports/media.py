"""Pictures and sounds of a report, made once and kept beside it.

::

    report/video/<clip>.<key>.mp4           the clip's stretch of its video: H.264, at most 480 lines, silent
    report/sound/<clip>/<system>.<key>.js   sound, envelope, onsets and spectrogram, loaded on demand

``<key>`` names the content and the way it was made, so whatever exists is right and is not made again.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from clapstick.protocols.archive import atomic, write_text
from clapstick.protocols.audio import read_wav
from clapstick.protocols.clips import Clip, safe_stem
from clapstick.protocols.problems import ClapstickError, fail
from clapstick.reports.run_data import REFERENCE, RunData
from clapstick.reports.sounds import (
    MIME,
    Codec,
    encode_sound,
    log_mel_image,
    onset_times,
    png_data_uri,
    rms_envelope,
)

_TICK = Fraction(1, 90_000)
MAKING = 1
"""Counted up whenever the making of pictures or sounds changes, so that old files are made anew."""
MOST_LINES = 480
KEYFRAME_FRAMES = 15
"""A key frame twice a second: the scrubber lands quickly."""


@dataclass(frozen=True)
class VideoTask:
    """One clip's stretch of its video."""

    source: Path
    start_s: float
    duration_s: float
    target: Path


@dataclass(frozen=True)
class SoundTask:
    """One standardised sound."""

    wav: Path
    codec: Codec
    target: Path
    chunk: str
    """Name under which the page finds it: the path relative to the report."""


@dataclass(frozen=True)
class ClipMedia:
    """What was made for one clip: paths relative to the report, or why there is nothing."""

    video: str | None
    video_problem: str | None
    sounds: dict[str, str]
    """System -> chunk; systems without a sound are left out."""
    sound_problems: dict[str, str]


def make_media(
    data: RunData,
    out: Path,
    *,
    codec: Codec = "flac",
    workers: int = 1,
    only: Collection[str] | None = None,
) -> dict[str, ClipMedia]:
    """Make what is missing under `out` and return it by clip id, for every clip or those in `only`.

    A video or sound that cannot be read is a problem of its clip and stops nothing.
    """
    clips = [clip for clip in data.clips if only is None or clip.id in only]
    videos = {clip.id: _video_task(clip, out) for clip in clips}
    sounds = {
        clip.id: {
            system: task
            for system in sound_names(data)
            if (task := _sound_task(data, clip, system, out, codec)) is not None
        }
        for clip in clips
    }
    every = [*videos.values(), *(task for tasks in sounds.values() for task in tasks.values())]
    tasks = [task for task in every if task is not None and not task.target.is_file()]
    problems = dict(zip(tasks, _in_parallel(make_one, tasks, workers), strict=True))
    made: dict[str, ClipMedia] = {}
    for clip in clips:
        video = videos[clip.id]
        video_problem = problems.get(video) if video else f"{clip.video} is not there any more"
        mine = sounds[clip.id]
        made[clip.id] = ClipMedia(
            video=None if video is None or video_problem else _relative(video.target, out),
            video_problem=video_problem,
            sounds={system: task.chunk for system, task in mine.items() if not problems.get(task)},
            sound_problems={system: text for system, task in mine.items() if (text := problems.get(task))},
        )
    return made


def sound_names(data: RunData) -> list[str]:
    """Return the reference first, then every system of the run."""
    return list(dict.fromkeys([REFERENCE, *(system.name for system in data.systems)]))


def make_one(task: VideoTask | SoundTask) -> str | None:
    """Make one file; return the reason where it cannot be made."""
    try:
        if isinstance(task, VideoTask):
            _discard_older(task.target)
            with atomic(task.target) as temporary:
                write_clip_video(task, temporary)
        else:
            _discard_older(task.target)
            write_text(task.target, chunk_script(task.chunk, sound_chunk(task.wav, task.codec)))
    except ClapstickError as error:
        return str(error)
    return None


def sound_chunk(wav: Path, codec: Codec) -> dict[str, object]:
    """Return everything that the page needs of one sound."""
    audio = read_wav(wav)
    envelope = rms_envelope(audio)
    return {
        "mime": MIME[codec],
        "data": base64.b64encode(encode_sound(audio, codec)).decode("ascii"),
        "sample_rate": audio.sample_rate,
        "duration_s": audio.duration_s,
        "hop_s": envelope.hop_s,
        "rms": [round(float(value), 5) for value in envelope.values],
        "onsets_s": [round(float(time_s), 4) for time_s in onset_times(audio)],
        "spectrogram": png_data_uri(log_mel_image(audio)),
    }


def chunk_script(name: str, value: object) -> str:
    """Return a script that hands `value` to the page; the page loads it on demand, also from file://."""
    return f"clapstick.put({json_for_script(name)}, {json_for_script(value)});\n"


def json_for_script(value: object) -> str:
    """Return JSON that can neither end a script element nor a line of one."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def write_clip_video(task: VideoTask, target: Path) -> None:
    """Write a clip's pictures as H.264 that every browser plays and that a scrubber moves quickly in.

    Frame times are kept; the clip starts at 0.

    Raises
    ------
    ClapstickError
        If the video cannot be decoded or holds no frame of the stretch.
    """
    import av

    written = 0
    try:
        with (
            av.open(str(task.source)) as source,
            av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as sink,
        ):
            if not source.streams.video:
                raise fail("no video stream", task.source, remedy="Give a file with pictures.")
            stream = source.streams.video[0]
            stream.thread_type = "AUTO"
            tick = stream.time_base or _TICK
            origin_s = float((stream.start_time or 0) * tick)
            if task.start_s > 1:
                source.seek(int((task.start_s - 0.5 + origin_s) / tick), stream=stream)
            rate = stream.average_rate or stream.guessed_rate or 25
            encoder = sink.add_stream("libx264", rate=rate)
            encoder.width, encoder.height = _even_size(stream.codec_context.width, stream.codec_context.height)
            encoder.pix_fmt = "yuv420p"
            encoder.options = {"crf": "24", "preset": "veryfast", "bf": "0"}
            encoder.gop_size = KEYFRAME_FRAMES
            for frame in source.decode(stream):
                at_s = (frame.time or 0.0) - origin_s - task.start_s
                if at_s < -0.5 / float(rate):
                    continue
                if at_s >= task.duration_s - 1e-6:
                    break
                picture = frame.reformat(width=encoder.width, height=encoder.height, format="yuv420p")
                picture.pts = max(round(at_s * 90_000), 0)
                picture.time_base = _TICK
                for packet in encoder.encode(picture):
                    sink.mux(packet)
                written += 1
            for packet in encoder.encode():
                sink.mux(packet)
    except av.error.FFmpegError as error:
        raise fail("video cannot be shown", task.source, found=error, remedy="Encode it again.") from error
    if not written:
        raise fail(
            "video has no frame in the clip's stretch",
            task.source,
            found=f"start {task.start_s} s, {task.duration_s} s long",
            remedy="Check the clip's start time.",
        )


def _even_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, MOST_LINES / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _video_task(clip: Clip, out: Path) -> VideoTask | None:
    if not clip.video.is_file():
        return None
    key = _key(_identity(clip.video), clip.start_s, clip.duration_s)
    return VideoTask(clip.video, clip.start_s, clip.duration_s, out / "video" / f"{clip.file_stem}.{key}.mp4")


def _sound_task(data: RunData, clip: Clip, system: str, out: Path, codec: Codec) -> SoundTask | None:
    wav = data.archive.audio_wav(system, clip)
    if not wav.is_file():
        return None
    target = out / "sound" / clip.file_stem / f"{safe_stem(system)}.{_key(_identity(wav), codec)}.js"
    return SoundTask(wav, codec, target, _relative(target, out))


def _identity(path: Path) -> tuple[str, int, int]:
    """Return what changes when a file is written anew."""
    status = path.stat()
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def _key(*parts: object) -> str:
    return hashlib.sha256(repr((MAKING, *parts)).encode()).hexdigest()[:10]


def _discard_older(target: Path) -> None:
    """Remove files of the same name with another key."""
    name = target.name.rsplit(".", 2)[0]
    if target.parent.is_dir():
        for path in target.parent.iterdir():
            if path.name.rsplit(".", 2)[0] == name and path.suffix == target.suffix:
                path.unlink()


def _relative(path: Path, out: Path) -> str:
    return path.relative_to(out).as_posix()


def _in_parallel(
    make: Callable[[VideoTask | SoundTask], str | None], tasks: Sequence[VideoTask | SoundTask], workers: int
) -> Iterable[str | None]:
    # Threads are enough: encoding, resampling and transforms run outside the interpreter's lock.
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return list(pool.map(make, tasks))
