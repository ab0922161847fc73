"""`epa-bench plot margin`: a run's margins as its board has them."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.core.errors import DataError, StoreError
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.run_files import read_run, write_run
from epa_bench.pipeline.margin_series import margin_series
from epa_bench.pipeline.plot_table import plot_margin

if TYPE_CHECKING:
    from tests.conftest import Workplace

INFO = {
    ("s", "win"): MetricInfo(label="win rate", unit="%", scale=100, headline=True),
    ("t", "accuracy"): MetricInfo(label="accuracy", unit="%", scale=100, headline=True),
    ("t", "slope"): MetricInfo(label="slope", headline=True),
    ("t", "r"): MetricInfo(label="correlation", headline=True),
    ("t", "length"): MetricInfo(label="length", unit="tokens"),
}


def written(
    folder: Path, values: Mapping[str, list[float]], metrics: Mapping[tuple[str, str], MetricInfo] = INFO
) -> Path:
    """A run of one seed: arm -> a value a prompt, the same in all metrics."""
    settings: dict[str, Any] = {"beta": 0.1, "learning_rate": 1e-6}
    found = [
        ScoreRow(suite=suite, metric=metric, arm=arm, method=arm, seed=1, prompt_id=f"p{i}", value=value, **settings)
        for suite, metric in metrics
        for arm, of_arm in values.items()
        for i, value in enumerate(of_arm)
    ]
    board = build_table(found, baseline="dpo", judge={}, title="Run", versions={}, metrics=metrics)
    write_run(folder, found, board, folder.parent / "leaderboards")
    return folder


VALUES = {"dpo": [0.25, 0.5, 0.5], "epa": [0.5, 0.5, 0.75], "ipo": [0.5], "reference": [0.0, 0.0, 0.0]}


def test_margins_are_the_boards(tmp_path: Path) -> None:
    """EPA - DPO is (.25, 0, .25): 16.7 %. IPO shares one prompt with DPO: a margin of 25 % without an interval."""
    _, board = read_run(written(tmp_path / "mine", VALUES))
    percent, *others = margin_series(board).panels
    assert (percent.x_label, [heading for heading, _ in percent.groups]) == (
        "margin (%)",
        ["s · win rate (%)", "t · accuracy (%)"],
    )
    # What has no unit shares its axis with nothing, and what is no headline is not drawn.
    assert [panel.x_label for panel in others] == ["margin (correlation)", "margin (slope)"]
    for _, effects in percent.groups:
        epa, ipo = effects
        (margin,) = (arm.margin for arm in board.tables[0].arms if arm.arm == "epa")
        assert margin is not None
        assert margin.interval is not None
        assert margin.mde is not None
        assert epa.value == pytest.approx(50 / 3)
        assert epa.interval == (100 * margin.interval.low, 100 * margin.interval.high)
        assert epa.mde == 100 * margin.mde
        assert epa.label == "epa − dpo"  # noqa: RUF001 (a minus sign)
        assert "+16.667" in epa.text
        assert "3 × 1" in epa.text  # noqa: RUF001
        assert (ipo.value, ipo.interval, ipo.mde) == (25, None, None)


def test_without_a_headline_all_metrics(tmp_path: Path) -> None:
    plain = {name: info.model_copy(update={"headline": False}) for name, info in INFO.items()}
    _, board = read_run(written(tmp_path / "mine", VALUES, plain))
    assert sum(len(panel.groups) for panel in margin_series(board).panels) == len(INFO)


def test_runs_without_a_margin_and_without_a_table(tmp_path: Path) -> None:
    alone = written(tmp_path / "mine", {"dpo": [0.5, 0.5]})
    with pytest.raises(DataError, match="no margins to plot"):
        plot_margin(alone, tmp_path / "out", None)
    with pytest.raises(StoreError, match=r"no board\.json in"):
        plot_margin(tmp_path, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


def test_the_verb(workplace: "Workplace") -> None:
    written(workplace.folder / "runs" / "mine", VALUES)
    done = workplace.run("plot", "margin", "runs/mine", "--leaderboards", "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert {path.name for path in (workplace.folder / "out").iterdir()} == {"mine.margins.svg", "mine.margins.png"}
    assert workplace.run("plot", "margin", "runs/none").returncode == 6


def test_no_torch(tmp_path: Path) -> None:
    run = written(tmp_path / "mine", VALUES)
    code = (
        "import sys\nfrom pathlib import Path\nfrom epa_bench.pipeline.plot_table import plot_margin\n"
        "assert plot_margin(Path(sys.argv[1]), Path(sys.argv[2]), 'svg')\n"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    arguments = [sys.executable, "-c", code, str(run), str(tmp_path / "out")]
    assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip() == "[]"
