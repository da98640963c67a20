"""What tests of several folders share: a small data set, made once a session."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Test processes side by side: threads of their own would wait for each other's cores.
    for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_variable, "1")
    # numba's compiled functions: processes that fill one cache at once can leave it damaged.
    os.environ.setdefault("NUMBA_CACHE_DIR", tempfile.mkdtemp(prefix="clapstick-numba-"))


@pytest.fixture(scope="session")
def hits_folder(tmp_path_factory) -> Path:
    """Four synthetic videos of 2 s with sound and annotations, in the folder format of Greatest Hits."""
    from clapstick.protocols.synthetic.make import make_synthetic_hits
    from clapstick.protocols.synthetic.settings import SyntheticSettings

    settings = SyntheticSettings(train_videos=1, test_videos=4, duration_s=2.0, seed=9)
    folder = tmp_path_factory.mktemp("hits")
    return make_synthetic_hits(settings, folder, workers=2, splits=("test",), progress=False)
