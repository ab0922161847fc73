"""What is taken is not given twice and comes back; by hypothesis over any order of taking and giving."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.execution.tokens import Demand, Grant, Tokens

GPUS = ("0", "1", "GPU-5f2c", "MIG-9")

DEMANDS = st.builds(
    Demand,
    tokens=st.dictionaries(st.sampled_from(["workers", "memory", "uncounted"]), st.integers(0, 50), max_size=3),
    gpus=st.integers(0, len(GPUS)),
)


@given(st.lists(st.tuples(DEMANDS, st.booleans()), max_size=40))
def test_nothing_is_held_twice_and_all_comes_back(asked: list[tuple[Demand, bool]]) -> None:
    totals = {"workers": 3, "memory": 30}
    tokens = Tokens(totals, GPUS)
    held: list[Grant] = []
    for demand, give in asked:
        grant = tokens.take(demand)
        if grant is not None:
            assert len(grant.gpus) == demand.gpus
            held.append(grant)
        for kind, total in totals.items():
            assert sum(each.tokens.get(kind, 0) for each in held) <= total
        gpus = [gpu for each in held for gpu in each.gpus]
        assert len(gpus) == len(set(gpus))
        if give and held:
            tokens.give(held.pop(0))
    for grant in held:
        tokens.give(grant)
    assert tokens.take(Demand(totals, len(GPUS))) == Grant(totals, GPUS)


def test_a_training_of_two_ranks_and_two_of_one_on_three_gpus() -> None:
    tokens = Tokens({"workers": 3}, ["0", "1", "2"])
    two, one = Demand({"workers": 1}, 2), Demand({"workers": 1}, 1)
    first, second = tokens.take(two), tokens.take(one)
    assert first is not None
    assert second is not None
    assert (first.gpus, second.gpus) == (("0", "1"), ("2",))
    assert tokens.take(one) is None
    tokens.give(first)
    again = tokens.take(one)
    assert again is not None
    assert again.gpus == ("0",)
    # One is free, two are asked for: nothing is taken, so the one stays free.
    assert tokens.take(two) is None
    last = tokens.take(one)
    assert last is not None
    assert last.gpus == ("1",)


def test_more_than_there_is_runs_with_nothing_beside_it() -> None:
    tokens = Tokens({"workers": 2, "memory": 100})
    big, small = Demand({"workers": 1, "memory": 900}), Demand({"workers": 1, "memory": 1})
    held = tokens.take(small)
    assert held is not None
    assert tokens.take(big) is None
    tokens.give(held)
    assert tokens.take(big) is not None
    assert tokens.take(small) is None


def test_more_gpus_than_there_are_is_a_bug_of_who_asks() -> None:
    with pytest.raises(AssertionError, match="2 GPUs asked for, there are 1"):
        Tokens({}, ["0"]).take(Demand(gpus=2))
