"""A judge to test against: a real HTTP server on loopback that speaks the OpenAI chat API and misbehaves on schedule.

Built on the standard library, so that it shares no code with the client. What it says depends on the question alone.
"""

import hashlib
import json
import math
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Fault:
    """What happens instead of a right answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    body: bytes | None = None
    """In place of a completion."""

    drop: bool = False
    """The connection is reset without an answer."""

    cut: bool = False
    """It is reset in the middle of one."""

    hang: bool = False
    """Nothing comes until the server is closed."""

    change: Callable[[dict[str, Any]], object] | None = None
    """Changes the completion in place."""


Schedule = Callable[["Asked"], Fault | None]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    attempt: int
    """From 0, of this very body."""

    @property
    def text(self) -> str:
        return "\n".join(message["content"] for message in self.body["messages"])

    @property
    def number(self) -> int:
        """The N of the first `question N` in its messages; -1 where there is none."""
        found = re.search(r"question (\d+)", self.text)
        return int(found[1]) if found else -1


def first_wins(text: str) -> float:
    """The judge's opinion: probability, 0.1 to 0.9, that the answer shown first wins."""
    return 0.1 + 0.8 * hashlib.sha256(text.encode()).digest()[0] / 255


def completion(asked: Asked) -> dict[str, Any]:
    """A chat completion with log-probs where they are asked for, m and M in the proportion of `first_wins`."""
    probability = first_wins(asked.text)
    label = "m" if probability > 0.5 else "M"
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": "length",
        "message": {"role": "assistant", "content": label},
    }
    if asked.body.get("logprobs"):
        masses = {"m": 0.99 * probability, "M": 0.99 * (1 - probability), "The": 0.01}
        top = [{"token": t, "logprob": math.log(p), "bytes": list(t.encode())} for t, p in masses.items()]
        choice["logprobs"] = {"content": [{"token": label, "logprob": -0.1, "bytes": [109], "top_logprobs": top}]}
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": asked.body["model"] + "-2026",
        "choices": [choice],
        "usage": {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101},
    }


class JudgeServer:
    """Runs in threads of this process while the context is open."""

    def __init__(self, schedule: Schedule = lambda asked: None, models: Fault | None = None, port: int = 0) -> None:
        """`models`: what a request for the list of models is answered with; by default there is no such list.

        `port`: 0 is any free one.
        """
        self.schedule = schedule
        self.models = models
        self.requests: list[Asked] = []
        self.answered: Counter[int] = Counter()
        """Question's number -> completions sent whole."""

        self.listed: list[Mapping[str, str]] = []
        """Headers of the requests for the list of models."""

        self._attempts: Counter[bytes] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def arrived(self, path: str, headers: Mapping[str, str], body: bytes) -> Asked:
        with self._lock:
            asked = Asked(path, headers, json.loads(body), self._attempts[body])
            self._attempts[body] += 1
            self.requests.append(asked)
        return asked

    def until_closed(self) -> None:
        self._closing.wait()


def _handler(server: JudgeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one packet; in two, the second waits for the first one's acknowledgement.
        wbufsize = -1

        def do_GET(self) -> None:
            if server.models is None or self.path != "/v1/models":
                self.send_error(501)
                return
            server.listed.append(dict(self.headers))
            self._send(server.models, server.models.body or b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = server.arrived(self.path, dict(self.headers), body)
            fault = server.schedule(asked) or Fault()
            if fault.hang:
                server.until_closed()
            if fault.hang or fault.drop:
                self._reset()
                return
            answer = completion(asked)
            if fault.change is not None:
                fault.change(answer)
            content = json.dumps(answer).encode() if fault.body is None else fault.body
            if fault == Fault():
                server.answered[asked.number] += 1
            self._send(fault, content)

        def _send(self, fault: Fault, content: bytes) -> None:
            self.send_response(fault.status)
            for name, value in {"Content-Type": "application/json", **fault.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault.cut else content)
            self.wfile.flush()
            if fault.cut:
                self._reset()

        def _reset(self) -> None:
            """Closes so that the other side sees a reset, not an end."""
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
