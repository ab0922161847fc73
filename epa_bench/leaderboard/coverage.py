"""Simulated error rates of the intervals and the gate, as coverage.md, .csv and .json."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import Field

from epa_bench.core.files import atomic_write_text
from epa_bench.core.records import Finite, Record
from epa_bench.stats.noninferiority import FALSE_BREACH, Verdict
from epa_bench.stats.simulation import (
    HEADLINE,
    PROMPT_SD,
    RESIDUAL_SD,
    SCENARIOS,
    Scenario,
    simulate_coverage,
    simulate_gate,
)

MARGINS = (0.005, 0.02, 0.05)
"""Of the simulated gates, as proportions; the first is far below what any of the sweeps can tell."""


class CoverageRow(Record):
    """One method in one scenario."""

    scenario: Scenario
    method: str
    covered: int
    """Simulated sweeps whose interval held the truth."""

    half_width: Finite
    """Mean over the sweeps, a proportion, to nine digits: those behind depend on the number of threads."""


class GateRow(Record):
    """A gate of one check in one scenario."""

    scenario: Scenario
    margin: Finite
    drop: Finite
    """True, as a proportion."""

    verdicts: dict[Verdict, int]
    point_passes: int
    """Sweeps that a bare threshold passes: their mean is above minus the margin."""


class CoverageReport(Record):
    """Everything simulated, from one seed."""

    seed: int
    n_sweeps: int = Field(ge=1)
    n_draws: int
    """Of the bootstrap, in each sweep."""

    intervals: tuple[CoverageRow, ...]
    gates: tuple[GateRow, ...]


def simulate(n_sweeps: int, n_draws: int, seed: int, scenarios: Sequence[Scenario] = SCENARIOS) -> CoverageReport:
    """Equal arguments give an equal report."""
    return CoverageReport(
        seed=seed,
        n_sweeps=n_sweeps,
        n_draws=n_draws,
        intervals=tuple(
            CoverageRow(
                scenario=scenario, method=method, covered=found.covered, half_width=round(found.mean_half_width, 9)
            )
            for scenario in scenarios
            for method, found in simulate_coverage(scenario, n_sweeps, n_draws, seed).items()
        ),
        gates=tuple(
            _gate_row(scenario, margin, drop, n_sweeps, seed)
            for scenario in scenarios
            for margin in MARGINS
            for drop in (margin, 0.0)
        ),
    )


def _gate_row(scenario: Scenario, margin: float, drop: float, n_sweeps: int, seed: int) -> GateRow:
    rates = simulate_gate(scenario, drop, margin, n_sweeps, seed)
    return GateRow(
        scenario=scenario,
        margin=margin,
        drop=drop,
        verdicts=dict(rates.verdicts),
        point_passes=rates.point_passes,
    )


def write_coverage(report: CoverageReport, path: Path) -> None:
    """PATH.md, .csv and .json. Raises StoreError."""
    texts = {
        "md": coverage_markdown(report),
        "csv": coverage_csv(report),
        "json": report.model_dump_json(indent=2) + "\n",
    }
    for suffix, text in texts.items():
        atomic_write_text(path.with_name(f"{path.name}.{suffix}"), text)


def coverage_markdown(report: CoverageReport) -> str:
    """Two tables and what they are of. Equal reports give equal text."""
    by_scenario: dict[Scenario, list[CoverageRow]] = {}
    for row in report.intervals:
        by_scenario.setdefault(row.scenario, []).append(row)
    methods = [row.method for row in next(iter(by_scenario.values()))]
    parts = [
        "# How often the intervals and the gate are right",
        f"{report.n_sweeps} simulated sweeps a line, seed {report.seed}, written by `epa-bench simulate`. A paired "
        "difference is a seed's effect + a prompt's effect + a residual, all normal, with standard deviations of the "
        f"line's, {100 * PROMPT_SD:g} and {100 * RESIDUAL_SD:g} points.",
        "## Coverage of nominal 95 % intervals",
        _table(
            ["Sweep", *methods, "Mean half-width, crossed (points)"],
            (
                [
                    _sweep(scenario),
                    *(f"{row.covered / report.n_sweeps:.3f}" for row in rows),
                    *(f"{100 * row.half_width:.1f}" for row in rows if row.method == HEADLINE),
                ]
                for scenario, rows in by_scenario.items()
            ),
        ),
        f"At a true coverage of .95 these figures vary by {_varies(0.95, report.n_sweeps):.3f}. The bootstrap has "
        f"{report.n_draws} draws in each sweep.",
        "## Verdicts of a gate of one check",
        _table(
            [
                "Sweep",
                "Margin (points)",
                "True drop (points)",
                "PASS",
                "BREACH",
                "INCONCLUSIVE",
                "A bare threshold passes",
            ],
            (_gate_cells(row, report.n_sweeps) for row in report.gates),
        ),
        "A drop of the margin is what a gate must not pass; without a change it must not breach. At a true rate of "
        f"{100 * FALSE_BREACH:g} % these figures vary by {_varies(FALSE_BREACH, report.n_sweeps):.3f}, at 5 % by "
        f"{_varies(0.05, report.n_sweeps):.3f}. A margin far below the needed one is better not asked of so small a "
        "sweep (`epa-bench power --gate`): it is inconclusive.",
    ]
    return "\n\n".join(parts) + "\n"


def _varies(rate: float, n: int) -> float:
    """Half the 95 % interval of a rate counted in n sweeps."""
    return float(1.96 * (rate * (1 - rate) / n) ** 0.5)


def coverage_csv(report: CoverageReport) -> str:
    """One rate a line, as counts."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["seeds", "prompts", "seed_sd", "of", "margin", "drop", "outcome", "count", "n", "mean_half_width"])
    writer.writerows([*_shape(row.scenario), *cells] for row, cells in _lines(report))
    return out.getvalue()


def _lines(report: CoverageReport) -> Iterator[tuple[CoverageRow | GateRow, list[object]]]:
    n = report.n_sweeps
    for row in report.intervals:
        yield row, [row.method, None, None, "covered", row.covered, n, row.half_width]
    for gate in report.gates:
        for outcome, count in (*gate.verdicts.items(), ("a bare threshold passes", gate.point_passes)):
            yield gate, ["gate", gate.margin, gate.drop, outcome, count, n, None]


def _gate_cells(row: GateRow, n: int) -> list[str]:
    counts = [*row.verdicts.values(), row.point_passes]
    return [_sweep(row.scenario), f"{100 * row.margin:g}", f"{100 * row.drop:g}", *(f"{c / n:.3f}" for c in counts)]


def _shape(scenario: Scenario) -> list[object]:
    return [scenario.n_seeds, scenario.n_prompts, scenario.seed_sd]


def _sweep(scenario: Scenario) -> str:
    return f"{scenario.n_seeds} seeds, {scenario.n_prompts} prompts, seed sd {100 * scenario.seed_sd:g}"


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, [":---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
