"""A sweep that is killed, interrupted or loses a worker goes on to the same bytes."""

import os
import signal
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from epa_bench.config.yaml12 import read_document
from epa_bench.pipeline.cell_runner import CellRunner
from epa_bench.pipeline.run import open_run, stage_cells
from epa_bench.suites.registry import registry
from tests.processes import MARK, marked_processes, wait_until, wait_until_gone

if TYPE_CHECKING:
    from tests.conftest import Workplace

EVALUATION = ("responses", "verdicts", "logps", "values")


def start_marked(place: "Workplace") -> tuple["subprocess.Popen[str]", str]:
    mark = uuid.uuid4().hex
    process = place.start("run", "mini.yaml", "--set", "execution.workers=2", env={**os.environ, MARK: mark})
    return process, mark


def worker_of(process: "subprocess.Popen[str]", mark: str) -> int:
    """A worker of the pool: spawned by multiprocessing, and not the tracker of its semaphores."""
    workers = [pid for pid in marked_processes(mark) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert workers
    assert process.pid not in workers
    return workers[0]


def assert_same_as(finished: "Workplace", place: "Workplace") -> None:
    assert place.tables() == finished.tables()
    assert place.cells() == finished.cells()
    assert not list(place.store.glob("staging/*"))


MOMENTS = {
    # Name: what is still owed when the run starts (everything where nothing is said), and what is waited for.
    "during SFT": (None, "staging/reference-*/*"),
    "while preferences are sampled": (None, "staging/preferences_embedded-*"),
    "during a training": (("train", *EVALUATION), "staging/train-*/checkpoints/checkpoint-2/complete"),
    "between two batches of answers": (EVALUATION, "staging/responses-*/parts/00000.jsonl"),
    "among the last values": (("values",), "cells/values/*"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_run_goes_on_to_the_same_bytes(moment: str, finished: "Workplace", workplace: "Workplace") -> None:
    owed, sign = MOMENTS[moment]
    if owed is not None:
        finished.copy(workplace.folder, without=owed)
    process, mark = start_marked(workplace)
    wait_until(lambda: any(workplace.store.glob(sign)), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (workplace.folder / "leaderboards").exists()
    wait_until_gone(mark)
    kept = workplace.cells()
    assert kept.items() <= finished.cells().items()

    workplace.finish()
    assert_same_as(finished, workplace)


def test_checkpoint_damaged_after_a_kill_is_left_out_and_said(
    finished: "Workplace", workplace: "Workplace", monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the worker that finds it, on the terminal of who runs the sweep."""
    place = finished.copy(workplace.folder, without=("train", *EVALUATION))
    monkeypatch.chdir(place.folder)
    run = open_run(read_document(Path("mini.yaml")), [], registry())
    training = next(cell for cell in stage_cells(run, "train") if not run.store.has(cell))

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        CellRunner(run.store.root, "cpu", {})(training, stop)
    (weights,) = place.store.glob("staging/train-*/checkpoints/checkpoint-2/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    done = place.run("run", "mini.yaml")
    assert done.returncode == 0
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("warning: "))
    assert "left out: checkpoint-2 (model.safetensors is not what was written). The training goes on from" in said
    assert_same_as(finished, place)


def test_interrupt_is_an_exit_code_and_a_message(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder, without=("train", *EVALUATION))
    process, mark = start_marked(place)
    wait_until(lambda: any(place.store.glob("staging/train-*")), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "error: interrupted; run the same command again to go on" in err
    assert "Traceback" not in err
    wait_until_gone(mark)

    place.finish()
    assert_same_as(finished, place)


def test_interrupt_from_a_terminal_reaches_the_workers_too(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder, without=("train", *EVALUATION))
    mark = uuid.uuid4().hex
    process = place.start("run", "mini.yaml", env={**os.environ, MARK: mark}, start_new_session=True)
    wait_until(lambda: any(place.store.glob("staging/train-*")), process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    wait_until_gone(mark)


def test_killed_worker_costs_its_cell_a_start_and_nothing_else(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder, without=("train", *EVALUATION))
    process, mark = start_marked(place)
    wait_until(lambda: any(place.store.glob("staging/train-*/checkpoints/checkpoint-1/complete")), process)
    os.kill(worker_of(process, mark), signal.SIGKILL)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    (said,) = (line for line in err.splitlines() if line.startswith("again: "))
    assert "a worker process died (killed by SIGKILL" in said
    wait_until_gone(mark)
    assert_same_as(finished, place)
