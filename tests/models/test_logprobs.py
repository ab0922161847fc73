"""The score pass against transformers' plain forward, worked numbers, and what must not matter to it."""

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    CohereConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTJConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    set_seed,
)

from epa_bench.data.chat import EncodedResponse
from epa_bench.models.checkpoint import ready
from epa_bench.models.logprobs import ScorePass
from epa_bench.models.packing import pack_sequences
from epa_bench.models.self_check import PLAIN, choose_score_pass
from tests.tiny import embedding_of, from_config, head_of

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
    "mistral": lambda: MistralConfig(**SHAPE, sliding_window=32),
    "mistral with a short window": lambda: MistralConfig(**SHAPE, sliding_window=4),
    "qwen2": lambda: Qwen2Config(**{k: v for k, v in SHAPE.items() if k != "head_dim"}),
    "qwen3": lambda: Qwen3Config(**SHAPE),
    "gemma": lambda: GemmaConfig(**SHAPE),
    "gemma2": lambda: Gemma2Config(**SHAPE, sliding_window=4, final_logit_softcapping=5.0),
    "gemma2 with a long window": lambda: Gemma2Config(**SHAPE, sliding_window=32, final_logit_softcapping=5.0),
    "gemma3": lambda: Gemma3TextConfig(**SHAPE, sliding_window=32),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=64,
        n_layer=2,
        n_head=2,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.2,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
    ),
    "gptj": lambda: GPTJConfig(
        vocab_size=VOCABULARY,
        n_embd=64,
        n_layer=2,
        n_head=2,
        n_positions=64,
        rotary_dim=16,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.2,
    ),
    "cohere": lambda: CohereConfig(**{k: v for k, v in SHAPE.items() if k != "head_dim"}),
}
FALLBACKS = {
    # Its window is shorter than the longest sequence.
    "mistral with a short window": ScorePass(shares_prompts=False, chunks_head=True),
    "gemma2": ScorePass(shares_prompts=False, chunks_head=True),
    # Its modeling code has attention of its own; its output layer has a bias.
    "gptj": ScorePass(shares_prompts=False, chunks_head=True),
    # It scales its logits.
    "cohere": ScorePass(shares_prompts=True, chunks_head=False),
}
LONGEST = 23


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
def test_the_fastest_pass_that_fits_is_taken_and_a_slower_one_is_announced(name: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        taken = choose_score_pass(build(name), longest=LONGEST)
    messages = [str(warning.message) for warning in caught if "is scored with" in str(warning.message)]
    assert taken == FALLBACKS.get(name, ScorePass(shares_prompts=True, chunks_head=True))
    assert [f"scored with {taken}, because" in message for message in messages] == [True] * (name in FALLBACKS)


@pytest.mark.filterwarnings("ignore:.*is scored with")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_ragged_batch_scores_as_the_plain_forward_of_each_sequence(name: str) -> None:
    model, unchanged = build(name), build(name)
    result = choose_score_pass(model, longest=LONGEST)(model, pack_sequences(RAGGED))
    plain = [plain_logps(unchanged, s) for s in RAGGED]
    torch.testing.assert_close(result.logps_N, torch.stack([logp for logp, _ in plain]), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(result.mean_logits_N, torch.stack([mean for _, mean in plain]), rtol=1e-5, atol=1e-6)
    assert result.tokens_N.tolist() == [9, 1, 1, 9, 2, 20]
    assert not result.mean_logits_N.requires_grad


@pytest.mark.filterwarnings("ignore:.*is scored with")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_its_gradient_is_that_of_the_plain_forward(name: str) -> None:
    model, unchanged = build(name), build(name)
    weights_N = torch.linspace(-1, 2, len(RAGGED))
    score_pass = choose_score_pass(model, longest=LONGEST)
    ours = flat_gradient(model, weights_N @ score_pass(model, pack_sequences(RAGGED)).logps_N)
    plain = flat_gradient(unchanged, weights_N @ torch.stack([plain_logps(unchanged, s)[0] for s in RAGGED]))
    assert (ours - plain).norm() <= 1e-5 * plain.norm()


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2 with a long window"])
def test_gradient_checkpointing_changes_no_gradient(name: str) -> None:
    model, checkpointed = build(name), build(name)
    checkpointed.gradient_checkpointing_enable()
    checkpointed.train()
    gradients = []
    for each in (model, checkpointed):
        score_pass = choose_score_pass(each, longest=LONGEST)
        gradients.append(flat_gradient(each, score_pass(each, pack_sequences(RAGGED)).logps_N.sum()))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-6, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=6))
