"""`epa-bench plot frontier`: methods as curves over beta, from a sweep's rows."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from epa_bench.core.files import write_records
from epa_bench.pipeline.frontier import frontier_of
from epa_bench.pipeline.frontier_series import frontier_series
from tests.pipeline.frontier_rows import ARMS, KL, REWARD, rows

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_methods_are_curves_from_the_largest_beta_on(tmp_path: Path) -> None:
    write_records(tmp_path / "mine" / "rows.jsonl", rows())
    found = frontier_of(tmp_path / "mine", reward=REWARD, kl=KL, baseline="dpo", n_draws=50)
    dpo, epa = frontier_series(found).curves
    assert (dpo.label, epa.label) == ("dpo", "epa")
    assert [(place.note, place.x.value, place.hollow) for place in epa.places] == [
        ("β 0.2", 4.0, True),
        ("β 0.1", 2.0, False),
    ]
    reward = epa.places[1].y
    (point,) = (point for point in found.points if point.arm == "epa-b1")
    assert (reward.value, reward.low, reward.high) == (point.reward.value, point.reward.low, point.reward.high)
    assert reward.low < reward.value < reward.high


def test_learning_rates_are_curves_of_their_own(tmp_path: Path) -> None:
    faster = [row.model_copy(update={"learning_rate": 2e-6}) if row.arm == "epa-b2" else row for row in rows()]
    write_records(tmp_path / "mine" / "rows.jsonl", faster)
    found = frontier_of(tmp_path / "mine", reward=REWARD, kl=KL, baseline="dpo", n_draws=50)
    assert [curve.label for curve in frontier_series(found).curves] == ["dpo", "epa, lr 1e-06", "epa, lr 2e-06"]


def test_the_verb(workplace: "Workplace") -> None:
    refused = workplace.run("plot", "frontier", "runs/mini")
    assert refused.returncode == 4
    assert "rows.jsonl" in refused.stderr
    write_records(workplace.folder / "runs" / "mini" / "rows.jsonl", rows())
    done = workplace.run("plot", "frontier", "runs/mini", "--kl", KL, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert {row["arm"]: (row["kl"], row["reward"]) for row in json.loads(done.stdout)} == {
        arm: pytest.approx(place) for arm, place in ARMS.items()
    }
    leaderboards = workplace.folder / "leaderboards"
    assert {path.name for path in leaderboards.iterdir()} == {f"mini.frontier.{s}" for s in ("svg", "png", "csv")}
    with (leaderboards / "mini.frontier.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 1 + len(ARMS)
    other = workplace.run("plot", "frontier", "runs/mini", "--kl", "kl.k9")
    assert other.returncode == 9
