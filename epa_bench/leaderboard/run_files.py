"""What a run leaves: its rows, and its table in its own folder and among the leaderboards."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from epa_bench.core.errors import StoreError
from epa_bench.core.files import atomic_write_text, storage_errors
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.render import to_json, write_board
from epa_bench.leaderboard.rows import read_frame, write_rows

ROWS = "rows.jsonl"
KEPT = "kept.jsonl"
"""Rows of the checkpoints that trainings kept on their way, whose arms are called `ARM@2/4`: at half of ARM's."""
BOARD = "board.json"
"""The table again, so that the folder says how its rows are shown and who judged them."""


def write_run(folder: Path, rows: Sequence[ScoreRow] | pd.DataFrame, board: Leaderboard, leaderboards: Path) -> None:
    """Writes FOLDER/rows.jsonl as `write_rows`, FOLDER/board.json, and LEADERBOARDS/NAME.md, .csv and .json.

    Raises StoreError.
    """
    write_rows(folder / ROWS, rows)
    atomic_write_text(folder / BOARD, to_json(board))
    write_board(board, leaderboards / folder.name)


def write_kept(folder: Path, rows: pd.DataFrame | None) -> None:
    """Writes FOLDER/kept.jsonl as `write_rows`, or removes that of a run which kept some. Raises StoreError."""
    if rows is not None:
        write_rows(folder / KEPT, rows)
    else:
        with storage_errors(folder):
            (folder / KEPT).unlink(missing_ok=True)


def read_run(folder: Path) -> tuple[pd.DataFrame, Leaderboard]:
    """The rows as one long table, see `score_frame`.

    Raises StoreError where the folder holds no run whose table was written, DataError for damaged rows.
    """
    path = folder / BOARD
    try:
        board = Leaderboard.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(
            f"no {BOARD} in {folder}: expected the folder of a run whose table was written; finish its sweep with "
            "`epa-bench run`, or write the table of a finished one with `epa-bench table`"
        ) from error
    except ValidationError as error:
        raise StoreError(f"{path} is damaged; write the run's table again") from error
    return read_frame([folder / ROWS]), board
