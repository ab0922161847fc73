"""The verb that makes the page to look at."""

from pathlib import Path
from typing import Annotated

import typer

from epa_bench.cli.options import JsonPath, RunsFolder
from epa_bench.cli.output import say, show


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
    beside = f", and {len(written.files)} files beside it that it needs" if written.files else ""
    line = f"{written.page}: {written.bytes / 1e6:.1f} MB{beside}"
    show(lambda console: console.print(line, soft_wrap=True), written.model_dump_json(indent=2) + "\n", json_path)
    for reason in written.missing:
        say(f"not shown: {reason}")
