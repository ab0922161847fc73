r"""Tables as LaTeX for a paper: needs \usepackage{booktabs, amssymb}. All text is escaped."""

import re
from collections.abc import Iterable

from epa_bench.core.one_line import one_line
from epa_bench.leaderboard.cells import MINUS, TIMES
from epa_bench.leaderboard.display import Grid, Sheet

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{character: f"{{{character}}}" for character in "[]"},
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "○": r"$\circ$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\to$",
    "·": r"\textperiodcentered{}",
    TIMES: r"$\times$",
    MINUS: "$-$",
}
_SPECIAL = re.compile("[" + re.escape("".join(_COMMANDS)) + "]")


def to_latex(sheet: Sheet) -> str:
    """A table environment a grid, then the legend. Equal sheets give equal text."""
    parts = [f"% {one_line(sheet.title)}", *map(_table, sheet.grids), *map(escape, sheet.legend)]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX sets as it is, on one line."""
    return _SPECIAL.sub(lambda found: _COMMANDS[found[0]], one_line(text))


def _table(grid: Grid) -> str:
    rows = [_row(grid.header), r"\midrule", *(_row(line.cells) for line in grid.lines)]
    caption = escape(" ".join([f"{grid.title}." if grid.title else "", *grid.captions]))
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}",
            r"\toprule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _row(cells: Iterable[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"
