"""Generation: greedy and sampled answers that depend on nothing but the prompt, its seed and the model."""

import math
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, cast

import pytest
import torch
from scipy.stats import chisquare  # type: ignore[import-untyped]
from transformers import GenerationConfig, PreTrainedModel

from epa_bench.core.errors import CheckpointError, DataError
from epa_bench.core.records import Message, Prompt
from epa_bench.data.embedded.families import make_prompts
from epa_bench.engines.protocol import Answer, Continuation, Decoding, Request
from epa_bench.engines.transformers import TransformersEngine, eos_ids, special_ids
from tests.tiny import head_of, tiny_model, tiny_renderer, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
RENDERER = tiny_renderer()
EOS = int(TOKENIZER.eos_token_id)
PROMPTS = [prompt.text for prompt in make_prompts(24, 0, "evaluation")]
REQUESTS = [Request(prompt, seed=1000 + i) for i, prompt in enumerate(PROMPTS)]
GREEDY = Decoding(temperature=0, max_new_tokens=12)
SAMPLED = Decoding(temperature=1, max_new_tokens=12)


def token(text: str) -> int:
    (found,) = TOKENIZER(text)["input_ids"]
    return int(found)


def wordy_model(eos: float = 3.0) -> PreTrainedModel:
    """Its answers end by EOS sooner or later: a random model's alone would after some 300 tokens."""
    model = tiny_model(0)
    bias_V = torch.zeros(len(TOKENIZER))
    bias_V[EOS] = eos
    head_of(model).register_forward_hook(lambda _, __, logits: logits + bias_V)
    return model


def fixed_model(logits: dict[str, float]) -> PreTrainedModel:
    """One whose next token never depends on what stands before: all its mass is on the given tokens."""
    model = tiny_model(0)
    logits_V = torch.full((len(TOKENIZER),), -1e9)
    for text, value in logits.items():
        logits_V[EOS if text == "" else token(text)] = value
    head_of(model).register_forward_hook(lambda _, __, computed: computed * 0 + logits_V)
    return model


def with_settings(model: PreTrainedModel, **settings: Any) -> PreTrainedModel:
    """The model, its checkpoint's generation_config.json holding these."""
    model.generation_config = cast(Any, GenerationConfig)(**settings)
    return model


def engine_of(model: PreTrainedModel, batch_size: int = 8) -> TransformersEngine:
    return TransformersEngine(model, TOKENIZER, RENDERER, batch_size)


def answers(engine: TransformersEngine, requests: Sequence[Request], decoding: Decoding) -> list[Answer]:
    """Through the engine's own plan, in the requests' order."""
    found: dict[int, Answer] = {}
    for batch in engine.plan(requests):
        found |= dict(zip(batch, engine.answer([requests[i] for i in batch], decoding), strict=True))
    return [found[i] for i in range(len(requests))]


def said_ids(model: PreTrainedModel, prompt: Prompt, most: int) -> list[int]:
    """Arg max of a full forward, token by token, without cache or padding."""
    prompt_ids = RENDERER.prompt_ids(prompt)
    said: list[int] = []
    while len(said) < most and EOS not in said:
        with torch.no_grad():
            said.append(int(model(input_ids=torch.tensor([prompt_ids + said])).logits[0, -1].argmax()))
    return said


def greedy_by_hand(model: PreTrainedModel, prompt: Prompt, most: int) -> Answer:
    said = said_ids(model, prompt, most)
    if said[-1] == EOS:
        return Answer(RENDERER.decode(said[:-1]), len(said), "stop")
    return Answer(RENDERER.decode(said), most, "length")


# Independence


def test_greedy_is_the_arg_max_of_each_prompt_alone() -> None:
    model = wordy_model()
    found = answers(engine_of(model), REQUESTS, GREEDY)
    assert found == [greedy_by_hand(model, prompt, 12) for prompt in PROMPTS]
    assert len({answer.text for answer in found}) > 5


