"""Progress where there is no terminal."""

import pytest

from epa_bench.core import progress
from epa_bench.core.progress import SweepProgress


def test_long_cells_speak_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with SweepProgress(total=2, cached=1) as shown:
        shown.started("a1", "train dpo, seed 1")
        shown.moved("a1", 5, 50)
        monkeypatch.setattr(progress, "_PLAIN_INTERVAL", -1.0)
        shown.moved("a1", 10, 50)
        shown.finished("a1")
        shown.moved("a1", 50, 50)  # a report that came late
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "1 of 2 cells are in the store already"
    assert second == "    train dpo, seed 1: 10 of 50"
    assert third.startswith("[2/2] train dpo, seed 1: ")
