"""Tables of several runs."""

from pathlib import Path
from typing import Annotated

import typer

from epa_bench.cli.options import HtmlFile, JsonPath, LatexFile, SuiteFolders
from epa_bench.cli.output import say, show_sheets


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of sweeps and imports: runs/NAME.")],
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="RUN/METHOD",
            help="Compare the others with it; by default the first run's. */METHOD: each run's own. With --by: METHOD.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="FACTORS",
            help="A line for each of model,data,beta,learning_rate,run, or of some; a column a method.",
        ),
    ] = None,
    mix: Annotated[
        bool, typer.Option("--mix", help="Allow different judges, judge prompts or reference sets in one suite.")
    ] = False,
    suites: SuiteFolders = [],
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="Of the table, without a suffix.")] = Path(
        "leaderboards/comparison"
    ),
    full: Annotated[bool, typer.Option("--full", help="Every metric, not only the headline.")] = False,
    latex: LatexFile = None,
    html: HtmlFile = None,
    json_path: JsonPath = None,
) -> None:
    """Put the arms of several runs into one table, where their verdicts compare."""
    from epa_bench.leaderboard.display import sheet_of
    from epa_bench.leaderboard.group_tables import group_sheet
    from epa_bench.pipeline.compare import compare_groups, compare_runs
    from epa_bench.suites.registry import registry

    if by is None:
        board = compare_runs(runs, out, baseline, registry(suites), mix=mix)
        show_sheets(board, sheet_of, json_path, full=full, latex=latex, html=html)
    else:
        grouped = compare_groups(runs, out, by, baseline, registry(suites), mix=mix)
        show_sheets(grouped, group_sheet, json_path, full=full, latex=latex, html=html)
    say(f"Table: {out}.md")