def test_greedy_ignores_the_seed() -> None:
    engine = engine_of(wordy_model())
    other = [Request(request.prompt, request.seed + 1) for request in REQUESTS]
    assert answers(engine, other, GREEDY) == answers(engine, REQUESTS, GREEDY)


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED, Decoding(temperature=0.5, max_new_tokens=12)])
def test_answers_do_not_depend_on_the_batch(decoding: Decoding) -> None:
    model = wordy_model()
    alone = [engine_of(model).answer([request], decoding)[0] for request in REQUESTS]
    assert {answer.finish for answer in alone} == {"stop", "length"}
    for size in (2, 8, 24):
        assert answers(engine_of(model, size), REQUESTS, decoding) == alone
    turned = engine_of(model).answer(REQUESTS[::-1], decoding)
    assert turned[::-1] == alone
    # Beside neighbours of other prompts and seeds.
    crowd = [Request(f"echo {'ant ' * i}", seed=i) for i in range(1, 6)]
    assert engine_of(model).answer([*crowd, REQUESTS[3]], decoding)[-1] == alone[3]


def test_the_seed_decides_the_draw() -> None:
    engine = engine_of(wordy_model())
    one_prompt = [Request(REQUESTS[0].prompt, seed) for seed in (1, 2, 3, 1, 2**63 - 1, 0)]
    texts = [answer.text for answer in answers(engine, one_prompt, SAMPLED)]
    assert texts[0] == texts[3]
    assert len(set(texts)) == 5


# The distribution


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    """First tokens and pairs of tokens: the second draw must not lean on the first."""
    logits = {"a": 0.0, "b": 1.0, "c": -1.0, "": 0.5}
    tempered = torch.tensor([*logits.values()], dtype=torch.float64) / temperature
    shares = dict(zip(logits, tempered.softmax(0).tolist(), strict=True))
    requests = [Request("echo ant", seed) for seed in range(3000)]
    decoding = Decoding(temperature=temperature, max_new_tokens=2)
    texts = Counter(answer.text for answer in answers(engine_of(fixed_model(logits), 3000), requests, decoding))
    expected = {"": shares[""]}
    for first in "abc":
        for second in ("", *"abc"):
            expected[first + second] = shares[first] * shares[second]
    assert texts.keys() <= expected.keys()
    observed = [texts[text] for text in expected]
    assert chisquare(observed, [share * len(requests) for share in expected.values()]).pvalue > 0.001


def test_a_nearly_cold_draw_is_greedy() -> None:
    engine = engine_of(wordy_model())
    cold = Decoding(temperature=1e-4, max_new_tokens=12)
    assert answers(engine, REQUESTS, cold) == answers(engine, REQUESTS, GREEDY)


# Ends


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED])
def test_what_ends_an_answer_and_what_it_counts(decoding: Decoding) -> None:
    (mute,) = engine_of(fixed_model({"": 0.0})).answer(REQUESTS[:1], decoding)
    assert mute == Answer(text="", tokens=1, finish="stop")
    (endless,) = engine_of(fixed_model({"a": 0.0})).answer(REQUESTS[:1], decoding)
    assert endless == Answer(text="a" * 12, tokens=12, finish="length")


def test_an_eos_at_the_very_limit_is_a_stop() -> None:
    model = wordy_model()
    by_hand = {r: greedy_by_hand(model, prompt, 50) for r, prompt in zip(REQUESTS, PROMPTS, strict=True)}
    request, whole = next((r, a) for r, a in by_hand.items() if a.finish == "stop" and a.tokens > 2)
    for limit, finish in ((whole.tokens - 1, "length"), (whole.tokens, "stop"), (whole.tokens + 1, "stop")):
        (answer,) = engine_of(model).answer([request], Decoding(temperature=0, max_new_tokens=limit))
        assert (answer.text, answer.tokens, answer.finish) == (whole.text, min(limit, whole.tokens), finish)


def test_special_tokens_are_no_text() -> None:
    model = fixed_model({"<|user|>": 0.0})
    (answer,) = engine_of(model).answer(REQUESTS[:1], GREEDY)
    assert answer == Answer(text="", tokens=12, finish="length")


