"""Sound as an array with its rate; wav files read and written exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.problems import fail


@dataclass(frozen=True)
class Audio:
    """Sound: float32 samples of shape (samples, channels), full scale 1.0, at `sample_rate` Hz."""

    samples: NDArray[np.float32]
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.shape[1] < 1:
            raise ValueError(f"samples must have shape (samples, channels), found {self.samples.shape}")
        if self.sample_rate <= 0:
            raise ValueError(f"sample rate must be above 0 Hz, found {self.sample_rate}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[0] / self.sample_rate

    @property
    def mono(self) -> NDArray[np.float32]:
        """Mean over channels, shape (samples,)."""
        if self.samples.shape[1] == 1:
            return self.samples[:, 0]
        return np.asarray(self.samples.mean(axis=1, dtype=np.float64), dtype=np.float32)


def read_wav(path: Path, start_s: float = 0.0, duration_s: float | None = None) -> Audio:
    """Read a stretch of a sound file that libsndfile knows (wav of any width, flac, ogg) as float32.

    A stretch that reaches past the end comes back shorter, or empty.

    Parameters
    ----------
    path : Path
        File to read.
    start_s, duration_s : float
        The stretch in seconds; to the end where `duration_s` is None.

    Raises
    ------
    ClapstickError
        If the file is missing, holds no sample, is not sound, or has NaN or infinite samples in the stretch.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            sample_rate, length = file.samplerate, file.frames
            file.seek(min(length, round(start_s * sample_rate)))
            wanted = -1 if duration_s is None else round(duration_s * sample_rate)
            samples = file.read(wanted, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise fail(
            "cannot be read as sound",
            path,
            found=error,
            expected="wav, flac or ogg",
            remedy="Export the file again.",
        ) from error
    if length == 0:
        raise fail("sound file holds no sample", path, found="0 samples", remedy="Export the file again.")
    return require_finite(Audio(samples, int(sample_rate)), path, start_s)


def write_wav(path: Path, audio: Audio) -> None:
    """Write float32 wav, unclipped; equal audio gives equal bytes."""
    # libsndfile puts the time of writing into the header of float files; scipy does not.
    from scipy.io import wavfile

    wavfile.write(path, audio.sample_rate, audio.samples)


def require_finite(audio: Audio, where: object, start_s: float = 0.0) -> Audio:
    """Return `audio`; raise `ClapstickError` where a sample is NaN or infinite.

    `start_s` is where the stretch starts in its file, so that the error can name the place.
    """
    bad = np.flatnonzero(~np.isfinite(audio.samples).all(axis=1))
    if bad.size:
        raise fail(
            f"{bad.size} samples are NaN or infinite",
            where,
            found=f"the first at {start_s + bad[0] / audio.sample_rate:.4f} s",
            expected="finite samples",
            remedy="Make the sound again; nothing was scored for it.",
        )
    return audio
