"""Judges whose opinion is known, on pairs by hand and on real ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from epa_bench.core.records import Message
from epa_bench.judges.records import GameVerdict, MatchVerdict, Winner
from epa_bench.judges.template import make_template
from epa_bench.suites.judge_check import JudgeCheck, check_judge, pair_items
from epa_bench.suites.labelled_pairs import LabelledPair, length_baseline, read_labelled_pairs
from epa_bench.suites.means import Mean

Opinion = Callable[[LabelledPair, bool], Winner | None]
"""(pair, output 2 is shown first) -> who wins; output 1 is the baseline, output 2 the output."""


def _verdict(pair: LabelledPair, opinion: Opinion) -> MatchVerdict:
    winners = opinion(pair, False), opinion(pair, True)
    games = [
        GameVerdict(swapped=swapped, winner=winner, error="no label: cut" if winner is None else None)
        for swapped, winner in zip((False, True), winners, strict=True)
    ]
    error = "no label: cut" if None in winners else None
    winner = None if error else winners[0] if winners[0] == winners[1] else "tie"
    return MatchVerdict(prompt_id="p", winner=winner, error=error, games=(games[0], games[1]))


def _check(pairs: Sequence[LabelledPair], opinion: Opinion) -> JudgeCheck:
    return check_judge(pairs, [_verdict(pair, opinion) for pair in pairs])


def _value(mean: Mean | None) -> float:
    assert mean is not None
    return mean.value


def _side(number: int | None) -> Winner:
    return "tie" if number is None else "baseline" if number == 1 else "output"


def by_people(pair: LabelledPair, swapped: bool) -> Winner:
    return _side(pair.label)


def by_length(pair: LabelledPair, swapped: bool) -> Winner:
    return _side(pair.longer)


def by_place(pair: LabelledPair, swapped: bool) -> Winner:
    return "output" if swapped else "baseline"


def undecided(pair: LabelledPair, swapped: bool) -> Winner:
    return "tie"


@pytest.fixture(params=["Natural", "processed_MT-Bench"])
def pairs(request: pytest.FixtureRequest, shared_data: Path) -> list[LabelledPair]:
    return read_labelled_pairs(shared_data / "preferences" / "llmbar" / f"{request.param}.json")


def test_a_judge_that_thinks_as_people_do(pairs: list[LabelledPair]) -> None:
    check = _check(pairs, by_people)
    assert [_value(mean) for mean in (check.agreement, check.agreement_in_both, check.consistency)] == [1, 1, 1]
    assert (_value(check.first_wins), check.ties, _value(check.length_bias)) == (0.5, 0, 0)
    assert (check.n, check.errors) == (len(pairs), {})
    # Even so there is an interval: it might have been luck.
    assert check.agreement is not None
    assert check.agreement.low is not None
    assert 0.9 < check.agreement.low < 1 == check.agreement.high


def test_a_judge_of_length_alone(pairs: list[LabelledPair]) -> None:
    check = _check(pairs, by_length)
    equal = sum(pair.longer is None for pair in pairs) / len(pairs)
    assert _value(check.agreement_in_both) == length_baseline(pairs) == check.length_baseline
    assert _value(check.agreement) == pytest.approx(length_baseline(pairs) + equal / 2)
    unequal = [pair for pair in pairs if pair.longer is not None]
    people = sum(pair.label == pair.longer for pair in unequal) / len(unequal)
    assert _value(check.length_bias) == pytest.approx(1 - people)
    assert (_value(check.consistency), _value(check.first_wins)) == (1, 0.5)


def test_a_judge_of_the_place_alone(pairs: list[LabelledPair]) -> None:
    check = _check(pairs, by_place)
    assert [_value(mean) for mean in (check.agreement, check.agreement_in_both, check.consistency)] == [0.5, 0, 0]
    assert _value(check.first_wins) == 1


def test_a_judge_that_never_decides(pairs: list[LabelledPair]) -> None:
    check = _check(pairs, undecided)
    assert [_value(mean) for mean in (check.agreement, check.agreement_in_both, check.consistency)] == [0.5, 0, 1]
    assert (_value(check.first_wins), check.ties) == (0.5, 1)


def test_worked_pairs() -> None:
    """Both right; right and a tie; right and wrong; an error, which no share counts."""
    pairs = [
        LabelledPair(input="a", output_1="long", output_2="s", label=1),
        LabelledPair(input="b", output_1="s", output_2="long", label=2),
        LabelledPair(input="c", output_1="s", output_2="long", label=1),
        LabelledPair(input="d", output_1="s", output_2="t", label=1),
    ]
    winners: list[tuple[Winner | None, Winner | None]] = [
        ("baseline", "baseline"),
        ("output", "tie"),
        ("baseline", "output"),
        ("baseline", None),
    ]
    games = dict(zip([pair.input for pair in pairs], winners, strict=True))
    check = _check(pairs, lambda pair, swapped: games[pair.input][swapped])
    assert (check.n, check.errors) == (3, {"no label": 1})
    assert _value(check.agreement) == pytest.approx((1 + 0.75 + 0.5) / 3)
    assert _value(check.agreement_in_both) == pytest.approx(1 / 3)
    assert _value(check.consistency) == pytest.approx(1 / 3)
    # Straight games 1, 0, 1 for output 1; swapped games 0, 1/2, 1 for output 2.
    assert _value(check.first_wins) == pytest.approx((1 + 0 + 1 + 0 + 0.5 + 1) / 6)
    assert check.ties == pytest.approx(1 / 6)
    # Longer: the judge 1, 3/4, 1/2 against people's 1, 1, 0.
    assert _value(check.length_bias) == pytest.approx((2.25 - 2) / 3)
    assert check.length_baseline == 0.5


def test_pairs_of_one_instruction_are_one_sample(shared_data: Path) -> None:
    """processed_MT-Bench compares several models' answers to one question: 75 questions, 200 pairs."""
    pairs = read_labelled_pairs(shared_data / "preferences" / "llmbar" / "processed_MT-Bench.json")
    alone = [pair.model_copy(update={"input": f"{number} {pair.input}"}) for number, pair in enumerate(pairs)]
    together, apart = _check(pairs, by_length).agreement, _check(alone, by_length).agreement
    assert together is not None
    assert apart is not None
    assert together.value == apart.value
    assert (together.low, together.high) != (apart.low, apart.high)


def test_no_verdict_at_all() -> None:
    pairs = [LabelledPair(input="a", output_1="x", output_2="y", label=1)]
    check = _check(pairs, lambda pair, swapped: None)
    assert (check.n, check.errors, check.agreement, check.ties, check.length_bias) == (
        0,
        {"no label": 1},
        None,
        None,
        None,
    )
    assert _value(_check(pairs, by_people).agreement) == 1


def test_items_show_both_orders() -> None:
    template = make_template([("user", "{question}|{answer_a}|{answer_b}")], ("question", "answer_a", "answer_b"))
    pair = LabelledPair(input="q", output_1="{answer_b}", output_2="two", label=1)
    (item,) = pair_items("set", [pair], template)
    assert item.prompt_id == "set/1"
    assert item.straight.messages == (Message(role="user", content="q|{answer_b}|two"),)
    assert item.swapped.messages == (Message(role="user", content="q|two|{answer_b}"),)
