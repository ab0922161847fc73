"""A clock that never waits."""

import pytest

from tests.judging import FakeClock


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()
