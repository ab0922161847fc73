"""Tables as an HTML fragment, to be put into a page: no style, no script; all text is escaped."""

from collections.abc import Iterable
from html import escape as escape_html

from epa_bench.core.one_line import one_line
from epa_bench.leaderboard.display import Grid, Sheet


def to_html(sheet: Sheet) -> str:
    """A section: tables with their captions, whose lines have the class better, worse or undecided; legend, notes."""
    parts = [
        '<section class="epa-bench">',
        f"<h2>{_text(sheet.title)}</h2>",
        *map(_table, sheet.grids),
        _list(sheet.legend),
        _list(sheet.notes),
        "</section>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _table(grid: Grid) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in grid.header)
    lines = [
        f'<tr class="{line.verdict}">{"".join(f"<td>{_text(cell)}</td>" for cell in line.cells)}</tr>'
        for line in grid.lines
    ]
    caption = _text(" ".join([f"{grid.title}." if grid.title else "", *grid.captions]))
    body = "\n".join(["<tbody>", *lines, "</tbody>"])
    return f"<table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n{body}\n</table>"


def _list(texts: Iterable[str]) -> str:
    items = [f"<li>{_text(text)}</li>" for text in texts]
    return "\n".join(["<ul>", *items, "</ul>"]) if items else ""


def _text(text: str) -> str:
    return escape_html(one_line(text))
