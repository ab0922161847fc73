"""What every figure holds, computed once: files and page are drawn from the same numbers. Plain data, no library."""

from collections.abc import Sequence
from dataclasses import dataclass

from epa_bench.suites.calibration import ReliabilityBin


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of a forest plot, in the unit of its panel."""

    label: str
    text: str
    """What stands beside it: the figures, or why there are none."""

    value: float | None
    interval: tuple[float, float] | None
    mde: float | None
    """Minimum detectable effect."""


@dataclass(frozen=True, slots=True)
class ForestPanel:
    """Effects that share a scale."""

    x_label: str
    groups: Sequence[tuple[str, Sequence[Effect]]]
    """(heading, its lines)."""

    @property
    def lines(self) -> tuple[tuple[str, Effect | None], ...]:
        """From the top: (heading, None), then (label, effect) for each of its lines."""
        return tuple(
            line
            for heading, effects in self.groups
            for line in ((heading, None), *((effect.label, effect) for effect in effects))
        )

    @property
    def reach(self) -> float:
        """The largest distance from zero of anything that is drawn; 0 where nothing is."""
        effects = [effect for _, of_heading in self.groups for effect in of_heading]
        ends = [end for effect in effects for end in (effect.value, effect.mde, *(effect.interval or ()))]
        return max((abs(end) for end in ends if end is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Forest:
    """Margins over suites, with zero in the middle of each panel."""

    title: str
    panels: Sequence[ForestPanel]
    caption: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where one arm stands in the plane of two metrics."""

    note: str
    """What tells it from the others of its curve; may be empty."""

    x: Range
    y: Range

    hollow: bool = False
    """Drawn so; the caption says what it means."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The arms of a method, in the order that they are connected in."""

    label: str
    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class TradeOff:
    """One metric against another: what was gained, and what it cost."""

    x_label: str
    y_label: str
    curves: Sequence[Curve]

    reference: tuple[float, float] | None
    """Where the reference stands; None where it has no place."""

    caption: str


Points = Sequence[tuple[float, float]]
"""(gold reward, implicit reward in nats), both minus their prompt's mean."""


@dataclass(frozen=True, slots=True)
class LinearityPanel:
    """One checkpoint."""

    arm: str
    seed: int

    note: str
    """How far the points are from the line of slope 1."""

    own: Points
    mismatched: Points


@dataclass(frozen=True, slots=True)
class Linearity:
    """Implicit against gold reward of every response: Figure 1 of the EPA paper."""

    panels: Sequence[LinearityPanel]
    caption: str


@dataclass(frozen=True, slots=True)
class ReliabilityPanel:
    """One checkpoint."""

    arm: str
    seed: int

    note: str
    """How many pairs, and the error."""

    bins: Sequence[ReliabilityBin]


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often the predicted winner is right, by the confidence in it (Guo et al. 2017, arXiv 1706.04599)."""

    panels: Sequence[ReliabilityPanel]
    caption: str


@dataclass(frozen=True, slots=True)
class Band:
    """One arm of a panel over its training."""

    label: str
    steps: Sequence[float]
    """Optimizer steps, from 1; of several that are drawn as one point their mean."""

    ranges: Sequence[Range]
    """At each of them the mean over seeds, with the lowest and the highest seed."""


@dataclass(frozen=True, slots=True)
class TrainingPanel:
    """One metric of the training log."""

    metric: str
    """As the log calls it."""

    title: str
    """With its unit."""

    bands: Sequence[Band]
    """Of the arms that logged it."""


@dataclass(frozen=True, slots=True)
class Training:
    """Training curves, arms overlaid."""

    labels: Sequence[str]
    """All arms: one looks the same in all panels."""

    panels: Sequence[TrainingPanel]
    caption: str
