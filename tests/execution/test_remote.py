"""What runs on a cluster when, and what comes of it. The cluster is a script of ends."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from epa_bench.core.cell_messages import Done, Failed, Moved, Remark
from epa_bench.core.errors import CellsFailedError, DataError, DiskError, JudgeError, WorkerError
from epa_bench.core.progress import SweepProgress
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.cell_process import CellProcess
from epa_bench.execution.remote import Orders, TaskNeeds, run_on_cluster

NEEDS = TaskNeeds(cpus=1, gpus=0, memory_gib=None, minutes=1)
DONE = Done().model_dump_json() + "\n"


class Scripted:
    """Ends tasks in the order in which they were started; `ends`: name of a cell -> its ends, attempt by attempt."""

    def __init__(self, ends: dict[str, list[str]], during: Callable[[CellSpec, CellProcess], None]) -> None:
        self._ends, self._during = ends, during
        self._waiting: list[tuple[CellSpec, CellProcess]] = []
        self.started: list[str] = []
        self.side_by_side = 0

    def start(self, cell: CellSpec, process: CellProcess, needs: TaskNeeds) -> None:
        self.started.append(cell.config["name"])
        self._waiting.append((cell, process))
        self.side_by_side = max(self.side_by_side, len(self._waiting))

    def ended(self) -> Iterator[tuple[str, str]]:
        cell, process = self._waiting.pop(0)
        self._during(cell, process)
        ends = self._ends.get(cell.config["name"], [])
        yield cell.digest, ends.pop(0) if ends else DONE

    def close(self) -> None:
        raise AssertionError("who opened it closes it")


def cell(name: str, *needs: CellSpec) -> CellSpec:
    return CellSpec("toy", {"name": name}, {need.config["name"]: need for need in needs}, {}, label=name)


class Sweep:
    """Runs cells on a scripted cluster."""

    def __init__(self, folder: Path) -> None:
        self.store, self.folder = Store(folder / "store"), folder

    def run(
        self,
        cells: list[CellSpec],
        ends: dict[str, list[str]] | None = None,
        during: Callable[[CellSpec, CellProcess], None] = lambda cell, process: None,
        **changed: Any,
    ) -> Scripted:
        cluster = Scripted(ends or {}, during)
        every = {one.digest: NEEDS for one in cells}
        settings: dict[str, Any] = {"alone": (), "again": (), "most": 9} | changed
        orders = Orders(("toy",), self.folder, needs=every, threads=dict.fromkeys(every, 1), **settings)
        self.cluster = cluster
        with SweepProgress(len(cells), 0) as progress:
            run_on_cluster(cells, cluster, orders, store=self.store, done=(), progress=progress)
        return cluster


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def test_a_cell_is_queued_when_its_needs_are_done(sweep: Sweep) -> None:
    a = cell("a")
    b, c = cell("b", a), cell("c", a)
    assert sweep.run([a, b, c, cell("d", b)]).started == ["a", "b", "c", "d"]


def test_no_more_than_asked_wait_there(sweep: Sweep) -> None:
    assert sweep.run([cell(name) for name in "abcdefg"], most=3).side_by_side == 3


def test_cells_that_ask_the_judge_are_started_one_by_one(sweep: Sweep) -> None:
    cells = [cell(name) for name in "abcd"]
    assert sweep.run(cells, alone={one.digest for one in cells}).side_by_side == 1


def test_what_died_is_started_again(sweep: Sweep, capfd: pytest.CaptureFixture[str]) -> None:
    a = cell("a")
    assert sweep.run([a, cell("b", a)], {"a": ["node lost", "killed by SIGKILL"]}).started == ["a", "a", "a", "b"]
    told = capfd.readouterr().err
    assert "again: a: node lost" in told
    assert "again: a: killed by SIGKILL" in told


def test_what_dies_each_time_is_given_up(sweep: Sweep) -> None:
    a = cell("a")
    with pytest.raises(CellsFailedError, match="a: died 3 times; at last: node lost") as caught:
        sweep.run([a, cell("b", a), cell("c")], {"a": ["out of memory", "out of memory", "node lost"]})
    assert caught.value.exit_code == WorkerError.exit_code
    assert sweep.cluster.started == ["a", "c", "a", "a"]


def test_an_error_of_its_own_is_not_tried_again(sweep: Sweep) -> None:
    """What does not need the cell goes on."""
    a = cell("a")
    failed = Failed.of(DataError("row 7 is broken")).model_dump_json()
    with pytest.raises(CellsFailedError, match=r"a: row 7 is broken\n  left undone because of it: b") as caught:
        sweep.run([a, cell("b", a), cell("c")], {"a": [failed]})
    assert caught.value.exit_code == DataError.exit_code
    assert sweep.cluster.started == ["a", "c"]


def test_what_would_fail_alike_is_not_tried(sweep: Sweep) -> None:
    """Of a judge that refuses, only those who ask it; of a disk, everything that waits."""
    cells = [cell(name) for name in "abcd"]
    refused = Failed.of(JudgeError("401: no such key")).model_dump_json()
    with pytest.raises(CellsFailedError, match="left undone because of it: b\n") as caught:
        sweep.run(cells, {"a": [refused]}, alone={one.digest for one in cells[:2]})
    assert caught.value.exit_code == JudgeError.exit_code
    assert sweep.cluster.started == ["a", "c", "d"]
    with pytest.raises(CellsFailedError, match="left undone because of it: c, d\n") as caught:
        sweep.run(cells, {"a": [Failed.of(DiskError("no space left")).model_dump_json()]}, most=2)
    assert caught.value.exit_code == DiskError.exit_code
    assert sweep.cluster.started == ["a", "b"]


def test_a_bug_is_not_dressed_up(sweep: Sweep) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        sweep.run([cell("a")], {"a": [Failed.of(ZeroDivisionError("a bug")).model_dump_json()]})


def test_the_store_is_believed_where_the_job_says_nothing(sweep: Sweep) -> None:
    """The node may die after the cell was done; but a cell that is computed anew was there before."""
    a = cell("a")

    def finish(spec: CellSpec, process: CellProcess) -> None:
        sweep.store.compute(spec, lambda folder: None)

    assert sweep.run([a], {"a": ["node lost"]}, finish).started == ["a"]
    assert sweep.run([a], {"a": ["node lost"]}, finish, again={a.digest}).started == ["a", "a"]


def test_what_a_cell_tells_is_shown(sweep: Sweep, capfd: pytest.CaptureFixture[str]) -> None:
    def tell(spec: CellSpec, process: CellProcess) -> None:
        messages = (Remark(text="the template is odd"), Moved(done=1, total=2), Done())
        Path(f"{process.log}.out").write_text("".join(f"{one.model_dump_json()}\n" for one in messages))

    sweep.run([cell("a"), cell("b")], during=tell)
    lines = capfd.readouterr().err.splitlines()
    assert lines.count("warning: the template is odd") == 1
    assert [line.split(":")[0] for line in lines if line.startswith("[")] == ["[1/2] a", "[2/2] b"]
