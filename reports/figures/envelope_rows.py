"""One clip in print: envelopes of every system over the reference, with onsets and spectrograms.

Like figures 3, 4 and 9 to 11 of Video-Foley (J. Lee et al.).
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from clapstick.protocols.audio import Audio, read_wav
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.reports.figures.svg import Figure, Scale, drawing, element, label_for, text
from clapstick.reports.media import sound_names
from clapstick.reports.run_data import REFERENCE, RunData
from clapstick.reports.sounds import Envelope, log_mel_image, onset_times, png_data_uri, rms_envelope

MOST_SYSTEMS = 7
_WIDTH = 1080
_LABELS = 172
_ENVELOPE = 54
_SPECTROGRAM = 40
_GAP = 8
_TOP = 20


def envelope_figure(data: RunData, clip: Clip) -> Figure | None:
    """Draw one clip; None where fewer than two of its sounds can be read."""
    sounds = _sounds(data, clip)
    if len(sounds) < 2:
        return None
    titles = {system.name: system.title for system in data.systems} | {REFERENCE: "Reference"}
    across = Scale(0.0, clip.duration_s, _LABELS, _WIDTH - 10)
    envelopes = {name: rms_envelope(audio) for name, audio in sounds.items()}
    competing = {REFERENCE, *(system.name for system in data.competitors)}
    used = [envelope for name, envelope in envelopes.items() if name in competing] or envelopes.values()
    top = max(float(envelope.values.max()) for envelope in used) or 1.0
    parts: list[Markup] = []
    y = float(_TOP)
    for name, audio in sounds.items():
        behind = envelopes.get(REFERENCE) if name != REFERENCE else None
        parts.append(_row(titles.get(name, name), clip, audio, envelopes[name], behind, top, across, y))
        y += _ENVELOPE + _SPECTROGRAM + _GAP
    parts += _units(top, max(audio.sample_rate for audio in sounds.values()))
    for tick in across.ticks(10):
        parts.append(text(across(tick), y + 10, label_for(tick), "dim", text_anchor="middle", font_size=11))
    parts.append(text(_LABELS - 12, y + 10, "seconds", "dim", text_anchor="end", font_size=11))
    words = f"Clip {clip.id}: RMS envelopes and log-mel spectrograms"
    caption = (
        f"{words}. Grey: reference RMS; line: the system’s, in every row from 0 to {top:.2g} of full scale. "
        "Dashed: annotated onsets; short strokes: detected. Spectrograms span 80 dB below full scale, in mel "
        "bands up to half the sample rate."
    )
    return Figure(f"clip-{clip.file_stem}", drawing(_WIDTH, y + 20, words, *parts), caption, is_wide=True)


def _units(top: float, sample_rate: int) -> list[Markup]:
    """Write what the first row's envelope and spectrogram reach to; all other rows have the same scales."""
    places = (
        (_TOP + 8, f"RMS {top:.2g}"),
        (_TOP + _ENVELOPE + 10, f"{sample_rate / 2000:g} kHz"),
        (_TOP + _ENVELOPE + _SPECTROGRAM, "0 kHz"),
    )
    return [text(_LABELS - 12, y, words, "dim", text_anchor="end", font_size=10) for y, words in places]


def chosen_clips(data: RunData, most: int = 2) -> list[Clip]:
    """Return the clips with most events among those that most systems have, in the run's order."""
    having = {
        clip.id: sum(data.archive.audio_wav(name, clip).is_file() for name in sound_names(data))
        for clip in data.clips
    }
    order = sorted(data.clips, key=lambda clip: (-having[clip.id], -len(clip.onsets or ())))[:most]
    return [clip for clip in order if having[clip.id] > 1]


def _sounds(data: RunData, clip: Clip) -> dict[str, Audio]:
    names = sound_names(data)
    competing = {system.name for system in data.competitors}
    order = [REFERENCE, *(name for name in names if name in competing)]
    order += [name for name in names if name not in order]
    found: dict[str, Audio] = {}
    for name in order:
        audio = _read(data.archive.audio_wav(name, clip))
        if audio is not None and len(found) < MOST_SYSTEMS:
            found[name] = audio
    return found


def _read(path: Path) -> Audio | None:
    try:
        return read_wav(path) if path.is_file() else None
    except ClapstickError:
        return None


def _row(
    title: str,
    clip: Clip,
    audio: Audio,
    envelope: Envelope,
    behind: Envelope | None,
    top: float,
    across: Scale,
    y: float,
) -> Markup:
    up = Scale(0.0, top, y + _ENVELOPE, y)
    label = title if len(title) <= 22 else title[:21] + "…"
    parts = [text(_LABELS - 12, y + _ENVELOPE - 4, label, text_anchor="end")]
    if behind is not None:
        outline = _points(behind, across, up)
        end = min(across.end, across((behind.values.size - 1) * behind.hop_s))
        parts.append(
            element("path", "ghost", d=f"M{across.start},{up.start:.2f}L{outline}L{end:.2f},{up.start:.2f}Z")
        )
    for onset in clip.onsets or ():
        x = across(onset.time_s)
        parts.append(element("line", "onset", x1=x, x2=x, y1=y, y2=y + _ENVELOPE, stroke_dasharray="2 3"))
    parts.append(element("path", "mark-line", d=f"M{_points(envelope, across, up)}", stroke_width=1.2))
    for time_s in onset_times(audio):
        x = across(float(time_s))
        parts.append(element("line", "rule", x1=x, x2=x, y1=up.start - 9, y2=up.start, stroke_width=2))
    parts.append(
        element(
            "image",
            "",
            href=png_data_uri(log_mel_image(audio)),
            x=across.start,
            y=y + _ENVELOPE,
            width=across(min(audio.duration_s, clip.duration_s)) - across.start,
            height=_SPECTROGRAM,
            preserveAspectRatio="none",
        )
    )
    return Markup("").join(parts)


def _points(envelope: Envelope, across: Scale, up: Scale) -> str:
    return "L".join(
        f"{min(across(k * envelope.hop_s), across.end):.1f},{max(up(float(value)), up.end):.1f}"
        for k, value in enumerate(envelope.values)
    )
