"""What all tests share: the scripts folder on the path, few threads, a way to the real data."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)
settings.register_profile("untimed", deadline=None)  # no test asserts a time
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data that some tests need; without it they are skipped."""
    folder = Path(os.environ.get("FADE_RAY_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist (set FADE_RAY_TEST_DATA)")
    return folder
