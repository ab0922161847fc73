"""A sweep that is killed at random, again and again, on a disk that fills up and damages a file, ends as an undisturbed
one: same tables, same cells, nothing computed again that was finished."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from epa_bench.core.attempts import read_attempts
from tests.conftest import REPOSITORY
from tests.pipeline.published import api, judged_sweep
from tests.processes import MARK, marked_processes, wait_until_gone

if TYPE_CHECKING:
    from tests.conftest import Workplace

VICTIMS = ["worker"] * 24 + ["driver"] * 10 + ["judge"] * 6
"""Who is killed, in an order that is drawn; a fast machine ends the sweep before the last of them."""

KILLS = 30
"""At least so many of them are."""

PROMPTS = 6
RESTARTED = {6, 10, 11, 13, -signal.SIGKILL}
"""Exit codes after which a user runs the same command again: disk, dead workers, judge, several of these, killed."""

JUDGE = """
import sys, time
from tests.judge_server import JudgeServer
from tests.pipeline.published import rate

def slowly(asked):
    time.sleep(0.02)
    return rate(asked)

with JudgeServer(slowly, port=int(sys.argv[1])) as server:
    server.until_closed()
"""


class Judge:
    """A judge's server in a process of its own, on a port that stays."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", JUDGE, str(self.port)]
        self._process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Chaos:
    """A driver that is started again whenever it ends, and what is done to it."""

    place: "Workplace"
    judge: Judge
    disk: "Disk"
    random: Random
    victims: list[str] = field(default_factory=VICTIMS.copy)
    """Still to be killed, the last one first."""

    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.random.shuffle(self.victims)

    def start(self) -> None:
        limit = self.disk.limit_of_files
        self.driver = self.place.start(
            *("run", "mini.yaml", "--set", "execution.workers=2"),
            env={**os.environ, MARK: self.mark},
            preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def goes_on(self) -> bool:
        """Whether there is more to do; a driver that ended by what was done to it is started again."""
        code = self.driver.poll()
        if code in RESTARTED:
            wait_until_gone(self.mark)
            self.start()
        elif code is not None:
            assert code == 0
        return code != 0

    def kill(self) -> None:
        """The next victim, if there is one now."""
        victim = self.victims[-1]
        if victim == "worker":
            workers = [pid for pid in marked_processes(self.mark) if _is_worker(pid)]
            try:
                os.kill(self.random.choice(sorted(workers)), signal.SIGKILL)
            except (IndexError, ProcessLookupError):
                # None now, or it has just ended.
                return
        elif victim == "driver":
            if self.driver.poll() is not None:
                return
            self.driver.kill()
            self.driver.wait()
        else:
            self.judge.kill()
            self.judge.start()
        self.victims.pop()

    def await_cells(self, more: int) -> None:
        """Until so many more cells are finished, or the sweep is."""
        deadline, wanted = time.monotonic() + 300, len(self.place.cells()) + more
        while self.goes_on() and len(self.place.cells()) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def disturb(self, until: int) -> None:
        """Bursts of kills: most hit processes that have hardly started, and each is followed by some cells of peace.

        `until`: how many are then still to be killed.
        """
        while self.goes_on() and len(self.victims) > until:
            for _ in range(self.random.randint(8, 12)):
                time.sleep(self.random.uniform(0, 0.8))
                if self.goes_on() and len(self.victims) > until:
                    self.kill()
            self.await_cells(1)


def _is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path("/proc", str(pid), "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Disk:
    """Where the runs go: a small file system that can be filled, or a limit on the size of files in its place."""

    folder: Path
    mounted: bool
    limit_of_files: int | None = None

    def fill(self) -> None:
        if self.mounted:
            with (self.folder / "ballast").open("wb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, shutil.disk_usage(self.folder).free - 2**14)
        else:
            self.limit_of_files = 2**12

    def empty(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)
        self.limit_of_files = None


@pytest.fixture
def disk(workplace: "Workplace") -> Iterator[Disk]:
    folder = workplace.folder / "runs"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    yield Disk(folder, mounted)
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def judge() -> Iterator[Judge]:
    judge = Judge()
    yield judge
    judge.kill()


@pytest.fixture
def undisturbed(judge: Judge, workplace: "Workplace", tmp_path_factory: pytest.TempPathFactory) -> "Workplace":
    """The sweep of `workplace`, run in peace elsewhere."""
    sweep = judged_sweep(workplace.folder, PROMPTS)
    workplace.write({**sweep, "judge": api(f"http://127.0.0.1:{judge.port}/v1", retries=12)})
    place = workplace.copy(tmp_path_factory.mktemp("undisturbed"))
    place.finish("mini.yaml", "--set", "execution.workers=2")
    return place


def truncate_a_file(chaos: Chaos) -> str:
    """Cuts a finished cell's largest file; the check names it, and its folder is deleted, as the check says. Gives the
    cell's digest."""
    place = chaos.place
    cut = max(place.store.glob("cells/train/*/model/model.safetensors"), key=lambda path: path.stat().st_size)
    os.truncate(cut, cut.stat().st_size // 2)
    found = place.run("store", "check")
    assert found.returncode == 6
    folder = cut.parents[1]
    assert f"Delete the folder {folder.relative_to(place.folder)} and run again" in found.stderr
    shutil.rmtree(folder)
    return folder.name


def test_chaos_changes_nothing(undisturbed: "Workplace", workplace: "Workplace", judge: Judge, disk: Disk) -> None:
    chaos = Chaos(workplace, judge, disk, Random(20261121))
    chaos.start()
    chaos.disturb(12)

    disk.fill()
    if not disk.mounted:
        chaos.driver.kill()
    while chaos.driver.poll() is None:
        time.sleep(0.02)
    assert chaos.driver.returncode in RESTARTED
    disk.empty()
    assert chaos.goes_on()

    while not list(workplace.store.glob("cells/train/*")):
        chaos.await_cells(1)
    chaos.driver.kill()
    chaos.driver.wait()
    wait_until_gone(chaos.mark)
    repaired = truncate_a_file(chaos)

    chaos.disturb(0)
    chaos.await_cells(10**6)
    assert len(VICTIMS) - len(chaos.victims) >= KILLS
    wait_until_gone(chaos.mark)

    assert workplace.tables() == undisturbed.tables()
    assert workplace.cells() == undisturbed.cells()
    checked = workplace.run("store", "check")
    assert checked.returncode == 0, checked.stderr
    assert not list(workplace.store.glob("staging/*"))
    done: set[str] = set()
    for attempt in read_attempts(workplace.store):
        if attempt.event == "start" and attempt.digest != repaired:
            assert attempt.digest not in done, attempt
        if attempt.event == "done":
            done.add(attempt.digest)
