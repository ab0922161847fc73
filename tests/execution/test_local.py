"""The pool: order, failure, a dead worker, reports. The cells are toys that write a line to a log."""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from epa_bench.core.errors import DataError, WorkerError
from epa_bench.core.progress import SweepProgress
from epa_bench.core.store import CellSpec
from epa_bench.execution.local import run_cells

TOY = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from epa_bench.core.errors import DataError
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
        if config.get("fails"):
            raise DataError(config["fails"])
        if config.get("bug"):
            raise ZeroDivisionError("a bug")
        if config.get("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        self.write("end", spec)

    def write(self, what, spec):
        line = f"{what} {spec.config['name']} {os.getpid()} {os.environ['OMP_NUM_THREADS']}\\n"
        with open(self.log, "a") as log:
            log.write(line)
"""
"""A module of its own, because workers import what they run."""


class Pool:
    """Runs toy cells and reads their log."""

    def __init__(self, toy: Any, log: Path) -> None:
        self._toy, self._log = toy, log

    def run(
        self, cells: list[CellSpec], *, done: frozenset[str] = frozenset(), workers: int = 2, fresh: bool = False
    ) -> None:
        with SweepProgress(len(cells), len(done)) as progress:
            run_cells(
                cells, self._toy(str(self._log)), done=done, workers=workers, fresh_processes=fresh, progress=progress
            )

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
    pids = {name: pid for what, name, pid, _ in pool.log}
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


def test_first_failure_is_raised_after_what_is_running(pool: Pool) -> None:
    slow, bad = cell("slow", sleep=2.0), cell("bad", fails="row 7 is broken", sleep=0.3)
    with pytest.raises(DataError, match="row 7 is broken"):
        pool.run([slow, bad, cell("next", bad), cell("later")])
    assert pool.names("end") == ["slow"]
    assert "next" not in pool.names("start")
    assert "later" not in pool.names("start")


def test_a_bug_is_not_dressed_up(pool: Pool) -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        pool.run([cell("a", bug=True)], workers=1)


def test_dead_worker(pool: Pool) -> None:
    with pytest.raises(WorkerError, match="a worker process died") as caught:
        pool.run([cell("a"), cell("b", killed=True, reports=1000)], workers=1)
    assert caught.value.exit_code == 10
    assert pool.names("end") == ["a"]


def test_fresh_processes(pool: Pool) -> None:
    pool.run([cell("a"), cell("b"), cell("c")], workers=1, fresh=True)
    assert len({pid for _, _, pid, _ in pool.log}) == 3


def test_workers_end_with_the_pool(pool: Pool) -> None:
    pool.run([cell("a"), cell("b", sleep=0.2)])
    pids = {pid for _, _, pid, _ in pool.log}
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
    assert {threads for *_, threads in pool.log} == {"2"}


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
    with pytest.raises(DataError, match="row 7"):
        pool.run(cells, workers=2)
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("[")]
    assert lines == ["warning: the template is odd"]
