"""Features that another program computed: one ``.npy`` file a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail


@dataclass(frozen=True)
class SuppliedFeatures:
    """A folder with a file ``<clip's file stem>.npy`` for every clip."""

    folder: Path
    kind: str
    """What they are, for messages: ``TC-CLIP features``."""
    source: str
    """What makes them, for messages."""
    row_shape: tuple[int, ...]

    @property
    def key(self) -> str:
        """What a checkpoint says of the features that it was trained on."""
        return f"supplied {self.kind}"

    def of(self, clip: Clip) -> NDArray[np.float32]:
        """Return a clip's features, shape (rows, *row_shape).

        Raises
        ------
        ClapstickError
            If the file is missing, is no array of this shape, or holds numbers that are not finite.
        """
        path = self.folder / f"{clip.file_stem}.npy"
        expected = f"({', '.join(['rows', *map(str, self.row_shape)])})"
        try:
            features = np.atleast_1d(np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise fail(
                f"{self.kind} of the clip cannot be read",
                path,
                found=error,
                expected=f"an array of shape {expected}",
                remedy=f"Compute them with {self.source} and save them with numpy.save.",
            ) from error
        if (
            features.ndim != 1 + len(self.row_shape)
            or features.shape[1:] != self.row_shape
            or not len(features)
        ):
            raise fail(
                f"{self.kind} have another shape",
                path,
                found=features.shape,
                expected=expected,
                remedy=f"Compute them with {self.source}.",
            )
        if not np.issubdtype(features.dtype, np.floating) or not np.isfinite(features).all():
            raise fail(
                f"{self.kind} are not all finite numbers",
                path,
                found=features.dtype,
                expected="finite floats",
                remedy="Compute them again.",
            )
        return np.asarray(features, dtype=np.float32)