# Stop texts


@pytest.mark.parametrize(
    ("decoding", "stop"),
    [
        (GREEDY, ("nnn",)),
        (GREEDY, ('"', "n")),
        (SAMPLED, ("e",)),
        (SAMPLED, ("tle", "@", "H")),
        (SAMPLED, ("no such text",)),
    ],
)
def test_an_answer_ends_before_the_first_stop_text(decoding: Decoding, stop: tuple[str, ...]) -> None:
    """As the whole answer cut by hand, whatever stands beside it in the batch; tokens to the end of the stop text."""
    model = wordy_model()
    whole = answers(engine_of(model), REQUESTS, decoding)
    assert any(stop[0] in full.text for full in whole) == (stop[0] != "no such text")
    asked = decoding.model_copy(update={"stop": stop})
    found = answers(engine_of(model, 24), REQUESTS, asked)
    assert found == [engine_of(model).answer([request], asked)[0] for request in REQUESTS]
    for full, answer in zip(whole, found, strict=True):
        starts = [full.text.index(text) for text in stop if text in full.text]
        if not starts:
            assert answer == full
            continue
        assert (answer.text, answer.finish) == (full.text[: min(starts)], "stop")
        assert 0 < answer.tokens <= full.tokens


def test_a_stop_text_saves_the_tokens_after_it() -> None:
    forwards = []
    model = fixed_model({"a": 0.0})
    model.register_forward_hook(lambda *_: forwards.append(1))
    (answer,) = engine_of(model).answer(REQUESTS[:1], Decoding(temperature=0, max_new_tokens=12, stop=("aaa",)))
    assert answer == Answer("", 3, "stop")
    assert len(forwards) == 3


def test_a_stop_text_may_be_a_special_token() -> None:
    model = fixed_model({"<|user|>": 0.0})
    (answer,) = engine_of(model).answer(REQUESTS[:1], Decoding(temperature=0, max_new_tokens=12, stop=("<|user|>",)))
    assert answer == Answer("", 1, "stop")


# Token ids as prompts


def test_a_rendered_prompt_is_answered_like_its_text() -> None:
    engine = engine_of(wordy_model())
    rendered = [Request(tuple(RENDERER.prompt_ids(prompt)), 1000 + i) for i, prompt in enumerate(PROMPTS)]
    assert engine.plan(rendered) == engine.plan(REQUESTS)
    assert answers(engine, rendered, SAMPLED) == answers(engine, REQUESTS, SAMPLED)


# Scores


def continuations() -> list[Continuation]:
    """Ragged, some sharing a context."""
    found = []
    for i, prompt in enumerate(PROMPTS):
        context = tuple(RENDERER.prompt_ids(prompt if i % 3 else PROMPTS[0]))
        words = TOKENIZER(f"{'ant goat ' * (i % 4)}end")["input_ids"]
        found.append(Continuation(context, tuple(words)))
    return found


def scores_by_hand(model: PreTrainedModel, continuation: Continuation) -> tuple[list[float], bool]:
    ids = torch.tensor([[*continuation.context, *continuation.tokens]])
    with torch.no_grad():
        logps_TV = model(input_ids=ids).logits[0].float().log_softmax(-1)[len(continuation.context) - 1 : -1]
    targets_T = torch.tensor(continuation.tokens)
    return logps_TV.gather(1, targets_T[:, None])[:, 0].tolist(), bool((logps_TV.argmax(-1) == targets_T).all())


@pytest.mark.parametrize("score_tokens", [1, 200, 8192])
def test_scores_are_those_of_each_continuation_alone(score_tokens: int) -> None:
    model = tiny_model(0)
    asked = continuations()
    asked.append(Continuation(tuple(RENDERER.prompt_ids(PROMPTS[3])), tuple(said_ids(model, PROMPTS[3], 5))))
    expected = [scores_by_hand(tiny_model(0), continuation) for continuation in asked]
    found = TransformersEngine(model, TOKENIZER, RENDERER, 8, score_tokens).score(asked)
    assert [score.greedy for score in found] == [greedy for _, greedy in expected]
    assert found[-1].greedy
    assert not all(score.greedy for score in found)
    for score, (logps, _) in zip(found, expected, strict=True):
        assert score.logps == pytest.approx(logps, abs=1e-5)


