"""Verbs about a sweep."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from epa_bench.cli.options import HtmlFile, JsonPath, LatexFile, Overrides, SuiteFolders, SweepFile
from epa_bench.cli.output import say, show_board, show_rows


def run(sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """Do the whole sweep: reference, training, answers, verdicts, probes, table. Only what is owed is computed."""
    from epa_bench.pipeline.any_run import run_any, write_any

    opened = open_any_sweep(sweep, overrides, suites)
    run_any(opened, "score")
    show_board(write_any(opened), json_path)
    say(f"Rows: {opened.folder / 'rows.jsonl'}   Table: {opened.sweep.output.leaderboards}/{opened.sweep.name}.md")


def train(sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """Train every checkpoint of a sweep; prints the last step of each."""
    stage(sweep, overrides, suites, "train", json_path)


def generate(
    sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None
) -> None:
    """Train what is owed and let every checkpoint answer the suites' prompts."""
    stage(sweep, overrides, suites, "generate", json_path)


def score(sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """Everything up to the per-prompt values of every suite, without the table."""
    stage(sweep, overrides, suites, "score", json_path)


def table(
    sweep: Annotated[
        str, typer.Argument(metavar="SWEEP", help="A sweep file, a shipped one's name; to --check also RUN: runs/NAME.")
    ],
    overrides: Overrides = [],
    suites: SuiteFolders = [],
    json_path: JsonPath = None,
    full: Annotated[bool, typer.Option("--full", help="Every metric, not only the headline.")] = False,
    latex: LatexFile = None,
    html: HtmlFile = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the tables there are not what the run's rows give.")
    ] = False,
    leaderboards: Annotated[
        Path, typer.Option("--leaderboards", metavar="DIR", help="Where the tables of a RUN to --check are.")
    ] = Path("leaderboards"),
) -> None:
    """Write the margin table again from a finished sweep's store. Trains nothing, loads no torch."""
    from epa_bench.leaderboard.check import check_table
    from epa_bench.pipeline.any_run import write_any

    if check:
        # An import is a run without a sweep.
        if Path(sweep).is_dir():
            not_of_rows = check_table(Path(sweep), leaderboards)
        else:
            checked = open_any_sweep(sweep, overrides, suites)
            not_of_rows = check_table(checked.folder, Path(checked.sweep.output.leaderboards))
        say("The tables are what the rows give." + "".join(f" Not of rows, so not checked: {n}." for n in not_of_rows))
        return
    opened = open_any_sweep(sweep, overrides, suites)
    show_board(write_any(opened), json_path, full=full, latex=latex, html=html)


def push(
    sweep: SweepFile,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="An arm, as the table names it.")],
    seed: Annotated[int, typer.Option("--seed", help="Which of its training seeds.")],
    repo: Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="Where on the hub; made if it is absent.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    overrides: Overrides = [],
    suites: SuiteFolders = [],
    json_path: JsonPath = None,
) -> None:
    """Publish a trained checkpoint with its model card on the Hugging Face hub; the token is read from HF_TOKEN."""
    from epa_bench.pipeline.push import push_checkpoint

    pushed = push_checkpoint(open_sweep(sweep, overrides, suites), arm, seed, repo, private=private)
    show_rows([dataclasses.asdict(pushed)], json_path)


def open_sweep(sweep: str, overrides: list[str], folders: list[Path]) -> Any:
    """A sweep with one reference."""
    from epa_bench.config.yaml12 import read_document
    from epa_bench.pipeline.run import open_run
    from epa_bench.suites.registry import registry, sweep_path

    return open_run(read_document(sweep_path(sweep)), overrides, registry(folders))


def open_any_sweep(sweep: str, overrides: list[str], folders: list[Path]) -> Any:
    """A sweep with one reference or several."""
    from epa_bench.config.yaml12 import read_document
    from epa_bench.pipeline.any_run import open_any
    from epa_bench.suites.registry import registry, sweep_path

    return open_any(read_document(sweep_path(sweep)), overrides, registry(folders))


def stage(sweep: str, overrides: list[str], folders: list[Path], stage: Any, json_path: Path | None) -> None:
    from epa_bench.pipeline.any_run import run_any, summary_of

    opened = open_any_sweep(sweep, overrides, folders)
    run_any(opened, stage)
    show_rows(summary_of(opened, stage), json_path)
