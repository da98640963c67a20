"""The conformance suite that authors run on their own system: ``clapstick check system PATH``.

It makes videos of its own: a black picture with white flashes at known times, one with the flashes later, one
without any. The system is asked for them alone, together and twice; nothing but its answers is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip, Prompt
from clapstick.protocols.problems import ClapstickError, fail
from clapstick.systems.base import Context, Request
from clapstick.systems.card import FoundSystem, ParameterValue, SystemCard
from clapstick.systems.lengths import FixedLength, native_samples, plan_windows
from clapstick.systems.registry import build_system
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.results import Generated
from clapstick.systems.runtimes.run import SystemRun
from clapstick.systems.runtimes.staging import stage_clips

FPS = 25.0
SHIFT_S = 0.4
"""How much later the flashes of the second video are."""
SILENT_PEAK = 1e-4
_ENVELOPE_HZ = 1000
_ENVELOPE_WINDOW_S = 0.01
_LONGEST_LAG_S = 1.0
_FOLLOWS = 0.3
_FLAT_SAMPLES = 4


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    passed: bool | None
    """None where the check could not be made, or where neither answer is wrong."""
    detail: str


@dataclass(frozen=True)
class Answers:
    """What a system answered to one job: sound or the reason, by clip id."""

    sounds: Mapping[str, Generated]
    reasons: Mapping[str, str]


def check_system(
    found: FoundSystem,
    work: Path,
    *,
    parameters: Mapping[str, ParameterValue] | None = None,
    options: RuntimeOptions | None = None,
) -> list[Finding]:
    """Run the suite on a system.

    Parameters
    ----------
    found : FoundSystem
        The system.
    work : Path
        Folder for videos and logs.
    parameters : mapping, optional
        Changes to the card's parameters.
    options : RuntimeOptions, optional
        Where its parts lie here; for systems outside this process.

    Returns
    -------
    list of Finding
        One a check, in the order of the module's functions.

    Raises
    ------
    ClapstickError
        If the system cannot be started at all.
    """
    chosen = dict(found.card.parameters) | dict(parameters or {})
    clips = make_clips(found.card, work)
    ask = _asker(found, chosen, options or RuntimeOptions(), work)
    together = ask([clips[name] for name in ("flashes", "later", "again", "still", "one frame")], "broken")
    alone = ask([clips["flashes"]], None)
    return [
        check_answers(together),
        check_length(found.card, together),
        check_rate(found.card, together),
        check_determinism(together),
        check_batch_independence(together, alone),
        check_silence(together),
        check_clipping(together),
        check_time_offset(together, flash_times(clips["flashes"].duration_s)),
        check_bad_clips(together),
    ]


def clip_seconds(card: SystemCard) -> float:
    """Return the length of the suite's clips: what one pass of the system answers for, at most 10 s."""
    return min(card.length.covers_s, 10.0) if isinstance(card.length, FixedLength) else 4.0


def flash_times(duration_s: float) -> NDArray[np.float64]:
    """Return when the first video flashes: irregular, so that one shift alone fits."""
    times = np.array([0.28, 0.6, 1.4, 2.0, 3.28, 5.0, 5.6, 7.72])
    return times[times + SHIFT_S < duration_s - 0.1]


def make_clips(card: SystemCard, work: Path) -> dict[str, Clip]:
    """Write the suite's videos and return their clips by name."""
    work.mkdir(parents=True, exist_ok=True)
    duration_s = clip_seconds(card)
    times = flash_times(duration_s)
    shown = {"flashes": times, "later": times + SHIFT_S, "still": np.zeros(0)}
    paths = {name: write_flashes(work / f"{name}.mp4", duration_s, at) for name, at in shown.items()}
    paths |= {"again": paths["flashes"], "one frame": write_flashes(work / "one.mp4", 1 / FPS, np.zeros(0))}
    prompt = _prompt(card, paths["flashes"], duration_s)
    return {
        name: Clip(
            id=name,
            source="conformance suite",
            video=path,
            duration_s=1 / FPS if name == "one frame" else duration_s,
            prompt=prompt,
        )
        for name, path in paths.items()
    }


