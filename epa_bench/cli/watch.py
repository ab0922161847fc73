"""Looking at a sweep from another terminal."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from epa_bench.cli.options import JsonPath, RunFolder
from epa_bench.cli.output import grid, show

if TYPE_CHECKING:
    from epa_bench.pipeline.watch import Watched

_EVERY = 2.0
"""Seconds between two looks at the files."""


def watch(
    run: RunFolder,
    once: Annotated[bool, typer.Option("--once", help="Say how it stands now and end.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Show a sweep's cells, curves, throughput and failures, while it runs elsewhere or afterwards. Reads files only.

    Away from a terminal, and for a sweep that is done, one snapshot.
    """
    from epa_bench.pipeline.watch import watch as look

    found = look(run)
    if once or json_path is not None or found.is_over or not sys.stdout.isatty():
        show(lambda console: console.print(_drawn(found)), found.model_dump_json(indent=2) + "\n", json_path)
        return
    with Live(_drawn(found), console=Console(markup=False), auto_refresh=False) as live:
        try:
            while not found.is_over:
                time.sleep(_EVERY)
                found = look(run)
                live.update(_drawn(found), refresh=True)
        except KeyboardInterrupt:
            # Only the watching ends.
            return


def _drawn(found: "Watched") -> RenderableType:
    from epa_bench.core.sparkline import sparkline
    from epa_bench.core.sweep_status import spoken

    parts: list[RenderableType] = [Text(f"{found.run}: {found}")]
    rows = [
        {"running": cell.label, "since": spoken(cell.seconds), "by": cell.owner}
        | {name: f"{sparkline(values)} {values[-1]:.4g}" for name, values in cell.curves.items()}
        for cell in found.running
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    if rows:
        parts.append(grid([{name: row.get(name, "") for name in names} for row in rows]))
    for cell in found.failed:
        parts.append(Text(f"failed: {cell.label}: {cell.reason}"))
    if found.failed:
        parts.append(Text(f"to try again: {found.retry}"))
    return Group(*parts)
