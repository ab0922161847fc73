"""`epa-bench plot linearity` from a finished sweep's store."""

import csv
import json
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree as ET

from epa_bench.pipeline.linearity_series import linearity_series
from epa_bench.pipeline.run_results import Evaluated
from epa_bench.suites.linearity_points import LinearityPoint

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_a_panel_for_each_checkpoint(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    done = place.run("plot", "linearity", "runs/mini", "--json", "-")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert len(shown) == 6
    assert {row["plot"] for row in shown} == {"leaderboards/mini.linearity.svg, leaderboards/mini.linearity.png"}
    text = (place.folder / "leaderboards" / "mini.linearity.svg").read_text()
    titles = {element.text for element in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")}
    assert {row["checkpoint"] for row in shown} <= titles
    with (place.folder / "leaderboards" / "mini.linearity.csv").open() as file:
        points = list(csv.DictReader(file))
    assert len(points) == sum(row["points"] for row in shown)
    # Of each prompt that has a value all responses stand there, with those of others.
    rows = [json.loads(line) for line in (place.folder / "runs" / "mini" / "rows.jsonl").read_text().splitlines()]
    valued = {
        row["prompt_id"] for row in rows if row["metric"] == "slope_all" and "value" in row and row["arm"] == "dpo"
    }
    assert {point["prompt_id"] for point in points if point["arm"] == "dpo"} == valued
    assert {point["mismatched"] for point in points} == {"True", "False"}

    png = place.folder / "leaderboards" / "mini.linearity.png"
    assert png.read_bytes().startswith(b"\x89PNG")
    png.unlink()
    again = place.run("plot", "linearity", "runs/mini", "--format", "svg")
    assert again.returncode == 0
    assert (place.folder / "leaderboards" / "mini.linearity.svg").read_text() == text
    assert not png.exists()


def point(gold: float, reward: float, *, mismatched: bool = False) -> LinearityPoint:
    return LinearityPoint(prompt_id="p", row=0, mismatched=mismatched, gold=gold, reward=reward)


def test_a_panel_says_how_far_its_points_are_from_slope_1() -> None:
    """Rewards 2, 0, -2 at gold 1, 0, -1; and 1, -1, 0, whose covariance with gold is 1 of 2."""
    dpo = Evaluated("linearity", "dpo", 1, cell=cast(Any, None), open=cast(Any, None))
    line = [point(1, 2), point(0, 0, mismatched=True), point(-1, -2)]
    scattered = [point(1, 1), point(0, -1), point(-1, 0)]
    panels = linearity_series("r", [(dpo, line), (dpo, scattered), (dpo, [point(0, 0)]), (dpo, [])]).panels
    assert [panel.note for panel in panels] == ["r 1.00, slope 2.00", "r 0.50, slope 0.50", "no fit", "no fit"]
    assert (panels[0].own, panels[0].mismatched) == ([(1, 2), (-1, -2)], [(0, 0)])


def test_of_many_points_some_are_drawn() -> None:
    dpo = Evaluated("linearity", "dpo", 1, cell=cast(Any, None), open=cast(Any, None))
    many = [point(gold, gold) for gold in range(-500, 501)]
    (panel,) = linearity_series("r", [(dpo, many)]).panels
    assert len(set(panel.own)) == 400
    assert panel.note == "r 1.00, slope 1.00"


def test_chosen_checkpoints_and_unknown_ones(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    asked = ("plot", "linearity", "runs/mini", "--arm", "epa-1-1-2", "--arm", "dpo", "--format", "svg")
    some = place.run(*asked, "--seed", "2", "--json", "-")
    assert some.returncode == 0, some.stderr
    assert [row["checkpoint"] for row in json.loads(some.stdout)] == ["epa-1-1-2, seed 2", "dpo, seed 2"]
    unknown = place.run(*asked, "--arm", "ipo", "--seed", "3")
    assert unknown.returncode == 3
    assert "no checkpoint of ipo, seed 3 in the run; it has dpo, seed 1" in unknown.stderr


def test_what_is_refused(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder, without=("logps",))
    unfinished = place.run("plot", "linearity", "runs/mini")
    assert unfinished.returncode == 6
    assert "run the sweep first" in unfinished.stderr
    assert place.run("plot", "linearity", "runs/mini", "--format", "pdf").returncode == 3
    without = place.run("plot", "reliability", "runs/mini")
    assert without.returncode == 3
    assert "has no calibration suite" in without.stderr
    assert place.run("plot", "linearity", "runs/none").returncode == 6
    assert not (place.folder / "leaderboards").exists()
