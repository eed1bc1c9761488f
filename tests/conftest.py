"""Shared fixtures: reproducible hypothesis runs and the folder of real data, if there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "mlthresh", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("mlthresh")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real data that MLTHRESH_DATA names; skip where it isn't there."""
    folder = os.environ.get("MLTHRESH_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real data: set MLTHRESH_DATA to its folder")
    return Path(folder)
