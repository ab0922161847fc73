"""The plan: every comparison group of a run, drawn before training starts.

Weak negatives come from a whole optimizer step or the whole data set, never from a micro-batch, so no result depends
on GPU memory, accumulation or world size. Every draw has its own stream, seeded by (data, data seed, epoch, example)
and by nothing of the method: so all methods see the same examples in the same order, and what a method asks more of is
added behind what the others have: W = 2 draws the first two of W = 6, S = 1 the first of S = 3, and S = 0 the weak
negatives of any S. (A weak negative that repeats a strong one is masked only where that one is there.)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Literal

import numpy as np

from epa_bench.core.digest import digest_of, stable_seed
from epa_bench.core.errors import PlanError, Problem, list_problems
from epa_bench.core.records import Candidate, Group, Preference, Record

EQUALS_POSITIVE = "equals the positive"
REPEATS = "repeats a candidate"

WeakSource = Literal["chosen", "rejected", "both"]


class PlanSummary(Record):
    """Counts that belong beside every result."""

    groups: int
    """Groups of the whole run, all epochs."""

    dropped_groups: int
    """Examples left over at the end of an epoch because they fill no step, summed over epochs."""

    masked: dict[str, int]
    """Reason -> candidates that do not count."""

    short_rows: int
    """Rows of the data with fewer rejected responses than asked; their groups have fewer candidates."""

    groups_without_negatives: int
    """Groups whose negatives are all masked: they have no loss."""


class Plan(Record):
    """The groups in the order of training: `groups_per_step` consecutive ones are one optimizer step."""

    groups: tuple[Group, ...]
    steps: int
    summary: PlanSummary


def data_fingerprint(preferences: Sequence[Preference]) -> str:
    """Digest of the prompts and texts in their order; neither where a row came from nor its gold scores count."""
    return digest_of([[p.prompt_id, [response.text for response in p.responses]] for p in preferences])


def build_plan(
    preferences: Sequence[Preference],
    *,
    strong: int,
    weak: int,
    weak_source: WeakSource,
    weak_pool: Literal["step", "dataset"],
    groups_per_step: int,
    epochs: int,
    data_seed: int,
) -> Plan:
    """Groups of 1 positive, up to S = `strong` strong and W = `weak` weak negatives; one of the two may be 0.

    - Each epoch is a permutation of the examples; the examples left over behind its last full step are dropped.
    - Strong: S of the row's rejected responses without replacement, the same ones in every epoch (an epoch is another
      pass over the same labelled pairs). Binarised UltraFeedback draws its one rejected response like this.
    - Weak: one response each of W distinct prompts other than the group's own, anew in every epoch.
    - A negative whose text equals the positive's or an earlier candidate's is masked.

    Raises PlanError if the data cannot fill a step, no row has S rejected responses, a pool holds fewer than W other
    prompts, or masking leaves a whole step without a negative.
    """
    assert strong or weak, "a group without negatives has no loss"
    per_epoch = len(preferences) // groups_per_step
    if per_epoch == 0:
        raise PlanError(
            f"expected at least {groups_per_step} rows, one optimizer step, got {len(preferences)}; lower "
            "`per_device_train_batch_size` or `gradient_accumulation_steps`, or give more data"
        )
    _check_strong(preferences, strong)
    rows = _Rows(preferences, data_seed)
    groups: list[Group] = []
    for epoch in range(epochs):
        order = rows.order(epoch)
        steps = [order[i * groups_per_step : (i + 1) * groups_per_step] for i in range(per_epoch)]
        pools = _pools(rows, steps, weak, weak_pool)
        for index, (step, pool) in enumerate(zip(steps, pools, strict=True), epoch * per_epoch):
            for example in step:
                drawn = [*rows.strong(example, strong), *rows.weak(example, epoch, pool, weak, weak_source)]
                groups.append(_group(preferences, index, example, drawn))
    _check_steps(groups, preferences)
    return Plan(
        groups=tuple(groups),
        steps=epochs * per_epoch,
        summary=_summarize(groups, preferences, strong, epochs * (len(preferences) - per_epoch * groups_per_step)),
    )


class _Pool:
    """Distinct prompts in the order they come, each with the examples that share it."""

    def __init__(self, examples: Iterable[int], prompt_ids: Sequence[str]) -> None:
        members: dict[str, list[int]] = {}
        for example in examples:
            members.setdefault(prompt_ids[example], []).append(example)
        self.members = list(members.values())
        self.position = {prompt_id: index for index, prompt_id in enumerate(members)}


class _Rows:
    """The data with its random streams.

    Only uniform doubles are drawn: numpy may change a Generator's permutations and integers from version to version.
    """

    def __init__(self, preferences: Sequence[Preference], data_seed: int) -> None:
        self.prompt_ids = [preference.prompt_id for preference in preferences]
        self._rejected = [len(preference.rejected) for preference in preferences]
        self._seed = (data_fingerprint(preferences), data_seed)

    def _stream(self, name: str, *parts: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(stable_seed(name, *self._seed, *parts)))

    def order(self, epoch: int) -> list[int]:
        keys = self._stream("order", epoch).random(len(self.prompt_ids))
        return [int(example) for example in np.argsort(keys, kind="stable")]

    def strong(self, example: int, count: int) -> list[Candidate]:
        keys = self._stream("strong", example).random(self._rejected[example])
        chosen = np.argsort(keys, kind="stable")[:count]
        return [Candidate(example=example, response=1 + int(index), role="strong") for index in chosen]

    def weak(self, example: int, epoch: int, pool: _Pool, count: int, source: WeakSource) -> list[Candidate]:
        """A shuffle of the pool's other prompts (Fisher-Yates), carried only as far as it is needed."""
        own = pool.position[self.prompt_ids[example]]
        others = len(pool.members) - 1
        moved: dict[int, int] = {}
        stream = self._stream("weak", epoch, example)
        candidates = []
        for i in range(count):
            # Four numbers whatever the settings, so that another weak_source still draws the same prompts.
            prompt, member, coin, rejected = stream.random(4)
            j = i + int(prompt * (others - i))
            position = moved.get(j, j)
            moved[j] = moved.get(i, i)
            examples = pool.members[position + (position >= own)]
            other = examples[int(member * len(examples))]
            takes_chosen = source == "chosen" or (source == "both" and coin < 0.5)
            response = 0 if takes_chosen else 1 + int(rejected * self._rejected[other])
            candidates.append(Candidate(example=other, response=response, role="weak"))
        return candidates


