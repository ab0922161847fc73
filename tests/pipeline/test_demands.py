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
    assert [found[each.digest].gpus for each in CELLS] == [1, 2, 0, 2, 0, 2, 0]
    assert [found[each.digest].fresh for each in CELLS] == [True, True, False, False, False, False, False]
    engine = found[ANSWERS.digest]
    assert engine is found[SAMPLE.digest]
    assert engine.after == {REFERENCE.digest, TRAIN.digest}
    assert found[JUDGED.digest].process == "judge"
    assert found[JUDGED.digest].tokens == {"judges": 1}
    assert not found[JUDGED.digest].after
    tokens = machine_tokens("cuda", execution)
    first = tokens.take(found[TRAIN.digest])
    assert first is not None
    assert first.gpus == ("4", "GPU-b")
    # One worker a pair of GPUs: the third stays free for none of them, but values and judge need no GPU.
    assert tokens.take(found[REFERENCE.digest]) is None
    assert tokens.take(found[VALUES.digest]) is not None
    assert tokens.take(found[JUDGED.digest]) is not None
    assert tokens.take(found[JUDGED.digest]) is None


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
