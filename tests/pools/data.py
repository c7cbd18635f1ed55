"""Where the shared data about Spot pools lie, which tests read and the project never contains.

Found by the environment variable SPOTWATCH_SHARED_DATA (the folder that has `pools` in it), else in `shared/data` of
the nearest folder above the repository that has one.
"""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def _shared() -> Path:
    named = os.environ.get("SPOTWATCH_SHARED_DATA")
    if named:
        return Path(named)
    candidates = [folder / "shared" / "data" for folder in REPOSITORY.parents]
    return next((path for path in candidates if path.is_dir()), candidates[0])


DATA = _shared() / "pools"
"""The folder with instance_types.csv, offerings.csv, pool_prices_dev.csv and the others."""

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no shared data in {DATA}; SPOTWATCH_SHARED_DATA names its folder"
)
"""Marks a test that reads `DATA`."""
