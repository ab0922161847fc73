"""The score pass against transformers' plain forward, worked numbers, and what must not matter to it."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    set_seed,
)

from epa_bench.data.chat import EncodedResponse
from epa_bench.models.checkpoint import ready
from epa_bench.models.logprobs import PaddedSequences, pad_sequences, response_logps, score_sequences, sequence_key
from tests.tiny import from_config, head_of

VOCABULARY = 300
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    # Wide enough that the logits are far from uniform.
    "initializer_range": 0.2,
}
ARCHITECTURES: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SHAPE),
    "mistral": lambda: MistralConfig(**SHAPE, sliding_window=4),
    "qwen2": lambda: Qwen2Config(**{k: v for k, v in SHAPE.items() if k != "head_dim"}),
    "gemma": lambda: GemmaConfig(**SHAPE),
    "gemma2": lambda: Gemma2Config(**SHAPE, sliding_window=4, final_logit_softcapping=5.0),
    "gemma3": lambda: Gemma3TextConfig(**SHAPE, sliding_window=4),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=64,
        n_layer=2,
        n_head=2,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.2,
    ),
}


def build(name: str) -> PreTrainedModel:
    set_seed(0)
    return ready(from_config(ARCHITECTURES[name]()), "cpu")


def sequence(prompt: int, response: int, seed: int) -> EncodedResponse:
    ids = torch.randint(3, VOCABULARY, (prompt + response,), generator=torch.Generator().manual_seed(seed)).tolist()
    return EncodedResponse(ids[:prompt], ids[prompt:], truncated=False)


RAGGED = [
    sequence(5, 9, 0),
    sequence(1, 1, 1),  # the shortest there is
    sequence(12, 1, 2),  # one token behind a long prompt
    sequence(5, 9, 0),  # the first once more
    EncodedResponse(sequence(5, 9, 0).prompt_ids, [7, 8], truncated=True),  # the first one's prompt
    sequence(3, 20, 3),
]


def plain_logps(model: PreTrainedModel, s: EncodedResponse) -> tuple[Tensor, Tensor]:
    """(summed log-prob, mean logit) of one response from a forward over the sequence alone, all logits kept."""
    ids = torch.tensor([[*s.prompt_ids, *s.response_ids]])
    logits_TV = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].float()
    predicting_RV = logits_TV[len(s.prompt_ids) - 1 : -1]
    logps_RV = torch.log_softmax(predicting_RV, dim=-1)
    return logps_RV.gather(1, torch.tensor(s.response_ids)[:, None]).sum(), predicting_RV.mean()


def flat_gradient(model: PreTrainedModel, total: Tensor) -> Tensor:
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, parameters)])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_ragged_batch_scores_as_the_plain_forward_of_each_sequence(name: str) -> None:
    model = build(name)
    result = response_logps(model, pad_sequences(RAGGED, pad_id=2))
    plain = [plain_logps(model, s) for s in RAGGED]
    torch.testing.assert_close(result.logps_N, torch.stack([logp for logp, _ in plain]), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(result.mean_logits_N, torch.stack([mean for _, mean in plain]), rtol=1e-5, atol=1e-6)
    assert result.tokens_N.tolist() == [9, 1, 1, 9, 2, 20]
    assert result.logps_N[0] == result.logps_N[3]
    assert not result.mean_logits_N.requires_grad


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_its_gradient_is_that_of_the_plain_forward(name: str) -> None:
    model = build(name)
    weights_N = torch.linspace(-1, 2, len(RAGGED))
    ours = flat_gradient(model, weights_N @ response_logps(model, pad_sequences(RAGGED, pad_id=2)).logps_N)
    plain = flat_gradient(model, weights_N @ torch.stack([plain_logps(model, s)[0] for s in RAGGED]))
    assert (ours - plain).norm() <= 1e-5 * plain.norm()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=6),
    st.integers(0, VOCABULARY - 1),
)
def test_neither_neighbours_nor_padding_matter(shapes: list[tuple[int, int, int]], pad_id: int) -> None:
    sequences = [sequence(*shape) for shape in shapes]
    together = response_logps(LLAMA, pad_sequences(sequences, pad_id))
    for i, s in enumerate(sequences):
        alone = response_logps(LLAMA, pad_sequences([s], pad_id=0))
        torch.testing.assert_close(together.logps_N[i], alone.logps_N[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(together.mean_logits_N[i], alone.mean_logits_N[0], rtol=1e-5, atol=1e-6)


LLAMA = build("llama")


class Parrot(torch.nn.Module):
    """After token t the logits are row t of a table; it has no `logits_to_keep`, as models with code of their own."""

    def __init__(self, table_VV: Tensor) -> None:
        super().__init__()
        self.table_VV = table_VV

    def forward(self, input_ids: Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(logits=self.table_VV[input_ids])


def test_worked_number() -> None:
    """P(.|0) = (1/4, 3/4), P(.|1) = (2/3, 1/3)."""
    table_VV = torch.tensor([[1.0, 3.0], [2.0, 1.0]]).log()
    batch = pad_sequences([EncodedResponse([1, 0], [1, 0, 0], False), EncodedResponse([0], [0], False)], pad_id=1)
    result = response_logps(cast(PreTrainedModel, Parrot(table_VV)), batch)
    # 0 -> 1, 1 -> 0, 0 -> 0 and 0 -> 0.
    expected = torch.tensor([3 / 4 * 2 / 3 * 1 / 4, 1 / 4]).log()
    torch.testing.assert_close(result.logps_N, expected)
    # Rows 0, 1, 0 have the mean logits log(3) / 2, log(2) / 2, log(3) / 2.
    torch.testing.assert_close(result.mean_logits_N, torch.tensor([(3**2 * 2) ** (1 / 6), 3**0.5]).log())
    assert result.tokens_N.tolist() == [3, 1]


class LlamaWithoutTheHook(LlamaForCausalLM):  # type: ignore[no-untyped-call]
    def forward(self, input_ids: Tensor, use_cache: bool) -> Any:
        return super().forward(input_ids=input_ids, use_cache=use_cache)


def test_a_model_without_logits_to_keep_scores_the_same() -> None:
    set_seed(0)
    bare = LlamaWithoutTheHook(LlamaConfig(**SHAPE)).eval()  # type: ignore[no-untyped-call]
    batch = pad_sequences(RAGGED[3:], pad_id=2)
    torch.testing.assert_close(response_logps(bare, batch).logps_N, response_logps(LLAMA, batch).logps_N)


def head_positions(model: PreTrainedModel, batch: PaddedSequences) -> int:
    seen: list[int] = []
    hook = head_of(model).register_forward_hook(lambda _, args, __: seen.append(args[0].shape[1]))
    response_logps(model, batch)
    hook.remove()
    (positions,) = seen
    return positions


def test_only_positions_behind_the_shortest_prompt_reach_the_output_layer() -> None:
    batch = pad_sequences([sequence(20, 5, 0), sequence(18, 3, 1)], pad_id=2)
    # Of 25 positions those from the shorter prompt's last token on.
    assert head_positions(build("llama"), batch) == 25 - 17


def test_sums_of_a_bf16_model_are_fp32() -> None:
    model = build("llama").bfloat16()
    result = response_logps(model, pad_sequences(RAGGED, pad_id=2))
    assert result.logps_N.dtype == result.mean_logits_N.dtype == torch.float32
    for logp, s in zip(result.logps_N, RAGGED, strict=True):
        # bf16 attention of another shape rounds differently: 3 digits, no more.
        torch.testing.assert_close(logp, plain_logps(model, s)[0], rtol=1e-2, atol=0.05)
    # On the grid of bf16 a sum of -100 could only move in steps of half a nat.
    assert (result.logps_N.bfloat16().float() != result.logps_N).any()


def test_scores_come_once_each_in_the_order_of_first_appearance() -> None:
    reports: list[tuple[int, int]] = []
    scores = score_sequences(
        LLAMA, RAGGED, pad_id=2, batch_size=2, report=lambda done, total: reports.append((done, total))
    )
    distinct = [RAGGED[i] for i in (0, 1, 2, 4, 5)]
    assert [score.key for score in scores] == [sequence_key(s) for s in distinct]
    assert reports == [(2, 5), (4, 5), (5, 5)]
    for score, s in zip(scores, distinct, strict=True):
        assert score.logp == pytest.approx(plain_logps(LLAMA, s)[0].item(), rel=1e-6)
        assert score.tokens == len(s.response_ids)


def test_the_longest_sequences_are_scored_first(monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []

    def watched(model: PreTrainedModel, batch: PaddedSequences) -> Any:
        widths.append(batch.ids_NT.shape[1])
        return response_logps(model, batch)

    monkeypatch.setattr("epa_bench.models.logprobs.response_logps", watched)
    score_sequences(LLAMA, RAGGED, pad_id=2, batch_size=1)
    assert widths == [23, 14, 13, 7, 2]


def test_nothing_to_score_is_no_forward() -> None:
    assert score_sequences(LLAMA, [], pad_id=2, batch_size=4) == []


@pytest.mark.parametrize(
    "other",
    [
        EncodedResponse([1, 2], [3, 5], False),
        EncodedResponse([1], [2, 3, 4], False),  # the same ids, another border
        EncodedResponse([1, 2, 3], [4], False),
    ],
)
def test_a_key_tells_pairs_apart(other: EncodedResponse) -> None:
    same: Sequence[EncodedResponse] = [EncodedResponse([1, 2], [3, 4], truncated) for truncated in (False, True)]
    assert sequence_key(same[0]) == sequence_key(same[1])
    assert sequence_key(other) != sequence_key(same[0])
