"""Error rates of the statistics, measured."""

from pathlib import Path
from typing import Annotated

import typer

from epa_bench.cli.options import JsonPath
from epa_bench.cli.output import say, show


def simulate(
    sweeps: Annotated[int, typer.Option(min=1, help="Simulated sweeps a line.")] = 4000,
    draws: Annotated[int, typer.Option(min=100, help="Of the bootstrap, in each sweep.")] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="Of the tables, without a suffix.")] = Path(
        "leaderboards/coverage"
    ),
    json_path: JsonPath = None,
) -> None:
    """How often intervals hold the truth and the gate errs, on simulated sweeps: some minutes."""
    from epa_bench.leaderboard.coverage import coverage_markdown, write_coverage
    from epa_bench.leaderboard.coverage import simulate as simulate_all

    report = simulate_all(sweeps, draws, seed)
    write_coverage(report, out)
    text = coverage_markdown(report)
    show(
        lambda console: console.print(text, soft_wrap=True, highlight=False),
        report.model_dump_json(indent=2) + "\n",
        json_path,
    )
    say(f"Tables: {out}.md")
