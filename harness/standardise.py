"""Standardisation: native audio becomes audio of the protocol's rate, channels, exact length and level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.protocols.protocol import AudioRules, Resampler

_HALF_POWER = float(np.sqrt(0.5))
# Rows: left, right. Columns: front left, front right, centre, low-frequency effects, left and right surround.
_DOWNMIX_5_1 = np.array([[1, 0, _HALF_POWER, 0, _HALF_POWER, 0], [0, 1, _HALF_POWER, 0, 0, _HALF_POWER]])
_MIN_LUFS_S = 0.4


@dataclass(frozen=True)
class Standardised:
    """Standardised audio and what was done to get it."""

    audio: Audio
    resampled_from: int | None
    mixed_from_channels: int | None
    padded_samples: int
    cut_samples: int
    gain_db: float | None
    clipped_samples: int


def standardise(native: Audio, rules: AudioRules, duration_s: float) -> Standardised:
    """Bring native audio to the protocol's form: mix channels, resample, cut or pad, apply gain.

    Parameters
    ----------
    native : Audio
        What a system emitted, at any rate, any number of channels, any length above 0.
    rules : AudioRules
        The protocol's audio section.
    duration_s : float
        Length of the clip; the result has exactly ``round(duration_s * rules.sample_rate)`` samples.

    Raises
    ------
    ClapstickError
        If the sound has no sample, or has channels that cannot be mixed to the protocol's number.
    """
    wanted = round(duration_s * rules.sample_rate)
    if native.samples.shape[0] == 0:
        raise fail(
            "sound has no sample",
            "native audio",
            found="0 samples",
            expected=f"about {wanted}",
            remedy="Check what the system wrote.",
        )
    mixed = mix_channels(native.samples.astype(np.float64), rules.channels)
    resampled = resample(mixed, native.sample_rate, rules.sample_rate, rules.resampler)
    fitted, padded, cut = _fit(resampled, wanted, rules)
    levelled, gain_db = _apply_gain(fitted, rules)
    return Standardised(
        audio=Audio(np.ascontiguousarray(levelled, dtype=np.float32), rules.sample_rate),
        resampled_from=native.sample_rate if native.sample_rate != rules.sample_rate else None,
        mixed_from_channels=native.samples.shape[1] if native.samples.shape[1] != rules.channels else None,
        padded_samples=padded,
        cut_samples=cut,
        gain_db=gain_db,
        clipped_samples=int((np.abs(levelled).max(axis=1) > 1.0).sum()),
    )


def mix_channels(samples: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    """Mix (samples, channels in) to (samples, channels).

    To mono: the mean of all channels. Mono to stereo: a copy. 5.1 to stereo: ITU-R BS.775 without the
    low-frequency channel.

    Raises
    ------
    ClapstickError
        For any other pair of channel counts.
    """
    given = samples.shape[1]
    if given == channels:
        return samples
    if channels == 1:
        return np.asarray(samples.mean(axis=1, keepdims=True))
    if given == 1:
        return np.repeat(samples, channels, axis=1)
    if given == 6 and channels == 2:
        return np.asarray(samples @ _DOWNMIX_5_1.T)
    raise fail(
        "channels cannot be mixed",
        "native audio",
        found=f"{given} channels",
        expected="1, 2 or 6",
        remedy="Mix the sound down before it is handed over.",
    )


def resample(
    samples: NDArray[np.float64], rate_from: int, rate_to: int, resampler: Resampler
) -> NDArray[np.float64]:
    """Resample (samples, channels) with a named resampler; the input itself where the rates agree."""
    if rate_from == rate_to:
        return samples
    if resampler in ("soxr_hq", "soxr_vhq"):
        import soxr

        return np.asarray(soxr.resample(samples, rate_from, rate_to, quality=resampler[5:].upper()))
    if resampler == "scipy_polyphase":
        from scipy.signal import resample_poly

        common = int(np.gcd(rate_from, rate_to))
        return np.asarray(resample_poly(samples, rate_to // common, rate_from // common, axis=0))
    return _torchaudio_resample(samples, rate_from, rate_to, resampler)


def _torchaudio_resample(
    samples: NDArray[np.float64], rate_from: int, rate_to: int, resampler: Resampler
) -> NDArray[np.float64]:
    import torch
    from torchaudio.functional import resample as torchaudio_resample

    # The settings that torchaudio documents as equal to resampy's kaiser_best.
    kaiser_best = {
        "lowpass_filter_width": 64,
        "rolloff": 0.9475937167399596,
        "beta": 14.769656459379492,
        "resampling_method": "sinc_interp_kaiser",
    }
    settings = kaiser_best if resampler == "torchaudio_kaiser_best" else {}
    channels_first = torch.from_numpy(np.ascontiguousarray(samples.T))
    return np.asarray(torchaudio_resample(channels_first, rate_from, rate_to, **settings).numpy().T)


def _fit(samples: NDArray[np.float64], wanted: int, rules: AudioRules) -> tuple[NDArray[np.float64], int, int]:
    """Cut or pad to `wanted` samples; return them with the numbers of padded and cut samples."""
    surplus = samples.shape[0] - wanted
    if surplus >= 0:
        first = surplus // 2 if rules.too_long == "cut-centre" else 0
        return samples[first : first + wanted], 0, surplus
    if rules.too_short == "loop":
        repeats = -(-wanted // samples.shape[0])
        return np.tile(samples, (repeats, 1))[:wanted], -surplus, 0
    return np.pad(samples, ((0, -surplus), (0, 0))), -surplus, 0


def _apply_gain(samples: NDArray[np.float64], rules: AudioRules) -> tuple[NDArray[np.float64], float | None]:
    """Bring to the policy's level; silence, and sound too short for LUFS, stay as they are with gain None."""
    level_db = _level_db(samples, rules)
    if level_db is None or not np.isfinite(level_db):
        return samples, None
    gain_db = rules.gain_target_db - level_db
    return samples * 10 ** (gain_db / 20), gain_db


def _level_db(samples: NDArray[np.float64], rules: AudioRules) -> float | None:
    peak = float(np.abs(samples).max())
    if rules.gain == "none" or peak == 0.0:
        return None
    if rules.gain == "peak":
        return 20 * float(np.log10(peak))
    if rules.gain == "rms":
        return 10 * float(np.log10(np.mean(samples**2)))
    if samples.shape[0] < _MIN_LUFS_S * rules.sample_rate:
        return None
    import pyloudnorm

    return float(pyloudnorm.Meter(rules.sample_rate).integrated_loudness(samples))
