"""Notices: warnings in Python, forwarded from a worker, and only they."""

import warnings
from collections.abc import Iterator

import pytest

from epa_bench.core.notices import Notice, forward_notices, notice


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    found: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        forward_notices(found.append)
        yield found


def test_a_notice_is_a_warning_where_python_is_used_directly() -> None:
    with pytest.warns(Notice, match="a checkpoint was left out"):
        notice("a checkpoint was left out")


def test_notices_are_forwarded_and_nothing_is_shown(sent: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    notice("one")
    notice("two")
    assert sent == ["one", "two"]
    assert capsys.readouterr().err == ""


def test_warnings_of_others_are_shown_as_before(sent: list[str]) -> None:
    shown: list[str] = []
    warnings.showwarning = lambda message, *_: shown.append(str(message))
    forward_notices(sent.append)
    warnings.warn("theirs", DeprecationWarning, stacklevel=1)
    notice("ours")
    assert (shown, sent) == (["theirs"], ["ours"])
