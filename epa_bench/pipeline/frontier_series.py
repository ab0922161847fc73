"""A run's reward-KL frontier as curves."""

from epa_bench.pipeline.frontier import Estimate, Frontier
from epa_bench.plots.series import Curve, Place, Range, TradeOff


def frontier_series(found: Frontier) -> TradeOff:
    """The reference stands at KL 0."""
    return TradeOff(
        x_label=found.kl,
        y_label=found.reward,
        curves=_curves(found),
        reference=(0.0, found.reference_reward),
        caption=(
            f"Run {found.run}: {len(found.seeds)} seed(s), {found.n_prompts} prompts, {found.n_left_out} left out. "
            "Lines: 95 % intervals for new seeds and prompts. Hollow: over-optimised."
        ),
    )


def _curves(found: Frontier) -> list[Curve]:
    """One a method and learning rate, which only the name of a method with several says; from the largest beta on."""
    rates: dict[str, set[float]] = {}
    for point in found.points:
        rates.setdefault(point.method, set()).add(point.learning_rate)
    return [
        Curve(
            label=method if len(of_method) == 1 else f"{method}, lr {rate:g}",
            places=[
                Place(f"β {point.beta:g}", _range(point.kl), _range(point.reward), hollow=point.over_optimised)
                for point in sorted(found.points, key=lambda point: (-point.beta, point.kl.value))
                if (point.method, point.learning_rate) == (method, rate)
            ],
        )
        for method, of_method in rates.items()
        for rate in sorted(of_method)
    ]


def _range(estimate: Estimate) -> Range:
    return Range(estimate.value, estimate.low, estimate.high)
