"""The loss against one computed by hand, the check at step 0, stops, and what is logged."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any, Literal, cast

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback
from transformers.optimization import Adafactor

from epa_bench.core.errors import TrainingError
from epa_bench.core.records import Group
from epa_bench.losses.step0 import constant
from epa_bench.losses.table import LOSSES, get_loss
from epa_bench.models.scoring import score_sequences, sequence_key
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.batches import GroupCollator
from epa_bench.training.run import training_arguments
from epa_bench.training.trainer import PreferenceTrainer, warmup_steps
from tests.tiny import (
    BETA,
    Problem,
    counted,
    embedding_of,
    head_of,
    plain_logp,
    tiny_model,
    tiny_problem,
    train,
)

Loss = Literal["epa", "dpo"]
RATIOS: dict[Loss, tuple[int, int]] = {"epa": (2, 2), "dpo": (1, 0)}


@pytest.fixture(scope="module")
def problems() -> dict[Loss, Problem]:
    return {loss: tiny_problem(*ratio) for loss, ratio in RATIOS.items()}


def loss_by_hand(policy: PreTrainedModel, reference: PreTrainedModel, problem: Problem, group: Group) -> Tensor:
    """-log of the positive's share: for one negative that is DPO, for several EPA."""
    scores = [BETA * (plain_logp(policy, s) - plain_logp(reference, s).detach()) for s in counted(problem, group)]
    return torch.stack(scores).logsumexp(0) - scores[0]


def a_trainer(problem: Problem, folder: Path, model: PreTrainedModel, loss: Loss, nll: float) -> PreferenceTrainer:
    trainer = PreferenceTrainer(
        loss=get_loss(loss),
        options={},
        beta=BETA,
        nll=nll,
        dtype="float32",
        score_pass=choose_score_pass(model, longest=128),
        model=model,
        args=training_arguments(folder, device="cpu", save_steps=None),
        data_collator=GroupCollator(problem.candidates),
        train_dataset=problem.dataset,
    )
    # Behind the check of step 0: policy and reference are two models here.
    trainer.state.global_step = 1
    return trainer


@pytest.mark.parametrize("nll", [0.0, 0.7])
@pytest.mark.parametrize("loss", RATIOS)
def test_loss_and_gradient_are_those_computed_by_hand(
    problems: dict[Loss, Problem], tmp_path: Path, loss: Loss, nll: float
) -> None:
    problem = problems[loss]
    # A masked candidate is among them: by hand it is left out.
    indices = [*[i for i, g in enumerate(problem.groups) if any(c.masked for c in g.candidates)][:1], 0, 1, 2]
    groups = [problem.groups[i] for i in indices]
    assert loss == "dpo" or any(c.masked for c in groups[0].candidates)
    policy, reference = tiny_model(7), tiny_model(0)

    by_hand = torch.stack([loss_by_hand(policy, reference, problem, g) for g in groups]).mean()
    positives = [counted(problem, g)[0] for g in groups]
    by_hand = by_hand + nll * -torch.stack([plain_logp(policy, s) / len(s.response_ids) for s in positives]).mean()
    trainer = a_trainer(problem, tmp_path, policy, loss, nll)
    batch = GroupCollator(problem.candidates)([problem.dataset[i] for i in indices])
    ours = trainer.compute_loss(policy, batch)

    torch.testing.assert_close(ours, by_hand, rtol=1e-5, atol=1e-6)
    assert abs(float(ours.detach()) - math.log(len(counted(problem, groups[0])))) > 0.01
    parameters = list(policy.parameters())
    gradients = [torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters)]) for value in (ours, by_hand)]
    assert (gradients[0] - gradients[1]).norm() <= 1e-4 * gradients[1].norm()


def test_the_gradient_that_is_applied_is_that_of_the_mean_over_the_step(tmp_path: Path) -> None:
    """Accumulation could sum where it should average; the logged gradient norm would show it."""
    problem = tiny_problem(1, 1)
    log = train(problem, tmp_path, batch=2, accumulation=4, max_grad_norm=1e9).log
    model, reference = tiny_model(0), tiny_model(0)
    total = torch.stack([loss_by_hand(model, reference, problem, group) for group in problem.groups[:8]]).mean()
    norm = torch.cat([g.flatten() for g in torch.autograd.grad(total, list(model.parameters()))]).norm()
    assert log[0]["grad_norm"] == pytest.approx(float(norm), rel=1e-4)


# The check at step 0


@pytest.mark.parametrize("loss", RATIOS)
def test_training_starts_at_the_log_of_the_candidates(
    problems: dict[Loss, Problem], tmp_path: Path, loss: Loss
) -> None:
    problem = problems[loss]
    log = train(problem, tmp_path, loss=loss, batch=2, accumulation=4).log
    expected = mean(math.log(len(counted(problem, group))) for group in problem.groups[:8])
    assert log[0]["loss"] == pytest.approx(expected, abs=1e-5)
    assert log[0]["loss/over_step0"] == pytest.approx(1, abs=1e-5)
    assert log[0]["rewards/chosen"] == pytest.approx(0, abs=1e-5)


