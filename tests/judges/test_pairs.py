"""Pairs in one order or both: who is shown where, what is not asked at all, and what stands beside a win rate."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from epa_bench.judges.asking import UnparsedError
from epa_bench.judges.pair_summary import summarise_pairs
from epa_bench.judges.pairs import Pairing, PairwiseProtocol, judge_pairs, pairwise_questions
from epa_bench.judges.pairwise import label_in_text
from epa_bench.judges.records import JudgeDecoding, OrderVerdict, PairwiseVerdict
from tests.judge_server import Asked, Fault, JudgeServer
from tests.judging import TEMPLATE, endpoint, pairings

TEXT = JudgeDecoding(temperature=0.0, max_tokens=50)
BOTH = PairwiseProtocol(template=TEMPLATE, reading="text", order="both", decoding=TEXT)


def _says(text: str) -> Fault:
    return Fault(change=lambda c: c["choices"][0].update(message={"content": text}, finish_reason="stop"))


def _model_is_first(asked: Asked) -> bool:
    return f"First: <<answer {asked.number}>>" in asked.text


def test_a_judge_that_knows_better_is_followed_in_both_orders(tmp_path: Path) -> None:
    """It prefers the model's answer to every even question, wherever it is shown."""

    def schedule(asked: Asked) -> Fault:
        return _says("m" if _model_is_first(asked) == (asked.number % 2 == 0) else "M")

    with JudgeServer(schedule) as server:
        verdicts, tally = judge_pairs(pairings(10), BOTH, endpoint(tmp_path, server.url))
        assert len(server.requests) == 20
    assert [verdict.preference for verdict in verdicts] == [2.0, 1.0] * 5
    assert [[order.swapped for order in verdict.orders] for verdict in verdicts] == [[False, True]] * 10
    summary = summarise_pairs(verdicts)
    assert (summary.agreement, summary.first_wins, summary.both_orders) == (1, 0.5, 10)
    assert tally.asked == 20


def test_a_judge_that_takes_the_first_one_is_found_out(tmp_path: Path) -> None:
    with JudgeServer(lambda asked: _says("m")) as server:
        verdicts, _ = judge_pairs(pairings(10), BOTH, endpoint(tmp_path, server.url))
    assert [verdict.preference for verdict in verdicts] == [1.5] * 10
    summary = summarise_pairs(verdicts)
    assert (summary.agreement, summary.first_wins) == (0, 1)


def test_an_order_that_fails_makes_the_pair_an_error(tmp_path: Path) -> None:
    with JudgeServer(lambda asked: _says("m or M" if _model_is_first(asked) else "M")) as server:
        (verdict,), tally = judge_pairs(pairings(1), BOTH, endpoint(tmp_path, server.url))
    assert (verdict.preference, verdict.error) == (None, "both labels")
    assert [order.preference for order in verdict.orders] == [2.0, None]
    assert [order.reply.text for order in verdict.orders if order.reply] == ["M", "m or M"]
    assert dict(tally.errors) == {"both labels": 1}


def test_identical_answers_are_a_draw_without_a_call(tmp_path: Path) -> None:
    pairs = [
        Pairing(prompt_id="p", instruction="question 0", output=text, baseline=text) for text in ("", "same", "same ")
    ]
    with JudgeServer() as server:
        verdicts, _ = judge_pairs(pairs, BOTH, endpoint(tmp_path, server.url))
        assert server.requests == []
    assert [(verdict.preference, verdict.orders) for verdict in verdicts] == [(1.5, ())] * 3


def test_an_empty_answer_is_asked_about(tmp_path: Path) -> None:
    pair = Pairing(prompt_id="p", instruction="question 0", output="", baseline="words")
    with JudgeServer() as server:
        judge_pairs([pair], BOTH, endpoint(tmp_path, server.url))
        assert len(server.requests) == 2


def test_the_seeded_order_is_one_call_and_both_contain_it() -> None:
    one = BOTH.model_copy(update={"order": "seeded"})
    seeded, both = pairwise_questions(pairings(40), one), pairwise_questions(pairings(40), BOTH)
    assert (len(seeded), len(both)) == (40, 80)
    places = [both.index(question) for question in seeded]
    assert [place // 2 for place in places] == list(range(40))
    assert 5 < sum(place % 2 for place in places) < 35


def test_progress_is_reported(tmp_path: Path) -> None:
    reported: list[tuple[int, int]] = []
    with JudgeServer(lambda asked: _says("m")) as server:
        judge_pairs(pairings(3), BOTH, endpoint(tmp_path, server.url), lambda *done: reported.append(done))
    assert reported == [(done, 6) for done in range(1, 7)]


def test_halves_of_surrogate_pairs_do_not_stop_a_run(tmp_path: Path) -> None:
    pair = Pairing(prompt_id="p", instruction="question 0", output="a\ud800", baseline="b")
    with JudgeServer() as server:
        (verdict,), _ = judge_pairs([pair], BOTH, endpoint(tmp_path, server.url))
    assert verdict.output == "a\ufffd"
    assert verdict.model_dump_json()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ("m", "m")}, "must differ"),
        ({"reading": "logprobs"}, "set decoding.top_logprobs"),
        ({"patterns": ("(", "b")}, "no regular expression"),
    ],
)
def test_a_protocol_that_cannot_work(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PairwiseProtocol.model_validate({**BOTH.model_dump(), **changes})


def _verdict(*orders: OrderVerdict, error: str | None = None, intrusions: tuple[str, ...] = ()) -> PairwiseVerdict:
    preference = None if error else 1.5
    return PairwiseVerdict(
        prompt_id="p",
        output="a",
        baseline="b",
        preference=preference,
        error=error,
        orders=orders,
        intrusions=intrusions,
    )


def test_a_summary_by_hand() -> None:
    verdicts = [
        # Both orders prefer the model; shown first it has .9, the baseline shown first .4.
        _verdict(
            OrderVerdict(swapped=False, preference=1.6, outside=0.2),
            OrderVerdict(swapped=True, preference=1.9, outside=0.0),
            intrusions=("frame",),
        ),
        # They disagree: whoever is first has .7.
        _verdict(
            OrderVerdict(swapped=False, preference=1.3, outside=0.1),
            OrderVerdict(swapped=True, preference=1.7, outside=0.1),
        ),
        _verdict(),
        _verdict(OrderVerdict(swapped=True, error="no rating: cut"), error="no rating: cut", intrusions=("frame",)),
    ]
    summary = summarise_pairs(verdicts)
    assert summary.model_dump() == {
        "verdicts": 3,
        "errors": {"no rating": 1},
        "identical": 1,
        "both_orders": 2,
        "agreement": 0.5,
        "first_wins": pytest.approx((0.4 + 0.9 + 0.7 + 0.7) / 4),
        "outside": pytest.approx(0.1),
        "outside_large": 1,
        "intrusions": {"frame": 2},
    }


def test_a_summary_of_nothing() -> None:
    summary = summarise_pairs([])
    assert (summary.verdicts, summary.agreement, summary.first_wins, summary.outside) == (0, None, None, None)


def test_a_refusal_in_words_is_only_text() -> None:
    with pytest.raises(UnparsedError, match="neither label"):
        label_in_text("I'm sorry, but I cannot compare these.", ("m", "M"))
