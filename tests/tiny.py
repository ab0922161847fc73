"""A model, a tokenizer and a preference problem that train in about a second; shared by the rooms that hold models."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    TrainerCallback,
)

from epa_bench.config.schema import ScratchModel, Training, WeakPrompt
from epa_bench.core.records import Group, Preference, ReferenceScore, Response
from epa_bench.data.chat import EncodedResponse, Renderer
from epa_bench.data.embedded.families import make_prompts
from epa_bench.data.tokenizer import train_tokenizer
from epa_bench.data.validation import HeldOut, plan_of_rest, validation_pairs
from epa_bench.models.checkpoint import new_model, ready
from epa_bench.models.scoring import score_sequences
from epa_bench.training.batches import Encode, GroupDataset, encoder_of
from epa_bench.training.log_files import LOG_FILE
from epa_bench.training.preference import Outcome, train_preference

SHAPE = ScratchModel(
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=128,
    # Wide enough that log-probs differ from token to token.
    initializer_range=0.1,
)
BETA = 0.3


@cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    texts = [text for prompt in make_prompts(60, 0, "sft") for text in (prompt.text, prompt.answer)]
    return train_tokenizer(texts, 300, model_max_length=128)


def tiny_model(seed: int = 0) -> PreTrainedModel:
    """A fresh Llama in fp32; the same weights for the same seed."""
    return ready(new_model(SHAPE, tiny_tokenizer(), seed=seed), "cpu")


def from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """A randomly initialised model of any architecture."""
    model: PreTrainedModel = cast(Any, AutoModelForCausalLM).from_config(config)
    return model


def embedding_of(model: Any) -> torch.nn.Embedding:
    embedding: torch.nn.Embedding = model.get_input_embeddings()
    return embedding


def head_of(model: Any) -> torch.nn.Linear:
    """The output layer."""
    head: torch.nn.Linear = model.get_output_embeddings()
    return head


def tiny_renderer(max_length: int = 128) -> Renderer:
    return Renderer(tiny_tokenizer(), template="chat", max_length=max_length)


def plain_logp(model: PreTrainedModel, sequence: EncodedResponse) -> Tensor:
    """Summed log-prob of the response, from transformers' forward over this sequence alone."""
    ids = torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]])
    logps_TV = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
    targets_R = torch.tensor(sequence.response_ids)
    return logps_TV[len(sequence.prompt_ids) - 1 : -1].gather(1, targets_R[:, None]).sum()


def tiny_preferences(count: int = 48) -> list[Preference]:
    """Right answers against the words of the prompt and nonsense; some answers are shared by several prompts."""
    return [
        Preference(
            prompt=prompt.text,
            chosen=Response(text=prompt.answer),
            rejected=(Response(text="no " + " ".join(prompt.words)), Response(text="two")),
            source=f"row {i}",
        )
        for i, prompt in enumerate(make_prompts(count, 0, "preference"))
        if prompt.answer != "two"
    ]


@dataclass(frozen=True)
class Problem:
    """Preferences planned into steps of eight groups, with what the reference, `tiny_model(0)`, gives for them."""

    groups: tuple[Group, ...]
    preferences: list[Preference]
    encode: Encode
    reference: dict[str, ReferenceScore]
    candidates: int
    weak_prompt: WeakPrompt = "this"

    validation: tuple[Group, ...] = ()
    """Held-out pairs."""

    @property
    def steps(self) -> int:
        return self.groups[-1].step + 1

    @property
    def dataset(self) -> GroupDataset:
        return self.dataset_of(self.groups)

    def dataset_of(self, groups: Sequence[Group]) -> GroupDataset:
        return GroupDataset(groups, self.preferences, self.encode, self.reference, self.weak_prompt)


def tiny_problem(
    strong: int = 1,
    weak: int = 1,
    *,
    groups_per_step: int = 8,
    epochs: int = 1,
    held_out: HeldOut | None = None,
    weak_prompt: WeakPrompt = "this",
) -> Problem:
    preferences = tiny_preferences()
    everything = HeldOut(tuple(range(len(preferences))), ())
    plan = plan_of_rest(
        preferences,
        held_out or everything,
        strong=strong,
        weak=weak,
        weak_source="both",
        weak_pool="step",
        groups_per_step=groups_per_step,
        epochs=epochs,
        data_seed=0,
    )
    pairs = validation_pairs(preferences, held_out, seed=0) if held_out else ()
    encode = encoder_of(preferences, tiny_renderer().encode)
    sequences = [
        encode(c.example if weak_prompt == "own" else group.example, c.example, c.response)
        for group in [*plan.groups, *pairs]
        for c in group.candidates
    ]
    reference = {score.key: score for score in score_sequences(tiny_model(0), sequences, batch_tokens=4096)}
    return Problem(plan.groups, preferences, encode, reference, 1 + strong + weak, weak_prompt, pairs)


@dataclass(frozen=True)
class Trained:
    """What a training left."""

    weights: dict[str, Tensor]
    log: list[dict[str, float]]
    log_bytes: bytes
    outcome: Outcome


def train(
    problem: Problem,
    folder: Path,
    *,
    loss: str = "epa",
    options: Mapping[str, float] | None = None,
    batch: int = 8,
    accumulation: int = 1,
    learning_rate: float = 1e-3,
    nll: float = 0.0,
    report: Callable[[int, int], None] = lambda done, total: None,
    model: torch.nn.Module | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    tracking: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Trained:
    """Trains `tiny_model(0)` as the train step does; `settings` are the sweep's `training` keys."""
    model = tiny_model(0) if model is None else model
    outcome = train_preference(
        model,
        problem.dataset,
        folder,
        loss=loss,
        options=options or {},
        beta=BETA,
        learning_rate=learning_rate,
        nll=nll,
        seed=1,
        steps=problem.steps,
        settings=Training(per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, **settings),
        candidates=problem.candidates,
        longest=128,
        device="cpu",
        report=report,
        validation=problem.dataset_of(problem.validation) if problem.validation else None,
        callbacks=callbacks,
        tracking=tracking,
    )
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    log_bytes = (folder / LOG_FILE).read_bytes()
    return Trained(weights, [json.loads(line) for line in log_bytes.splitlines()], log_bytes, outcome)


def same_weights(first: Trained, second: Trained) -> bool:
    """To the last bit."""
    assert first.weights.keys() == second.weights.keys()
    return all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def counted(problem: Problem, group: Group) -> Sequence[EncodedResponse]:
    """The sequences of a group's candidates that count, the positive first."""
    own = problem.weak_prompt == "own"
    return [
        problem.encode(c.example if own else group.example, c.example, c.response)
        for c in group.candidates
        if c.masked is None
    ]
