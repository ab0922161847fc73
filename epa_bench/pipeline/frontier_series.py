"""A run's reward-KL frontier as curves."""

from collections.abc import Sequence

from epa_bench.pipeline.frontier import Estimate, Frontier, FrontierPoint
from epa_bench.plots.series import Curve, Place, Range, TradeOff


def frontier_series(found: Frontier) -> TradeOff:
    """The reference stands at KL 0."""
    kept = [point.kept for point in found.points if point.kept is not None]
    way = f" {kept[0]}: the checkpoint after that share of the training." if kept else ""
    return TradeOff(
        x_label=found.kl,
        y_label=found.reward,
        curves=_curves(found),
        reference=(0.0, found.reference_reward),
        caption=(
            f"Run {found.run}: {len(found.seeds)} seed(s), {found.n_prompts} prompts, {found.n_left_out} left out. "
            f"Lines: 95 % intervals for new seeds and prompts. Hollow: over-optimised.{way}"
        ),
    )


def _curves(found: Frontier) -> list[Curve]:
    """Arms of a method from the largest beta on; where checkpoints were kept, every arm's own way to its last one."""
    if any(point.kept is not None for point in found.points):
        return _ways(found.points)
    rates: dict[str, set[float]] = {}
    for point in found.points:
        rates.setdefault(point.method, set()).add(point.learning_rate)
    return [
        Curve(
            # Only the name of a method with several learning rates says which.
            label=method if len(of_method) == 1 else f"{method}, lr {rate:g}",
            places=[
                _place(f"β {point.beta:g}", point)
                for point in sorted(found.points, key=lambda point: (-point.beta, point.kl.value))
                if (point.method, point.learning_rate) == (method, rate)
            ],
        )
        for method, of_method in rates.items()
        for rate in sorted(of_method)
    ]


def _ways(points: Sequence[FrontierPoint]) -> list[Curve]:
    curves = []
    for last in (point for point in points if point.kept is None):
        way = [point for point in points if point.kept is not None and point.arm == f"{last.arm}@{point.kept}"]
        way.sort(key=lambda point: int((point.kept or "").partition("/")[0]))
        places = [_place(point.kept or "", point) for point in way]
        curves.append(Curve(last.arm, [*places, _place(f"β {last.beta:g}", last)]))
    return curves


def _place(note: str, point: FrontierPoint) -> Place:
    return Place(note, _range(point.kl), _range(point.reward), hollow=point.over_optimised)


def _range(estimate: Estimate) -> Range:
    return Range(estimate.value, estimate.low, estimate.high)