def _check_strong(preferences: Sequence[Preference], strong: int) -> None:
    most = max(len(preference.rejected) for preference in preferences)
    if most < strong:
        raise PlanError(
            f"expected rows with {strong} rejected responses (strong), no row has more than {most}; "
            "lower `strong`, or give data with more responses a prompt"
        )


def _pools(rows: _Rows, steps: list[list[int]], weak: int, weak_pool: Literal["step", "dataset"]) -> list[_Pool]:
    """The pool of every step, checked to hold enough prompts."""
    if weak_pool == "dataset":
        pools = [_Pool(range(len(rows.prompt_ids)), rows.prompt_ids)] * len(steps)
        place, advice = "the data set", "lower `weak`, or give more data"
    else:
        pools = [_Pool(step, rows.prompt_ids) for step in steps]
        place = "an optimizer step"
        advice = "lower `weak`, raise the groups of a step (batch size x accumulation), or set `weak_pool: dataset`"
    fewest = min(len(pool.members) for pool in pools)
    if weak > fewest - 1:
        raise PlanError(
            f"expected {weak} other prompts (weak) in {place}, got {fewest - 1}: it has {fewest} distinct "
            f"prompts, one of them the group's own; {advice}"
        )
    return pools


def _group(preferences: Sequence[Preference], step: int, example: int, negatives: list[Candidate]) -> Group:
    """Masks the negatives whose text was there before."""
    positive = Candidate(example=example, response=0, role="positive")
    candidates, seen = [positive], {preferences[example].chosen.text: EQUALS_POSITIVE}
    for candidate in negatives:
        text = preferences[candidate.example].responses[candidate.response].text
        reason = seen.get(text)
        candidates.append(candidate if reason is None else candidate.model_copy(update={"masked": reason}))
        seen.setdefault(text, REPEATS)
    return Group(step=step, example=example, candidates=tuple(candidates))


def _check_steps(groups: list[Group], preferences: Sequence[Preference]) -> None:
    """A step that compares nothing has no gradient: only momentum and weight decay would move the weights."""
    compared = {group.step for group in groups if any(c.masked is None for c in group.candidates[1:])}
    empty = [group for group in groups if group.step not in compared]
    if empty:
        what = "no negative is left after masking: each reads like the chosen response"
        problems = [Problem(preferences[group.example].source, f"step {group.step}: {what}") for group in empty]
        raise PlanError(
            list_problems(problems, "the plan: steps with nothing to compare")
            + "\nRemove these rows, or give a step more groups (batch size x accumulation)."
        )


def _summarize(groups: list[Group], preferences: Sequence[Preference], strong: int, dropped: int) -> PlanSummary:
    reasons = Counter(c.masked for group in groups for c in group.candidates if c.masked is not None)
    return PlanSummary(
        groups=len(groups),
        dropped_groups=dropped,
        masked=dict(sorted(reasons.items())),
        short_rows=sum(len(preference.rejected) < strong for preference in preferences),
        groups_without_negatives=sum(all(c.masked is not None for c in group.candidates[1:]) for group in groups),
    )


def permute_steps(groups: Sequence[Group], order_seed: int) -> tuple[Group, ...]:
    """The same steps in another order, so that groups and their negatives stay.

    For a sweep whose comparison groups are fixed by one data seed: training seeds then differ by the order of steps.
    """
    steps: dict[int, list[Group]] = {}
    for group in groups:
        steps.setdefault(group.step, []).append(group)
    order = sorted(steps, key=lambda step: Random(stable_seed("order of steps", order_seed, step)).random())
    return tuple(
        group.model_copy(update={"step": position}) for position, step in enumerate(order) for group in steps[step]
    )
