"""Is a candidate worse than a baseline by more than a margin? One-sided tests on paired differences.

Suffixes: S training seeds, P prompts.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr  # type: ignore[import-untyped]

from epa_bench.stats.crossed import Interval, crossed_interval, minimum_detectable_effect

Verdict = Literal["PASS", "BREACH", "INCONCLUSIVE"]


FALSE_BREACH = 0.01
"""How often a gate may breach without a change, whatever its margin. The upper bound alone would do so with nearly
1 - level where the margin is far below the standard error: 1.2 % for two points with 5 seeds x 80 prompts."""

DROP_LEVEL = 0.004
"""At which a drop of any size must be shown, so that FALSE_BREACH holds. Satterthwaite's t is too often far out where
few seeds differ much: seeds that happen to agree both narrow the standard error and raise the degrees of freedom. With
three seeds of sd 2 points and 805 prompts, a margin of half a point is breached without a change in 1.6 % of sweeps at
a level of .01, in .8 % at this one. Small sweeps pay with true breaches that are inconclusive. It does not hold where
few seeds differ by more: 1.6 % with three of sd 5 points, and with two of sd 2."""


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Both one-sided tests of a mean difference against -margin."""

    interval: Interval
    """Two-sided at 2 level - 1, so each end is a one-sided bound at `level`."""

    p_non_inferior: float
    """Of "the drop is the margin or more": small where the candidate is shown to be good enough."""

    p_inferior: float
    """Of "the drop is the margin or less, or there is none": small where the candidate is shown to be worse by more
    than the margin, and worse at all at DROP_LEVEL."""

    needed_margin: float
    """The margin that an unchanged candidate passes with probability .8, given this standard error."""


def non_inferiority(D_SP: NDArray[np.float64], margin: float, level: float = 0.95) -> NonInferiority:
    """Tests the mean of candidate - baseline, positive where the candidate is better, in the unit of the table.

    Student's t of the crossed interval, so for new seeds and new prompts. PASS where the lower one-sided bound is above
    -margin is p_non_inferior < 1 - level (ICH E9, section 3.3.2; two one-sided tests, Schuirmann 1987). BREACH is
    p_inferior < 1 - level: the upper bound is below -margin, and a drop of any size has p < DROP_LEVEL. It is the
    larger of the two p-values, the second scaled to the first's level (intersection-union test, Berger 1982). A table
    without variance decides by its mean alone.

    Raises ValueError for a margin that is not above 0, a level outside (.5, 1), and as `crossed_interval`.
    """
    if not margin > 0 or not 0.5 < level < 1:
        raise ValueError(f"expected a margin above 0 and a level between .5 and 1, got {margin} and {level}")
    interval = crossed_interval(D_SP, 2 * level - 1)
    distance = interval.estimate + margin
    if interval.se == 0:
        p_non_inferior, p_inferior = float(distance <= 0), float(distance >= 0)
    else:
        p_non_inferior = float(stdtr(interval.dof, -distance / interval.se))
        p_drop = float(stdtr(interval.dof, interval.estimate / interval.se))
        scaled = min(1.0, p_drop * (1 - level) / DROP_LEVEL)
        p_inferior = max(float(stdtr(interval.dof, distance / interval.se)), scaled)
    return NonInferiority(
        interval,
        p_non_inferior,
        p_inferior,
        minimum_detectable_effect(interval.se, interval.dof, level=2 * level - 1),
    )


def decide(p_non_inferior: float, p_inferior: float, level: float) -> Verdict:
    """The verdict of a pair of p-values, the second adjusted for the checks it is read with.

    A gate passes only where all its checks do, so a false pass needs no correction (intersection-union test, Berger
    1982); it breaches where any does, so a false breach does.
    """
    if p_non_inferior < 1 - level:
        return "PASS"
    return "BREACH" if p_inferior < 1 - level else "INCONCLUSIVE"
