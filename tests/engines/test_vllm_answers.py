"""vLLM's answers against transformers', token for token, and what ends or refuses an answer."""

from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from scipy.stats import chisquare  # type: ignore[import-untyped]
from transformers import GenerationConfig, PreTrainedModel

from epa_bench.core.errors import DataError
from epa_bench.engines.protocol import Continuation, Decoding, Request
from epa_bench.engines.vllm_server import VllmServer
from tests.engines.served import CHECKPOINTS, GREEDY, RENDERER, REQUESTS, START, TOKENIZER, plain, served
from tests.tiny import tiny_model

Models = dict[str, PreTrainedModel]
Folders = dict[str, Path]
SAMPLED = Decoding(temperature=1, max_new_tokens=12)


def test_greedy_answers_are_transformers_of_each_checkpoint(
    server: VllmServer, folders: Folders, models: Models
) -> None:
    found = {}
    for name, model in models.items():
        found[name] = served(server, folders[name], model).answer(REQUESTS, GREEDY)
        assert found[name] == plain(model).answer(REQUESTS, GREEDY)
        assert {answer.finish for answer in found[name]} == {"stop", "length"}
    assert found["a"] != found["b"]


def test_log_probs_are_the_plain_forwards(server: VllmServer, folders: Folders, models: Models) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = [tuple(torch.randint(3, 300, (12 + 3 * i,), generator=generator).tolist()) for i in range(30)]
    batch = [Continuation(context=row[: 1 + i % 9], tokens=row[1 + i % 9 :]) for i, row in enumerate(ids)]
    for name, model in models.items():
        scores = served(server, folders[name], model).score(batch)
        for item, score in zip(batch, scores, strict=True):
            with torch.no_grad():
                logits_TV = model(input_ids=torch.tensor([[*item.context, *item.tokens]])).logits[0]
            logps_TV = torch.log_softmax(logits_TV, dim=-1)[len(item.context) - 1 : -1]
            expected = logps_TV.gather(1, torch.tensor(item.tokens)[:, None])[:, 0]
            assert torch.tensor(score.logps).sub(expected).abs().max() < 1e-4
            assert score.greedy == bool((logps_TV.argmax(dim=-1) == torch.tensor(item.tokens)).all())


def test_first_tokens_are_transformers(server: VllmServer, folders: Folders, models: Models) -> None:
    for name, model in models.items():
        found = served(server, folders[name], model).first_tokens(REQUESTS[:16], 20)
        for top, expected in zip(found, plain(model).first_tokens(REQUESTS[:16], 20), strict=True):
            assert [text for text, _ in top] == [text for text, _ in expected]
            assert [logp for _, logp in top] == pytest.approx([logp for _, logp in expected], abs=1e-4)


def test_a_greedy_answer_is_scored_as_greedy(server: VllmServer, folders: Folders, models: Models) -> None:
    model = models["a"]
    context = tuple(RENDERER.prompt_ids(REQUESTS[0].prompt))  # type: ignore[arg-type]
    with torch.no_grad():
        best = int(model(input_ids=torch.tensor([context])).logits[0, -1].argmax())
    greedy, other = served(server, folders["a"], model).score(
        [Continuation(context, (best,)), Continuation(context, ((best + 1) % 300,))]
    )
    assert greedy.greedy
    assert not other.greedy


def test_draws_depend_on_prompt_and_seed_alone(server: VllmServer, folders: Folders, models: Models) -> None:
    engine = served(server, folders["a"], models["a"])
    together = engine.answer(REQUESTS[:12], SAMPLED)
    assert [engine.answer([request], SAMPLED)[0] for request in REQUESTS[:12]] == together
    assert engine.answer(REQUESTS[11::-1], SAMPLED)[::-1] == together
    other = engine.answer([Request(request.prompt, request.seed + 1) for request in REQUESTS[:12]], SAMPLED)
    assert sum(a == b for a, b in zip(other, together, strict=True)) < 3


