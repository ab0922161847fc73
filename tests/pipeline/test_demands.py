"""What cells take of a machine: of GPUs above all, on machines that are only described."""

from typing import Any

import pytest

from epa_bench.config.execution import Execution
from epa_bench.core.errors import ConfigError
from epa_bench.core.store import CellSpec
from epa_bench.pipeline.demands import demands, machine_tokens


def cell(step: str, *needs: CellSpec, **config: Any) -> CellSpec:
    return CellSpec(step, config, {str(number): need for number, need in enumerate(needs)}, {}, label=step)


REFERENCE = cell("reference")
TRAIN = cell("train", REFERENCE, processes=2)
VALUES = cell("values", TRAIN)
ANSWERS = cell("responses", TRAIN, engine={"tensor_parallel_size": 2})
JUDGED = cell("judged_pairs", ANSWERS)
SAMPLE = cell("sample_logps", ANSWERS)
AFTER = cell("values", JUDGED)
CELLS = [REFERENCE, TRAIN, VALUES, ANSWERS, JUDGED, SAMPLE, AFTER]


def test_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-b,6")
    execution = Execution(processes=2)
    found = demands(CELLS, "cuda", execution, {})
    assert [found[each.digest].gpus for each in CELLS] == [1, 2, 0, 2, 0, 1, 0]
    assert [found[each.digest].fresh for each in CELLS] == [True, True, False, False, False, True, False]
    engine = found[ANSWERS.digest]
    assert engine.after == {REFERENCE.digest, TRAIN.digest}
    assert found[JUDGED.digest].process == "judge"
    assert found[JUDGED.digest].tokens == {"judges": 1}
    assert not found[JUDGED.digest].after
    tokens = machine_tokens("cuda", execution)
    first = tokens.take(found[TRAIN.digest])
    assert first is not None
    assert first.gpus == ("4", "GPU-b")
    # The third GPU is too few for an engine of two; values and judge need none.
    assert tokens.take(engine) is None
    third = tokens.take(found[REFERENCE.digest])
    assert third is not None
    assert third.gpus == ("6",)
    assert tokens.take(found[VALUES.digest]) is not None
    assert tokens.take(found[JUDGED.digest]) is not None
    assert tokens.take(found[JUDGED.digest]) is None


def test_every_gpu_has_an_engine_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    # However many ranks a training has.
    execution = Execution(processes=4)
    engine = demands(CELLS, "cuda", execution, {})[ANSWERS.digest]
    tokens = machine_tokens("cuda", execution)
    grants = [tokens.take(engine) for _ in range(3)]
    assert [None if grant is None else grant.gpus for grant in grants] == [("0", "1"), ("2", "3"), None]
    one = machine_tokens("cuda", Execution(workers=1))
    assert one.take(engine) is not None
    assert one.take(engine) is None


def test_vllm_shares_a_gpu_with_nothing_that_needs_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine holds its GPU's memory between two checkpoints, when the GPU counts as free."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    more = cell("lm_eval", TRAIN, engine={"tensor_parallel_size": 1})
    found = demands([*CELLS, more], "cuda", Execution(), {})
    assert found[SAMPLE.digest].after == {ANSWERS.digest, more.digest}
    assert not found[VALUES.digest].after
    assert not found[AFTER.digest].after


def test_a_task_of_lm_eval_has_a_process_of_its_own() -> None:
    plain, on_vllm = cell("lm_eval", TRAIN), cell("lm_eval", TRAIN, engine={"tensor_parallel_size": 1})
    found = demands([REFERENCE, TRAIN, plain, on_vllm], "cpu", Execution(), {})
    assert found[plain.digest].fresh
    assert (found[on_vllm.digest].process, found[on_vllm.digest].fresh) == ("engine", False)


def test_more_gpus_than_there_are_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(ConfigError, match="a cell needs 2 GPUs, this machine shows 1"):
        demands(CELLS, "cuda", Execution(processes=2), {})


def test_on_cpu_trainings_take_memory_where_it_is_known() -> None:
    found = demands(CELLS, "cpu", Execution(workers=3), {TRAIN.digest: 2**60})
    assert found[TRAIN.digest].tokens == {"workers": 1, "memory": 2**60}
    assert {found[each.digest].gpus for each in CELLS} == {0}
    tokens = machine_tokens("cpu", Execution(workers=3))
    assert tokens.take(found[TRAIN.digest]) is not None
    assert tokens.take(found[TRAIN.digest]) is None
    assert tokens.take(found[REFERENCE.digest]) is not None
