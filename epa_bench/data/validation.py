"""Rows held out of the training data, and the plan of what remains.

The evaluation rows of a sweep are not touched: margins are reported on them. Held-out rows come from the training rows,
by a seed of their own, so every method and every training seed compares its checkpoints on the same pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import PlanError
from epa_bench.core.records import Group, Preference
from epa_bench.data.plan import Plan, build_plan, data_fingerprint


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Indices of the rows, ascending."""

    training: tuple[int, ...]
    validation: tuple[int, ...]


def hold_out(preferences: Sequence[Preference], *, rows: int, seed: int) -> HeldOut:
    """Holds out whole prompts, drawn one after the other until they have `rows` rows.

    So no prompt is on both sides, and of the last prompt more rows may go than asked. Raises PlanError where nothing
    remains to train on.
    """
    prompts: dict[str, list[int]] = {}
    for index, preference in enumerate(preferences):
        prompts.setdefault(preference.prompt_id, []).append(index)
    # Uniform doubles alone: numpy may change a Generator's permutations from version to version.
    stream = np.random.Generator(np.random.PCG64(stable_seed("held out", data_fingerprint(preferences), seed)))
    shuffled = np.argsort(stream.random(len(prompts)), kind="stable")
    members = list(prompts.values())
    held_out: set[int] = set()
    for position in shuffled:
        if len(held_out) >= rows:
            break
        held_out.update(members[position])
    if len(held_out) < rows or len(held_out) == len(preferences):
        raise PlanError(
            f"expected more than {rows} training rows (`training.validation.rows` and some to train on), got "
            f"{len(preferences)} of {len(prompts)} prompts, and rows of one prompt are held out together; lower "
            "`training.validation.rows`, or give more data"
        )
    training = tuple(index for index in range(len(preferences)) if index not in held_out)
    return HeldOut(training, tuple(sorted(held_out)))


def plan_of_rest(preferences: Sequence[Preference], held_out: HeldOut, **settings: Any) -> Plan:
    """`build_plan` on the rows that are not held out; indices are those of all `preferences`. Raises PlanError."""
    try:
        plan = build_plan([preferences[index] for index in held_out.training], **settings)
    except PlanError as error:
        out = f"{len(held_out.validation)} of the {len(preferences)} training rows are held out"
        raise PlanError(f"{error}\n{out} (`training.validation.rows`).") from error
    return plan.model_copy(update={"groups": tuple(_renumber(group, held_out.training) for group in plan.groups)})


def validation_pairs(preferences: Sequence[Preference], held_out: HeldOut, *, seed: int) -> tuple[Group, ...]:
    """Each held-out row as a pair: its chosen response against one of its rejected ones, a seeded choice."""
    pairs = build_plan(
        [preferences[index] for index in held_out.validation],
        strong=1,
        weak=0,
        weak_source="both",
        weak_pool="step",
        groups_per_step=1,
        epochs=1,
        data_seed=seed,
    )
    return tuple(_renumber(group, held_out.validation) for group in pairs.groups)


def _renumber(group: Group, rows: Sequence[int]) -> Group:
    candidates = tuple(c.model_copy(update={"example": rows[c.example]}) for c in group.candidates)
    return group.model_copy(update={"example": rows[group.example], "candidates": candidates})
