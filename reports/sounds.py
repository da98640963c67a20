"""What the report shows of one sound: envelope, detected onsets, log-mel picture, and the sound itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.onset_strength import SAMPLE_RATE as ONSET_RATE
from clapstick.metrics.onsets import detect_onsets
from clapstick.metrics.rms import centred_rms_curve
from clapstick.metrics.waveform import resample
from clapstick.protocols.audio import Audio

Codec = Literal["flac", "opus"]

WINDOW_S = 0.032
HOP_S = 0.008
"""Window and hop of the drawn RMS curve: 512 and 128 samples at 16 kHz, as Video-Foley's."""
MOST_POINTS = 3000
MEL_BANDS = 64
MEL_RANGE_DB = 80.0
MOST_MEL_COLUMNS = 1000
_FFT_SAMPLES = 1024
_OPUS_RATE = 48_000

MIME = {"flac": "audio/flac", "opus": "audio/ogg"}

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Envelope:
    """The RMS of a sound over time: value k belongs to ``k * hop_s``."""

    values: Curve
    """Amplitude, shape (points,)."""
    hop_s: float


def rms_envelope(audio: Audio) -> Envelope:
    """Return the RMS curve that the report draws.

    Windows of 32 ms are centred on multiples of 8 ms (zeros outside the sound). In sounds longer than 24 s,
    several neighbours become one value, their maximum, so that no stroke is lost.
    """
    hop = max(1, round(HOP_S * audio.sample_rate))
    frame = 4 * hop
    mono = np.asarray(audio.mono, dtype=np.float64)
    values = centred_rms_curve(mono, frame_samples=frame, hop_samples=hop)
    together = -(-values.size // MOST_POINTS)
    if together > 1:
        padded = np.pad(values, (0, -values.size % together))
        values = padded.reshape(-1, together).max(axis=1)
    return Envelope(values, together * hop / audio.sample_rate)


def onset_times(audio: Audio) -> Curve:
    """Return onset times in seconds, found as the onset metrics find them; shape (onsets,)."""
    mono = np.asarray(audio.mono, dtype=np.float64)
    if mono.size < ONSET_RATE // 10 or not np.any(mono):
        return np.zeros(0)
    times: Curve = detect_onsets(resample(mono, audio.sample_rate, ONSET_RATE)) / ONSET_RATE
    return times


def log_mel_image(audio: Audio) -> NDArray[np.uint8]:
    """Return a log-mel spectrogram as grey levels, low bands at the bottom.

    0 is 80 dB below full scale and 255 full scale, the same for every sound, so that pictures can be compared.

    Returns
    -------
    ndarray of uint8, shape (64, columns), at most 1000 columns
    """
    mono = np.asarray(audio.mono, dtype=np.float64)
    hop = max(round(0.01 * audio.sample_rate), -(-mono.size // MOST_MEL_COLUMNS), 1)
    padded = np.pad(mono, _FFT_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES)[::hop][:MOST_MEL_COLUMNS]
    window = np.hanning(_FFT_SAMPLES)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / np.sum(window) ** 2 * 4
    mel = power @ _mel_filters(audio.sample_rate)
    level_db = 10 * np.log10(np.maximum(mel, 1e-12))
    grey = np.clip(level_db / MEL_RANGE_DB + 1, 0, 1) * 255
    return np.asarray(np.rint(grey).T[::-1], dtype=np.uint8)


def png_data_uri(grey: NDArray[np.uint8]) -> str:
    """Return a picture as a data URI, coloured by lightness from dark to light (viridis)."""
    from PIL import Image

    picture = Image.fromarray(grey).convert("P")
    picture.putpalette(_palette())
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=False)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def encode_sound(audio: Audio, codec: Codec) -> bytes:
    """Encode a sound for the browser: FLAC (16 bit, lossless) or Opus (48 kHz, about 64 kbit/s a channel).

    Samples beyond full scale are clipped, as every player does.
    """
    import soundfile

    buffer = io.BytesIO()
    samples = np.clip(audio.samples[:, :2], -1.0, 1.0)
    if codec == "flac":
        soundfile.write(buffer, samples, audio.sample_rate, format="FLAC", subtype="PCM_16")
        return buffer.getvalue()
    import soxr

    if audio.sample_rate != _OPUS_RATE:
        samples = np.clip(soxr.resample(samples, audio.sample_rate, _OPUS_RATE), -1.0, 1.0)
    soundfile.write(buffer, samples, _OPUS_RATE, format="OGG", subtype="OPUS", compression_level=0.75)
    return buffer.getvalue()


@cache
def _mel_filters(sample_rate: int) -> Curve:
    import librosa

    filters: Curve = librosa.filters.mel(
        sr=sample_rate, n_fft=_FFT_SAMPLES, n_mels=MEL_BANDS, norm=None, dtype=np.float64
    ).T
    return filters


@cache
def _palette() -> list[int]:
    """Return 256 colours between nine anchors of viridis: even in lightness, safe for colour-blind readers."""
    anchors = np.array(
        [
            (68, 1, 84),
            (71, 44, 122),
            (59, 81, 139),
            (44, 113, 142),
            (33, 144, 141),
            (39, 173, 129),
            (92, 200, 99),
            (170, 220, 50),
            (253, 231, 37),
        ],
        dtype=np.float64,
    )
    places = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(places, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return [round(float(value)) for value in np.stack(channels, axis=1).ravel()]
