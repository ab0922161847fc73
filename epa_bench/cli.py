"""The command line: verbs, no logic."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from epa_bench import __version__
from epa_bench.core.errors import INTERRUPTED_EXIT_CODE, ConfigError, EpaBenchError
from epa_bench.execution.launcher import is_follower


class _SweepByDefault(TyperGroup):
    """A group whose first command may be left out: `judge SWEEP` is `judge sweep SWEEP`."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        first = arguments[0] if arguments else ""
        if first not in self.commands and first not in context.help_option_names:
            arguments = ["sweep", *arguments]
        return super().parse_args(context, arguments)


app = typer.Typer(
    name="epa-bench",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train EPA, DPO and their controls from one reference, evaluate every checkpoint, and table the margin.",
    epilog="Exit codes: 0 done, 1 a bug, 3 configuration, 4 data, 5 checkpoint, 6 store or disk, 7 plan, 8 training, "
    "9 suite, 10 a worker died, 11 judge, 12 hub, 130 interrupted (rerun to go on).",
)

suites = typer.Typer(help="List the suites a sweep can name, and fetch what they need.")
app.add_typer(suites, name="suites", invoke_without_command=True)
judge = typer.Typer(
    cls=_SweepByDefault,
    help="Judge a sweep's answers (judge SWEEP [--set KEY=VALUE] [--json PATH]), or check a judge (judge check).",
)
app.add_typer(judge, name="judge")
imports = typer.Typer(help="Bring judgments that other tools made into a run, and print their scores.")
app.add_typer(imports, name="import")
exports = typer.Typer(help="Write a run's judgments as the files of other tools.")
app.add_typer(exports, name="export")


bench = typer.Typer(help="Measure this package against others, on this machine.", no_args_is_help=True)
app.add_typer(bench, name="bench")

_PLAIN_WIDTH = 150

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


@judge.command("sweep")
def judge_sweep(
    sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None
) -> None:
    """Everything up to the verdicts on those answers. `epa-bench judge SWEEP` is short for it."""
    _stage(sweep, overrides, suites, "judge", json_path)


@judge.command("check")
def judge_check(
    files: Annotated[list[Path], typer.Argument(metavar="PAIRS", help="Labelled pairs in LLMBar's layout.")],
    sweep: Annotated[str, typer.Option(metavar="SWEEP", help="Whose `judge` section is checked.")] = "demo",
    overrides: Overrides = [],
    mirror: MirrorFolder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost; ask nothing.")] = False,
    folders: SuiteFolders = [],
    json_path: JsonPath = None,
) -> None:
    """Show a judge pairs that people compared, in both orders: agreement, consistency, length bias, cost.

    [dim]epa-bench judge check LLMBar/*.json --set judge.kind=api --set judge.model=NAME --set judge.base_url=URL[/dim]
    """
    from epa_bench.config.yaml12 import read_document
    from epa_bench.pipeline.judge_check import open_judge_check
    from epa_bench.suites.registry import registry, sweep_path

    checking = open_judge_check(files, read_document(sweep_path(sweep)), overrides, registry(folders), mirror)
    if dry_run:
        _say(f"{checking.estimate() or 'a recorded judge is not asked'}")
        return
    _show_rows(checking.run(), json_path, stated=("judge", "calls", "intervals"))


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


@suites.callback()
def list_suites(context: typer.Context, folders: SuiteFolders = [], json_path: JsonPath = None) -> None:
    """List the suites a sweep can name, and fetch what they need."""
    from epa_bench.suites.registry import registry

    if context.invoked_subcommand is not None:
        return
    found = registry(folders)
    rows = [
        {"name": name, **found.load(name, {}).model_dump(mode="json", include={"kind", "description"})}
        for name in found.paths
    ]
    _show_rows(rows, json_path)


@suites.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Suites, as `epa-bench suites` lists them.")],
    mirror: MirrorFolder = None,
    folders: SuiteFolders = [],
    json_path: JsonPath = None,
) -> None:
    """Bring what suites need into the cache: prompts, references, judge prompts. Every file is checked."""
    from epa_bench.suites.fetch import fetch_suites

    _show_rows(fetch_suites(names, mirror, folders), json_path)


@app.command()
def losses(json_path: JsonPath = None) -> None:
    """List the losses a method can name."""
    from epa_bench.losses.table import LOSSES

    names = ("name", "summary", "options", "uses_weak", "couples_batch", "reference_free", "needs_gold", "source")
    rows = [{name: getattr(spec, name) for name in names} for spec in LOSSES.values()]
    _show_rows([{**row, "options": "\n".join(map(str, row["options"]))} for row in rows], json_path)


