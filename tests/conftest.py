"""Fixtures shared by all rooms."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Speed is measured in benchmarks; a busy machine must not fail a test.
settings.register_profile("epa-bench", deadline=None)
settings.load_profile("epa-bench")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data beside the checkout; tests that need it skip without it, and fail in CI without it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        message = f"no real test data at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
