"""`epa-bench plot length`: the table's win rates against its lengths."""

from pathlib import Path
from typing import Any

import pytest

from epa_bench.core.errors import ConfigError
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.run_files import write_run
from epa_bench.pipeline.length_series import length_series
from epa_bench.pipeline.plot_table import plot_length
from epa_bench.plots.series import Range

INFO = {
    ("pairs", "win_rate"): MetricInfo(label="win rate", unit="%", scale=100),
    ("texts", "length"): MetricInfo(label="length", unit="tokens"),
}
VALUES = {
    ("pairs", "win_rate"): {"dpo": [0.5, 1.0, 0.0], "epa": [1.0, 1.0, 0.5], "ipo": [1.0], "reference": [0.5, 0.5, 0.5]},
    ("texts", "length"): {"dpo": [10.0, 20.0, 30.0], "epa": [20.0, 20.0, 50.0], "ipo": [5.0], "reference": [9.0, 9, 9]},
}


def rows(*metrics: tuple[str, str]) -> list[ScoreRow]:
    settings: dict[str, Any] = {"beta": 0.1, "learning_rate": 1e-6, "seed": 1}
    return [
        ScoreRow(suite=suite, metric=metric, arm=arm, method=arm, prompt_id=f"p{i}", value=float(value), **settings)
        for suite, metric in metrics
        for arm, values in VALUES[suite, metric].items()
        for i, value in enumerate(values)
    ]


def board(*metrics: tuple[str, str]) -> Leaderboard:
    info = {name: INFO[name] for name in metrics}
    return build_table(rows(*metrics), baseline="dpo", judge={}, title="Run", versions={}, metrics=info)


def test_places_are_the_tables_means_and_intervals() -> None:
    """IPO, of one prompt, has no interval and no place; the reference stands apart."""
    of = board(*INFO)
    (trade_off,) = length_series(of).values()
    dpo, epa = trade_off.curves
    assert (dpo.label, epa.label, trade_off.reference) == ("dpo", "epa", (9.0, 50.0))
    (place,) = epa.places
    assert [place.x.value, place.y.value] == pytest.approx([30, 250 / 3])
    table = next(table for table in of.tables if table.metric == "win_rate")
    interval = next(arm.score.interval for arm in table.arms if arm.arm == "epa")
    assert interval is not None
    assert place.y == Range(100 * interval.estimate, 100 * interval.low, 100 * interval.high)
    assert (trade_off.x_label, trade_off.y_label) == ("texts · length (tokens)", "pairs · win rate (%)")


@pytest.mark.parametrize(("metric", "absent"), [(("pairs", "win_rate"), "length"), (("texts", "length"), "win rate")])
def test_what_is_missing_is_said(metric: tuple[str, str], absent: str) -> None:
    with pytest.raises(ConfigError, match=f"Run has no {absent}; add generation"):
        length_series(board(metric))


def test_files(tmp_path: Path) -> None:
    write_run(tmp_path / "mine", rows(*INFO), board(*INFO), tmp_path)
    shown = plot_length(tmp_path / "mine", tmp_path / "out", "svg")
    assert [(row["arm"], row["length"]) for row in shown] == [("dpo", 20.0), ("epa", 30.0)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.length.pairs.svg"]
