"""The command line: verbs, no logic."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from epa_bench import __version__
from epa_bench.cli import (
    acquire,
    bench,
    bridges,
    cell,
    compare,
    contamination,
    docs,
    frontier,
    gate,
    judge,
    lists,
    machine,
    plan,
    plot,
    power,
    probe,
    provenance,
    report,
    simulate,
    study,
    sweeps,
    trend,
    watch,
)
from epa_bench.core.errors import INTERRUPTED_EXIT_CODE, ConfigError, EpaBenchError
from epa_bench.execution.launcher import is_follower

app = typer.Typer(
    name="epa-bench",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train EPA, DPO and their controls from one reference, evaluate every checkpoint, and table the margin.",
    epilog="Exit codes: 0 done, 1 a bug, 3 configuration, 4 data, 5 checkpoint, 6 store or disk, 7 plan, 8 training, "
    "9 suite, 10 a worker died, 11 judge, 12 hub, 13 several of these, 130 interrupted (rerun to go on). "
    "Of gate: 0 PASS, 1 BREACH, 2 INCONCLUSIVE.",
)

app.command()(sweeps.run)
app.command()(plan.plan)
app.command()(watch.watch)
app.command()(contamination.contamination)
app.command()(sweeps.train)
app.command()(sweeps.generate)
app.add_typer(judge.judge, name="judge")
app.command()(sweeps.score)
app.command()(sweeps.table)
app.command()(compare.compare)
app.command(epilog=gate.EPILOG)(gate.gate)
app.command()(power.power)
app.command()(simulate.simulate)
app.command()(trend.trend)
app.command()(provenance.explain)
app.command()(provenance.diff)
app.command()(provenance.gc)
app.add_typer(provenance.store, name="store")
app.command()(sweeps.push)
app.command()(probe.probe)
app.command()(report.report)
app.add_typer(plot.plot, name="plot")
app.add_typer(lists.suites, name="suites", invoke_without_command=True)
app.command()(lists.losses)
app.command()(lists.published)
app.add_typer(bridges.imports, name="import")
app.add_typer(bridges.exports, name="export")
app.add_typer(bench.bench, name="bench")
app.command()(frontier.frontier)
app.add_typer(study.study, name="study")
app.command()(acquire.acquire)
app.command()(machine.doctor)
app.command()(docs.docs)
app.command(hidden=True)(cell.cell)


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
        code = app(standalone_mode=False)
        if code == INTERRUPTED_EXIT_CODE:
            raise KeyboardInterrupt
        if code:
            sys.exit(code)


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
