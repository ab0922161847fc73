"""The verb that makes the page to look at."""

from pathlib import Path
from typing import Annotated

import typer

from epa_bench.cli.options import JsonPath, RunsFolder
from epa_bench.cli.output import say, show_rows


def report(
    places: Annotated[
        list[Path], typer.Argument(metavar="RUN...|LEADERBOARD", help="Folders of runs, or leaderboards/NAME.json.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="The page.")] = Path("report.html"),
    runs: RunsFolder = Path("runs"),
    json_path: JsonPath = None,
) -> None:
    """Make one self-contained page of finished runs: margins, tables, curves, answers side by side."""
    from epa_bench.report.write import write_report

    written = write_report(places, runs, out)
    show_rows([written.model_dump(mode="json", exclude={"missing"})], json_path)
    for reason in written.missing:
        say(f"not shown: {reason}")
