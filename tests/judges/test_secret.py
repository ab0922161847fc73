"""The key: sent, and in no message, log line or file."""

import logging
from pathlib import Path

import pytest

from epa_bench.core.errors import JudgeError
from epa_bench.judges.secret import Secret, read_secret
from tests.judge_server import Asked, Fault, JudgeServer
from tests.judging import api_judge, ask, endpoint, questions

KEY = "sk-proj-0123456789abcdefXYZ"


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)


def _files(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.rglob("*") if path.is_file())


@pytest.mark.usefixtures("_key")
def test_it_is_sent(tmp_path: Path) -> None:
    with JudgeServer() as server:
        ask(endpoint(tmp_path, server.url, api_key_env="TEST_JUDGE_KEY"), questions(1))
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_without_one_none_is_sent(tmp_path: Path) -> None:
    with JudgeServer() as server:
        ask(endpoint(tmp_path, server.url), questions(1))
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.usefixtures("_key")
def test_a_server_that_tells_it_everywhere_does_not_make_us_tell_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the text, in names, in refusals, in error messages of every kind, and in headers."""

    def schedule(asked: Asked) -> Fault | None:
        told = asked.headers["Authorization"].encode()
        headers = {"X-You-Sent": told.decode()}
        return [
            Fault(400, headers, told),
            Fault(500, headers, b'{"error": {"message": "' + told + b'"}}'),
            Fault(headers=headers, change=lambda c: c["choices"][0]["message"].update(content=told.decode())),
            Fault(change=lambda c: c.update(model=told.decode())),
            Fault(change=lambda c: c["choices"][0]["message"].update(refusal=told.decode())),
            Fault(body=told),
        ][asked.number]

    caplog.set_level(logging.DEBUG)
    with JudgeServer(schedule) as server:
        judge = endpoint(tmp_path, server.url, api_key_env="TEST_JUDGE_KEY", retries=1)
        answers, tally = ask(judge, questions(6))
    assert answers[2].value == "Bearer [key]"
    everything = [repr(answers), repr(tally), _files(tmp_path), caplog.text, *capfd.readouterr()]
    assert not [place for place in everything if KEY in place]


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_refused_key_is_not_shown_not_even_in_part(status: int, tmp_path: Path) -> None:
    message = b'{"error": {"message": "Incorrect API key provided: sk-proj-01*****fXYZ."}}'
    with JudgeServer(lambda asked: Fault(status, body=message)) as server:
        judge = endpoint(tmp_path, server.url, api_key_env="TEST_JUDGE_KEY", retries=0)
        with pytest.raises(JudgeError) as caught:
            ask(judge, questions(20))
    assert "sk-" not in str(caught.value)
    assert "fXYZ" not in str(caught.value)
    assert ("set the environment variable TEST_JUDGE_KEY to a valid one" in str(caught.value)) == (status == 401)


@pytest.mark.usefixtures("_key")
def test_its_representation_does_not_show_it() -> None:
    judge = api_judge("http://127.0.0.1:9/v1", api_key_env="TEST_JUDGE_KEY")
    secret = read_secret(judge)
    assert KEY not in f"{secret!r} {secret} {judge!r} {judge.model_dump()}"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_an_error_before_any_call(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("TEST_JUDGE_KEY", value)
    with JudgeServer() as server:
        judge = endpoint(tmp_path, server.url, api_key_env="TEST_JUDGE_KEY")
        with pytest.raises(JudgeError, match=r"variable TEST_JUDGE_KEY .* is not set or empty"):
            ask(judge, questions(3))
        assert server.requests == []


@pytest.mark.parametrize("value", ["sk-one\nsk-two", "sk-schlüssel", "sk one"])
def test_what_no_header_can_carry_is_an_error_that_does_not_show_it(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_JUDGE_KEY", value)
    with pytest.raises(JudgeError, match="holds blanks or characters that are not ASCII") as caught:
        read_secret(api_judge("http://127.0.0.1:9/v1", api_key_env="TEST_JUDGE_KEY"))
    assert value not in str(caught.value)


def test_a_newline_behind_the_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_JUDGE_KEY", f"{KEY}\n")
    secret = read_secret(api_judge("http://127.0.0.1:9/v1", api_key_env="TEST_JUDGE_KEY"))
    assert secret.header == {"Authorization": f"Bearer {KEY}"}


def test_a_word_that_local_servers_take_as_a_key_stays_a_word() -> None:
    assert Secret("EMPTY").hide("The list is EMPTY.") == "The list is EMPTY."


def test_an_answer_that_only_looks_like_a_key_stays_as_it_is() -> None:
    assert Secret(KEY).hide("Use sk-1234567890 here.") == "Use sk-1234567890 here."
    assert Secret(KEY).hide_in_message("Use sk-1234567890 here.") == "Use [key] here."
