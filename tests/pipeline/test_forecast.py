"""The plan of a sweep: every cell once and in its state, sizes beside what training really writes, what is refused."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.pipeline.conftest import FileSweep
from tests.pipeline.published import api, write_suites

if TYPE_CHECKING:
    from tests.conftest import Workplace


def plan_of(place: "Workplace", *arguments: str) -> dict[str, Any]:
    done = place.run("plan", "mini.yaml", "--json", "-", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def owed_of(found: dict[str, Any]) -> Counter[str]:
    return Counter(cell["step"] for cell in found["cells"] if cell["state"] == "owed")


def test_before_a_run_everything_is_owed_and_after_it_nothing(workplace: "Workplace", finished: "Workplace") -> None:
    before = plan_of(workplace)
    assert {cell["state"] for cell in before["cells"]} == {"owed"}
    assert not (workplace.store / "cells").exists()
    after = plan_of(finished)
    assert {cell["state"] for cell in after["cells"]} == {"cached"}
    # The cells that were named are the cells that were made.
    made = {(step, digest) for step, digest in finished.cells()}
    assert {(cell["step"], cell["digest"]) for cell in before["cells"]} == made
    assert len(before["cells"]) == len(made)
    assert after["disk"]["checkpoints"] == 0


def test_a_changed_key_owes_what_depends_on_it(finished: "Workplace") -> None:
    found = plan_of(finished, "--set", "methods.dpo.beta=0.25")
    assert owed_of(found) == {"train": 2, "responses": 2, "verdicts": 2, "logps": 2, "values": 10}


def test_tokens_are_bounded_before_a_run_and_counted_after_it(workplace: "Workplace", finished: "Workplace") -> None:
    """Of the mini sweep: 24 rows, two seeds, pairs twice and groups of four once; 12 prompts, seven checkpoints."""
    before = {row["part"]: row for row in plan_of(workplace)["tokens"]}
    assert before["training"]["cells"] == 6
    assert before["training"]["sequences"] == 24 * 2 * (2 + 2 + 4)
    answered = {"part": "embedded_pairwise", "cells": 7, "sequences": 7 * 12, "tokens": 7 * 12 * 12}
    assert before["embedded_pairwise"] == answered
    # The same answers: drawn once.
    assert "generation" not in before

    after = {row["part"]: row for row in plan_of(finished, "--set", "methods.dpo.beta=0.25")["tokens"]}
    groups = [len(path.read_text().splitlines()) for path in finished.store.glob("cells/plan/*/plan.jsonl")]
    assert after["training"]["sequences"] in {2 * (a + b) for a in groups for b in groups}
    assert after["embedded_pairwise"]["cells"] == 2
    assert not plan_of(finished)["tokens"]


def test_tokens_of_a_file_that_was_not_read_are_not_known(
    workplace: "Workplace", write_rows: Callable[..., None], file_sweep: FileSweep
) -> None:
    write_rows()
    workplace.write(file_sweep)
    (training,) = (row for row in plan_of(workplace)["tokens"] if row["part"] == "training")
    assert (training["sequences"], training["tokens"]) == (None, None)
    limited = plan_of(workplace, "--set", "data.train_limit=10")["tokens"][0]
    assert (limited["part"], limited["sequences"]) == ("training", 10 * (2 + 4))


def test_sizes_are_those_of_the_checkpoints_that_are_written(finished: "Workplace") -> None:
    found = plan_of(finished, "--set", "methods.dpo.beta=0.25")
    weights = {path.stat().st_size for path in finished.store.glob("cells/train/*/model/model.safetensors")}
    summary = json.loads(next(finished.store.glob("cells/reference/*/summary.json")).read_text())
    training = next(row for row in found["trainings"] if row["arm"] == "dpo")
    assert training["parameters"] == training["trainable"] == summary["parameters"]
    # A header beside the weights.
    assert all(0 < size - training["checkpoint"] < 10_000 for size in weights)
    assert found["disk"]["checkpoints"] == 2 * training["checkpoint"]
    assert training["certain"] == 16 * summary["parameters"]  # weights, gradients, two moments, in fp32
    assert training["at_most"] > training["certain"]
    assert training["resumable"] == 2 * 12 * summary["parameters"]


def test_adapters_of_a_checkpoint(
    workplace: "Workplace", file_sweep: FileSweep, write_rows: Callable[..., None], save_checkpoint: Callable[..., Path]
) -> None:
    from safetensors import safe_open

    write_rows()
    folder = save_checkpoint()
    reference = {"kind": "checkpoint", "path": str(folder)}
    workplace.write({**file_sweep, "reference": reference, "training.lora": {"r": 4, "target_modules": ["q_proj"]}})
    training = plan_of(workplace)["trainings"][0]
    assert training["trainable"] == 2 * 4 * (64 + 64)  # two layers of 64 x 64
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        parameters = sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118 - no mapping
    assert training["parameters"] == parameters
    workplace.write({**file_sweep, "reference": reference, "training.lora": {}})
    # All-linear, rank 16: q, k, v and o, 64 x 64; gate, up and down, 64 x 128.
    assert plan_of(workplace)["trainings"][0]["trainable"] == 2 * 16 * (4 * 128 + 3 * 192)


def test_sizes_unknown_to_the_configuration_leave_what_is_certain(
    workplace: "Workplace", file_sweep: FileSweep, write_rows: Callable[..., None], save_checkpoint: Callable[..., Path]
) -> None:
    write_rows()
    folder = save_checkpoint()
    config = json.loads((folder / "config.json").read_text())
    config["n_embd"] = config.pop("hidden_size")
    (folder / "config.json").write_text(json.dumps(config))
    workplace.write({**file_sweep, "reference": {"kind": "checkpoint", "path": str(folder)}})
    training = plan_of(workplace)["trainings"][0]
    assert (training["at_most"], training["verdict"]) == (None, "unknown")
    assert training["certain"] == 16 * training["parameters"]


def test_a_device_too_small_is_refused_with_what_to_change(workplace: "Workplace") -> None:
    model = {"reference.model.hidden_size": 1024, "reference.model.intermediate_size": 4096}
    workplace.write({**model, "reference.model.num_hidden_layers": 8})
    done = workplace.run("plan", "mini.yaml", "--memory", "1")
    assert done.returncode == 8
    assert "does not fit" in done.stdout
    assert "weights, gradients and optimizer state alone take" in done.stderr
    assert "training.lora: {}" in done.stderr
    assert "Traceback" not in done.stderr
    may = plan_of(workplace, "--memory", "2.1", "--set", "training.per_device_train_batch_size=64")
    assert {row["verdict"] for row in may["trainings"]} == {"may not fit"}
    assert all("training.gradient_checkpointing: true" in " ".join(row["advice"]) for row in may["trainings"])
    assert {row["verdict"] for row in plan_of(workplace, "--memory", "80")["trainings"]} == {"fits"}


def test_the_nodes_of_a_cluster_are_not_this_machine(workplace: "Workplace") -> None:
    found = plan_of(workplace, "--set", "execution.kind=slurm", "--set", "execution.device=cuda")
    assert (found["device"], found["workers"]) == ("cuda", 64)
    assert {(row["available"], row["verdict"]) for row in found["trainings"]} == {(None, "unknown")}


def test_checkpoints_that_do_not_fit_on_the_disk_are_refused(
    workplace: "Workplace", monkeypatch: pytest.MonkeyPatch
) -> None:
    from epa_bench.config.yaml12 import read_document
    from epa_bench.core.errors import StoreError
    from epa_bench.pipeline.forecast import check_possible, forecast
    from epa_bench.pipeline.run import open_run
    from epa_bench.suites.registry import registry

    monkeypatch.chdir(workplace.folder)
    found = forecast(open_run(read_document(Path("mini.yaml")), [], registry([])))
    check_possible(found)
    needed = found.disk.checkpoints + found.disk.resumable
    full = found.model_copy(update={"disk": found.disk.model_copy(update={"free": needed - 1})})
    with pytest.raises(StoreError, match="GiB of disk"):
        check_possible(full)


def test_missing_sources_are_refused_and_a_judge_is_priced(
    workplace: "Workplace", file_sweep: FileSweep, write_rows: Callable[..., None]
) -> None:
    write_rows()
    suites = write_suites(workplace.folder)
    sweep = {**file_sweep, "suites": suites, "judge": api("http://127.0.0.1:9/v1", prices={"input": 10, "output": 30})}
    workplace.write(sweep)
    done = workplace.run("plan", "mini.yaml")
    assert done.returncode == 9
    assert "epa-bench suites fetch" in done.stderr
    workplace.write({**sweep, "mirror": "mirror"})
    rows = {row["suite"]: row for row in plan_of(workplace)["judging"]}
    # Six prompts, and four questions of two turns, for the reference, DPO and EPA.
    assert {name: row["calls"] for name, row in rows.items()} == {"alpaca_eval_2": 18, "mt_bench": 24}
    for row in rows.values():
        assert row["dollars"] == pytest.approx((row["input_tokens"] * 10 + row["output_tokens"] * 30) / 1e6)


def test_people_see_a_tree(finished: "Workplace") -> None:
    done = finished.run("plan", "mini.yaml", "--cells", "--set", "methods.dpo.beta=0.25")
    assert done.returncode == 0, done.stderr
    assert "train: 4 cached, 2 owed" in done.stdout
    assert "train dpo, seed 1" in done.stdout
    assert "train dpo-nll, seed 1" not in done.stdout


def test_planning_loads_no_torch(workplace: "Workplace") -> None:
    program = (
        "import sys; from epa_bench.cli import app; "
        "app(['plan', 'mini.yaml'], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=workplace.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
