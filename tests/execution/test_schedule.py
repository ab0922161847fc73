"""Order, failure and what is left undone, for any graph of cells."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.errors import DataError
from epa_bench.core.store import CellSpec
from epa_bench.execution.schedule import Schedule


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[CellSpec], set[str], set[str]]:
    """Cells with needs first, the digests of some that are done (with all they need), and of some that will fail."""
    cells: list[CellSpec] = []
    for number in range(draw(st.integers(1, 12))):
        chosen = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else []
        cells.append(CellSpec("toy", {"n": number}, {str(n): cells[n] for n in chosen}, {}, label=str(number)))
    done: set[str] = set()
    for cell in cells:
        if all(need.digest in done for need in cell.needs) and draw(st.booleans()):
            done.add(cell.digest)
    return cells, done, {cell.digest for cell in cells if draw(st.booleans())}


def nothing_alike(cell: CellSpec) -> bool:
    return False


@given(graphs(), st.randoms(use_true_random=False))
def test_every_cell_ends_once_and_only_what_needs_a_failed_one_is_left(graph: Any, random: Any) -> None:
    cells, done, failing = graph
    schedule = Schedule(cells, done)
    ended, running = set(done), []
    while not schedule.is_over:
        for cell in schedule.ready():
            assert all(need.digest in ended for need in cell.needs)
            schedule.start(cell)
            running.append(cell)
        cell = running.pop(random.randrange(len(running)))
        if cell.digest in failing:
            schedule.fail(cell, DataError("bad"), nothing_alike)
        else:
            schedule.finish(cell)
            assert cell.digest not in ended
            ended.add(cell.digest)
    failed = {failure.cell.digest for failure in schedule.failures}
    assert failed <= failing
    assert failed | ended | set(schedule.undone) == {cell.digest for cell in cells}
    for cell in cells:
        needs_undone = any(need.digest in failed | set(schedule.undone) for need in cell.needs)
        assert (cell.digest in schedule.undone) == needs_undone


def test_failing_alike_ends_what_waits_but_not_what_runs() -> None:
    a, b, c = (CellSpec("toy", {"n": n}, {}, {}) for n in "abc")
    schedule = Schedule([a, b, c], set())
    schedule.start(a)
    schedule.start(b)
    schedule.fail(a, DataError("the disk is full"), lambda cell: True)
    assert set(schedule.undone) == {c.digest}
    assert not schedule.is_over
    schedule.finish(b)
    assert schedule.is_over


def test_cells_that_only_come_after_wait_for_the_end_whatever_it_is() -> None:
    a, b, c = (CellSpec("toy", {"n": n}, {}, {}) for n in "abc")
    before = frozenset({a.digest, b.digest})
    schedule = Schedule([a, b, c], {b.digest})
    assert not schedule.has_ended(before)
    schedule.start(a)
    schedule.put_back(a)
    assert list(schedule.ready()) == [c, a]
    assert not schedule.has_ended(before)
    schedule.start(a)
    schedule.fail(a, DataError("bad"), nothing_alike)
    assert schedule.has_ended(before)
