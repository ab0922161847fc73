"""The page's sections of charts: the table's numbers, and what is said where there is nothing to draw."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.cells import margin_cells, metric_name
from epa_bench.report.loaded import LoadedRun, load_run
from epa_bench.report.margins import margin_charts
from epa_bench.report.rewards import rewards
from epa_bench.report.section import Chart, Section
from epa_bench.report.trade_offs import trade_offs
from epa_bench.report.training import training

if TYPE_CHECKING:
    from tests.conftest import Workplace


@pytest.fixture(scope="module")
def run(finished: "Workplace") -> LoadedRun:
    return load_run(finished.folder / "runs" / "mini", finished.folder / "runs")


@pytest.fixture(scope="module")
def table_only(finished: "Workplace", tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    return load_run(finished.folder / "leaderboards" / "mini.json", tmp_path_factory.mktemp("none"))


def data(chart: Chart) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(chart.figure_json)["data"]
    return found


def board_of(run: LoadedRun) -> Leaderboard:
    assert run.folder is not None
    return Leaderboard.model_validate_json((run.folder / "board.json").read_bytes())


def test_margins_are_the_tables(run: LoadedRun) -> None:
    """Every margin of the headline: drawn as the JSON has it, written as the table rounds it."""
    (chart,) = margin_charts((run,))
    expected = [
        (metric_name(table), margin_cells(arm.margin, table.info)[0], arm.margin.value * table.info.scale)
        for table in board_of(run).tables
        if table.info.headline
        for arm in table.arms
        if arm.margin is not None and arm.margin.value is not None
    ]
    assert len(expected) > 5
    drawn = [value for trace in data(chart) if trace["type"] == "scatter" for value in trace["x"]]
    assert sorted(drawn) == pytest.approx(sorted(value for _, _, value in expected))
    shown = sorted((row[0], row[2]) for row in chart.table_fallback.rows)
    for row, (name, figures, _) in zip(shown, sorted(expected), strict=True):
        assert row[0] == name
        assert row[1].startswith(f"{figures}, ")


def test_training_has_every_arm(run: LoadedRun) -> None:
    (chart,) = training((run,)).charts
    names = [trace["name"] for trace in data(chart) if trace.get("showlegend")]
    assert names == ["dpo", "dpo-nll", "epa-1-1-2"]
    weak = [row for row in chart.table_fallback.rows if row[0].startswith("softmax mass, weak")]
    assert [row[1] for row in weak] == ["epa-1-1-2"]


def test_rewards_stand_side_by_side_with_one_seed_an_arm(run: LoadedRun) -> None:
    section = rewards((run,))
    (scatter,) = section.charts
    assert [row[:2] for row in scatter.table_fallback.rows] == [("dpo", "1"), ("dpo-nll", "1"), ("epa-1-1-2", "1")]
    drawn = sum(len(trace["x"]) for trace in data(scatter) if trace["mode"] == "markers")
    assert drawn == sum(int(row[3]) + int(row[4]) for row in scatter.table_fallback.rows)
    (reason,) = section.missing
    assert "has no calibration suite" in reason
    assert "epa-bench run" in reason
    assert "mini/sweep.yaml --set 'suites.calibration={}'" in reason


def test_length_is_there_without_a_frontier(run: LoadedRun) -> None:
    section = trade_offs((run,))
    (length,) = section.charts
    table = next(table for table in board_of(run).tables if (table.suite, table.metric) == ("generation", "length"))
    values = {arm.arm: arm.score.value for arm in table.arms}
    assert {trace["name"]: trace["x"][0] for trace in data(length)} == pytest.approx(values)
    (reason,) = section.missing
    assert "no values of kl.kl_k3_tokens" in reason
    assert "--set 'suites.kl={}'" in reason


@pytest.mark.parametrize("make", [training, rewards])
def test_without_the_run_the_reason_and_no_chart(make: Any, table_only: LoadedRun) -> None:
    section: Section = make((table_only,))
    assert section.charts == ()
    assert section.missing
    assert all("table" in reason for reason in section.missing)
    assert len(margin_charts((table_only,))) == 1


def test_a_damaged_log_hides_no_other_run(
    finished: "Workplace", run: LoadedRun, tmp_path: Path, workplace: "Workplace"
) -> None:
    place = finished.copy(workplace.folder)
    next(place.store.glob("cells/train/*/training_log.jsonl")).write_text("{")
    damaged = load_run(place.folder / "runs" / "mini", tmp_path)
    section = training((damaged, run))
    assert len(section.charts) == 1
    (reason,) = section.missing
    assert "is not what was written" in reason


def test_charts_are_the_same_every_time_and_have_anchors_of_their_own(run: LoadedRun) -> None:
    def charts() -> list[Chart]:
        return [*margin_charts((run,)), *(c for make in (training, trade_offs, rewards) for c in make((run,)).charts)]

    assert charts() == charts()
    anchors = [chart.anchor for chart in charts()]
    assert len(set(anchors)) == len(anchors) == 4
