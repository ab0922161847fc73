"""Score rows on disk and as a long table. Order of rows never matters: they are sorted by what they measure."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from epa_bench.core.errors import DataError
from epa_bench.core.files import read_records, write_records
from epa_bench.core.records import ScoreRow

COLUMNS = tuple(ScoreRow.model_fields)
KEY = ("suite", "metric", "arm", "seed", "prompt_id", "item")
"""What a row measures. Two rows with one key would count twice."""


def write_rows(path: Path, rows: Iterable[ScoreRow]) -> None:
    """One JSON line a row, sorted by key, atomically: equal rows give equal bytes. Raises StoreError."""
    write_records(path, sorted(rows, key=lambda row: [getattr(row, name) for name in KEY]))


def read_rows(path: Path) -> list[ScoreRow]:
    """Raises DataError that names the file and every damaged row."""
    return read_records(path, ScoreRow)


def read_frame(paths: Iterable[Path]) -> pd.DataFrame:
    """The rows of several files as one long table; see `score_frame`. Raises DataError."""
    return score_frame([row for path in paths for row in read_rows(path)])


def score_frame(rows: Sequence[ScoreRow] | pd.DataFrame) -> pd.DataFrame:
    """A long table with the columns of ScoreRow, sorted by key; `value` is float64 and NaN where there is an `error`.

    Raises DataError for a missing column, a row without exactly one of a finite value and an error, a key that occurs
    twice, an arm with two methods, betas or learning rates, and for no rows at all.
    """
    frame = rows.copy() if isinstance(rows, pd.DataFrame) else _columns(rows)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise DataError(f"score rows: expected the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
    if frame.empty:
        raise DataError("score rows: expected at least one row, got none. Run the scoring step first.")
    frame = frame[list(COLUMNS)].sort_values(list(KEY), ignore_index=True)
    frame["value"] = frame["value"].astype("float64")
    _check_rows(frame)
    _check_arms(frame)
    return frame


def _columns(rows: Sequence[ScoreRow]) -> pd.DataFrame:
    return pd.DataFrame({name: [getattr(row, name) for row in rows] for name in COLUMNS})


def _check_rows(frame: pd.DataFrame) -> None:
    has_value = frame["value"].notna()
    wrong = (has_value == frame["error"].notna()) | frame["value"].isin([float("inf"), float("-inf")])
    if wrong.any():
        raise DataError(
            f"score rows: {_key(frame, wrong)} ({wrong.sum()} in all): expected either a finite value or an error"
        )
    repeated = frame.duplicated(list(KEY))
    if repeated.any():
        raise DataError(
            f"score rows: {_key(frame, repeated)} occurs twice ({repeated.sum()} repeats in all) and would count "
            "double. Give items that share a prompt different `item` numbers, or read each file once."
        )


def _check_arms(frame: pd.DataFrame) -> None:
    settings = frame[["arm", "method", "beta", "learning_rate"]].drop_duplicates()
    repeated = settings["arm"].duplicated(keep=False)
    if repeated.any():
        arm = settings.loc[repeated, "arm"].iloc[0]
        found = settings.loc[settings["arm"] == arm, ["method", "beta", "learning_rate"]].to_dict("records")
        raise DataError(
            f"score rows: arm {arm!r} has {len(found)} settings: {found}. "
            "Expected one method, beta and learning rate an arm; name the grid points apart."
        )


def _key(frame: pd.DataFrame, where: "pd.Series[bool]") -> str:
    """The first row concerned, as text."""
    first = frame.loc[where].iloc[0]
    return ", ".join(f"{name} {first[name]}" for name in KEY)
