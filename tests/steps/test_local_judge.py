"""A model as a judge: what it replies, against its plain forward."""

import pytest
import torch

from epa_bench.core.records import Message
from epa_bench.engines.transformers import TransformersEngine
from epa_bench.judges.records import JudgeDecoding, Question
from epa_bench.steps.local_judge import EngineModel
from tests.tiny import tiny_model, tiny_renderer, tiny_tokenizer

RENDERER = tiny_renderer()
LABEL = JudgeDecoding(temperature=1.0, max_tokens=1, top_logprobs=5)
TEXT = JudgeDecoding(temperature=0.0, max_tokens=6)


def question(text: str) -> Question:
    messages = (Message(role="system", content="You judge."), Message(role="user", content=text))
    return Question(template="t", messages=messages, decoding=TEXT)


def model(room: int = 128, plain: bool = False) -> EngineModel:
    return EngineModel(TransformersEngine(tiny_model(1), tiny_tokenizer(), RENDERER, 2), RENDERER, room, plain)


def test_probabilities_of_the_first_token() -> None:
    asked = question("echo ant")
    (replied,) = model().replies([(asked, LABEL)])
    ids = RENDERER.prompt_ids(asked.messages)
    with torch.no_grad():
        logps_V = torch.log_softmax(tiny_model(1)(input_ids=torch.tensor([ids])).logits[0, -1], dim=-1)
    best, tokens = logps_V.topk(5)
    assert replied.reply is not None
    assert replied.reply.top_logprobs is not None
    assert [logp for _, logp in replied.reply.top_logprobs] == pytest.approx(best.tolist(), abs=1e-5)
    assert replied.reply.text == RENDERER.decode([int(tokens[0])])
    assert (replied.reply.usage.input_tokens, replied.reply.usage.output_tokens) == (len(ids), 1)


def test_each_decoding_has_batches_of_its_own_and_every_question_one_reply() -> None:
    asked = [(question(f"echo {'ant ' * i}"), LABEL if i % 2 else TEXT) for i in range(7)]
    replied = sorted(model().replies(asked), key=lambda each: each.index)
    assert [each.index for each in replied] == list(range(7))
    for each, (alone, decoding) in zip(replied, asked, strict=True):
        (other,) = model().replies([(alone, decoding)])
        assert each.reply is not None
        assert other.reply is not None
        assert each.reply.text == other.reply.text
        assert (each.reply.top_logprobs is None) == (decoding is TEXT)
        assert each.reply.usage == other.reply.usage


def test_text_and_probabilities_together() -> None:
    both = JudgeDecoding(temperature=0.0, max_tokens=6, top_logprobs=3)
    (one,), (two,) = (model().replies([(question("echo elm"), decoding)]) for decoding in (both, TEXT))
    assert one.reply is not None
    assert two.reply is not None
    assert one.reply.text == two.reply.text
    assert len(one.reply.top_logprobs or ()) == 3


def test_a_question_without_room_is_an_error_and_the_others_are_asked() -> None:
    short, long = question("echo ant"), question("echo " + "ant " * 40)
    room = len(RENDERER.prompt_ids(short.messages)) + TEXT.max_tokens
    first, second = sorted(model(room).replies([(long, TEXT), (short, TEXT)]), key=lambda each: each.index)
    assert first.reply is None
    assert first.error is not None
    assert first.error.startswith("too long: ")
    assert second.reply is not None


def test_plain_judges_read_the_messages_as_one_text() -> None:
    plain = tiny_renderer()
    asked = question("echo ant")
    (replied,) = model(plain=True).replies([(asked, LABEL)])
    assert replied.reply is not None
    assert replied.reply.usage.input_tokens == len(plain.prompt_ids("You judge.\n\necho ant"))
