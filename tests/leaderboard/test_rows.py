from collections.abc import Callable
from pathlib import Path

import pytest

from epa_bench.core.errors import DataError
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.rows import read_frame, read_rows, write_rows

Rows = list[ScoreRow]
RowMaker = Callable[..., Rows]


def test_round_trip_keeps_every_digit_and_character(rows_of: RowMaker, tmp_path: Path) -> None:
    rows = rows_of("epa", {0: {"line\u2028break": 0.1 + 0.2, "ünï": 5e-324, 'quote"\n': "failed: \n"}})
    write_rows(tmp_path / "scores.jsonl", rows)
    read = read_rows(tmp_path / "scores.jsonl")
    assert sorted(read, key=repr) == sorted(rows, key=repr)


def test_file_does_not_depend_on_the_order_of_rows(worked_rows: Rows, tmp_path: Path) -> None:
    write_rows(tmp_path / "one", worked_rows)
    write_rows(tmp_path / "two", worked_rows[::-1])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_damaged_lines_are_named_by_file_and_row(worked_rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    write_rows(path, worked_rows)
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:20]
    lines[3] = lines[3].replace('"beta":0.1', '"beta":true')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"2 problems") as error:
        read_rows(path)
    assert f"{path}, row 2" in str(error.value)
    assert f"{path}, row 4: beta" in str(error.value)


def test_a_row_without_value_and_error_is_refused(tmp_path: Path, worked_rows: Rows) -> None:
    path = tmp_path / "scores.jsonl"
    row = worked_rows[0].model_dump_json(exclude={"value", "error"})
    path.write_text(row + "\n")
    with pytest.raises(DataError, match="either a value or an error"):
        read_rows(path)


def test_several_files_make_one_frame(rows_of: RowMaker, tmp_path: Path) -> None:
    write_rows(tmp_path / "b", rows_of("epa", {1: {"a": 0.5}}))
    write_rows(tmp_path / "a", rows_of("dpo", {0: {"b": "failed", "a": 0.25}}))
    frame = read_frame([tmp_path / "b", tmp_path / "a"])
    assert frame["arm"].tolist() == ["dpo", "dpo", "epa"]
    assert frame["prompt_id"].tolist() == ["a", "b", "a"]
    assert frame["value"].isna().tolist() == [False, True, False]
    assert str(frame["value"].dtype) == "float64"


def test_a_file_without_rows_beside_another_changes_nothing(worked_rows: Rows, tmp_path: Path) -> None:
    """A suite may have nothing to say of a checkpoint; its file is empty then."""
    write_rows(tmp_path / "rows", worked_rows)
    (tmp_path / "empty").touch()
    alone, beside = (read_frame([tmp_path / name for name in names]) for names in (["rows"], ["empty", "rows"]))
    assert beside.dtypes.to_dict() == alone.dtypes.to_dict()
    write_rows(tmp_path / "again", beside)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "rows").read_bytes()
