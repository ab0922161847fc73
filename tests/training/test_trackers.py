"""Trackers: what is reported, under which name, and that nothing of it is in the training's folder or its result."""

from pathlib import Path
from typing import Any

import pytest

from epa_bench.config.trackers import PACKAGES, missing_packages
from epa_bench.training.trackers import tracking_arguments
from tests.tiny import same_weights, tiny_problem, train


def hints(folder: Path, *trackers: str) -> dict[str, Any]:
    return {"report_to": trackers, "run_name": "sweep/epa-w2/seed-3", "tracking_folder": str(folder), "save_steps": 2}


def test_nothing_is_tracked_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    assert tracking_arguments(hints(tmp_path)) == {}
    assert tracking_arguments({"save_steps": 2}) == {}


def test_a_run_is_called_by_sweep_arm_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "another cell's")
    arguments = tracking_arguments(hints(tmp_path, "wandb", "mlflow"))
    assert arguments == {"report_to": ["wandb", "mlflow"], "run_name": "sweep/epa-w2/seed-3"}


def test_every_tracker_is_one_that_transformers_knows() -> None:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert PACKAGES.keys() <= INTEGRATION_TO_CALLBACK.keys()


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epa_bench.config.trackers.find_spec", lambda name: None if name == "comet_ml" else object())
    assert missing_packages(["wandb", "comet_ml"]) == ["comet-ml"]


def test_tensorboard_gets_every_metric_of_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")
    problem = tiny_problem(1, 1)
    plain = train(problem, tmp_path / "plain")
    tracking = tracking_arguments(hints(tmp_path / "tracking", "tensorboard"))
    watched = train(problem, tmp_path / "watched", tracking=tracking)
    assert same_weights(plain, watched)
    assert plain.log_bytes == watched.log_bytes
    left = {path.name for path in (tmp_path / "watched").rglob("*") if path.is_file()}
    assert left == {"training_log.jsonl", "training_speed.jsonl"}

    events = events.EventAccumulator(str(tmp_path / "tracking" / "sweep" / "epa-w2" / "seed-3")).Reload()
    for name in ("loss", "rewards/margins", "grad_norm"):
        shown = {scalar.step: scalar.value for scalar in events.Scalars(f"train/{name}")}
        assert shown == pytest.approx({entry["step"]: entry[name] for entry in watched.log})
