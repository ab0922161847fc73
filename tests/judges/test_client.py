"""The client against a server that misbehaves: every class of answer, how long it waits, when it gives up."""

import threading
from email.utils import formatdate
from pathlib import Path

import pytest

from epa_bench.core.errors import JudgeError
from tests.judge_server import Asked, Fault, JudgeServer
from tests.judging import FakeClock, ask, endpoint, questions

PASSING = {
    "408": Fault(408),
    "409": Fault(409),
    "429": Fault(429),
    "500": Fault(500),
    "502 with a page": Fault(502, {"Content-Type": "text/html"}, b"<html>Bad gateway</html>"),
    "503": Fault(503),
    "529": Fault(529),
    "reset": Fault(drop=True),
    "cut short": Fault(cut=True),
    "no JSON": Fault(body=b"<html>hello</html>"),
    "half JSON": Fault(body=b'{"choices": [{"mess'),
    "not UTF-8": Fault(body=b"\xff\xfe{"),
    "no choices": Fault(change=lambda completion: completion["choices"].clear()),
    "an error with status 200": Fault(body=b'{"error": {"message": "overloaded"}}'),
    "nested beyond reason": Fault(body=b"[" * 100_000),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_asked_again(fault: Fault, tmp_path: Path, fake_clock: FakeClock) -> None:
    with JudgeServer(lambda asked: fault if asked.attempt < 2 else None) as server:
        answers, tally = ask(endpoint(tmp_path, server.url, fake_clock), questions(1))
    assert [answer.error for answer in answers] == [None]
    assert [asked.attempt for asked in server.requests] == [0, 1, 2]
    assert (tally.asked, tally.retries) == (1, 2)
    first, second = fake_clock.waits
    assert 0.25 <= first <= 0.5 <= second <= 1


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_after_the_last_attempt_the_question_is_an_error(fault: Fault, tmp_path: Path) -> None:
    with JudgeServer(lambda asked: fault) as server:
        answers, tally = ask(endpoint(tmp_path, server.url, retries=2), questions(1))
    assert len(server.requests) == 3
    assert answers[0].value is None
    assert answers[0].error is not None
    assert answers[0].error.endswith(", after 3 attempts")
    assert sum(tally.errors.values()) == 1
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_a_call_has_a_time_limit(tmp_path: Path, fake_clock: FakeClock) -> None:
    with JudgeServer(lambda asked: Fault(hang=True) if asked.attempt == 0 else None) as server:
        answers, tally = ask(endpoint(tmp_path, server.url, fake_clock, timeout=0.5), questions(1))
    assert [answer.error for answer in answers] == [None]
    assert tally.retries == len(server.requests) - 1 >= 1


def _waits(header: str, folder: Path, clock: FakeClock) -> list[float]:
    fault = Fault(429, {"Retry-After": header})
    with JudgeServer(lambda asked: fault if asked.attempt == 0 else None) as server:
        answers, _ = ask(endpoint(folder, server.url, clock), questions(1))
    assert [answer.error for answer in answers] == [None]
    return clock.waits


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", [7.0]), ("0.25", [0.25]), ("3600", [60.0]), ("inf", [60.0]), ("0", []), ("-3", [])]
)
def test_retry_after_in_seconds(header: str, seconds: list[float], tmp_path: Path, fake_clock: FakeClock) -> None:
    assert _waits(header, tmp_path, fake_clock) == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(30, [30.0]), (3600, [60.0]), (-30, [])])
def test_retry_after_as_a_date(ahead: int, seconds: list[float], tmp_path: Path, fake_clock: FakeClock) -> None:
    assert _waits(formatdate(fake_clock.time + ahead, usegmt=True), tmp_path, fake_clock) == seconds


@pytest.mark.parametrize("header", ["soon", "nan", "", "Thu, 99 Foo"])
def test_a_retry_after_without_sense_is_none(header: str, tmp_path: Path, fake_clock: FakeClock) -> None:
    (wait,) = _waits(header, tmp_path, fake_clock)
    assert 0.25 <= wait <= 0.5


def test_a_server_that_asks_to_wait_means_every_call(tmp_path: Path, fake_clock: FakeClock) -> None:
    """Of two calls one at a time, the second never arrives before the first one's wait is over."""
    arrivals: list[float] = []

    def schedule(asked: Asked) -> Fault | None:
        arrivals.append(fake_clock.time)
        return Fault(429, {"Retry-After": "9"}) if len(arrivals) == 1 else None

    start = fake_clock.time
    with JudgeServer(schedule) as server:
        ask(endpoint(tmp_path, server.url, fake_clock, concurrency=1), questions(2))
    assert [time - start for time in arrivals] == [0, 9, 9]


def test_a_refused_request_is_an_error_at_once_and_the_others_go_on(tmp_path: Path) -> None:
    message = b'{"error": {"message": "maximum context length is 8 tokens"}}'
    with JudgeServer(lambda asked: Fault(400, body=message) if asked.number == 3 else None) as server:
        answers, tally = ask(endpoint(tmp_path, server.url), questions(6))
    assert [answer.error for answer in answers if answer.index != 3] == [None] * 5
    assert answers[3].error == "HTTP 400: maximum context length is 8 tokens"
    assert len(server.requests) == 6
    assert dict(tally.errors) == {"HTTP 400": 1}


