"""Two `epa-bench run` on one store at once: they share the work, and neither does what the other did."""

from collections import Counter
from typing import TYPE_CHECKING

from epa_bench.core.attempts import read_attempts

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_two_drivers_finish_together_and_no_cell_is_computed_twice(
    finished: "Workplace", workplace: "Workplace"
) -> None:
    place = finished.copy(workplace.folder, without=("train", "responses", "verdicts", "logps", "values"))
    (place.store / "attempts.jsonl").unlink()
    before = set(place.cells())
    drivers = [place.start("run", "mini.yaml") for _ in range(2)]
    for driver in drivers:
        _, err = driver.communicate(timeout=400)
        assert driver.returncode == 0, err
        assert "computed by another process" in err
    attempts = read_attempts(place.store)
    starts = Counter(attempt.digest for attempt in attempts if attempt.event == "start")
    assert set(starts) == {digest for _, digest in set(place.cells()) - before}
    assert set(starts.values()) == {1}
    # Each did a part: the workers of one are not those of the other.
    assert len({attempt.pid for attempt in attempts}) == 2
    assert place.tables() == finished.tables()
    assert place.cells() == finished.cells()
    assert not list(place.store.glob("locks/*.owner"))
