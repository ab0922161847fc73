"""The cache: what makes two questions the same, damage, several processes, and a killed one."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from epa_bench.core.errors import StoreError
from epa_bench.core.records import Message
from epa_bench.judges.cache import ReplyCache, reply_key
from epa_bench.judges.records import JudgeDecoding, Question, Reply, StoredReply, Usage
from tests.judge_server import Asked, Fault, JudgeServer
from tests.judging import ask, endpoint, questions

DECODING = JudgeDecoding(temperature=0.0, max_tokens=5)

PROGRAM = """
import sys
from pathlib import Path
from tests.judging import ask, endpoint, questions
answers, tally = ask(endpoint(Path(sys.argv[1]), sys.argv[2]), questions(int(sys.argv[3])))
assert all(answer.error is None for answer in answers)
print(tally.asked, tally.cached)
"""


def _question(text: str, template: str = "t", role: str = "user") -> Question:
    return Question(template=template, messages=(Message(role=role, content=text),), decoding=DECODING)


def _stored(key: str, text: str = "m") -> StoredReply:
    reply = Reply(text=text, top_logprobs=(("m", -0.5),), usage=Usage(input_tokens=1, output_tokens=1))
    return StoredReply(key=key, asked="a", model="judge", decoding=DECODING, reply=reply)


def test_model_decoding_template_texts_and_roles_make_a_verdict_another() -> None:
    """alpaca_eval 0.6.6 looks at the texts and the annotator's name only, and so reuses stale verdicts."""
    keys = [
        reply_key("judge", DECODING, _question("q")),
        reply_key("judge-2", DECODING, _question("q")),
        reply_key("judge", DECODING.model_copy(update={"temperature": 0.5}), _question("q")),
        reply_key("judge", DECODING.model_copy(update={"max_tokens": 6}), _question("q")),
        reply_key("judge", DECODING.model_copy(update={"top_logprobs": 5}), _question("q")),
        reply_key("judge", DECODING.model_copy(update={"extra_body": {"seed": 1}}), _question("q")),
        reply_key("judge", DECODING, _question("r")),
        reply_key("judge", DECODING, _question("q", template="u")),
        reply_key("judge", DECODING, _question("q", role="system")),
    ]
    assert len(set(keys)) == len(keys)


def test_a_changed_setting_asks_again_and_the_old_one_is_still_known(tmp_path: Path) -> None:
    with JudgeServer() as server:
        ask(endpoint(tmp_path, server.url), questions(2))
        ask(endpoint(tmp_path, server.url, model="judge-2"), questions(2))
        ask(endpoint(tmp_path, server.url, temperature=0.7), questions(2))
        assert len(server.requests) == 6
        _, tally = ask(endpoint(tmp_path, server.url), questions(2))
        assert len(server.requests) == 6
    assert tally.cached == 2


def test_the_endpoint_is_not_part_of_it(tmp_path: Path) -> None:
    with JudgeServer() as one, JudgeServer() as other:
        ask(endpoint(tmp_path, one.url), questions(2))
        ask(endpoint(tmp_path, other.url), questions(2))
        assert other.requests == []


@pytest.mark.parametrize("text", ["", "\x00\u2028\r\n\x1b", '"}{', "\U0001f600", "x" * 100_000])
def test_any_text_is_kept_as_it_is(text: str, tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(_stored("ab12", text))
    assert cache.get("ab12") == _stored("ab12", text)
    assert cache.get("ab13") is None


@pytest.mark.parametrize("damage", [b"", b'{"key": "ab12", "asked', b"\x00" * 300, b"{}"])
def test_a_damaged_file_is_no_reply_is_counted_and_replaced(damage: bytes, tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(_stored("ab12"))
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(damage)
    assert cache.get("ab12") is None
    assert cache.damaged == 1
    cache.put(_stored("ab12"))
    assert cache.get("ab12") == _stored("ab12")


def test_a_file_under_another_name_is_no_reply(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(_stored("ab12"))
    (path,) = tmp_path.rglob("*.json")
    path.rename(path.with_name("ab99.json"))
    assert cache.get("ab99") is None


def test_a_file_where_the_folder_should_be_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with JudgeServer() as server, pytest.raises(StoreError):
        ask(endpoint(tmp_path, server.url), questions(2))


def _start(folder: Path, url: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(folder), url, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Both finish, every file is whole, and what they spent adds up to what the server answered."""
    with JudgeServer() as server:
        running = [_start(tmp_path, server.url, 60) for _ in range(2)]
        outputs = [process.communicate(timeout=60)[0] for process in running]
        assert [process.returncode for process in running] == [0, 0]
        asked = sum(int(output.split()[0]) for output in outputs)
        assert asked == len(server.requests)
        answers, tally = ask(endpoint(tmp_path, server.url), questions(60))
    assert (tally.cached, tally.asked, len(answers)) == (60, 0, 60)
    spent = [json.loads(line) for line in (tmp_path / "ledger").read_text().split("\n") if line]
    assert sum(calls for calls, _ in spent) == asked
    assert not list((tmp_path / "cache").rglob("*.tmp"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_loses_only_what_was_in_flight(how: signal.Signals, tmp_path: Path) -> None:
    """Four at a time; from the 21st request on nobody is answered, so four are in flight and twenty are kept."""
    stuck = threading.Semaphore(0)
    open_again = threading.Event()
    arrived: Counter[int] = Counter()

    def schedule(asked: Asked) -> Fault | None:
        arrived[asked.number] += 1
        if arrived.total() > 20 and not open_again.is_set():
            stuck.release()
            return Fault(hang=True)
        return None

    with JudgeServer(schedule) as server:
        process = _start(tmp_path, server.url, 40)
        for _ in range(4):
            assert stuck.acquire(timeout=60)
        process.send_signal(how)
        process.communicate(timeout=60)
        open_again.set()
        answers, tally = ask(endpoint(tmp_path, server.url), questions(40))
        assert (tally.cached, tally.asked) == (20, 20)
        assert [answer.error for answer in answers] == [None] * 40
        assert sorted(arrived.values()) == [1] * 36 + [2] * 4
        _, again = ask(endpoint(tmp_path, server.url), questions(40))
        assert (again.cached, again.asked) == (40, 0)
        assert len(server.requests) == 44
