"""synthetic-hits: procedurally made videos of a drumstick, in the folder format of Greatest Hits.

::

    from clapstick.protocols.synthetic.make import make_synthetic_hits, synthetic_hits_folder
    from clapstick.protocols.synthetic.settings import SyntheticSettings

    folder = synthetic_hits_folder()                      # in the user's cache, made once
    folder = synthetic_hits_folder(splits=("test",))      # the test split alone
    make_synthetic_hits(SyntheticSettings(train_videos=2, test_videos=1, seed=7), Path("hits"), workers=2)

A video is planned (`strokes`), then drawn (`picture`, `looks`) and sounded (`sound`) from that one plan, so
everything that can be heard can be seen: when the stick touches, how fast it is, and what it touches.
"""

from __future__ import annotations

from pathlib import Path


def default_data(workers: int | None = None) -> Path:
    """Return the folder of the default test split in the user's cache, made where it is missing."""
    from clapstick.protocols.synthetic.make import synthetic_hits_folder

    return synthetic_hits_folder(workers=workers, splits=("test",))