def _prompt(card: SystemCard, video: Path, duration_s: float) -> Prompt:
    kind = card.prompts[0]
    if kind == "none":
        return Prompt()
    if kind == "text":
        return Prompt(kind="text", policy="conformance", text="a person hits wood with a stick")
    from clapstick.protocols.audio import write_wav

    sound = video.with_name("prompt.wav")
    samples = np.random.default_rng(0).normal(0, 0.1, round(duration_s * 16_000)).astype(np.float32)
    write_wav(sound, Audio(samples[:, None], 16_000))
    picture = video if kind == "audio-visual" else None
    return Prompt(kind=kind, policy="conformance", path=sound, duration_s=duration_s, video=picture)


def write_flashes(path: Path, duration_s: float, times_s: NDArray[np.float64]) -> Path:
    """Write a dark video that is white for two frames from each of these times."""
    import av

    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for index in range(max(1, round(duration_s * FPS))):
            age = index / FPS - times_s
            bright = bool(((age > -1e-6) & (age < 1.5 / FPS)).any())
            picture = np.full((256, 256, 3), 235 if bright else 20, dtype=np.uint8)
            picture[96:160, 96:160] = 128
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


Ask = Callable[[Sequence[Clip], str | None], Answers]


def _asker(
    found: FoundSystem, parameters: dict[str, ParameterValue], options: RuntimeOptions, work: Path
) -> Ask:
    runtime = options.runtime or found.card.runtime
    if runtime == "files":
        raise fail(
            "nothing can be asked of a folder of files",
            found.card.name,
            expected="a system that runs",
            remedy="Check the system that made them.",
        )
    if runtime == "python":
        return lambda clips, _: _ask_in_process(found, parameters, clips)
    return lambda clips, broken: _ask_outside(found, parameters, options, work / "job", clips, broken)


def _ask_in_process(
    found: FoundSystem, parameters: dict[str, ParameterValue], clips: Sequence[Clip]
) -> Answers:
    def no_reference(clip: Clip) -> Audio:
        raise ValueError(f"the suite has no reference for {clip.id}")

    system = build_system(found, Context(tuple(clips), no_reference, parameters, {}))
    sounds: dict[str, Generated] = {}
    reasons: dict[str, str] = {}
    for clip in clips:
        try:
            output = system.generate(Request(clip, None, None), np.random.default_rng(1))
        except (ClapstickError, ValueError) as error:
            reasons[clip.id] = str(error)
            continue
        sounds[clip.id] = Generated(clip, output, 0.0, None, (output.audio.samples.shape[0],))
    return Answers(sounds, reasons)


def _ask_outside(
    found: FoundSystem,
    parameters: dict[str, ParameterValue],
    options: RuntimeOptions,
    job_dir: Path,
    clips: Sequence[Clip],
    broken: str | None,
) -> Answers:
    """Ask with one seed for all clips; a clip named `broken` is added whose staged video is no video."""
    if broken is not None:
        clips = [*clips, clips[0].model_copy(update={"id": broken})]
    staged, unreadable = stage_clips(found.card, clips, job_dir / "job", lambda _: 1)
    for stage in staged:
        for one in stage.passes if stage.clip.id == broken else ():
            (job_dir / "job" / one.video).write_bytes(b"not a video")
    sounds: dict[str, Generated] = {}
    runtime = options.runtime or found.card.runtime
    run = SystemRun(
        found,
        options,
        runtime,
        job_dir,
        parameters,
        staged,
        lambda result: sounds.update({result.clip.id: result}),
    )
    run.until_all_are_answered()
    reasons = {one.clip.id if one.clip else "": str(one.problem) for one in run.failed}
    return Answers(sounds, reasons | {clip.id: str(problem) for clip, problem in unreadable})


