"""A run's reward-KL frontier as a figure."""

from pathlib import Path
from typing import Any

from epa_bench.core.files import atomic_write_text
from epa_bench.pipeline.frontier import Estimate, Frontier, frontier_of
from epa_bench.pipeline.frontier_table import frontier_csv
from epa_bench.pipeline.plot_files import write_figure
from epa_bench.plots.paper import Format
from epa_bench.plots.series import Curve, Place, Range, TradeOff
from epa_bench.plots.trade_off import trade_off_figure


def plot_frontier(
    run_folder: Path, leaderboards: Path, only: Format | None, *, reward: str, kl: str, baseline: str
) -> list[dict[str, Any]]:
    """Writes NAME.frontier.svg, .png and .csv beside the tables. Gives a row an arm.

    Raises what `frontier_of` raises, and StoreError where the files cannot be written.
    """
    found = frontier_of(run_folder, reward=reward, kl=kl, baseline=baseline)
    path = leaderboards / f"{run_folder.name}.frontier"
    plot = write_figure(trade_off_figure(frontier_series(found)), path, only)
    atomic_write_text(path.with_name(f"{path.name}.csv"), frontier_csv(found))
    return [
        {"arm": point.arm, "beta": point.beta, "kl": point.kl.value, "reward": point.reward.value, "plot": plot}
        for point in found.points
    ]


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
