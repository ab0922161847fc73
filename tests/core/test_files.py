"""Files: a reader never sees half of one, and damage is named by row."""

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from epa_bench.core.errors import DataError, StoreError
from epa_bench.core.files import atomic_write_text, read_records, storage_errors, write_json, write_records
from epa_bench.core.records import Message, Preference, Response, ScoreRow

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# Writing


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    """As /dev/null must: given to root, a rename would replace it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        atomic_write_text(pipe, "figures")
        assert read.result(timeout=10) == "figures"
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "f.txt"
    atomic_write_text(path, "old and long")
    atomic_write_text(path, "new\r\né\n")
    assert path.read_bytes() == b"new\r\n\xc3\xa9\n"
    assert os.listdir(path.parent) == ["f.txt"]


def test_file_too_large_is_a_store_error_and_keeps_the_old_one(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the system refuses in the middle of a write."""
    path = tmp_path / "f.txt"
    path.write_text("old")
    code = f"""
        import resource, sys
        from pathlib import Path
        from epa_bench.core.errors import StoreError
        from epa_bench.core.files import atomic_write_text
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, {resource.RLIM_INFINITY}))
        try:
            atomic_write_text(Path(sys.argv[1]), "x" * 10**6)
        except StoreError as error:
            print(error)
    """
    done = run(code, str(path))
    assert done.stdout.startswith(f"no space left to write {path}."), done.stderr
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_killed_writer_leaves_the_old_file(tmp_path: Path, call: str) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    code = """
        import os, signal, sys
        from pathlib import Path
        from epa_bench.core.files import atomic_write_text
        setattr(os, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        atomic_write_text(Path(sys.argv[1]), "new")
    """
    assert run(code, str(path), call).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    atomic_write_text(path, "next")
    assert path.read_text() == "next"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failed_writer_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreError, match="no space left"):
        atomic_write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.txt"]


def test_text_that_is_not_unicode_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        atomic_write_text(path, "half of a pair: \ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.txt"]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("mine")
    for path in (tmp_path / "runs" / "f.txt", tmp_path / "runs" / "below" / "f.txt"):
        with pytest.raises(StoreError, match="a file stands where a folder should be"):
            atomic_write_text(path, "x")
    assert (tmp_path / "runs").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no space left to write /out"),
        (errno.EDQUOT, "no space left to write /out"),
        (errno.EFBIG, "no space left to write /out"),
        (errno.EACCES, "no permission to write /out"),
        (errno.EPERM, "no permission to write /out"),
        (errno.EROFS, "no permission to write /out"),
        (errno.ENOTDIR, "cannot write /out"),
        (errno.EEXIST, "cannot write /out"),
    ],
)
def test_refusals_of_the_system_say_what_to_do(number: int, message: str) -> None:
    with pytest.raises(StoreError, match=f"^{message}"), storage_errors(Path("/out")):
        raise OSError(number, "refused")
    with pytest.raises(StoreError, match=r"/out/f\.txt"), storage_errors(Path("/out")):
        raise OSError(number, "refused", "/out/f.txt")


def test_other_errors_pass() -> None:
    with pytest.raises(OSError, match="input/output"), storage_errors(Path("/out")):
        raise OSError(errno.EIO, "input/output error")
    with pytest.raises(DataError, match="other"), storage_errors(Path("/out")):
        raise DataError("other")


def test_write_json(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write_json(path, {"b": [1], "a": "é"})
    assert path.read_text(encoding="utf-8") == '{\n  "a": "é",\n  "b": [\n    1\n  ]\n}\n'


def test_write_json_refuses_nan_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "f.json", {"a": float("nan")})
    assert os.listdir(tmp_path) == []


# Records


@given(texts=st.lists(TEXT, max_size=4), gold=st.floats(allow_nan=False, allow_infinity=False))
@example(texts=["a\u2028b\u2029c\x85d", "\r\n\t\x0b\x0c\x1c\x00", '"\\', "", "😀"], gold=5e-324)
def test_records_survive_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], gold: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "records.jsonl"
    records = [Response(text=text, gold=gold if text else None) for text in texts]
    write_records(path, records)
    assert read_records(path, Response) == records
    assert path.read_bytes().count(b"\n") == len(records)


def test_nested_records_survive_the_round_trip(tmp_path: Path) -> None:
    turns = (Message(role="user", content="q\n\u2028"), Message(role="assistant", content=""))
    rejected = (Response(text="b"), Response(text="c", gold=-0.5))
    records = [
        Preference(prompt=prompt, chosen=Response(text="a", gold=1.0), rejected=rejected, source="f, row 1")
        for prompt in ("q", turns)
    ]
    write_records(tmp_path / "f.jsonl", records)
    assert read_records(tmp_path / "f.jsonl", Preference) == records


def test_a_record_is_a_line_without_what_it_does_not_have(tmp_path: Path) -> None:
    write_records(tmp_path / "f.jsonl", [Response(text="é"), Response(text="b", gold=0.0)])
    assert (tmp_path / "f.jsonl").read_text(encoding="utf-8") == '{"text":"é"}\n{"text":"b","gold":0.0}\n'


def test_no_records_are_an_empty_file(tmp_path: Path) -> None:
    write_records(tmp_path / "f.jsonl", [])
    assert (tmp_path / "f.jsonl").read_bytes() == b""
    assert read_records(tmp_path / "f.jsonl", Response) == []


def test_last_newline_and_carriage_returns_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"text":"a"}\r\n{"text":"b"}')
    assert read_records(path, Response) == [Response(text="a"), Response(text="b")]


def test_every_damaged_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    rows = [
        b'{"text":"fine"}',
        b"",
        b'{"text":"a',
        b'{"text":"\xff"}',
        b'{"text":1}',
        b'{"txt":"a"}',
        b'{"text":"fine"}',
    ]
    path.write_bytes(b"\n".join([*rows, b'{"text":"cut of']))
    with pytest.raises(DataError) as caught:
        read_records(path, Response)
    header, *lines = str(caught.value).splitlines()
    assert header == f"6 problems in {path}:"
    numbers = [2, 3, 4, 5, 6, 8]
    assert [line.split(": ")[0].strip() for line in lines] == [f"{path}, row {number}" for number in numbers]
    assert "text: Input should be a valid string" in lines[3]
    assert "text: Field required" in lines[4]


def test_a_file_of_one_empty_line_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(b"\n")
    with pytest.raises(DataError, match="row 1: "):
        read_records(tmp_path / "f.jsonl", Response)


def test_rules_of_a_whole_row_are_named_by_row(tmp_path: Path) -> None:
    row = '{"suite":"s","metric":"m","arm":"a","method":"a","beta":0.1,"learning_rate":1e-6,"seed":1,"prompt_id":"p"}'
    (tmp_path / "f.jsonl").write_text(row + "\n")
    with pytest.raises(DataError, match="row 1: Value error, a row has either a value or an error"):
        read_records(tmp_path / "f.jsonl", ScoreRow)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*absent\.jsonl: No such file"):
        read_records(tmp_path / "absent.jsonl", Response)


# Imports


def test_the_ground_floor_is_light() -> None:
    done = run("""
        import sys
        from epa_bench.core import code, digest, errors, files, records, store
        print(*sys.modules)
    """)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "numpy", "pandas", "transformers"} & set(done.stdout.split())
