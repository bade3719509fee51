"""A recording web server on loopback for adapter tests: what really went over the wire.

    with Recorder() as server:
        server.answer({"status": "success"})
        adapter.send(...)
        assert server.requests[0].parameters == {"phone": ["447700900123"]}

Answers are given in the order they were queued; when none is left, the last one is repeated.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class File:
    """An uploaded part."""

    filename: str
    content_type: str
    content: bytes


@dataclass
class Recorded:
    """One request as the server read it."""

    method: str
    target: str
    headers: Message
    body: bytes
    path: str = ""
    query: str = ""
    form: Pairs = field(default_factory=list)
    files: dict[str, File] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.path = parts.path
        self.query = parts.query
        kind = self.headers.get_content_type()
        if kind == "application/x-www-form-urlencoded":
            self.form = _pairs(self.body.decode("ascii"))
        elif kind == "multipart/form-data":
            self._read_parts()

    @property
    def parameters(self) -> dict[str, list[str]]:
        """Every parameter of query and body with all its values."""
        found: dict[str, list[str]] = {}
        for name, value in _pairs(self.query) + self.form:
            found.setdefault(name, []).append(value)
        return found

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def _read_parts(self) -> None:
        boundary = (self.headers.get_param("boundary") or "").encode()  # type: ignore[union-attr]
        for part in self.body.split(b"--" + boundary)[1:-1]:
            head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            content = content.removesuffix(b"\r\n")
            text = head.decode()  # browsers and gateways write names as plain UTF-8
            name = _between(r' name="([^"]*)"', text)
            if "filename=" in text:
                kind = _between(r"(?i)content-type: *(\S+)", text)
                self.files[name] = File(_between(r' filename="([^"]*)"', text), kind, content)
            else:
                self.form.append((name, content.decode()))


def _between(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def _pairs(text: str) -> Pairs:
    return parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))


class Recorder:
    """Listens on 127.0.0.1 from `with` on; `url` is scheme, host and port."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self._answers: list[tuple[int, Any, dict[str, str]]] = [(200, b"{}", {})]
        self._queued = False
        self._lock = threading.Lock()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                status, answer, headers = recorder._take(
                    Recorded(self.command, self.path, self.headers, body)
                )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that hang up are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(
        self, data: Any = None, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        """Queue an answer: bytes as they are, else JSON; a callable makes it from the request."""
        given = {"Content-Type": "application/json"} | (headers or {})
        with self._lock:
            if not self._queued:
                self._answers.clear()
            self._queued = True
            self._answers.append((status, data, given))

    def _take(self, request: Recorded) -> tuple[int, bytes, dict[str, str]]:
        with self._lock:
            self.requests.append(request)
            if len(self._answers) > 1:
                status, data, headers = self._answers.pop(0)
            else:
                status, data, headers = self._answers[0]
                self._queued = False
        data = data(request) if callable(data) else data
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return status, body, headers

    def clear(self) -> None:
        """Forget requests and queued answers."""
        with self._lock:
            self.requests.clear()
            self._answers, self._queued = [(200, b"{}", {})], False

    def __enter__(self) -> Recorder:
        threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
