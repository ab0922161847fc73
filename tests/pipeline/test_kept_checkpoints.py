"""A frontier over checkpoints that trainings kept on their way, from a sweep's run."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.config.schema import Training
from epa_bench.config.yaml12 import read_document
from epa_bench.core.errors import ConfigError
from epa_bench.core.files import write_records
from epa_bench.pipeline.any_run import open_any
from epa_bench.pipeline.frontier import frontier_of
from epa_bench.pipeline.frontier_series import frontier_series
from epa_bench.suites.registry import registry, sweep_path
from tests.pipeline.frontier_rows import KL, REWARD, rows

if TYPE_CHECKING:
    from tests.conftest import Workplace

KEPT: dict[str, Any] = {
    "methods.dpo-nll": None,
    "training.keep_checkpoints": 2,
    "suites": {
        "generation": {"decoding": {"max_new_tokens": 12}},
        "kl": {"decoding": {"max_new_tokens": 12}},
        "reward_accuracy": {},
    },
}


def test_without_them_no_address_changes() -> None:
    assert "keep_checkpoints" not in Training().recipe()
    assert Training(keep_checkpoints=2).recipe()["keep_checkpoints"] == 2


def test_a_frontier_has_one_reference() -> None:
    with pytest.raises(ConfigError, match=r"`training.keep_checkpoints`: .* leave `references` out"):
        open_any(read_document(sweep_path("poft")), ["training.keep_checkpoints=2"], registry())


def test_an_arm_is_its_way_from_the_first_kept_checkpoint_to_its_last(tmp_path: Path) -> None:
    """DPO's arm of beta .1, at (2, 1), was at (1, 3) after half of its training: in order of the way, not of KL."""
    found = rows()
    halfway = [
        row.model_copy(update={"arm": "dpo-b1@1/2", "value": (row.value or 0) + (-1 if row.suite == "kl" else 2)})
        for row in found
        if row.arm == "dpo-b1"
    ]
    write_records(tmp_path / "mine" / "rows.jsonl", found)
    write_records(tmp_path / "mine" / "kept.jsonl", halfway)
    frontier = frontier_of(tmp_path / "mine", reward=REWARD, kl=KL, baseline="dpo", n_draws=50)
    points = {point.arm: point for point in frontier.points}
    assert points["dpo-b1@1/2"].kept == "1/2"
    assert (points["dpo-b1@1/2"].kl.value, points["dpo-b1@1/2"].reward.value) == pytest.approx((1, 3))
    series = frontier_series(frontier)
    assert series.caption.endswith(" 1/2: the checkpoint after that share of the training.")
    curves = {curve.label: curve for curve in series.curves}
    assert curves.keys() == {"dpo-b1", "dpo-b2", "epa-b1", "epa-b2"}
    assert [(place.note, place.x.value) for place in curves["dpo-b1"].places] == [("1/2", 1), ("β 0.1", 2)]
    # It is a point of DPO's at matched KL as well: at 1 nat DPO has 3 instead of .5.
    (at_one,) = (matched for matched in frontier.matched if matched.kl == 1)
    assert at_one.baseline_reward == pytest.approx(3)


def test_a_sweep_keeps_them_asks_them_and_leaves_its_table_alone(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    place.write({**KEPT, "name": "kept"}, "kept.json")
    place.finish("kept.json")
    trained = [path.parent for path in place.store.glob("cells/train/*/kept-1")]
    assert len(trained) == 4
    for cell in trained:
        steps = [json.loads((cell / name / "epa_bench.json").read_text()).get("kept") for name in ("kept-1", "kept-2")]
        assert steps == [1, 2]
        weights = [(cell / name / "model.safetensors").read_bytes() for name in ("kept-1", "kept-2", "model")]
        assert len(set(weights)) == 3

    table = json.loads((place.folder / "leaderboards" / "kept.json").read_text())
    assert {arm["arm"] for each in table["tables"] for arm in each["arms"]} == {"reference", "dpo", "epa-1-1-2"}
    kept = [json.loads(line) for line in (place.folder / "runs" / "kept" / "kept.jsonl").read_text().splitlines()]
    assert {row["arm"] for row in kept} == {f"{arm}@{n}/3" for arm in ("dpo", "epa-1-1-2") for n in (1, 2)}
    assert {row["suite"] for row in kept} == {"generation", "kl"}

    matched = (place.folder / "leaderboards" / "kept.matched-kl.md").read_bytes()
    assert any("have gone equally far: kept.matched-kl.md" in note for note in table["notes"])
    assert place.run("frontier", "runs/kept").returncode == 0
    assert (place.folder / "leaderboards" / "kept.frontier.md").read_bytes() == matched
    done = place.run("plot", "frontier", "runs/kept", "--format", "svg")
    assert done.returncode == 0, done.stderr
    with (place.folder / "leaderboards" / "kept.frontier.csv").open() as file:
        points = {row["arm"]: float(row["kl"]) for row in csv.DictReader(file)}
    # On the way from the reference, at 0, the first third has gone less far than the whole.
    assert points.keys() == {"reference", "dpo", "epa-1-1-2", *(row["arm"] for row in kept)}
    assert all(points[f"{arm}@1/3"] < points[arm] for arm in ("dpo", "epa-1-1-2"))

    # No longer asked for, they are no longer said.
    place.finish("kept.json", "--set", "training.keep_checkpoints=0")
    assert not (place.folder / "runs" / "kept" / "kept.jsonl").exists()
    # Nor is what only their KL could say.
    assert (place.folder / "leaderboards" / "kept.matched-kl.md").exists()
    place.finish("kept.json", "--set", "training.keep_checkpoints=0", "--set", "suites={generation: {}}")
    assert not list((place.folder / "leaderboards").glob("kept.matched-kl.*"))
