"""A leaderboard in every format: Markdown, CSV, JSON, terminal. Equal leaderboards give equal bytes."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from epa_bench.core.files import atomic_write_text
from epa_bench.core.one_line import one_line
from epa_bench.core.records import Record
from epa_bench.leaderboard.board import ArmResult, Cell, Leaderboard, MetricTable
from epa_bench.leaderboard.display import Grid, Sheet, sheet_of
from epa_bench.leaderboard.markdown import headline_markdown, to_markdown

__all__ = ["headline_markdown", "to_csv", "to_json", "to_markdown", "to_terminal", "write_board"]

_STYLE = {"better": "green", "worse": "red", "undecided": ""}


def to_json(board: Record) -> str:
    """All of a leaderboard with unrounded numbers; `Leaderboard.model_validate_json` reads it back."""
    plain = board.model_dump(mode="json")
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(board: Leaderboard) -> str:
    """One line for each metric and arm, numbers unscaled and unrounded, an empty field for what is absent."""
    return csv_text([csv_record(table, result) for table in board.tables for result in table.arms])


def csv_text(records: Sequence[Mapping[str, object]]) -> str:
    """Records with the same names, which are the header; at least one."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def to_terminal(sheet: Sheet) -> Group:
    """The tables and the legend, for `rich.console.Console.print`."""
    return Group(Text(one_line(sheet.title), style="bold"), *map(_table, sheet.grids), *map(Text, sheet.legend))


def _table(grid: Grid) -> Table:
    # Text objects, not strings: rich reads markup such as [red] in strings.
    captions = Text(one_line(" ".join(grid.captions)))
    table = Table(title=Text(one_line(grid.title)) if grid.title else None, title_justify="left", caption=captions)
    table.caption_justify = "left"
    for number, name in enumerate(grid.header):
        table.add_column(Text(one_line(name)), justify="right" if number else "left")
    for line in grid.lines:
        table.add_row(*(Text(one_line(cell)) for cell in line.cells), style=_STYLE[line.verdict])
    return table


def csv_record(table: MetricTable, result: ArmResult) -> dict[str, object]:
    """One CSV line; None is written as an empty field, a float as its repr."""
    margin = result.margin
    return {
        "suite": table.suite,
        "metric": table.metric,
        "unit": table.info.unit,
        "scale": table.info.scale,
        "better": table.info.better,
        "judge": table.judge,
        "arm": result.arm,
        "method": result.method,
        "beta": result.beta,
        "learning_rate": result.learning_rate,
        "n_failed": result.n_failed,
        **_cell("score", result.score),
        "against": margin.against if margin else None,
        **_cell("margin", margin),
        "margin_mde": margin.mde if margin else None,
        "margin_zero": margin.interval.zero if margin and margin.interval else None,
    }


def _cell(prefix: str, cell: Cell | None) -> dict[str, object]:
    interval = cell.interval if cell else None
    return {
        prefix: cell.value if cell else None,
        **{f"{prefix}_{name}": getattr(interval, name, None) for name in ("low", "high", "level", "se", "dof", "kind")},
        f"{prefix}_seeds": " ".join(str(seed) for seed in cell.seeds) if cell else None,
        f"{prefix}_n_prompts": cell.n_prompts if cell else None,
        f"{prefix}_n_left_out": cell.n_left_out if cell else None,
        f"{prefix}_note": cell.note if cell else None,
    }


def write_board(board: Leaderboard, path: Path) -> None:
    """PATH.md, .csv and .json."""
    for file, text in board_files(board, path).items():
        atomic_write_text(file, text)


def board_files(board: Leaderboard, path: Path) -> dict[Path, str]:
    """What `write_board` writes."""
    texts = {"md": to_markdown(sheet_of(board)), "csv": to_csv(board), "json": to_json(board)}
    return {path.with_name(f"{path.name}.{suffix}"): text for suffix, text in texts.items()}
