"""The command line: verbs, no logic."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from epa_bench import __version__
from epa_bench.core.errors import INTERRUPTED_EXIT_CODE, ConfigError, EpaBenchError
from epa_bench.execution.launcher import is_follower

app = typer.Typer(
    name="epa-bench",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train EPA, DPO and their controls from one reference, evaluate every checkpoint, and table the margin.",
    epilog="Exit codes: 0 done, 1 a bug, 3 configuration, 4 data, 5 checkpoint, 6 store or disk, 7 plan, 8 training, "
    "9 suite, 10 a worker died, 11 judge, 12 hub, 130 interrupted (rerun to go on).",
)

bench = typer.Typer(help="Measure this package against others, on this machine.", no_args_is_help=True)
app.add_typer(bench, name="bench")

_PLAIN_WIDTH = 150

SweepFile = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep file, or the name of a shipped one: demo.")]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set training.num_train_epochs=2.")
]
SuiteFolders = Annotated[list[Path], typer.Option("--suites", metavar="DIR", help="A folder of further suites.")]
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


@app.command()
def run(sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """Do the whole sweep: reference, training, answers, verdicts, probes, table. Only what is owed is computed."""
    from epa_bench.pipeline.run import run_stage
    from epa_bench.pipeline.table import write_table

    opened = _open(sweep, overrides, suites)
    run_stage(opened, "score")
    _show_board(write_table(opened), json_path)
    _say(f"Rows: {opened.folder / 'rows.jsonl'}   Table: {opened.sweep.output.leaderboards}/{opened.sweep.name}.md")


@app.command()
def train(sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """Train every checkpoint of a sweep; prints the last step of each."""
    _stage(sweep, overrides, suites, "train", json_path)


@app.command()
def generate(
    sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None
) -> None:
    """Train what is owed and let every checkpoint answer the suites' prompts."""
    _stage(sweep, overrides, suites, "generate", json_path)


@app.command()
def judge(sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """Everything up to the verdicts on those answers."""
    _stage(sweep, overrides, suites, "judge", json_path)


@app.command()
def score(sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """Everything up to the per-prompt values of every suite, without the table."""
    _stage(sweep, overrides, suites, "score", json_path)


@app.command()
def table(
    sweep: SweepFile,
    overrides: Overrides = [],
    suites: SuiteFolders = [],
    json_path: JsonPath = None,
    full: Annotated[bool, typer.Option("--full", help="Every metric, not only the headline.")] = False,
) -> None:
    """Write the margin table again from a finished sweep's store. Trains nothing, loads no torch."""
    from epa_bench.pipeline.table import write_table

    _show_board(write_table(_open(sweep, overrides, suites)), json_path, full=full)


@app.command()
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

    pushed = push_checkpoint(_open(sweep, overrides, suites), arm, seed, repo, private=private)
    _show_rows([dataclasses.asdict(pushed)], json_path)


@app.command()
def suites(folders: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """List the suites a sweep can name."""
    from epa_bench.suites.registry import registry

    found = registry(folders)
    rows = [
        {"name": name, **found.load(name, {}).model_dump(mode="json", include={"kind", "description"})}
        for name in found.paths
    ]
    _show_rows(rows, json_path)


@app.command()
def losses(json_path: JsonPath = None) -> None:
    """List the losses a method can name."""
    from epa_bench.losses.table import LOSSES

    names = ("name", "summary", "options", "uses_weak", "couples_batch", "reference_free", "needs_gold", "source")
    rows = [{name: getattr(spec, name) for name in names} for spec in LOSSES.values()]
    _show_rows([{**row, "options": "\n".join(map(str, row["options"]))} for row in rows], json_path)


@bench.command("train")
def bench_train(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer steps, no tables of growth: minutes.")] = False,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Time training steps: ours, TRL's where it is installed, and the obvious implementation's, in one run."""
    from epa_bench.bench.render import to_terminal
    from epa_bench.bench.train import benchmark_training

    rows = benchmark_training("quick" if quick else "full", out, _say)
    text = json.dumps([row.model_dump(mode="json") for row in rows], indent=2, ensure_ascii=False, allow_nan=False)
    _show(lambda console: console.print(to_terminal(rows)), text + "\n", json_path)
    _say(f"Tables: {out}")


@bench.command("judge")
def bench_judge(
    calls: Annotated[int, typer.Option("--calls", min=10, help="Verdicts of ours a round.")] = 2000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Times every side is measured.")] = 3,
    json_path: JsonPath = None,
) -> None:
    """Verdicts a second against a judge that takes no time: ours, and alpaca_eval's own client."""
    from epa_bench.bench.judge import benchmark_judges

    _show_rows([row.model_dump(mode="json") for row in benchmark_judges(calls, rounds, _say)], json_path)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context, show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Options before a verb; without one, the help."""
    if show:
        typer.echo(f"epa-bench {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Entry point: turns errors a user can mend into one message and an exit code."""
    if is_follower(os.environ):
        return
    with _exit_codes():
        # Typer takes Ctrl-C for itself and, outside its standalone mode, only returns the code.
        if app(standalone_mode=False) == INTERRUPTED_EXIT_CODE:
            raise KeyboardInterrupt


@contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except EpaBenchError as error:
        _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        _fail(f"{error.format_message()} (see epa-bench --help)", ConfigError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; run the same command again to go on", INTERRUPTED_EXIT_CODE)


def _fail(message: str, code: int) -> None:
    Console(stderr=True).print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


def _open(sweep: str, overrides: list[str], folders: list[Path]) -> Any:
    from epa_bench.config.yaml12 import read_document
    from epa_bench.pipeline.run import open_run
    from epa_bench.suites.registry import registry, sweep_path

    return open_run(read_document(sweep_path(sweep)), overrides, registry(folders))


def _stage(sweep: str, overrides: list[str], folders: list[Path], stage: Any, json_path: Path | None) -> None:
    from epa_bench.pipeline.run import run_stage
    from epa_bench.pipeline.summaries import stage_summary

    opened = _open(sweep, overrides, folders)
    run_stage(opened, stage)
    _show_rows(stage_summary(opened, stage), json_path)


def _show_board(board: Any, json_path: Path | None, *, full: bool = False) -> None:
    from epa_bench.leaderboard.render import to_json, to_terminal

    _show(lambda console: console.print(to_terminal(board, full=full)), to_json(board), json_path)


def _show_rows(rows: list[dict[str, Any]], json_path: Path | None) -> None:
    def show(console: Console) -> None:
        grid = Table(*(rows[0] if rows else ()))
        for row in rows:
            grid.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
        console.print(grid)

    _show(show, json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n", json_path)


def _show(show: Callable[[Console], None], text: str, json_path: Path | None) -> None:
    """Figures for people, or as JSON; with `-` nothing but the JSON reaches standard output."""
    if json_path == Path("-"):
        sys.stdout.write(text)
        return
    if json_path is not None:
        from epa_bench.core.files import atomic_write_text

        atomic_write_text(json_path, text)
    # Away from a terminal rich assumes 80 columns, too few for a table.
    show(Console(markup=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH))


def _say(line: str) -> None:
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
