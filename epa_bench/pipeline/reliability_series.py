"""A run's calibration as bins for each checkpoint."""

from collections.abc import Sequence

from epa_bench.core.files import read_records
from epa_bench.pipeline.run_results import Evaluated
from epa_bench.plots.series import Reliability, ReliabilityPanel
from epa_bench.suites.calibration import BINS, expected_calibration_error, reliability_bins
from epa_bench.suites.values import Value


def reliability_series(run: str, margins: Sequence[tuple[Evaluated, list[float]]]) -> Reliability:
    """A panel a checkpoint, of the margins (nats) of its pairs."""
    caption = (
        f"Run {run}. {BINS} bins of equal width on [0, 1]. Confidence, in the predicted winner, is sigmoid(|margin|). "
        "Pairs whose gold scores tie are left out."
    )
    return Reliability([_panel(result, margins_N) for result, margins_N in margins], caption)


def margins_of(result: Evaluated) -> list[float]:
    """Of the pairs whose gold scores differ. Raises StoreError where the values are damaged."""
    rows = read_records(result.cell.file("values.jsonl"), Value)
    return [row.value for row in rows if row.metric == "margin" and row.value is not None]


def _panel(result: Evaluated, margins_N: list[float]) -> ReliabilityPanel:
    error = f", ECE {100 * expected_calibration_error(margins_N):.1f} %" if margins_N else ""
    return ReliabilityPanel(result.arm, result.seed, f"{len(margins_N)} pairs{error}", reliability_bins(margins_N))