@app.command()
def published(
    leaderboards: Annotated[
        Path | None,
        typer.Option("--leaderboards", metavar="DIR", help="Also write published.md, .csv and .json there."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """List results that others published, each with its source, judge and version."""
    from epa_bench.leaderboard.published import (
        published_json,
        published_markdown,
        read_published,
        write_published,
    )
    from epa_bench.suites.registry import shipped_suites

    found = read_published(shipped_suites() / "published.yaml")
    if leaderboards is not None:
        write_published(found, leaderboards)
    _show(lambda console: console.print(published_markdown(found), soft_wrap=True), published_json(found), json_path)


@imports.command("alpaca-eval")
def import_alpaca_eval(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...", help="alpaca_eval's results, of one model or many; or compact annotations MODEL.jsonl.gz."
        ),
    ],
    df_gamed: Annotated[
        Path | None, typer.Option("--df-gamed", metavar="FILE", help="df_gamed.csv, for length-controlled win rates.")
    ] = None,
    duplicates: Annotated[
        Literal["refuse", "first", "last"], typer.Option(help="Which of several rows of a prompt counts.")
    ] = "refuse",
    missing: Annotated[
        Literal["count", "refuse"], typer.Option(help="Whether prompts may lack a row; they count as failed.")
    ] = "count",
    judge: Annotated[str | None, typer.Option(metavar="NAME", help="Whose annotations count, of several.")] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Compare the others with it; by default with the first.")
    ] = None,
    runs: RunsFolder = Path("runs"),
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    name: RunName = None,
    json_path: JsonPath = None,
) -> None:
    """Score annotations that alpaca_eval made: win rates, and length-controlled ones where df_gamed is given."""
    from epa_bench.pipeline.alpaca_eval_models import Choices, for_people
    from epa_bench.pipeline.import_alpaca_eval import import_alpaca_eval as run_import
    from epa_bench.pipeline.imported_run import Destination

    choices = Choices(judge=judge, duplicates=duplicates, missing=missing, baseline=baseline)
    models, notes = run_import(places, Destination(runs, leaderboards, name), choices, df_gamed)

    def show(console: Console) -> None:
        console.print(_grid([for_people(model) for model in models]))
        console.print(*notes, sep="\n", soft_wrap=True)

    _show(show, _json([model.model_dump(mode="json") for model in models]), json_path)


@exports.command("alpaca-eval")
def export_alpaca_eval(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of an imported run: runs/NAME.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Below it go MODEL/model_outputs.json and its annotations.")],
    json_path: JsonPath = None,
) -> None:
    """Write an imported run of AlpacaEval as the files that the alpaca_eval command reads."""
    from epa_bench.pipeline.export_alpaca_eval import export_alpaca_eval as run_export

    _show_rows(run_export(run_folder, to), json_path)


@imports.command("mt-bench")
def import_mt_bench(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="FastChat's JUDGE_single or JUDGE_pair.jsonl.")],
    duplicates: Annotated[
        Literal["refuse", "first", "last"],
        typer.Option(help="Which of several judgments of an answer counts, in the order of files and rows."),
    ] = "refuse",
    missing: Annotated[
        Literal["refuse", "count"], typer.Option(help="Whether ratings may be missing; they count as failed.")
    ] = "refuse",
    judge: Annotated[str | None, typer.Option(metavar="NAME", help="Whose judgments count, of several.")] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Give every other model's paired difference to this one.")
    ] = None,
    runs: RunsFolder = Path("runs"),
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    name: RunName = None,
    json_path: JsonPath = None,
) -> None:
    """Score judgments that FastChat made of MT-Bench, ratings or pairs."""
    from epa_bench.pipeline.import_mt_bench import import_mt_bench as run_import
    from epa_bench.pipeline.imported_run import Destination
    from epa_bench.suites.mt_bench_judgments import Choices

    choices = Choices(duplicates=duplicates, missing=missing, judge=judge)
    shown = run_import(files, Destination(runs, leaderboards, name), choices, baseline)
    _show_rows(shown, json_path, stated=("against", "judge", "choices", "intervals"))


@exports.command("mt-bench")
def export_mt_bench(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of an imported run: runs/NAME.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Below it the file goes to model_judgment/.")],
    json_path: JsonPath = None,
) -> None:
    """Write an imported run of MT-Bench as the file that FastChat's show_result.py reads."""
    from epa_bench.pipeline.export_mt_bench import export_mt_bench as run_export

    _show_rows(run_export(run_folder, to), json_path)


@bench.command("train")
def bench_train(
    quick: Annotated[bool, typer.Option("--quick", help="A case of each kind, no tables of growth: minutes.")] = False,
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


def _show_rows(rows: list[dict[str, Any]], json_path: Path | None, stated: Sequence[str] = ()) -> None:
    """`stated`: keys with one value in all rows, which people are told once, below the table."""

    def show(console: Console) -> None:
        console.print(_grid(rows, stated))
        for name in stated:
            if rows and name in rows[0]:
                console.print(f"{name}: {rows[0][name]}", soft_wrap=True)

    _show(show, _json(rows), json_path)


def _grid(rows: list[dict[str, Any]], without: Sequence[str] = ()) -> Table:
    # What is nested is for programs.
    names = [
        name for name, value in (rows[0] if rows else {}).items() if name not in without and not isinstance(value, dict)
    ]
    grid = Table(*names)
    for row in rows:
        cells = [row[name] for name in names]
        grid.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in cells))
    return grid


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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