def test_a_servers_message_is_one_line_without_control_characters(tmp_path: Path) -> None:
    message = b'{"error": {"message": "too\\n long \\u001b[2J \\ud800 \\u202e' + b"x" * 1000 + b'"}}'
    with JudgeServer(lambda asked: Fault(400, body=message)) as server:
        answers, _ = ask(endpoint(tmp_path, server.url), questions(1))
    error = answers[0].error
    assert error is not None
    assert error.startswith("HTTP 400: too long \ufffd[2J \ufffd \ufffdxxx")
    assert len(error) == 210


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(401), "does not accept the key (HTTP 401); name the variable that holds its key in judge.api_key_env"),
        (Fault(403), "does not let this key use the model judge (HTTP 403"),
        (Fault(404, body=b'{"error": {"message": "no such model"}}'), "(HTTP 404: no such model)"),
        (Fault(301, {"Location": "https://elsewhere.invalid/"}), "answers with HTTP 301"),
    ],
)
def test_where_no_request_can_succeed_it_stops_at_once(fault: Fault, words: str, tmp_path: Path) -> None:
    with (
        JudgeServer(lambda asked: fault) as server,
        pytest.raises(JudgeError) as caught,
    ):
        ask(endpoint(tmp_path, server.url, concurrency=2), questions(50))
    assert words in str(caught.value)
    assert "a rerun asks only for the rest" in str(caught.value)
    assert len(server.requests) <= 2
    assert caught.value.exit_code == 11


def test_what_was_answered_before_the_stop_is_kept(tmp_path: Path) -> None:
    with JudgeServer(lambda asked: Fault(401) if asked.number == 5 and asked.attempt == 0 else None) as server:
        judge = endpoint(tmp_path, server.url, concurrency=1)
        with pytest.raises(JudgeError):
            ask(judge, questions(8))
        _, tally = ask(judge, questions(8))
    assert (tally.cached, tally.asked) == (5, 3)
    assert [asked.number for asked in server.requests] == [0, 1, 2, 3, 4, 5, 5, 6, 7]


def test_a_judge_that_is_not_there_stops_before_every_question_has_waited(tmp_path: Path) -> None:
    with JudgeServer() as server:
        url = server.url
    with pytest.raises(JudgeError, match=r"out of order: 8 questions in a row .* connection failed"):
        ask(endpoint(tmp_path, url, retries=1), questions(1000))


def test_a_few_that_fail_between_others_do_not_stop_it(tmp_path: Path) -> None:
    with JudgeServer(lambda asked: Fault(500) if asked.number % 8 else None) as server:
        answers, _ = ask(endpoint(tmp_path, server.url, retries=0, concurrency=1), questions(80))
    assert [answer.error is None for answer in answers] == [number % 8 == 0 for number in range(80)]


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    with JudgeServer() as server:
        answers, tally = ask(endpoint(tmp_path, server.url), [*questions(3), *questions(3)])
    assert len(server.requests) == 3
    assert (tally.asked, tally.cached) == (3, 3)
    assert [answer.index for answer in answers] == list(range(6))
    assert [answer.value for answer in answers[:3]] == [answer.value for answer in answers[3:]]


def test_as_many_calls_in_flight_as_allowed_and_never_more(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=30)
    in_flight: list[int] = []
    peaks: list[int] = []

    def schedule(asked: Asked) -> Fault | None:
        in_flight.append(asked.number)
        peaks.append(len(in_flight))
        together.wait()
        in_flight.remove(asked.number)
        return None

    with JudgeServer(schedule) as server:
        answers, _ = ask(endpoint(tmp_path, server.url, concurrency=3), questions(21))
    assert [answer.error for answer in answers] == [None] * 21
    assert max(peaks) == 3


def test_the_request_says_what_was_configured(tmp_path: Path) -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    with JudgeServer() as server:
        url = server.url + "/"
        ask(endpoint(tmp_path, url, temperature=0.5, max_tokens=3, top_logprobs=7, extra_body=extra), questions(1))
    (asked,) = server.requests
    assert asked.path == "/v1/chat/completions"
    assert asked.body == {
        "model": "judge",
        "messages": [{"role": "user", "content": "question 0"}],
        "temperature": 0.5,
        "max_tokens": 3,
        "logprobs": True,
        "top_logprobs": 7,
        **extra,
    }


def test_a_proxy_of_the_environment_is_used_except_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "")
    with JudgeServer() as proxy, JudgeServer() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        ask(endpoint(tmp_path, server.url), questions(1))
        assert (len(server.requests), len(proxy.requests)) == (1, 0)
        ask(endpoint(tmp_path, "http://judge.invalid/v1"), questions(2))
    assert [asked.path for asked in proxy.requests] == ["http://judge.invalid/v1/chat/completions"]
