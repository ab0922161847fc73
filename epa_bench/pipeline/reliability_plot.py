"""A run's calibration as a reliability diagram for each checkpoint."""

from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from epa_bench.core.files import read_records
from epa_bench.pipeline.plot_files import write_figure, write_points
from epa_bench.pipeline.run_results import Evaluated, evaluated
from epa_bench.plots.paper import Format
from epa_bench.plots.reliability import reliability_figure
from epa_bench.plots.series import Reliability, ReliabilityPanel
from epa_bench.suites.calibration import BINS, ReliabilityBin, expected_calibration_error, reliability_bins
from epa_bench.suites.values import Value

_COLUMNS = ("suite", "arm", "seed", *(field.name for field in fields(ReliabilityBin)))


def plot_reliability(run_folder: Path, leaderboards: Path, only: Format | None) -> list[dict[str, Any]]:
    """Writes NAME.SUITE.svg, .png and .csv beside the tables, for every calibration suite of a run.

    Gives a row a checkpoint with the number of its pairs and the error (ECE, 0 to 1) that its panel shows. Raises
    ConfigError for a run without such a suite, StoreError where a cell is absent or damaged, DataError without a pair.
    """
    shown = []
    for suite, results in evaluated(run_folder, "calibration").items():
        margins = [(result, margins_of(result)) for result in results]
        reliability = reliability_series(run_folder.name, margins)
        path = leaderboards / f"{run_folder.name}.{suite}"
        plot = write_figure(reliability_figure(reliability), path, only)
        write_points(path, _COLUMNS, (row for panel in reliability.panels for row in _rows(suite, panel)))
        shown += [
            {
                "suite": suite,
                "checkpoint": result.label,
                "pairs": len(margins_N),
                "ece": expected_calibration_error(margins_N) if margins_N else None,
                "plot": plot,
            }
            for result, margins_N in margins
        ]
    return shown


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


def _rows(suite: str, panel: ReliabilityPanel) -> list[list[object]]:
    return [[suite, panel.arm, panel.seed, *astuple(found)] for found in panel.bins]