def shifted(problem: Problem, group: int, candidate: int) -> Problem:
    """The reference score of one candidate off by a nat."""
    key = sequence_key(counted(problem, problem.groups[group])[candidate])
    score = problem.reference[key]
    return replace(problem, reference={**problem.reference, key: score.model_copy(update={"logp": score.logp + 1})})


@pytest.mark.parametrize("loss", RATIOS)
@pytest.mark.parametrize("group", [0, 7])
@pytest.mark.parametrize("candidate", [0, 1])
def test_a_wrong_reference_score_stops_training_at_once(
    problems: dict[Loss, Problem], tmp_path: Path, loss: Loss, group: int, candidate: int
) -> None:
    """Also one of the step's last micro-batch."""
    problem = shifted(problems[loss], group, candidate)
    with pytest.raises(
        TrainingError, match=r"at step 0 policy and reference must give the same log-probs.* nats a token"
    ):
        train(problem, tmp_path, loss=loss, batch=2, accumulation=4)


def test_a_loss_that_does_not_start_where_its_table_says_stops_training(
    problems: dict[Loss, Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With policy and reference agreeing, only the loss itself can be off."""
    wrong = replace(get_loss("dpo"), step0=constant(math.log(2) + 0.01))
    monkeypatch.setattr("epa_bench.training.preference.get_loss", lambda name: wrong)
    with pytest.raises(TrainingError, match=r"the dpo loss must be 0\.703147 .*it is off by 0\.01"):
        train(problems["dpo"], tmp_path, loss="dpo")


@pytest.mark.parametrize("name", [name for name, spec in LOSSES.items() if spec.max_strong == 1])
def test_every_pair_loss_trains_from_where_its_table_says(
    problems: dict[Loss, Problem], tmp_path: Path, name: str
) -> None:
    log = train(problems["dpo"], tmp_path, loss=name, batch=4, accumulation=2, learning_rate=1e-5).log
    assert len(log) == problems["dpo"].steps
    assert ("loss/over_step0" in log[0]) == (name != "simpo")
    # Not at a single rounding from it: IPO's square is as steep as 1 / beta.
    assert name == "simpo" or log[0]["loss/over_step0"] == pytest.approx(1, abs=1e-3)


def test_options_reach_the_loss_and_its_check(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    options = {"weight_strong": 2.0, "weight_weak": 0.5}
    log = train(tiny_problem(1, 2), tmp_path, options=options).log
    group_weights = {2: 1 + 2.0, 3: 1 + 2.0 + 0.5, 4: 1 + 2.0 + 1.0}
    problem = tiny_problem(1, 2)
    expected = mean(math.log(group_weights[len(counted(problem, group))]) for group in problem.groups[:8])
    assert log[0]["loss"] == pytest.approx(expected, abs=1e-5)


def test_infonca_trains_on_gold_scores(tmp_path: Path) -> None:
    problem = tiny_problem(2, 0)
    scored = [
        preference.model_copy(
            update={
                "chosen": preference.chosen.model_copy(update={"gold": 1.0}),
                "rejected": tuple(r.model_copy(update={"gold": -float(i)}) for i, r in enumerate(preference.rejected)),
            }
        )
        for preference in problem.preferences
    ]
    problem = replace(problem, preferences=scored)
    log = train(problem, tmp_path, loss="infonca", options={"temperature": 0.5}).log
    expected = mean(math.log(len(counted(problem, group))) for group in problem.groups[:8])
    assert log[0]["loss"] == pytest.approx(expected, abs=1e-5)
    assert log[-1]["rewards/margins"] > 0


def test_another_policy_than_the_reference_stops_training(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="belong to another model, tokenizer, template or precision"):
        train(problems["epa"], tmp_path, model=tiny_model(1))


# Values that are not finite


def test_a_loss_that_is_not_finite_names_its_step_and_groups(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    problem, model = problems["dpo"], tiny_model(0)

    tokens = [
        {id for s in counted(problem, group) for id in s.prompt_ids + s.response_ids} for group in problem.groups[16:20]
    ]
    token = min(tokens[3] - tokens[0] - tokens[1] - tokens[2])

    def spoil(done: int, total: int) -> None:
        """From step 2 on the token means nothing any more."""
        if done == 2:
            embedding_of(model).register_forward_hook(
                lambda _, args, output: output.masked_fill((args[0] == token)[..., None], math.nan)
            )

    with pytest.raises(TrainingError) as caught:
        train(problem, tmp_path, loss="dpo", batch=4, accumulation=2, model=model, report=spoil, save_steps=1)
    row = problem.preferences[problem.groups[19].example].source
    assert str(caught.value) == (
        f"the loss is not finite at step 2, over these rows:\n  {row}\nLower the learning rate or beta, or look at "
        f"these rows. The last good checkpoint is {tmp_path / 'checkpoints' / 'checkpoint-2'}."
    )


def test_a_response_alone_without_a_finite_log_prob_is_named_with_its_own_row(
    problems: dict[Loss, Problem], tmp_path: Path
) -> None:
    """A weak negative is a response of another row than the group's."""
    problem, model = problems["epa"], tiny_model(0)
    group = next(g for g in problem.groups if g.step == 1 and all(c.masked is None for c in g.candidates))
    foreign = group.candidates[-1]
    sequence = counted(problem, group)[-1]
    reference = {**problem.reference}
    reference[sequence_key(sequence)] = reference[sequence_key(sequence)].model_copy(update={"logp": -math.inf})
    with pytest.raises(TrainingError, match="not finite at step 1") as caught:
        train(replace(problem, reference=reference), tmp_path, model=model)
    rows = [problem.preferences[example].source for example in (group.example, foreign.example)]
    assert str(caught.value).splitlines()[1:3] == [f"  {row}" for row in rows]
    assert str(caught.value).endswith("No checkpoint was saved before it.")


def test_an_infinite_gradient_of_a_finite_loss_is_not_saved(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    model = tiny_model(0)
    steps = iter([1.0, 1.0, math.inf])
    cast(Any, head_of(model).weight).register_hook(lambda gradient: gradient * next(steps))
    with pytest.raises(TrainingError, match=r"the grad_norm is (inf|nan) at step 2") as caught:
        train(problems["dpo"], tmp_path, loss="dpo", model=model, save_steps=1)
    problem = problems["dpo"]
    rows = [problem.preferences[group.example].source for group in problem.groups if group.step == 2]
    assert str(caught.value).splitlines()[1:-1] == [f"  {row}" for row in rows]
    assert str(caught.value).endswith("checkpoint-2.")
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["checkpoint-1", "checkpoint-2"]


# The log

SHARED = {
    *("loss", "grad_norm", "learning_rate", "epoch", "step", "loss/over_step0"),
    *(f"rewards/{name}" for name in ("chosen", "rejected", "accuracies", "margins")),
    *("logps/chosen", "logps/rejected", "logits/chosen", "logits/rejected"),
    *("softmax_mass/positive", "softmax_mass/strong"),
}
WEAK = {"rewards/weak", "rewards/weak_margins", "softmax_mass/weak"}


@pytest.mark.parametrize(
    ("loss", "nll", "names"), [("epa", 0.0, SHARED | WEAK), ("dpo", 0.0, SHARED), ("dpo", 0.5, SHARED | {"nll"})]
)
def test_every_step_logs_these_metrics(
    problems: dict[Loss, Problem], tmp_path: Path, loss: Loss, nll: float, names: set[str]
) -> None:
    problem = problems[loss]
    log = train(problem, tmp_path, loss=loss, nll=nll, batch=4, accumulation=2).log
    assert [entry["step"] for entry in log] == list(range(1, problem.steps + 1))
    assert all(entry.keys() == names for entry in log)


def test_metrics_are_those_of_the_step_computed_by_hand(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    """At a learning rate of nearly nothing every step is scored by the reference itself."""
    problem = problems["epa"]
    log = train(problem, tmp_path, learning_rate=1e-30, batch=2, accumulation=4).log
    model = tiny_model(0)
    for step in (0, problem.steps - 1):
        groups = problem.groups[8 * step : 8 * step + 8]
        chosen = [plain_logp(model, counted(problem, group)[0]).item() for group in groups]
        assert log[step]["logps/chosen"] == pytest.approx(mean(chosen), rel=1e-5)
        shares = [1 / len(counted(problem, group)) for group in groups]
        assert log[step]["softmax_mass/positive"] == pytest.approx(mean(shares), rel=1e-4)


def test_nll_is_added_with_its_weight(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    problem = problems["dpo"]
    log = train(problem, tmp_path, loss="dpo", nll=0.5).log
    model = tiny_model(0)
    positives = [counted(problem, group)[0] for group in problem.groups[:8]]
    nll = mean(-plain_logp(model, s).item() / len(s.response_ids) for s in positives)
    assert log[0]["nll"] == pytest.approx(nll, rel=1e-5)
    assert log[0]["loss"] == pytest.approx(math.log(2) + 0.5 * nll, rel=1e-5)


def test_training_lowers_the_loss(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    """Also the logged values: they are the loss, not a sum over micro-batches and not rounded."""
    problem = tiny_problem(1, 2, epochs=3)
    log = train(problem, tmp_path, batch=2, accumulation=4).log
    losses = [entry["loss"] for entry in log]
    assert losses[0] == pytest.approx(math.log(4), abs=0.2)
    assert mean(losses[-3:]) < 0.5 * losses[0]
    assert any(round(loss, 5) != loss for loss in losses)
    assert log[-1]["rewards/margins"] > 0.5
    assert log[-1]["rewards/accuracies"] > 0.7


def test_the_learning_rate_warms_up_and_decays(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    problem = problems["dpo"]
    rates = [e["learning_rate"] for e in train(problem, tmp_path, loss="dpo", warmup_ratio=0.4).log]
    steps, warmup = problem.steps, math.ceil(0.4 * problem.steps)
    assert warmup == 2
    expected = [min(step / warmup, (steps - step) / (steps - warmup)) for step in range(steps)]
    assert rates == pytest.approx([1e-3 * share for share in expected])


def test_warmup_in_steps_stands_for_the_ratio(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    problem = problems["dpo"]
    log = train(
        problem, tmp_path, loss="dpo", warmup_steps=3, warmup_ratio=0.9, lr_scheduler_type="constant_with_warmup"
    ).log
    assert [entry["learning_rate"] for entry in log] == pytest.approx([0, 1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3])


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        ({}, torch.optim.AdamW, {"fused": True, "betas": (0.9, 0.999), "eps": 1e-8}),
        (
            {"optim": "adamw_torch", "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6},
            torch.optim.AdamW,
            {"betas": (0.8, 0.95), "eps": 1e-6},
        ),
        ({"optim": "adafactor"}, Adafactor, {"relative_step": False}),
        ({"optim": "sgd"}, torch.optim.SGD, {"momentum": 0}),
        ({"optim": "rmsprop"}, torch.optim.RMSprop, {}),
        ({"optim": "adagrad"}, torch.optim.Adagrad, {}),
    ],
    ids=str,
)
def test_the_optimizer_is_the_one_asked_for(
    problems: dict[Loss, Problem], tmp_path: Path, settings: dict[str, Any], kind: type[Any], expected: dict[str, Any]
) -> None:
    seen: list[Any] = []

    class Look(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            seen.append(kwargs["optimizer"].optimizer)

    log = train(problems["dpo"], tmp_path, loss="dpo", callbacks=[Look()], **settings).log
    assert type(seen[0]).__name__ == kind.__name__
    assert {name: seen[0].param_groups[0][name] for name in expected} == expected
    assert log[-1]["loss"] != log[0]["loss"]


@pytest.mark.parametrize(("ratio", "steps", "expected"), [(0.0, 9, 0), (0.1, 15, 2), (0.1, 20, 2), (1.0, 7, 7)])
def test_warmup_is_rounded_up(ratio: float, steps: int, expected: int) -> None:
    assert warmup_steps(ratio, steps) == expected


# Precision and memory


def test_mixed_precision_meets_a_reference_scored_like_it(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    """Scored in fp32 the reference would be off by bf16's rounding; scored under autocast only batch shapes differ."""
    problem = problems["dpo"]
    sequences = [s for group in problem.groups for s in counted(problem, group)]
    scores = score_sequences(tiny_model(0), sequences, batch_tokens=2048, autocast=True)
    alike = replace(problem, reference={score.key: score for score in scores})

    def apart(problem: Problem, folder: str) -> float:
        log = train(problem, tmp_path / folder, loss="dpo", dtype="bfloat16").log
        return abs(log[0]["rewards/chosen"])

    assert apart(alike, "alike") < apart(problem, "fp32") / 2


def test_bf16_starts_where_it_should(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    log = train(problems["dpo"], tmp_path, loss="dpo", dtype="bfloat16").log
    assert log[0]["loss"] == pytest.approx(math.log(2), abs=0.1)
    assert log[0]["loss"] != pytest.approx(math.log(2), abs=1e-6)  # it did run in bf16


def test_bf16_training_leaves_nothing_for_the_output_layer(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    """Mixed precision wraps the model's forward; the chunked head must still find its way inside."""
    model = tiny_model(0)
    positions: list[int] = []
    head_of(model).register_forward_hook(lambda _, args, __: positions.append(args[0].shape[1]))
    train(problems["dpo"], tmp_path, loss="dpo", dtype="bfloat16", model=model)
    steps = problems["dpo"].steps
    assert positions[-steps:] == [0] * steps


def test_gradient_checkpointing_changes_nothing(problems: dict[Loss, Problem], tmp_path: Path) -> None:
    plain = train(problems["epa"], tmp_path / "plain")
    checkpointed = train(problems["epa"], tmp_path / "checkpointed", gradient_checkpointing=True)
    assert [e["loss"] for e in checkpointed.log] == pytest.approx([e["loss"] for e in plain.log], rel=1e-6)