def test_scoring_and_answering_leave_each_other_alone() -> None:
    model = wordy_model()
    engine = engine_of(model)
    before = answers(engine, REQUESTS, SAMPLED)
    scores = engine.score(continuations())
    assert answers(engine, REQUESTS, SAMPLED) == before
    assert engine.score(continuations()) == scores
    assert engine.score([]) == []


def test_a_model_without_a_head_to_chunk_scores_alike() -> None:
    """Its own logits at every position: what `fixed_model`'s hook changes is seen there alone."""
    model = fixed_model({"a": 0.0, "b": -1.0})
    context = tuple(RENDERER.prompt_ids("hi"))
    (first, second) = engine_of(model).score(
        [Continuation(context, (token("a"), token("b"))), Continuation(context, (token("a"),))]
    )
    share = 1 / (1 + math.exp(-1))
    assert first.logps == pytest.approx([math.log(share), math.log(1 - share)], abs=1e-5)
    assert (first.greedy, second.greedy) == (False, True)


def test_a_continuation_beyond_the_positions_is_refused() -> None:
    """The last token predicts nothing, so that it needs no position."""
    model = tiny_model(0)
    positions = cast(Any, model).config.max_position_embeddings
    engine = engine_of(model)
    fits = Continuation((1,) * positions, (token("a"),))
    assert len(engine.score([fits])[0].logps) == 1
    with pytest.raises(DataError, match=f"exceed the model's {positions} positions"):
        engine.score([fits, Continuation(fits.context, fits.tokens * 2)])


# The checkpoint's own generation settings


@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 2.0},
        {"do_sample": True, "top_k": 1},
        {"do_sample": True, "top_p": 0.01, "temperature": 0.1},
        {"no_repeat_ngram_size": 1},
        {"num_beams": 3},
        {"min_new_tokens": 12},
        {"suppress_tokens": [EOS]},
        {"forced_eos_token_id": EOS},
        {"bad_words_ids": [[token("a")]]},
        {"max_length": 3},
        {"max_new_tokens": 2},
        {"num_return_sequences": 2, "do_sample": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED])
def test_generation_settings_do_not_leak_in(settings: dict[str, Any], decoding: Decoding) -> None:
    plain = engine_of(wordy_model()).answer(REQUESTS[:8], decoding)
    model = with_settings(wordy_model(), **settings, eos_token_id=EOS, pad_token_id=0)
    assert engine_of(model).answer(REQUESTS[:8], decoding) == plain


def test_more_eos_tokens_of_the_checkpoint_end_an_answer() -> None:
    """Also for a second engine on the same model, which the first has answered with."""
    model = with_settings(fixed_model({"a": 0.0}), eos_token_id=[token("a"), token("b")])
    for _ in range(2):
        (answer,) = engine_of(model).answer(REQUESTS[:1], GREEDY)
        assert answer == Answer(text="", tokens=1, finish="stop")


@pytest.mark.parametrize("eos_token_id", [None, token("b"), [token("b")]])
def test_the_tokenizers_eos_always_ends_an_answer(eos_token_id: int | list[int] | None) -> None:
    """Responses are trained to end in it."""
    model = with_settings(fixed_model({"": 0.0}), eos_token_id=eos_token_id)
    assert engine_of(model).answer(REQUESTS[:1], GREEDY) == [Answer(text="", tokens=1, finish="stop")]


@pytest.mark.parametrize("eos_token_id", [50256, [50256, 10**6]])
def test_an_eos_token_that_the_model_cannot_draw_is_left_out(eos_token_id: int | list[int]) -> None:
    """As a configuration has it that was taken from another model."""
    model = with_settings(fixed_model({"": 0.0}), eos_token_id=eos_token_id)
    assert eos_ids(model, TOKENIZER) == [EOS]