def check_answers(together: Answers) -> Finding:
    """Every whole clip has sound, and nothing was answered besides."""
    missing = [name for name in ("flashes", "later", "again", "still") if name not in together.sounds]
    told = [f"{name}: {together.reasons.get(name, 'no answer')}" for name in missing]
    told += [together.reasons[""]] if "" in together.reasons else []
    return Finding("answers", not told, "; ".join(told) or "sound for every clip")


def check_length(card: SystemCard, together: Answers) -> Finding:
    """Native samples are those that the card states; without a rule, within 0.1 s of the clip."""
    wrong = []
    for name, result in together.sounds.items():
        rate = result.output.audio.sample_rate
        for index, window in enumerate(plan_windows(card.length, rate, result.clip.duration_s)):
            emitted = result.native_samples[index]
            if card.length is None:
                if name != "one frame" and abs(emitted / rate - window.shown_s) > 0.1:
                    wrong.append(f"{name}: {emitted / rate:.3f} s for {window.shown_s:.3f} s")
            elif emitted != native_samples(card.length, rate, window.shown_s):
                expected = native_samples(card.length, rate, window.shown_s)
                wrong.append(f"{name}: {emitted} samples, the card states {expected}")
    lengths = sorted({count for result in together.sounds.values() for count in result.native_samples})
    return _finding("length", together, wrong, f"{', '.join(map(str, lengths))} samples")


def check_rate(card: SystemCard, together: Answers) -> Finding:
    """Rate and channels are the card's, and the same for every clip."""
    shapes = {
        (one.output.audio.sample_rate, one.output.audio.samples.shape[1]) for one in together.sounds.values()
    }
    wrong = [f"{rate} Hz, {channels} channels" for rate, channels in sorted(shapes)]
    told = ", ".join(wrong)
    fits = all(
        rate == (card.sample_rate or rate) and channels == (card.channels or channels)
        for rate, channels in shapes
    )
    return _finding("rate", together, [] if fits and len(shapes) == 1 else wrong, told)


def check_determinism(together: Answers) -> Finding:
    """The same clip with the same seed, twice in one job, sounds the same."""
    return _same("determinism", together.sounds.get("flashes"), together.sounds.get("again"), "in one job")


def check_batch_independence(together: Answers, alone: Answers) -> Finding:
    """A clip sounds the same alone and among others."""
    first, second = together.sounds.get("flashes"), alone.sounds.get("flashes")
    return _same("batch independence", first, second, "alone and among others")


def check_silence(together: Answers) -> Finding:
    """Sound for a picture in which things happen is not silence."""
    result = together.sounds.get("flashes")
    if result is None:
        return Finding("silence", None, "no sound to look at")
    peak = float(np.abs(result.output.audio.samples).max(initial=0.0))
    return Finding("silence", peak > SILENT_PEAK, f"peak {peak:.5f}, above {SILENT_PEAK} is sound")


def check_clipping(together: Answers) -> Finding:
    """No sample lies beyond full scale and no stretch stands still at its peak."""
    wrong = []
    for name, result in together.sounds.items():
        samples = result.output.audio.samples
        beyond = int((np.abs(samples) > 1).sum())
        flat = longest_flat_peak(samples)
        if beyond:
            wrong.append(f"{name}: {beyond} samples beyond full scale")
        if flat >= _FLAT_SAMPLES:
            wrong.append(f"{name}: {flat} samples in a row at full scale")
    return _finding("clipping", together, wrong, "no sample at or beyond full scale for long")


def longest_flat_peak(samples: NDArray[np.float32]) -> int:
    """Return the longest run of samples at full scale, over channels; samples of shape (samples, channels)."""
    longest = 0
    for channel in samples.T:
        at_peak = np.concatenate([[False], np.abs(channel) >= 0.9999, [False]])
        edges = np.flatnonzero(np.diff(at_peak.astype(np.int8)))
        longest = max(longest, int((edges[1::2] - edges[::2]).max(initial=0)))
    return longest


