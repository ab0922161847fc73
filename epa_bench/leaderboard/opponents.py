"""Which arm of the baseline an arm is measured against."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True)
class Arm:
    """A trained variant: what its rows have in common."""

    name: str
    method: str
    beta: float
    learning_rate: float

    def is_baseline(self, baseline: str) -> bool:
        """Whether it has no opponent but itself."""
        return baseline_of(self.method, baseline) == self.method


@dataclass(frozen=True, slots=True)
class Opponent:
    """The baseline arm that an arm is measured against."""

    arm: str | None
    why_none: str = ""
    """Reason, where `arm` is None."""


def baseline_of(method: str, baseline: str) -> str:
    """The method that `method` is measured against.

    Where a table holds several runs or references, methods are called RUN/METHOD, and a part `*` of the baseline stands
    for the method's own: against `*/dpo` each one is measured against the dpo of its own run.
    """
    parts, own = baseline.split("/"), method.split("/")
    if len(parts) != len(own):
        return baseline
    return "/".join(mine if part == "*" else part for part, mine in zip(parts, own, strict=True))


def arms_of(frame: pd.DataFrame, baseline: str) -> list[Arm]:
    """All arms of the rows, those of the baseline method first, then by name."""
    settings = frame[["arm", "method", "beta", "learning_rate"]].drop_duplicates()
    arms = [
        Arm(str(name), str(method), float(beta), float(learning_rate))
        for name, method, beta, learning_rate in settings.itertuples(index=False)
    ]
    return sorted(arms, key=lambda arm: (not arm.is_baseline(baseline), arm.name))


def opponent_of(arm: Arm, arms: Sequence[Arm], baseline: str) -> Opponent:
    """The baseline arm with its beta and learning rate, or the only one there is."""
    baseline = baseline_of(arm.method, baseline)
    candidates = [other for other in arms if other.method == baseline]
    exact = [o for o in candidates if (o.beta, o.learning_rate) == (arm.beta, arm.learning_rate)]
    if len(exact) == 1:
        return Opponent(exact[0].name)
    setting = f"beta {arm.beta!r} and learning rate {arm.learning_rate!r}"
    if exact:
        return Opponent(None, f"{len(exact)} {baseline} arms have {setting}: {', '.join(o.name for o in exact)}")
    if len(candidates) == 1:
        return Opponent(candidates[0].name)
    if candidates:
        return Opponent(None, f"none of {len(candidates)} {baseline} arms has {setting}")
    return Opponent(None, f"no arm of the baseline method {baseline}")
