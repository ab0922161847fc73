"""What verbs print: figures for people, or as JSON."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_PLAIN_WIDTH = 150


def show_board(
    board: Any, json_path: Path | None, *, full: bool = False, latex: Path | None = None, html: Path | None = None
) -> None:
    from epa_bench.leaderboard.display import sheet_of

    show_sheets(board, sheet_of, json_path, full=full, latex=latex, html=html)


def show_sheets(
    board: Any, sheet: Callable[..., Any], json_path: Path | None, *, full: bool, latex: Path | None, html: Path | None
) -> None:
    """Tables of any kind; `sheet(board, full=...)` says what they show."""
    from epa_bench.core.files import atomic_write_text
    from epa_bench.leaderboard.html import to_html
    from epa_bench.leaderboard.latex import to_latex
    from epa_bench.leaderboard.render import to_json, to_terminal

    if latex is not None:
        atomic_write_text(latex, to_latex(sheet(board, full=True)))
    if html is not None:
        atomic_write_text(html, to_html(sheet(board, full=True)))

    show(lambda console: console.print(to_terminal(sheet(board, full=full))), to_json(board), json_path)


def show_rows(rows: list[dict[str, Any]], json_path: Path | None, stated: Sequence[str] = ()) -> None:
    """`stated`: keys with one value in all rows, which people are told once, below the table."""

    def people(console: Console) -> None:
        console.print(grid(rows, stated))
        for name in stated:
            if rows and name in rows[0]:
                console.print(f"{name}: {rows[0][name]}", soft_wrap=True)

    show(people, as_json(rows), json_path)


def show(show: Callable[[Console], None], text: str, json_path: Path | None) -> None:
    """Figures for people, or as JSON; with `-` nothing but the JSON reaches standard output."""
    if json_path == Path("-"):
        sys.stdout.write(text)
        return
    if json_path is not None:
        from epa_bench.core.files import atomic_write_text

        atomic_write_text(json_path, text)
    # Away from a terminal rich assumes 80 columns, too few for a table.
    show(Console(markup=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH))


def grid(rows: list[dict[str, Any]], without: Sequence[str] = ()) -> Table:
    # What is nested is for programs.
    names = [
        name for name, value in (rows[0] if rows else {}).items() if name not in without and not isinstance(value, dict)
    ]
    grid = Table(*names)
    for row in rows:
        cells = [row[name] for name in names]
        grid.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in cells))
    return grid


def as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def say(line: str) -> None:
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
