"""Options that several verbs take."""

from pathlib import Path
from typing import Annotated

import typer

SweepFile = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep file, or the name of a shipped one: demo.")]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set training.num_train_epochs=2.")
]
MirrorFolder = Annotated[
    Path | None,
    typer.Option(
        "--mirror",
        metavar="DIR",
        help="A folder that holds the files, under any name: the sha256 decides. By default EPA_BENCH_MIRROR.",
    ),
]
SuiteFolders = Annotated[list[Path], typer.Option("--suites", metavar="DIR", help="A folder of further suites.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a sweep's run: runs/NAME.")]
LeaderboardHistory = Annotated[
    Path,
    typer.Argument(metavar="LEADERBOARD", help="leaderboards/NAME.json with its git history, or a folder of such."),
]
OnlySuite = Annotated[str | None, typer.Option("--suite", metavar="NAME", help="Only this suite.")]
OnlyMetric = Annotated[str | None, typer.Option("--metric", metavar="NAME", help="This one, not the headline's.")]
OnlyArm = Annotated[str | None, typer.Option("--arm", metavar="NAME", help="Only this arm.")]
RewardMetric = Annotated[str, typer.Option("--reward", metavar="SUITE.METRIC", help="What is gained.")]
KlMetric = Annotated[str, typer.Option("--kl", metavar="SUITE.METRIC", help="What it costs.")]
BaselineMethod = Annotated[str, typer.Option("--baseline", metavar="METHOD", help="Compare the others with it.")]
RunsFolder = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Where the run's folder goes.")]
LeaderboardsFolder = Annotated[Path, typer.Option("--leaderboards", metavar="DIR", help="Where its table goes.")]
RunName = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Of the run; by default the first file's name.")
]
JsonPath = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="PATH",
        dir_okay=False,
        allow_dash=True,
        help="Also write the figures, unrounded; - is standard output.",
    ),
]

PerformanceFile = Annotated[
    Path, typer.Option("--out", metavar="PATH", dir_okay=False, help="The file whose section is written.")
]

LatexFile = Annotated[
    Path | None, typer.Option("--latex", metavar="FILE", dir_okay=False, help="Also write LaTeX tables (booktabs).")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Also write an HTML fragment.")
]