def test_a_checkpoint_whose_answers_could_not_end_is_refused() -> None:
    """Its tokenizer has a larger vocabulary, with EOS in the part that the model lacks."""
    model = with_settings(tiny_model(0), eos_token_id=None)
    foreign = deepcopy(TOKENIZER)
    foreign.add_special_tokens({"eos_token": "<|the end|>"})
    with pytest.raises(CheckpointError, match=r"could end: its EOS tokens have the ids 300 and .* has 300 tokens"):
        TransformersEngine(model, foreign, RENDERER, 4)
    assert "<|the end|>" not in special_ids(model, foreign)


# First tokens


def test_first_tokens_are_the_plain_forwards() -> None:
    """Whatever the batch; in fp32 nats."""
    model = tiny_model(3)
    requests = [Request(f"echo {'ant ' * length}", seed=0) for length in (1, 7, 3)]
    found = engine_of(model).first_tokens(requests, 20)
    for request, top in zip(requests, found, strict=True):
        with torch.no_grad():
            logits_V = model(input_ids=torch.tensor([RENDERER.prompt_ids(str(request.prompt))])).logits[0, -1]
        logps, ids = torch.log_softmax(logits_V, dim=-1).topk(20)
        assert [text for text, _ in top] == [RENDERER.decode([int(token)]) for token in ids]
        assert [logp for _, logp in top] == pytest.approx(logps.tolist(), abs=1e-5)
    assert [text for text, _ in engine_of(model).first_tokens(requests[:1], 1)[0]] == [found[0][0][0]]


# The plan


def test_an_answer_that_would_leave_the_positions_is_refused() -> None:
    model = tiny_model(0)
    positions = cast(Any, model).config.max_position_embeddings
    room = positions - len(RENDERER.prompt_ids("hi"))
    engine = TransformersEngine(model, TOKENIZER, RENDERER, batch_size=4)
    request = Request("hi", seed=0)
    assert engine.answer([request], Decoding(temperature=0, max_new_tokens=room))
    with pytest.raises(DataError, match=f"exceed the model's {positions} positions"):
        engine.answer([request], Decoding(temperature=0, max_new_tokens=room + 1))


def test_the_plan_has_every_request_once_longest_first() -> None:
    requests = [Request(f"echo {'ant ' * (i % 5)}", seed=i) for i in range(12)]
    plan = engine_of(tiny_model(0), batch_size=5).plan(requests)
    assert [len(batch) for batch in plan] == [5, 5, 2]
    order = [i for batch in plan for i in batch]
    assert order == sorted(range(12), key=lambda i: (-(i % 5), i))


def test_the_plan_depends_on_the_requests_alone() -> None:
    engine = engine_of(wordy_model())
    plan = engine.plan(REQUESTS)
    engine.answer(REQUESTS[:4], SAMPLED)
    assert engine.plan(REQUESTS) == plan
    assert engine_of(tiny_model(5)).plan([Request(r.prompt, r.seed + 9) for r in REQUESTS]) == plan
    assert engine.plan([]) == []


def test_messages_are_prompts_too() -> None:
    engine = engine_of(wordy_model())
    text = "echo ant goat"
    messages = (Message(role="user", content=text),)
    first, second = engine.answer([Request(text, 5), Request(messages, 5)], SAMPLED)
    assert first == second
    turns = (Message(role="user", content="echo elm"), Message(role="assistant", content="elm"), *messages)
    model = wordy_model()
    assert engine_of(model).answer([Request(turns, 5)], GREEDY) == [greedy_by_hand(model, turns, 12)]


def test_closing_leaves_the_model_alone() -> None:
    model = wordy_model()
    engine = engine_of(model)
    engine.close()
    assert engine_of(model).answer(REQUESTS[:1], GREEDY) == [greedy_by_hand(model, PROMPTS[0], 12)]
