"""Ranks of one cell: what they find, what they report, and how they end. The bodies are toys that need no torch."""

import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from epa_bench.core.errors import TrainingError, WorkerError
from epa_bench.core.notices import Notice
from epa_bench.execution import device
from epa_bench.execution.ranks import run_on_ranks

TOY = """
import json, os, signal, sys, time
from dataclasses import dataclass, field
from pathlib import Path
from epa_bench.core.errors import TrainingError
from epa_bench.core.notices import notice

@dataclass
class Toy:
    folder: str
    acts: dict = field(default_factory=dict)
    reports: int = 0

    def __call__(self, report):
        rank = int(os.environ["RANK"])
        told = Path(self.folder) / f"rank-{rank}.json"
        told.with_suffix(".tmp").write_text(json.dumps({"pid": os.getpid(), **os.environ}))
        told.with_suffix(".tmp").rename(told)
        for number in range(self.reports):
            report(number, self.reports)
        getattr(self, self.acts.get(rank, "end"))()

    def end(self):
        pass

    def remark(self):
        notice("it may not fit")

    def refuse(self):
        raise TrainingError("the loss is nan at step 3")

    def fail(self):
        raise ZeroDivisionError("a bug")

    def fail_behind_a_killed_one(self):
        '''As a rank that finds the connection to another broken, which is noticed first.'''
        while not (Path(self.folder) / "rank-1.json").exists():
            time.sleep(0.01)
        raise RuntimeError("connection closed by peer")

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def die_late(self):
        time.sleep(0.5)
        self.die()

    def leave(self):
        os._exit(3)

    def wait(self):
        time.sleep(600)
"""
"""A module of its own, because ranks import what they run."""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "toy_ranks.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toy_ranks").Toy
    del sys.modules["toy_ranks"]


def ignore(done: int, total: int) -> None:
    pass


def told(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("rank-*.json"))]


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_each_rank_finds_its_place(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cores", lambda: 24)
    run_on_ranks(toy(str(tmp_path)), 2, ignore)
    ranks = told(tmp_path)
    assert [(rank["RANK"], rank["LOCAL_RANK"]) for rank in ranks] == [("0", "0"), ("1", "1")]
    for rank in ranks:
        assert (rank["WORLD_SIZE"], rank["LOCAL_WORLD_SIZE"], rank["OMP_NUM_THREADS"]) == ("2", "2", "3")
    assert len({rank["EPA_BENCH_RENDEZVOUS"] for rank in ranks}) == 1
    assert not Path(ranks[0]["EPA_BENCH_RENDEZVOUS"]).parent.exists()
    assert "RANK" not in os.environ


def test_the_first_rank_reports(toy: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    run_on_ranks(toy(str(tmp_path), reports=3), 2, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3)]


def test_notices_of_the_first_rank_are_given(toy: Any, tmp_path: Path) -> None:
    """Every rank has the same to say."""
    with pytest.warns(Notice) as caught:
        run_on_ranks(toy(str(tmp_path), {0: "remark", 1: "remark"}), 2, ignore)
    assert [str(warning.message) for warning in caught] == ["it may not fit"]


@pytest.mark.parametrize(
    ("act", "message"),
    [("die", r"rank 1 of 2 died \(killed by SIGKILL\)"), ("leave", r"rank 1 of 2 died \(exit code 3\)")],
)
def test_a_rank_that_dies_ends_the_others(toy: Any, tmp_path: Path, act: str, message: str) -> None:
    with pytest.raises(WorkerError, match=message) as caught:
        run_on_ranks(toy(str(tmp_path), {0: "wait", 1: act}), 2, ignore)
    assert caught.value.exit_code == 10
    assert not any(alive(rank["pid"]) for rank in told(tmp_path))


def test_the_death_is_told_not_its_echo(toy: Any, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"rank 1 of 2 died \(killed by SIGKILL\)"):
        run_on_ranks(toy(str(tmp_path), {0: "fail_behind_a_killed_one", 1: "die_late"}), 2, ignore)


def test_what_a_rank_raises_is_raised(toy: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the loss is nan at step 3"):
        run_on_ranks(toy(str(tmp_path), {0: "wait", 1: "refuse"}), 2, ignore)
    assert not any(alive(rank["pid"]) for rank in told(tmp_path))


def test_a_bug_comes_with_its_traceback(toy: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)rank 0 of 2:.*in fail.*ZeroDivisionError: a bug"):
        run_on_ranks(toy(str(tmp_path), {0: "fail"}), 2, ignore)


STARTER = """
    import sys
    from toy_ranks import Toy
    from epa_bench.execution.ranks import run_on_ranks

    if __name__ == "__main__":
        run_on_ranks(Toy(sys.argv[1], {0: "wait", 1: "wait"}), 2, lambda done, total: None)
"""


def test_ranks_end_with_their_starter(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "starter.py").write_text(textwrap.dedent(STARTER))
    command = [sys.executable, str(tmp_path / "starter.py"), str(tmp_path)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as starter:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("rank-*.json"))) < 2:
            assert starter.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        starter.send_signal(signal.SIGKILL)
    ranks = [rank["pid"] for rank in told(tmp_path)]
    while any(alive(pid) for pid in ranks):
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.01)