def check_time_offset(together: Answers, times_s: NDArray[np.float64]) -> Finding:
    """Sound moves with the picture; how late it is against the flashes is told.

    The envelopes of the two flashing videos are cross-correlated: the lag should be `SHIFT_S`. A system that
    does not follow the picture has no offset.
    """
    first, later = together.sounds.get("flashes"), together.sounds.get("later")
    if first is None or later is None:
        return Finding("time offset", None, "no sound to look at")
    one, two = envelope(first.output.audio), envelope(later.output.audio)
    moved_s, alike = lag(one, two)
    flashes = np.zeros_like(one)
    for time_s in times_s:
        flashes[round(time_s * _ENVELOPE_HZ) : round((time_s + 2 / FPS) * _ENVELOPE_HZ)] = 1.0
    offset_s, follows = lag(flashes, one)
    if follows < _FOLLOWS or alike < _FOLLOWS:
        return Finding("time offset", None, f"does not follow the flashes (correlation {follows:.2f})")
    told = f"{offset_s:+.3f} s against the picture; sound moves {moved_s:+.3f} s with {SHIFT_S:+.3f} s"
    return Finding("time offset", abs(moved_s - SHIFT_S) <= 0.05 and abs(offset_s) <= 0.1, told)


def envelope(audio: Audio) -> NDArray[np.float64]:
    """Return RMS of the 10 ms around each millisecond, shape (milliseconds,); exact at any sample rate."""
    mono = audio.mono.astype(np.float64)
    energy = np.concatenate([[0.0], np.cumsum(mono**2)])
    centres = np.arange(mono.size * _ENVELOPE_HZ // audio.sample_rate) * audio.sample_rate / _ENVELOPE_HZ
    half = _ENVELOPE_WINDOW_S * audio.sample_rate / 2
    before, after = (np.interp(centres + side, np.arange(energy.size), energy) for side in (-half, half))
    return np.asarray(np.sqrt(np.maximum(after - before, 0.0) / (2 * half)))


def lag(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float]:
    """Return by how many seconds `second` is later than `first`, and their correlation at that lag."""
    from scipy import signal

    count = min(first.size, second.size)
    first, second = first[:count] - first[:count].mean(), second[:count] - second[:count].mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    if scale == 0.0:
        return 0.0, 0.0
    correlation = signal.correlate(second, first, mode="full")
    reach = min(round(_LONGEST_LAG_S * _ENVELOPE_HZ), count - 1)
    window = correlation[count - 1 - reach : count + reach]
    best = int(window.argmax())
    return (best - reach) / _ENVELOPE_HZ, float(window[best] / scale)


def check_bad_clips(together: Answers) -> Finding:
    """A file that is no video is told as a failed clip; a clip of one frame is answered or told."""
    if "broken" in together.sounds:
        return Finding("bad clips", False, "made sound for a file that is no video")
    if "broken" not in together.reasons:
        return Finding("bad clips", None, "the system reads no file itself")
    told = [f"{name}: {together.reasons[name]}" for name in ("broken", "one frame") if name in together.reasons]
    fell = [line for line in told if "fell on the clip" in line or "given up" in line]
    return Finding("bad clips", not fell, "; ".join(fell or told))


def _same(check: str, first: Generated | None, second: Generated | None, when: str) -> Finding:
    if first is None or second is None:
        return Finding(check, None, "no sound to compare")
    one, two = first.output.audio.samples, second.output.audio.samples
    if one.shape != two.shape:
        return Finding(check, False, f"{one.shape[0]} and {two.shape[0]} samples {when}")
    difference = float(np.abs(one - two).max(initial=0.0))
    return Finding(check, difference == 0.0, f"largest difference {difference:.3g} {when}")


def _finding(check: str, answers: Answers, wrong: list[str], right: str) -> Finding:
    if not answers.sounds:
        return Finding(check, None, "no sound to look at")
    return Finding(check, not wrong, "; ".join(wrong) or right)
