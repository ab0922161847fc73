"""A leaderboard as GitHub Markdown. Names, judges, notes and versions are text: nothing in them acts as markup."""

import re
from collections.abc import Iterable

from epa_bench.core.one_line import one_line
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.display import Grid, Sheet, headline_grid

_MARKUP = re.compile(r"([\\`*\[\]#|~$])")
_EDGE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""GitHub reads an underscore inside a word as itself, so `reward_accuracy` stays legible in the source."""
_BLOCK_START = re.compile(r"^([-+=]|\d+(?=[.)]))")


def escape(text: str) -> str:
    """Text that GitHub shows as it is, on one line, inside a table cell as well as outside."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _EDGE_UNDERSCORE.sub(r"\\_", _MARKUP.sub(r"\\\1", text))


def to_markdown(sheet: Sheet) -> str:
    """Equal sheets give equal text."""
    parts = [f"# {escape(sheet.title)}"]
    for grid in sheet.grids:
        parts += [f"## {escape(grid.title)}"] * bool(grid.title) + [grid_markdown(grid)]
    parts += ["## Legend", _bullets(sheet.legend)]
    if sheet.versions:
        parts += ["## Versions", _bullets(f"{name} {version}" for name, version in sorted(sheet.versions.items()))]
    if sheet.notes:
        parts += ["## Notes", _bullets(sheet.notes)]
    return "\n\n".join(parts) + "\n"


def headline_markdown(board: Leaderboard) -> str:
    """The compact table of a README: the metrics marked `headline`, without a heading."""
    return grid_markdown(headline_grid(board)) + "\n"


def grid_markdown(grid: Grid) -> str:
    """The table, then its captions as one paragraph; only the captions where there are no lines."""
    captions = escape(" ".join(grid.captions))
    if not grid.lines:
        return captions
    rule = [":---", *["---:"] * (len(grid.header) - 1)]
    table = [_row(map(escape, grid.header)), _row(rule), *(_row(map(escape, line.cells)) for line in grid.lines)]
    return "\n".join(table) + f"\n\n{captions}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- {_BLOCK_START.sub(_escape_block, escape(text))}" for text in texts)


def _escape_block(start: re.Match[str]) -> str:
    return start[1] + "\\" if start[1].isdigit() else "\\" + start[1]
