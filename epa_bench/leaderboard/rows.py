"""Score rows on disk and as a long table. Order of rows never matters: they are sorted by what they measure."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from epa_bench.core.errors import DataError
from epa_bench.core.files import read_records, write_records
from epa_bench.core.records import Record, ScoreRow

COLUMNS = tuple(ScoreRow.model_fields)
_ARROW_TYPES = dict.fromkeys(COLUMNS, "string") | {
    **dict.fromkeys(("beta", "learning_rate", "value"), "float64"),
    **dict.fromkeys(("seed", "item"), "int64"),
}
_ONE_OF = ("value", "error")
"""Of which a row has the other one."""

KEY = ("suite", "metric", "arm", "seed", "prompt_id", "item")
"""What a row measures. Two rows with one key would count twice."""


def write_rows(path: Path, rows: Sequence[ScoreRow] | pd.DataFrame) -> None:
    """One JSON line a row, sorted by key, atomically: equal rows give equal bytes. Raises StoreError.

    A table is one of `score_frame`, which is sorted.
    """
    if isinstance(rows, pd.DataFrame):
        write_records(path, records_of(rows))
    else:
        write_records(path, sorted(rows, key=lambda row: [getattr(row, name) for name in KEY]))


def records_of(frame: pd.DataFrame) -> Iterator[ScoreRow]:
    """The rows of a table of `score_frame`, in its order."""
    for cells in zip(*(frame[name] for name in COLUMNS), strict=True):
        row = dict(zip(COLUMNS, cells, strict=True))
        row |= {"value": None} if isinstance(row["error"], str) else {"error": None}
        yield ScoreRow.model_construct(**row)


def read_rows(path: Path) -> list[ScoreRow]:
    """Raises DataError that names the file and every damaged row."""
    return read_records(path, ScoreRow)


def read_frame(paths: Iterable[Path]) -> pd.DataFrame:
    """The rows of several files as one long table; see `score_frame`. Raises DataError as `read_rows`."""
    return score_frame(pd.concat([read_columns(path, ScoreRow) for path in paths], ignore_index=True))


def read_columns(path: Path, kind: type[Record]) -> pd.DataFrame:
    """Records as `write_records` wrote them, some or all of whose fields are a ScoreRow's, as a long table.

    A million rows in seconds, where a model a row takes four times as long and three times the memory. Raises DataError
    as `read_records`.
    """
    # Late: tables of rows that are in memory do without it.
    import pyarrow as arrow  # type: ignore[import-untyped]
    import pyarrow.json as arrow_json  # type: ignore[import-untyped]

    names = tuple(kind.model_fields)
    schema = arrow.schema([(name, arrow.type_for_alias(_ARROW_TYPES[name])) for name in names])
    options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    try:
        columns = arrow_json.read_json(path, parse_options=options)
    except (OSError, arrow.ArrowException):
        columns = None
    # Whatever is not plainly right is read again row by row, which accepts it or says what is wrong where.
    if columns is None or any(columns[name].null_count for name in names if name not in _ONE_OF):
        records = read_records(path, kind)
        if records:
            return _columns(records, names)
        # Columns of no type would change that of the others they are put together with.
        columns = schema.empty_table()
    frame: pd.DataFrame = columns.to_pandas()
    return frame


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


def _columns(rows: Sequence[Record], names: Sequence[str] = COLUMNS) -> pd.DataFrame:
    return pd.DataFrame({name: [getattr(row, name) for row in rows] for name in names})


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
