"""Scalars without quotes: YAML 1.2's core schema, and nothing JSON would lose."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.config.scalars import NotPlainError, needs_quotes, parse_scalar


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nothing(text: str) -> None:
    assert parse_scalar(text) is None


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("TRUE", True), ("false", False)])
def test_true_and_false(text: str, value: bool) -> None:
    assert parse_scalar(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-19", -19), ("+7", 7), ("017", 17), ("0o17", 15), ("0x3A", 58), ("-0", 0), (str(2**63), 2**63)],
)
def test_whole_numbers(text: str, value: int) -> None:
    """A leading zero is no octal in 1.2; `0o` is."""
    parsed = parse_scalar(text)
    assert (parsed, type(parsed)) == (value, int)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-7", 5e-7),
        ("5E-7", 5e-7),
        ("0.1e-3", 1e-4),
        ("1e5", 1e5),
        ("12e03", 12e3),
        (".5", 0.5),
        (".5e3", 500.0),
        ("5.", 5.0),
        ("-2.5", -2.5),
        ("+1.0", 1.0),
    ],
)
def test_numbers_with_a_fraction_or_exponent(text: str, value: float) -> None:
    parsed = parse_scalar(text)
    assert (parsed, type(parsed)) == (value, float)


NOT_VALUES = ["no", "No", "off", "yes", "on", "y", "nULL", "tRUE", "1_000", "_1", "0b11", "0o9", "0x", "0X1F", "-0x1"]
NOT_VALUES += ["1:30", "1e", "e5", "1.2.3", "inf", "nan", "-", ".", "=", "<<", "+-1", "12 ", "١٢", "2024-01"]


@pytest.mark.parametrize("text", NOT_VALUES)
def test_everything_else_is_text(text: str) -> None:
    """What YAML 1.1 or Python's float() would take for a value included."""
    assert parse_scalar(text) == text


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN", ".inf", "-.Inf", "+.INF", "1e400", "-1e400"])
def test_numbers_that_are_not_finite_are_refused(text: str) -> None:
    with pytest.raises(NotPlainError, match="finite"):
        parse_scalar(text)


@pytest.mark.parametrize("text", ["2024-01-01", "2024-1-1", "2024-13-45", "2024-01-01T10:00:00Z", "2024-01-01 10:00"])
def test_dates_are_refused(text: str) -> None:
    with pytest.raises(NotPlainError, match="dates"):
        parse_scalar(text)


def test_endless_whole_numbers_are_refused() -> None:
    """Python itself refuses to convert more than 4,300 digits, with a ValueError that names an interpreter setting."""
    with pytest.raises(NotPlainError, match="digits"):
        parse_scalar("9" * 5000)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_python_numbers_are_read_back(number: float) -> None:
    parsed = parse_scalar(repr(number))
    assert isinstance(parsed, float)
    assert parsed == number
    assert math.copysign(1, parsed) == math.copysign(1, number)


@given(st.text())
def test_text_without_need_of_quotes_is_text(text: str) -> None:
    assert needs_quotes(text) or parse_scalar(text) == text


@pytest.mark.parametrize("text", ["epa-1-1-2", "runs", "/data/a.jsonl", "no"])
def test_plain_text_needs_no_quotes(text: str) -> None:
    assert not needs_quotes(text)


@pytest.mark.parametrize("text", ["", "5", "5e-7", "true", "2024-01-01", ".nan", "a b", "a: b", "-", "#", "\u2028"])
def test_text_that_looks_like_something_else_needs_quotes(text: str) -> None:
    assert needs_quotes(text)
