"""`epa-bench plot training`: curves from the logs that trainings left."""

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from epa_bench.pipeline.training_series import SPEED, series_of_logs
from epa_bench.plots.series import Band, Range, Training

if TYPE_CHECKING:
    from tests.conftest import Workplace


def bands(training: Training, metric: str) -> dict[str, Band]:
    (panel,) = (panel for panel in training.panels if panel.metric == metric)
    return {band.label: band for band in panel.bands}


def test_a_band_is_the_mean_and_the_ends_over_seeds() -> None:
    first = [{"rewards/margins": 1.0}, {"rewards/margins": 2.0}]
    second = [{"rewards/margins": 4.0}, {"rewards/margins": 0.0}]
    training = series_of_logs("r", {"dpo": [first, second], "epa": [first]})
    found = bands(training, "rewards/margins")
    assert (found["dpo"].steps, found["dpo"].ranges) == ([1, 2], [Range(2.5, 1, 4), Range(1, 0, 2)])
    # One seed: a line without a band.
    assert found["epa"].ranges == [Range(1, 1, 1), Range(2, 2, 2)]
    assert training.labels == ("dpo", "epa")
    assert "A point is the mean" not in training.caption


def test_long_trainings_are_drawn_in_means_of_several_steps() -> None:
    """250 steps at no more than 100 points: three steps a point, of the last point one."""
    training = series_of_logs("r", {"dpo": [[{"rewards/margins": float(step)} for step in range(250)]]})
    found = bands(training, "rewards/margins")["dpo"]
    assert len(found.steps) == 84
    assert (found.steps[:2], found.steps[-1]) == ([2, 5], 250)
    assert [r.value for r in found.ranges[:2]] == [1, 4]
    assert found.ranges[-1] == Range(249, 249, 249)
    assert "A point is the mean of 3 steps." in training.caption


def test_speed_is_all_tokens_over_all_seconds() -> None:
    """Three steps a point: (10 + 20 + 30) tokens in (1 + 1 + 4) seconds are 10 a second, not the mean of rates."""
    steps = [{"tokens": 10.0, "seconds": 1.0}, {"tokens": 20.0, "seconds": 1.0}, {"tokens": 30.0, "seconds": 4.0}]
    found = bands(series_of_logs("r", {"dpo": [steps * 80]}), SPEED)["dpo"]
    assert {r.value for r in found.ranges} == {10}


def test_what_was_not_logged_is_left_out_and_said() -> None:
    """A loss without a known start, a metric at some steps only, a step that is no number, seeds of unequal length."""
    dpo = [[{"rewards/margins": 1.0}, {"rewards/weak": 5.0}], [{"rewards/margins": 3.0}]]
    epa: list[list[dict[str, float]]] = [[{"rewards/margins": math.nan}, {}, {"rewards/margins": math.inf}]]
    training = series_of_logs("r", {"dpo": dpo, "epa": epa})
    assert [panel.metric for panel in training.panels] == ["rewards/margins"]
    (band,) = bands(training, "rewards/margins").values()
    assert (band.label, band.steps, band.ranges) == ("dpo", [1], [Range(2, 1, 3)])
    assert "Logged by no arm: loss / loss at start" in training.caption


@pytest.fixture(scope="module")
def drawn(finished: "Workplace", tmp_path_factory: pytest.TempPathFactory) -> "Workplace":
    place = finished.copy(tmp_path_factory.mktemp("curves"))
    done = place.run("plot", "training", "runs/mini", "--json", "shown.json")
    assert done.returncode == 0, done.stderr
    return place


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_curves_are_those_of_the_logs(drawn: "Workplace") -> None:
    with (drawn.folder / "leaderboards" / "mini.training.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["metric"], row["arm"]) == ("rewards/margins", "epa-1-1-2")]
    trainings = [path.parent for path in drawn.store.glob("cells/train/*/cell.json")]
    logs = [
        lines(folder / "training_log.jsonl")
        for folder in trainings
        if json.loads((folder / "cell.json").read_text())["label"].startswith("train epa-1-1-2")
    ]
    assert len(logs) == 2
    assert [float(row["step"]) for row in rows] == [step["step"] for step in logs[0]]
    for row, *found in zip(rows, *logs, strict=True):
        values = [step["rewards/margins"] for step in found]
        assert float(row["mean"]) == pytest.approx(sum(values) / 2)
        assert [float(row["low"]), float(row["high"])] == sorted(values)
    shown = {row["arm"]: row for row in json.loads((drawn.folder / "shown.json").read_text())}
    assert shown["epa-1-1-2"]["rewards/margins"] == float(rows[-1]["mean"])
    assert shown.keys() == {"dpo", "dpo-nll", "epa-1-1-2"}
    assert all(row[SPEED] > 0 for row in shown.values())


def test_chosen_metrics_and_unknown_ones(drawn: "Workplace", workplace: "Workplace") -> None:
    place = drawn.copy(workplace.folder)
    some = place.run("plot", "training", "runs/mini", "--metric", "logps/chosen", "--metric", "rewards/margins")
    assert some.returncode == 0, some.stderr
    with (place.folder / "leaderboards" / "mini.training.csv").open() as file:
        assert [*dict.fromkeys(row["metric"] for row in csv.DictReader(file))] == ["logps/chosen", "rewards/margins"]
    unknown = place.run("plot", "training", "runs/mini", "--metric", "logps/weak")
    assert unknown.returncode == 3
    assert "choose from loss/over_step0" in unknown.stderr


def test_the_softmax_losses_start_at_1_and_only_epa_has_weak_mass(drawn: "Workplace") -> None:
    with (drawn.folder / "leaderboards" / "mini.training.csv").open() as file:
        rows = list(csv.DictReader(file))
    start = {
        row["arm"]: float(row["mean"]) for row in rows if (row["metric"], row["step"]) == ("loss/over_step0", "1.0")
    }
    assert start == pytest.approx(dict.fromkeys(("dpo", "dpo-nll", "epa-1-1-2"), 1.0), abs=1e-5)
    assert {row["arm"] for row in rows if row["metric"] == "softmax_mass/weak"} == {"epa-1-1-2"}


def test_logs_that_are_gone_or_older(drawn: "Workplace", workplace: "Workplace") -> None:
    place = drawn.copy(workplace.folder)
    manifests = list(place.store.glob("cells/train/*/cell.json"))
    for path in manifests:
        manifest = json.loads(path.read_text())
        del manifest["outputs"]["training_speed.jsonl"]
        path.write_text(json.dumps(manifest))
    older = place.run("plot", "training", "runs/mini", "--format", "svg")
    assert older.returncode == 0, older.stderr
    svg = ET.parse(place.folder / "leaderboards" / "mini.training.svg")
    drawn_text = {element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert "log-prob of chosen (nats)" in drawn_text
    assert "tokens a second" not in drawn_text
    (manifests[0].parent / "training_log.jsonl").unlink()
    gone = place.run("plot", "training", "runs/mini")
    assert gone.returncode == 6
    assert "training_log.jsonl" in gone.stderr
    assert place.run("plot", "training", "runs/none").returncode == 6
