"""What a cell's process says comes back as what happened."""

import pytest

from epa_bench.core.cell_messages import Done, Failed, Moved, Remark, parse_message, run_telling
from epa_bench.core.errors import EpaBenchError
from epa_bench.core.records import Record

ERRORS = EpaBenchError.__subclasses__()


@pytest.mark.parametrize("message", [Moved(done=3, total=10), Remark(text="two\nlines"), Done()])
def test_a_message_is_one_line(message: Moved | Remark | Done) -> None:
    line = message.model_dump_json()
    assert "\n" not in line
    assert parse_message(line) == message


@pytest.mark.parametrize("line", ["", "INFO: job 7 started", "{}", '{"kind": "moved"}', "3", '{"kind": "done", '])
def test_other_lines_are_no_messages(line: str) -> None:
    assert parse_message(line) is None


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_comes_back_as_its_class(kind: type[EpaBenchError]) -> None:
    line = Failed.of(kind("row 7 is broken\nand row 8")).model_dump_json()
    assert "\n" not in line
    failed = parse_message(line)
    assert isinstance(failed, Failed)
    assert type(failed.raised()) is kind
    assert str(failed.raised()) == "row 7 is broken\nand row 8"


def test_a_bug_comes_back_with_its_traceback() -> None:
    told: list[Record] = []

    def work() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run_telling(work, told.append)
    (failed,) = told
    assert isinstance(failed, Failed)
    error = failed.raised()
    assert type(error) is RuntimeError
    assert "Traceback" in str(error)
    assert "ZeroDivisionError: a bug" in str(error)


def test_the_end_of_work_is_told() -> None:
    told: list[Record] = []
    run_telling(lambda: None, told.append)
    assert told == [Done()]
