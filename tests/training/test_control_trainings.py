"""Trainings that only a control asks for: weak negatives under their own prompts, and none but weak ones."""

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import mean

import pytest
import torch

from epa_bench.config.schema import WeakPrompt
from epa_bench.core.errors import StoreError
from epa_bench.models.packing import pack_sequences
from epa_bench.models.scoring import score_sequences
from epa_bench.training import memory
from tests.tiny import BETA, Problem, counted, plain_logp, same_weights, tiny_model, tiny_problem, train


@pytest.fixture(scope="module")
def own() -> Problem:
    return tiny_problem(1, 2, weak_prompt="own")


@pytest.mark.parametrize(("strong", "weak", "weak_prompt"), [(1, 2, "own"), (0, 2, "this"), (0, 1, "own")])
def test_training_starts_at_the_log_of_the_candidates_and_moves(
    tmp_path: Path, strong: int, weak: int, weak_prompt: WeakPrompt
) -> None:
    """The trainer compares policy and reference a sequence first: under the wrong prompt they would differ."""
    problem = tiny_problem(strong, weak, weak_prompt=weak_prompt)
    log = train(problem, tmp_path, batch=4, accumulation=2).log
    expected = mean(math.log(len(counted(problem, group))) for group in problem.groups[:8])
    assert log[0]["loss"] == pytest.approx(expected, abs=1e-5)
    assert log[0]["loss/over_step0"] == pytest.approx(1, abs=1e-5)
    assert log[-1]["rewards/weak_margins"] > 0
    # There is nothing to say of strong negatives where there are none, and nothing is made up.
    assert ("rewards/accuracies" in log[0]) == ("logits/rejected" in log[0]) == (strong > 0)


def test_own_prompt_loss_is_the_one_computed_by_hand(own: Problem, tmp_path: Path) -> None:
    """The second step's loss from the weights after the first, each sequence by transformers' forward alone."""
    model, reference = tiny_model(0), tiny_model(0)
    by_hand = []

    def look(done: int, total: int) -> None:
        if done != 1:
            return
        with torch.no_grad():
            for group in own.groups[8:16]:
                scores = [BETA * (plain_logp(model, s) - plain_logp(reference, s)) for s in counted(own, group)]
                by_hand.append(float(torch.stack(scores).logsumexp(0) - scores[0]))

    log = train(own, tmp_path, model=model, report=look).log
    assert len(by_hand) == 8
    assert log[1]["loss"] == pytest.approx(mean(by_hand), abs=1e-5)
    assert mean(by_hand) != pytest.approx(math.log(4), abs=1e-3)


def test_own_prompts_need_no_score_but_those_of_the_data(own: Problem) -> None:
    """Every response under its own prompt is what one reference cell holds for all plans."""
    pairs = [
        own.encode(row, row, response)
        for row, preference in enumerate(own.preferences)
        for response in range(len(preference.responses))
    ]
    scores = score_sequences(tiny_model(0), pairs, batch_tokens=4096)
    held = {score.key for score in scores}
    assert set(own.reference) <= held
    weak = [c for group in own.groups for c in group.candidates if c.role == "weak" and c.masked is None]
    assert len(weak) > 50
    this = tiny_problem(1, 2)
    assert this.groups == own.groups
    with pytest.raises(StoreError, match="a reference log-prob is missing"):
        list(map(replace(this, reference=own.reference).dataset.__getitem__, range(len(this.groups))))


def test_own_prompts_are_another_method(own: Problem, tmp_path: Path) -> None:
    """The same groups, and other weights."""
    this = train(tiny_problem(1, 2), tmp_path / "this")
    other = train(own, tmp_path / "own")
    assert this.log[0]["loss"] == pytest.approx(other.log[0]["loss"], abs=1e-5)
    assert not same_weights(this, other)
    assert this.log[-1]["loss"] != pytest.approx(other.log[-1]["loss"], abs=1e-3)


@pytest.mark.parametrize("weak_prompt", ["this", "own"])
def test_the_memory_estimate_counts_every_prompt_that_is_read(own: Problem, weak_prompt: WeakPrompt) -> None:
    """By what the score pass packs."""
    problem = own if weak_prompt == "own" else tiny_problem(1, 2)
    for group in islice(problem.dataset.sequences(), 8):
        size = memory._GroupSize.of(group)
        assert size.packed == len(pack_sequences(group).ids_T)
        alone = [len(pack_sequences([sequence]).ids_T) for sequence in group]
        assert (size.sequences, size.longest, size.keys) == (len(group), max(alone), sum(alone))
