"""`epa-bench cell`: one cell of a work order, in a process that knows nothing else."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.config.yaml12 import read_document
from epa_bench.core.cell_messages import Done, Failed, Moved, parse_message
from epa_bench.core.errors import ConfigError, StoreError
from epa_bench.core.store import CellSpec
from epa_bench.pipeline.run import Run, needed_cells, open_run
from epa_bench.pipeline.work_order import run_ordered, write_order
from epa_bench.suites.registry import registry
from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.conftest import Workplace


class Ordered:
    """A place where the trainings and all values are owed, and an order of its cells."""

    def __init__(self, place: "Workplace", run: Run) -> None:
        self.place, self.run = place, run
        self.cells = needed_cells(run)
        self.path = write_order(self.cells, run.store, "cpu", {})

    def first(self, step: str) -> CellSpec:
        return next(cell for cell in self.cells if cell.step == step and not self.run.store.has(cell))

    def edit(self, change: Callable[[Any], None]) -> None:
        order = json.loads(self.path.read_text())
        change(order)
        self.path.write_text(json.dumps(order))

    def cell(self, digest: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        # From another folder: the order alone says where the sweep is.
        return self.place.run("cell", str(self.path), digest, cwd="/", **options)


@pytest.fixture
def ordered(finished: "Workplace", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ordered:
    place = finished.copy(tmp_path, without=("train", "values"))
    monkeypatch.chdir(tmp_path)
    return Ordered(place, open_run(read_document(Path("mini.yaml")), [], registry()))


def test_the_cell_is_what_the_sweep_makes(ordered: Ordered, finished: "Workplace") -> None:
    """Progress line by line, the end last, and nothing else on standard output."""
    training = ordered.first("train")
    done = ordered.cell(training.digest)
    assert done.returncode == 0, done.stderr
    told = [parse_message(line) for line in done.stdout.splitlines()]
    assert told[-1] == Done()
    assert told[:-1] == [Moved(done=step, total=3) for step in range(1, 4)]
    address = ("train", training.digest)
    assert ordered.place.cells()[address] == finished.cells()[address]
    again = ordered.cell(training.digest)
    assert [parse_message(line) for line in again.stdout.splitlines()] == [Done()]


def test_its_own_error_has_its_exit_code_and_is_told(ordered: Ordered) -> None:
    values = ordered.first("values")
    for path in ordered.run.store.folder(values.needs[0]).glob("*.jsonl"):
        path.write_text("")
    failed = ordered.cell(values.digest)
    assert failed.returncode == StoreError.exit_code
    (told,) = (parse_message(line) for line in failed.stdout.splitlines())
    assert isinstance(told, Failed)
    assert isinstance(told.raised(), StoreError)
    assert "is not what was written" in str(told.raised())
    assert "Traceback" not in failed.stderr


def test_an_order_is_believed_only_by_its_digests(ordered: Ordered) -> None:
    values = ordered.first("values")
    ordered.edit(lambda order: order["cells"][values.needs[0].digest]["config"].update(seed=7))
    with pytest.raises(StoreError, match="not that of its address: it was changed"):
        run_ordered(ordered.path, values.digest, lambda done, total: None)
    with pytest.raises(StoreError, match="orders no cell"):
        run_ordered(ordered.path, "../../elsewhere", lambda done, total: None)
    ordered.path.write_text("{}")
    with pytest.raises(StoreError, match="is no work order"):
        run_ordered(ordered.path, values.digest, lambda done, total: None)


def test_other_versions_than_the_address_says_are_refused(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    values = ordered.first("values")
    monkeypatch.setattr("epa_bench.core.code._version", lambda package: "0.0.7")
    with pytest.raises(ConfigError, match=r"has other versions .*numpy 0\.0\.7 instead of"):
        run_ordered(ordered.path, values.digest, lambda done, total: None)


def test_a_store_that_is_not_seen_is_said(ordered: Ordered, tmp_path: Path) -> None:
    values = ordered.first("values")
    ordered.edit(lambda order: order.update(folder=str(tmp_path / "absent")))
    with pytest.raises(StoreError, match=r"does not see .*absent: the store and the sweep's folder must be"):
        run_ordered(ordered.path, values.digest, lambda done, total: None)
    with pytest.raises(StoreError, match=r"does not see .*order\.json: the store .* every node sees"):
        run_ordered(tmp_path / "nowhere" / "order.json", values.digest, lambda done, total: None)


def test_it_ends_with_its_parent(ordered: Ordered) -> None:
    """Whose end of the pipe closes, however the parent dies."""
    training = ordered.first("train")
    process = ordered.place.start("cell", str(ordered.path), training.digest, "--lifeline", stdin=subprocess.PIPE)
    assert process.stdin is not None
    wait_until(lambda: any(ordered.place.store.glob("staging/train-*")), process)
    process.stdin.close()
    process.wait(timeout=60)
    assert not ordered.run.store.has(training)


def test_verdicts_are_asked_again_by_order(ordered: Ordered) -> None:
    """What the driver found to be outdated is removed with the old cell."""
    run = ordered.run
    verdicts = next(cell for cell in ordered.cells if cell.step == "verdicts")
    values = next(cell for cell in ordered.cells if verdicts in cell.needs)
    run_ordered(ordered.path, values.digest, lambda done, total: None)
    manifest = run.store.folder(verdicts) / "cell.json"
    before = manifest.stat().st_ino
    run_ordered(ordered.path, verdicts.digest, lambda done, total: None)
    assert manifest.stat().st_ino == before
    path = write_order(ordered.cells, run.store, "cpu", {verdicts.digest: [values]})
    run_ordered(path, verdicts.digest, lambda done, total: None)
    assert manifest.stat().st_ino != before
    assert not run.store.has(values)
    assert os.getcwd() == str(ordered.place.folder)
