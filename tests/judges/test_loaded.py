"""A judge in this process: what is kept of its replies, and when it is loaded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from epa_bench.config.judge import LocalJudge
from epa_bench.judges.asking import Answer, UnparsedError
from epa_bench.judges.loaded import LoadedJudge, Replied
from epa_bench.judges.records import JudgeDecoding, Question, Reply, Usage
from tests.judging import ask, questions


@dataclass
class Echo:
    """Says the question again, last question first; has no reply to those that are silenced, and may break down."""

    silenced: tuple[str, ...] = ()
    breaks_after: int | None = None
    asked: list[str] = field(default_factory=list)
    decodings: list[JudgeDecoding] = field(default_factory=list)
    loaded: int = 0
    closed: int = 0

    def load(self) -> "Echo":
        self.loaded += 1
        return self

    def replies(self, asked: Sequence[tuple[Question, JudgeDecoding]]) -> Iterator[Replied]:
        for index in reversed(range(len(asked))):
            question, decoding = asked[index]
            text = question.messages[0].content
            if len(self.asked) == self.breaks_after:
                raise RuntimeError("out of memory")
            self.asked.append(text)
            self.decodings.append(decoding)
            if text in self.silenced:
                yield Replied(index, error="too long: 9 tokens")
            else:
                yield Replied(index, Reply(text=text, usage=Usage(input_tokens=2, output_tokens=1)))

    def close(self) -> None:
        self.closed += 1


def judge(folder: Path, model: Echo, identity: str = "one", **settings: Any) -> LoadedJudge:
    config = LocalJudge.model_validate({"kind": "local", "path": "somewhere", **settings})
    return LoadedJudge("a judge", identity, config, folder / "replies", model.load)


def test_equal_questions_are_asked_once_and_kept_ones_never(tmp_path: Path) -> None:
    model = Echo()
    answers, tally = ask(judge(tmp_path, model), [*questions(3), *questions(2)])
    assert [answer.value for answer in answers] == [f"question {i}" for i in (0, 1, 2, 0, 1)]
    assert (tally.asked, tally.cached, tally.input_tokens, tally.dollars) == (3, 2, 6, 0.0)
    answers, tally = ask(judge(tmp_path, model), questions(4))
    assert [answer.value for answer in answers] == [f"question {i}" for i in range(4)]
    assert (tally.asked, tally.cached) == (1, 3)
    assert (len(model.asked), model.loaded, model.closed) == (4, 2, 2)


def test_a_judge_that_has_nothing_to_say_is_not_loaded(tmp_path: Path) -> None:
    ask(judge(tmp_path, Echo()), questions(3))
    again = Echo()
    ask(judge(tmp_path, again), questions(3))
    assert again.loaded == 0


def test_another_judge_is_asked_again(tmp_path: Path) -> None:
    ask(judge(tmp_path, Echo()), questions(3))
    other = Echo()
    ask(judge(tmp_path, other, identity="two"), questions(3))
    assert len(other.asked) == 3


def test_a_reply_that_is_no_verdict_is_an_error_and_kept(tmp_path: Path) -> None:
    def refuse(reply: Reply) -> str:
        raise UnparsedError("neither label")

    for asked in (2, 0):
        answers: list[Answer[str]] = []
        tally = judge(tmp_path, Echo()).ask_all(questions(2), refuse, answers.append)
        assert {answer.error for answer in answers} == {"neither label"}
        assert all(answer.reply is not None for answer in answers)
        assert (tally.asked, tally.errors["neither label"]) == (asked, 2)


def test_a_question_without_a_reply_is_an_error_row(tmp_path: Path) -> None:
    answers, tally = ask(judge(tmp_path, Echo(silenced=("question 1",))), questions(3))
    assert [answer.error for answer in answers] == [None, "too long: 9 tokens", None]
    assert (tally.asked, tally.errors) == (2, {"too long": 1})


def test_what_was_said_before_a_breakdown_is_kept(tmp_path: Path) -> None:
    broken = Echo(breaks_after=2)
    with pytest.raises(RuntimeError, match="out of memory"):
        ask(judge(tmp_path, broken), questions(5))
    assert broken.closed == 1
    whole = Echo()
    answers, _ = ask(judge(tmp_path, whole), questions(5))
    assert [answer.value for answer in answers] == [f"question {i}" for i in range(5)]
    assert len(whole.asked) == 3


def test_the_configuration_decides_how_it_is_asked(tmp_path: Path) -> None:
    model = Echo()
    ask(judge(tmp_path, model, max_tokens=3, top_logprobs=20), questions(1, extra_body={"seed": 1}))
    assert model.decodings == [JudgeDecoding(temperature=0.0, max_tokens=3, top_logprobs=20)]