def test_neighbours_do_not_matter(shapes: list[tuple[int, int, int]]) -> None:
    sequences = [sequence(*shape) for shape in shapes]
    together = LLAMA_PASS(LLAMA, pack_sequences(sequences))
    for i, s in enumerate(sequences):
        alone = LLAMA_PASS(LLAMA, pack_sequences([s]))
        torch.testing.assert_close(together.logps_N[i], alone.logps_N[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(together.mean_logits_N[i], alone.mean_logits_N[0], rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.lists(st.integers(1, 40), min_size=1, max_size=4)), min_size=1, max_size=4
    )
)
def test_every_pass_gives_the_same_on_any_trees(trees: list[tuple[int, list[int]]]) -> None:
    """Responses of one prompt share it, whatever the lengths."""
    sequences = []
    for index, (prompt, responses) in enumerate(trees):
        prompt_ids = sequence(prompt, 1, index).prompt_ids
        sequences += [EncodedResponse(prompt_ids, sequence(1, r, r).response_ids, False) for r in responses]
    batch = pack_sequences(sequences)
    expected = PLAIN(LLAMA, batch).logps_N
    for shares, chunks in [(True, True), (True, False), (False, True)]:
        torch.testing.assert_close(ScorePass(shares, chunks)(LLAMA, batch).logps_N, expected, rtol=1e-6, atol=1e-5)


LLAMA = build("llama")
LLAMA_PASS = choose_score_pass(LLAMA, longest=LONGEST)


class Parrot(torch.nn.Module):
    """After token t the logits are row t of a table: a head whose weights are worked numbers."""

    def __init__(self, table_VV: Tensor) -> None:
        super().__init__()
        self.config = PreTrainedConfig()
        self.head = torch.nn.Linear(len(table_VV), len(table_VV), bias=False)
        self.head.weight = torch.nn.Parameter(table_VV.T.contiguous())

    def get_output_embeddings(self) -> torch.nn.Linear:
        return self.head

    def forward(self, input_ids: Tensor, use_cache: bool) -> Any:
        return SimpleNamespace(logits=self.head(torch.eye(2)[input_ids]))


@pytest.mark.parametrize("chunks_head", [True, False])
def test_worked_number(chunks_head: bool) -> None:
    """P(.|0) = (1/4, 3/4), P(.|1) = (2/3, 1/3)."""
    parrot = Parrot(torch.tensor([[1.0, 3.0], [2.0, 1.0]]).log())
    batch = pack_sequences([EncodedResponse([1, 0], [1, 0, 0], False), EncodedResponse([0], [0], False)])
    result = ScorePass(False, chunks_head)(parrot, batch)
    # 0 -> 1, 1 -> 0, 0 -> 0 and 0 -> 0.
    expected = torch.tensor([3 / 4 * 2 / 3 * 1 / 4, 1 / 4]).log()
    torch.testing.assert_close(result.logps_N, expected)
    # Rows 0, 1, 0 have the mean logits log(3) / 2, log(2) / 2, log(3) / 2.
    torch.testing.assert_close(result.mean_logits_N, torch.tensor([(3**2 * 2) ** (1 / 6), 3**0.5]).log())
    assert result.tokens_N.tolist() == [3, 1]


def test_a_prompt_and_its_output_positions_are_computed_once() -> None:
    """Two responses of 5 and 3 tokens to a prompt of 20: their last tokens predict nothing."""
    prompt_ids = sequence(20, 1, 0).prompt_ids
    sequences = [EncodedResponse(prompt_ids, sequence(1, length, length).response_ids, False) for length in (5, 3)]
    model = build("llama")
    score_pass = choose_score_pass(model, longest=LONGEST)
    seen: list[tuple[int, ...]] = []
    hook = head_of(model).register_forward_hook(lambda _, args, __: seen.append(tuple(args[0].shape)))
    embedded: list[int] = []
    embedding_of(model).register_forward_hook(lambda _, args, __: embedded.append(args[0].numel()))
    score_pass(model, pack_sequences(sequences))
    hook.remove()
    # The model's own output layer gets nothing left to do.
    assert seen == [(1, 0, 64)]
    assert embedded == [20 + 4 + 2]


def test_a_failing_forward_leaves_no_hook_behind() -> None:
    model = build("llama")
    with pytest.raises(IndexError):
        LLAMA_PASS(model, pack_sequences([EncodedResponse([VOCABULARY + 1], [3], False)]))
    assert not head_of(model)._forward_pre_hooks


def test_generation_after_scoring_is_what_it_was_before() -> None:
    """The attention set for scoring is SDPA wherever no packed row comes with it, padding on the left included."""
    model, unchanged = build("llama"), build("llama")
    choose_score_pass(model, longest=LONGEST)
    ids_NT = torch.tensor([[2, 2, 5, 6, 7], [8, 9, 10, 11, 12]])
    mask_NT = (ids_NT != 2).long()
    answers = [
        each.generate(ids_NT, attention_mask=mask_NT, max_new_tokens=8, do_sample=False)  # type: ignore[operator]
        for each in (model, unchanged)
    ]
    assert torch.equal(*answers)


def test_sums_of_a_bf16_model_are_fp32() -> None:
    model = build("llama").bfloat16()
    result = choose_score_pass(model, longest=LONGEST)(model, pack_sequences(RAGGED))
    assert result.logps_N.dtype == result.mean_logits_N.dtype == torch.float32
    for logp, s in zip(result.logps_N, RAGGED, strict=True):
        # bf16 attention of another shape rounds differently: 3 digits, no more.
        torch.testing.assert_close(logp, plain_logps(model, s)[0], rtol=1e-2, atol=0.05)
    # On the grid of bf16 a sum of -100 could only move in steps of half a nat.
    assert (result.logps_N.bfloat16().float() != result.logps_N).any()
