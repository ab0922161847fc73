"""Fixed inputs through a sweep's own loss, plan, template, judge parsers and rows: see `suites/golden.py`."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epa_bench.core.digest import stable_seed
from epa_bench.core.files import write_records
from epa_bench.losses.scores import GroupScores
from epa_bench.losses.table import get_loss
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_renderer
from epa_bench.suites.golden import pair_values, paired_rows, plan_values, rating_values_of_turns, template_values
from epa_bench.suites.golden_scores import scorer_values
from epa_bench.suites.values import Value

_GROUPS = 6


def run(context: StepContext) -> None:
    """Writes `values.jsonl`, and the recordings that verdicts were read from. Raises CheckpointError, PlanError."""
    config = context.config
    values = chain(
        _loss_values(config["arm"]),
        plan_values(config["plan"]),
        template_values(open_renderer(context, context.reference_folder())),
        pair_values(context.folder),
        rating_values_of_turns(context.folder),
        scorer_values(),
        paired_rows(config["name"], config["seed"]),
    )
    write_records(context.folder / "values.jsonl", list(values))


def _loss_values(arm: Mapping[str, Any]) -> Iterator[Value]:
    """The arm's loss of given log-probs, a value a group, and its derivative in the positive's log-prob."""
    groups = given_groups(arm["strong"], arm["weak"], arm["beta"])
    losses_G = get_loss(arm["loss"]).load(arm.get("options"))(groups)
    losses_G.sum().backward()  # type: ignore[no-untyped-call]
    assert groups.logps_GK.grad is not None
    for number, (loss, slope) in enumerate(zip(losses_G.tolist(), groups.logps_GK.grad[:, 0].tolist(), strict=True)):
        yield Value(metric="loss", prompt_id=f"{number}", value=loss)
        yield Value(metric="loss_gradient", prompt_id=f"{number}", value=slope)


def given_groups(strong: int, weak: int, beta: float) -> GroupScores:
    """Six groups in fp64, S strong and W weak negatives each; in the first, the last of several does not count."""
    K = 1 + strong + weak

    def drawn(name: str) -> Tensor:
        # A column has its own stream: what a method adds leaves those of the others as they are.
        columns = [np.random.default_rng(stable_seed("golden loss", name, k)).random(_GROUPS) for k in range(K)]
        return torch.tensor(np.stack(columns, axis=1))

    mask_GK = torch.ones(_GROUPS, K, dtype=torch.bool)
    mask_GK[0, -1] = K == 2
    strong_GK = torch.zeros(_GROUPS, K, dtype=torch.bool)
    strong_GK[:, 1 : 1 + strong] = True
    return GroupScores(
        logps_GK=(-20 - 10 * drawn("policy")).requires_grad_(),
        ref_logps_GK=-20 - 10 * drawn("reference"),
        tokens_GK=(5 + 10 * drawn("tokens")).floor(),
        mask_GK=mask_GK,
        strong_GK=strong_GK,
        beta=beta,
        gold_GK=drawn("gold"),
    )
