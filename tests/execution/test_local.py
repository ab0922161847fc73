"""The pool: order, failure, a dead worker, reports. The cells are toys that write a line to a log."""

import importlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from epa_bench.core.attempts import read_attempts
from epa_bench.core.errors import CellsFailedError, DataError, DiskError, JudgeError, WorkerError
from epa_bench.core.progress import SweepProgress
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.local import RETRIES, run_cells
from epa_bench.execution.tokens import Demand, Tokens

COMPUTE = Demand({"workers": 1})

TOY = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from epa_bench.core.errors import DataError, DiskError, JudgeError
from epa_bench.core.notices import notice

@dataclass
class Toy:
    log: str

    def __call__(self, spec, report):
        config = spec.config
        self.write("start", spec)
        for number in range(config.get("reports", 0)):
            report(number, config["reports"])
        if "notice" in config:
            notice(config["notice"])
        time.sleep(config.get("sleep", 0))
        for key, error in (("fails", DataError), ("no_judge", JudgeError), ("no_disk", DiskError)):
            if key in config:
                raise error(config[key])
        if config.get("bug"):
            raise ZeroDivisionError("a bug")
        if config.get("killed", 0) > self.count("start", spec) - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if os.path.exists(f"/proc/{self.pid_of(config.get('beside'))}"):
            self.write("beside", spec)
        self.write("end", spec)

    def pid_of(self, name):
        lines = [line.split() for line in open(self.log)]
        return next((pid for _, ran, pid, *_ in lines if ran == name), "none")

    def count(self, what, spec):
        lines = open(self.log).read().splitlines()
        return sum(line.split()[:2] == [what, spec.config["name"]] for line in lines)

    def write(self, what, spec):
        line = f"{what} {spec.config['name']} {os.getpid()} {os.environ['OMP_NUM_THREADS']}"
        line += f" gpus:{os.environ['CUDA_VISIBLE_DEVICES']}\\n"
        with open(self.log, "a") as log:
            log.write(line)
