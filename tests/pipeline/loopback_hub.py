"""A hub on this machine: the endpoints that making a repository and committing to it take, over real HTTP."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_a-token-that-may-write"


@dataclass
class Hub:
    """What stands on it."""

    url: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Repository -> path -> content."""

    messages: list[str] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)
    """Uploaded by LFS, by sha256."""

    requests: list[str] = field(default_factory=list)
    """Method and path of every request."""

    forbidden: bool = False
    broken: bool = False


@contextmanager
def loopback_hub() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def do_POST(self) -> None:
        self._handle(self._post)

    def do_PUT(self) -> None:
        self._handle(self._put)

    def do_GET(self) -> None:
        self._handle(lambda path, body: (404, {"error": "no such repository"}))

    def _handle(self, answer: Any) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        self.hub.requests.append(f"{self.command} {path}")
        given = self.headers.get("authorization", "")
        if not path.startswith("/upload/") and given != f"Bearer {TOKEN}":
            # A careless server: it says what it was given.
            status, value = 401, {"error": f"Invalid credentials: {given}"}
        elif self.hub.forbidden:
            status, value = 403, {"error": "You don't have the rights"}
        elif self.hub.broken:
            status, value = 422, {"error": f"cannot process {given}"}
        else:
            status, value = answer(path, body)
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _post(self, path: str, body: bytes) -> tuple[int, Any]:
        if path.endswith("/commit/main"):
            return 200, self._commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), body)
        asked = json.loads(body)
        if path == "/api/repos/create":
            repo = f"{asked['organization']}/{asked['name']}"
            if repo in self.hub.files:
                return 409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{repo}"}
            self.hub.files[repo] = {}
            self.hub.private[repo] = asked.get("visibility") == "private"
            return 200, {"url": f"{self.hub.url}/{repo}"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if "/preupload/" in path:
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in asked["files"]
            ]
            return 200, {"files": modes}
        assert path.endswith(".git/info/lfs/objects/batch"), path
        objects = [
            {**wanted, "actions": {"upload": {"href": f"{self.hub.url}/upload/{wanted['oid']}"}}}
            for wanted in asked["objects"]
        ]
        return 200, {"transfer": "basic", "objects": objects}

    def _put(self, path: str, body: bytes) -> tuple[int, Any]:
        digest = path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == digest
        self.hub.large[digest] = body
        return 200, {}

    def _commit(self, repo: str, body: bytes) -> dict[str, Any]:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self.hub.messages.append(value["summary"])
            elif entry["key"] == "file":
                self.hub.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.hub.files[repo][value["path"]] = self.hub.large[value["oid"]]
        commit = f"{len(self.hub.messages):040x}"
        return {"commitUrl": f"{self.hub.url}/{repo}/commit/{commit}", "commitOid": commit, "success": True}
