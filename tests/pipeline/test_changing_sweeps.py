"""A sweep with a cell that always fails, and one that is edited while it runs."""

from collections import Counter
from typing import TYPE_CHECKING

from epa_bench.core.attempts import read_attempts
from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_a_training_that_always_fails_is_told_once_and_the_rest_goes_on(
    finished: "Workplace", workplace: "Workplace"
) -> None:
    place = finished.copy(workplace.folder, without=("values",))
    place.write({"methods.dpo.learning_rate": 1e30, "seeds": [1]})
    (place.store / "attempts.jsonl").unlink()
    done = place.run("run", "mini.yaml")
    assert done.returncode == 8, done.stderr
    assert "Traceback" not in done.stderr
    summary = done.stderr[done.stderr.index("error: ") :]
    assert summary.startswith("error: 1 cell failed; everything that does not need them is done.\ntrain dpo, seed 1: ")
    assert summary.count("train dpo, seed 1") == 1
    assert "left undone because of it: responses dpo, seed 1, " in summary
    attempts = read_attempts(place.store)
    failed = [attempt for attempt in attempts if attempt.event == "failed"]
    assert [attempt.label for attempt in failed] == ["train dpo, seed 1"]
    # Values of the reference and of the two other arms, for which nothing of DPO is needed.
    assert Counter(attempt.step for attempt in attempts if attempt.event == "done")["values"] == 12
    assert not (place.folder / "leaderboards").exists()

    place.write({"seeds": [1]})
    place.finish()
    again = read_attempts(place.store)[len(attempts) :]
    assert {attempt.step for attempt in again} == {"values"}


def test_a_sweep_edited_while_it_runs_ends_as_it_began_and_owes_only_what_is_new(
    finished: "Workplace", workplace: "Workplace"
) -> None:
    place = finished.copy(workplace.folder, without=("values",))
    driver = place.start("run", "mini.yaml")
    wait_until(lambda: any(place.store.glob("cells/values/*")), driver)
    place.write({"suites.linearity.mismatched": 3})
    _, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err
    assert place.tables() == finished.tables()
    kept = place.cells()
    assert kept == finished.cells()

    before = len(read_attempts(place.store))
    place.finish()
    assert kept.items() < place.cells().items()
    started = [attempt for attempt in read_attempts(place.store)[before:] if attempt.event == "start"]
    assert Counter(attempt.step for attempt in started) == {"values": 6}