"""
"""A module of its own, because workers import what they run."""


class Pool:
    """Runs toy cells and reads their log."""

    def __init__(self, toy: Any, log: Path) -> None:
        self._toy, self._log = toy, log

    def run(
        self,
        cells: list[CellSpec],
        *,
        done: frozenset[str] = frozenset(),
        demand: Demand = COMPUTE,
        demands: Mapping[str, Demand] | None = None,
        **totals: int,
    ) -> None:
        with SweepProgress(len(cells), len(done)) as progress:
            run_cells(
                cells,
                self._toy(str(self._log)),
                store=self.store,
                done=done,
                demands={**{cell.digest: demand for cell in cells}, **(demands or {})},
                tokens=Tokens({"workers": 2, **totals}, ["GPU-a", "1", "2"]),
                progress=progress,
            )

    @property
    def store(self) -> Store:
        return Store(self._log.parent / "store")

    @property
    def log(self) -> list[list[str]]:
        return [line.split() for line in self._log.read_text().splitlines()]

    def names(self, what: str) -> list[str]:
        return [name for event, name, *_ in self.log if event == what]


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    (tmp_path / "toy_cells.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "log").touch()
    yield Pool(importlib.import_module("toy_cells").Toy, tmp_path / "log")
    del sys.modules["toy_cells"]


def cell(name: str, *needs: CellSpec, label: str = "cell", **config: Any) -> CellSpec:
    inputs = {need.config["name"]: need for need in needs}
    return CellSpec("toy", {"name": name, **config}, inputs, {}, label=label)


def test_needs_come_first_and_all_workers_are_used(pool: Pool) -> None:
    a = cell("a", sleep=0.05)
    b, c = cell("b", a, sleep=1.0), cell("c", a, sleep=1.0)
    d = cell("d", b, c)
    pool.run([a, b, c, d])
    events = [(what, name) for what, name, *_ in pool.log]
    assert events.index(("end", "a")) < min(events.index(("start", "b")), events.index(("start", "c")))
    assert max(events.index(("end", "b")), events.index(("end", "c"))) < events.index(("start", "d"))
    pids = {name: pid for what, name, pid, *_ in pool.log}
    assert pids["b"] != pids["c"]
    assert len(set(pids.values())) == 2


def test_finished_cells_are_not_run(pool: Pool) -> None:
    a = cell("a")
    pool.run([a, cell("b", a)], done=frozenset([a.digest]), workers=1)
    assert pool.names("end") == ["b"]


def test_cells_with_one_label_run_side_by_side(pool: Pool) -> None:
    """Two suites with different decoding give every checkpoint two cells `responses dpo, seed 1`."""
    pool.run([cell(name, label="responses dpo, seed 1", sleep=0.2, reports=50) for name in "abcd"])
    assert sorted(pool.names("end")) == ["a", "b", "c", "d"]


def test_what_does_not_need_a_failed_cell_goes_on(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    bad = cell("bad", label="bad one", fails="row 7 is broken")
    needing = cell("needing", bad, label="needing one")
    last = cell("last", needing, label="last one")
    with pytest.raises(CellsFailedError) as caught:
        pool.run([bad, needing, cell("a"), last, cell("b", sleep=0.2)], workers=1)
    assert sorted(pool.names("end")) == ["a", "b"]
    assert pool.names("start").count("bad") == 1
    message = str(caught.value)
    assert message.count("bad one: row 7 is broken") == 1
    assert "left undone because of it: needing one, last one" in message
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed")]
    assert said == ["failed: bad one: row 7 is broken (2 cells that need it are left undone)"]


def test_exit_code_is_that_of_the_kind_of_failure_or_its_own(pool: Pool) -> None:
    with pytest.raises(CellsFailedError) as caught:
        pool.run([cell("a", fails="row 1"), cell("b", fails="row 2")])
    assert caught.value.exit_code == DataError.exit_code
    with pytest.raises(CellsFailedError, match="2 cells failed") as caught:
        pool.run([cell("c", fails="row 1"), cell("d", killed=99)])
    assert caught.value.exit_code == 13


def test_a_bug_is_not_dressed_up_and_costs_no_other_cell(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        pool.run([cell("a", bug=True), cell("b")], workers=1)
    assert pool.names("end") == ["b"]


def test_a_cell_whose_worker_died_is_started_again_and_the_others_go_on(pool: Pool) -> None:
    slow = cell("slow", sleep=1.0)
    pool.run([slow, cell("b", killed=RETRIES, reports=1000)])
    assert sorted(pool.names("end")) == ["b", "slow"]
    assert pool.names("start").count("slow") == 1
    assert pool.names("start").count("b") == 1 + RETRIES
    assert [attempt.event for attempt in read_attempts(pool.store.root)] == ["died"] * RETRIES


def test_a_cell_that_always_dies_is_given_up(pool: Pool) -> None:
    with pytest.raises(CellsFailedError, match=r"a worker process died \(killed by SIGKILL") as caught:
        pool.run([cell("a"), cell("b", killed=99, reports=1000)], workers=1)
    assert caught.value.exit_code == WorkerError.exit_code
    assert pool.names("end") == ["a"]
    assert pool.names("start").count("b") == 1 + RETRIES


def test_fresh_processes(pool: Pool) -> None:
    pool.run([cell("a"), cell("b"), cell("c")], workers=1, demand=Demand({"workers": 1}, fresh=True))
    assert len({pid for _, _, pid, *_ in pool.log}) == 3


def test_gpus_are_given_by_name_one_set_a_cell(pool: Pool) -> None:
    one, two = (Demand({"workers": 1}, gpus, fresh=True) for gpus in (1, 2))
    a, b = cell("a", sleep=1.0), cell("b", sleep=1.0)
    later, none = cell("later"), cell("none")
    pool.run([a, b, later, none], workers=4, demands={a.digest: two, b.digest: one, later.digest: two}, demand=COMPUTE)
    seen = {name: gpus for what, name, _, _, gpus in pool.log if what == "start"}
    assert seen == {"a": "gpus:GPU-a,1", "b": "gpus:2", "later": "gpus:GPU-a,1", "none": "gpus:"}
    events = [(what, name) for what, name, *_ in pool.log]
    assert events.index(("end", "a")) < events.index(("start", "later"))


def test_a_judge_runs_beside_computing_cells_and_takes_no_worker(pool: Pool) -> None:
    judge = Demand({"judges": 1}, process="judge")
    cells = [cell(name, sleep=0.5) for name in ("judged", "judged2", "a", "b")]
    first, second, *computed = cells
    pool.run(cells, workers=1, judges=1, demands={first.digest: judge, second.digest: judge})
    pids = {name: pid for what, name, pid, *_ in pool.log}
    assert pids["judged"] == pids["judged2"] != pids["a"] == pids["b"]
    events = [(what, name) for what, name, *_ in pool.log]
    assert events.index(("start", "a")) < events.index(("end", "judged"))
    assert len(computed) == 2


def test_a_judge_that_cannot_be_asked_stops_the_asking_alone(pool: Pool) -> None:
    judge = Demand({"judges": 1}, process="judge")
    first, second, other = cell("first", no_judge="no key"), cell("second"), cell("other")
    with pytest.raises(CellsFailedError, match="no key") as caught:
        pool.run([first, second, other], judges=1, demands={first.digest: judge, second.digest: judge})
    assert caught.value.exit_code == JudgeError.exit_code
    assert pool.names("start").count("second") == 0
    assert pool.names("end") == ["other"]


def test_a_full_disk_stops_everything_at_once(pool: Pool) -> None:
    with pytest.raises(CellsFailedError, match="no space left") as caught:
        pool.run([cell("a", no_disk="no space left"), cell("b"), cell("c")], workers=1)
    assert caught.value.exit_code == DiskError.exit_code
    assert pool.names("start") == ["a"]


def test_what_another_process_computes_is_waited_for_and_not_done_again(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    held, free = cell("held", label="held one"), cell("free")
    needing = cell("needing", held, beside="free")
    lock = pool.store.lock(held)
    assert lock.try_acquire() is None

    def finish() -> None:
        while "free" not in pool.names("end"):
            time.sleep(0.01)
        folder = pool.store.folder(held)
        folder.mkdir(parents=True)
        (folder / "cell.json").write_text("{}")
        lock.release()

    with ThreadPoolExecutor(1) as other:
        # The lock belongs to the thread that took it.
        lock.release()
        other.submit(lock.try_acquire).result()
        done = other.submit(finish)
        engine = Demand({"workers": 1}, process="engine")
        after = Demand({"workers": 1}, fresh=True, after=frozenset({held.digest, free.digest}))
        demands = {held.digest: engine, free.digest: engine, needing.digest: after}
        pool.run([held, needing, free], demands=demands, workers=1)
        done.result()
    assert pool.names("start") == ["free", "needing"]
    # Nothing waits for an engine any more, so none holds memory.
    assert pool.names("beside") == []
    said = capsys.readouterr().err
    assert said.count(f"held one is being computed by process {os.getpid()} on {socket.gethostname()}; waiting") == 1
    assert "held one: computed by another process" in said


def test_workers_end_with_the_pool(pool: Pool) -> None:
    pool.run([cell("a"), cell("b", sleep=0.2)])
    pids = {pid for _, _, pid, *_ in pool.log}
    deadline = time.monotonic() + 20
    while any(Path("/proc", pid).exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 3])
def test_cores_are_shared_out_as_threads_whatever_the_workers(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr("epa_bench.execution.device.cores", lambda: 9)
    pool.run([cell("a")], workers=workers)
    assert {threads for _, _, _, threads, _ in pool.log} == {"2"}


def test_reports_reach_the_progress(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, int]] = []
    moved: Callable[..., None] = SweepProgress.moved

    def spy(progress: SweepProgress, digest: str, done: int, total: int) -> None:
        seen.append((digest, done, total))
        moved(progress, digest, done, total)

    monkeypatch.setattr(SweepProgress, "moved", spy)
    a = cell("a", reports=3, sleep=0.5)
    pool.run([a], workers=1)
    assert seen == [(a.digest, 0, 3), (a.digest, 1, 3), (a.digest, 2, 3)]


def test_notices_of_workers_reach_the_terminal_once(pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    """Also of a cell that then fails; and nothing of where in the code they were said."""
    cells = [cell("a", notice="the template is odd"), cell("b", notice="the template is odd", fails="row 7")]
    with pytest.raises(CellsFailedError, match="row 7"):
        pool.run(cells, workers=2)
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith(("[", "failed"))]
    assert lines == ["warning: the template is odd"]
