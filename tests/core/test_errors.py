"""User errors: an exit code each, and every problem on a line of its own."""

import pytest

from epa_bench.core import errors
from epa_bench.core.errors import INTERRUPTED_EXIT_CODE, EpaBenchError, Problem, list_problems

# Rooms above may have some of their own, which never reach a shell.
USER_ERRORS = [each for each in EpaBenchError.__subclasses__() if each.__module__ == errors.__name__]


def test_exit_codes_are_distinct_and_leave_the_verdicts_alone() -> None:
    codes = [error.exit_code for error in USER_ERRORS]
    assert len(set(codes)) == len(codes) == 11
    assert not {0, 1, 2, INTERRUPTED_EXIT_CODE} & set(codes)
    # Shells report a command they cannot run, or that a signal ended, from 126 on.
    assert max(codes) < 126


@pytest.mark.parametrize("error", USER_ERRORS)
def test_errors_are_caught_as_one(error: type[EpaBenchError]) -> None:
    assert issubclass(error, EpaBenchError)
    assert getattr(errors, error.__name__) is error
    assert str(error("what to do")) == "what to do"


def test_problems_stand_a_line_each() -> None:
    problems = [Problem("f.yaml:3", "expected a number"), Problem("rows.jsonl, row 2", "empty")]
    assert list_problems(problems, "demo") == (
        "2 problems in demo:\n  f.yaml:3: expected a number\n  rows.jsonl, row 2: empty"
    )
    assert list_problems(problems[:1], "demo") == "1 problem in demo:\n  f.yaml:3: expected a number"


@pytest.mark.parametrize(("count", "lines", "last"), [(20, 21, "p20: x"), (21, 22, "... and 1 more")])
def test_twenty_problems_are_shown_and_the_rest_counted(count: int, lines: int, last: str) -> None:
    shown = list_problems([Problem(f"p{i}", "x") for i in range(1, count + 1)], "f").splitlines()
    assert shown[0] == f"{count} problems in f:"
    assert len(shown) == lines
    assert shown[-1].strip() == last