def test_draws_do_not_depend_on_how_prompts_share_a_pass(server: VllmServer, folders: Folders, models: Models) -> None:
    """More tokens of prompts at once than a forward pass takes."""
    engine = served(server, folders["a"], models["a"])
    requests = [Request(tuple([9 + i, *[7] * 90, 9 + i]), seed=i) for i in range(60)]
    together = engine.answer(requests, SAMPLED)
    assert engine.answer(requests[40:43], SAMPLED) == together[40:43]
    assert len({answer.text for answer in together}) > 30


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_draws_follow_the_softmax(server: VllmServer, folders: Folders, models: Models, temperature: float) -> None:
    """First tokens of one prompt; those that are expected less than ten times are counted together."""
    context = RENDERER.prompt_ids("echo ant")
    with torch.no_grad():
        logits_V = models["a"](input_ids=torch.tensor([context])).logits[0, -1].double()
    shares = torch.softmax(logits_V / temperature, dim=-1)
    count = 2000
    requests = [Request(tuple(context), seed) for seed in range(count)]
    engine = served(server, folders["a"], models["a"])
    command = Decoding(temperature=temperature, max_new_tokens=1)
    drawn = Counter(answer.text for answer in engine.answer(requests, command))
    texts = ["" if token in engine.eos_ids else RENDERER.decode([token]) for token in range(len(shares))]
    expected = Counter[str]()
    for text, share in zip(texts, shares.tolist(), strict=True):
        expected[text] += share * count
    common = [text for text in expected if expected[text] >= 10]
    observed = [drawn[text] for text in common]
    rest = count - sum(observed), count - sum(expected[text] for text in common)
    assert chisquare([*observed, rest[0]], [*(expected[text] for text in common), rest[1]]).pvalue > 0.001


def test_a_stop_text_ends_an_answer(server: VllmServer, folders: Folders, models: Models) -> None:
    whole = plain(models["a"]).answer(REQUESTS, GREEDY)
    texts = Counter(answer.text[5:7] for answer in whole if len(answer.text) > 8)
    stop = texts.most_common(1)[0][0]
    decoding = GREEDY.model_copy(update={"stop": (stop,)})
    answers = served(server, folders["a"], models["a"]).answer(REQUESTS, decoding)
    assert [answer.text for answer in answers] == [answer.text.partition(stop)[0] for answer in whole]
    for answer, before in zip(answers, whole, strict=True):
        assert answer.tokens <= before.tokens
        assert answer.finish == ("stop" if stop in before.text else before.finish)


@pytest.mark.parametrize("named", [None, [50256]])
def test_the_tokenizers_eos_ends_answers_where_the_configuration_names_none(
    server: VllmServer, folders: Folders, named: list[int] | None
) -> None:
    """Or one that the model cannot draw, which vLLM itself refuses."""
    model = tiny_model(CHECKPOINTS["a"])
    model.generation_config = cast(Any, GenerationConfig)(eos_token_id=named)
    engine = served(server, folders["a"], model)
    assert engine.eos_ids == (TOKENIZER.eos_token_id,)
    answers = engine.answer(REQUESTS, Decoding(temperature=1, max_new_tokens=80))
    assert {answer.finish for answer in answers} == {"stop", "length"}


def test_a_prompt_without_room_is_a_row_of_its_own(server: VllmServer, folders: Folders, models: Models) -> None:
    """128 positions; the others are answered as if it were not there."""
    engine = served(server, folders["a"], models["a"])
    full, short = tuple([9] * 104), tuple([9] * 105)
    batch = [*REQUESTS[:2], Request(full, 1), Request(short, 1), Request(tuple([9] * 500), 1)]
    answers = engine.answer(batch, GREEDY)
    assert answers[:3] == plain(models["a"]).answer(batch[:3], GREEDY)
    for answer, tokens in zip(answers[3:], (105, 500), strict=True):
        assert (answer.text, answer.tokens, answer.finish) == ("", 0, "error")
        assert answer.error is not None
        assert f"{tokens} tokens of prompt and 24 of answer exceed vLLM's 128" in answer.error
    with pytest.raises(DataError, match="exceed vLLM's 128"):
        engine.score([Continuation((9,), tuple([9] * 127))])


def test_the_record_says_what_drew_the_answers(server: VllmServer, folders: Folders, models: Models) -> None:
    record = served(server, folders["a"], models["a"]).record(GREEDY)
    assert record["engine"] == "vllm"
    assert record["dtype"] == "float32"
    assert record["max_model_len"] == 128
    sampling = record["sampling"]
    assert isinstance(sampling, dict)
    assert sampling["temperature"] == 0
    assert sampling["max_tokens"] == 24
    assert sampling["top_p"] == 1
    assert sampling["repetition_penalty"] == 1


def test_the_plan_is_longest_first_and_fills_the_places(server: VllmServer, folders: Folders, models: Models) -> None:
    requests = [Request(tuple([9] * (5 + i % 7)), i) for i in range(8 * START.places + 3)]
    plan = served(server, folders["a"], models["a"]).plan(requests)
    assert [len(batch) for batch in plan] == [8 * START.places, 3]
    order = [i for batch in plan for i in batch]
    assert order == sorted(range(len(requests)), key=lambda i: (-(i % 7), i))
