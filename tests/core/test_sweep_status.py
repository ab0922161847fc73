"""Time left, worked by hand; what people are told; curves as blocks."""

from collections import Counter

import pytest

from epa_bench.core.sparkline import sparkline
from epa_bench.core.sweep_status import Lane, SweepStatus, spoken, time_left


def test_work_is_spread_over_the_workers_and_lanes_go_side_by_side() -> None:
    compute = Lane(2, Counter(train=3, values=1), {"d": ("train", 4.0)})
    judge = Lane(1, Counter(judged_pairs=2))
    seconds = {"train": [9.0, 11.0], "values": [2.0], "judged_pairs": [5.0]}
    # (3 x 10 + 2 + the 6 that are left of the running one) / 2, beside 2 x 5.
    assert time_left([compute, judge], seconds) == 19.0
    assert time_left([compute, judge], {**seconds, "judged_pairs": [30.0]}) == 60.0


def test_a_step_without_a_finished_cell_is_not_guessed() -> None:
    assert time_left([Lane(1, Counter(train=1))], {"values": [1.0]}) is None
    assert time_left([Lane(1, Counter(), {"d": ("train", 1.0)})], {}) is None
    # What is not owed any more does not count.
    assert time_left([Lane(1, Counter(train=0))], {}) == 0.0


def test_workers_do_not_shorten_the_last_cell_and_a_late_one_is_due() -> None:
    assert time_left([Lane(8, Counter(), {"d": ("train", 4.0)})], {"train": [10.0]}) == 6.0
    assert time_left([Lane(8, Counter(), {"d": ("train", 40.0)})], {"train": [10.0]}) == 0.0


def test_what_people_are_told() -> None:
    status = SweepStatus(done=3, running=2, waiting=4, failed=1, undone=2, per_minute=12.345, left=200.0)
    assert str(status) == (
        "3 done, 2 running, 4 waiting, 1 failed, 2 left undone because of them; 12.3 cells/min; about 3 min left"
    )
    assert str(SweepStatus(done=0, running=1, waiting=0)) == "0 done, 1 running, 0 waiting; time left not known yet"
    assert str(SweepStatus(done=3, running=0, waiting=0)) == "3 done, 0 running, 0 waiting"


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (91, "2 min"), (7200, "2.0 h")])
def test_spoken(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


def test_sparkline() -> None:
    assert sparkline([]) == ""
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([0.0, 1.0, 7.0]) == "▁▂█"
    # Each block is the mean of its share: 0.5, 4.5, 8.5.
    assert sparkline([0, 1, 4, 5, 8, 9], width=3) == "▁▅█"
    assert len(sparkline(range(1000))) == 40
