"""HTTP/1.1 in and out: what a request is, what a reply is, and the reader between them.

Written by hand because the sandbox must never be the slow part of a measurement: a general
server spends more time on one request than the gateways' whole work takes here.
"""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Any

MAX_REQUEST_LINE = 8190
"""The usual limit of web servers in front of such gateways; longer query strings get 414."""
MAX_HEAD = 65_536
MAX_BODY = 64 * 1024 * 1024

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"


class BadRequestError(Exception):
    """The bytes are not a request this server reads; the connection ends after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Request:
    """One request, completely read."""

    __slots__ = ("body", "clock", "headers", "keep_alive", "method", "path", "query", "time")

    def __init__(self, method: str, path: str, query: str, headers: dict[str, str]) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = b""
        self.keep_alive = True
        self.time = 0.0
        self.clock = 0.0

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Reply:
    """One answer, and the manner in which it leaves (see ``server.Connection``)."""

    __slots__ = ("body", "content_type", "delay", "headers", "manner", "speed", "status")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        content_type: str = JSON_TYPE,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.delay = 0.0
        self.manner = ""
        self.speed = 0.0


def json_reply(data: Any, status: int = 200) -> Reply:
    """A reply carrying `data` as JSON."""
    return Reply(status, dump(data))


def dump(data: Any) -> bytes:
    """Compact JSON, as the documents print it."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(
        # A lone surrogate cannot be UTF-8; so written it is the JSON escape it came from.
        errors="backslashreplace"
    )


def render(reply: Reply, keep_alive: bool = True) -> bytes:
    """The bytes of a reply on the wire."""
    body = reply.body
    head = [f"HTTP/1.1 {reply.status} {_reason(reply.status)}\r\n"]
    if reply.content_type and body:
        head.append(f"Content-Type: {reply.content_type}\r\n")
    if reply.headers:
        head.extend(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    if not keep_alive:
        head.append("Connection: close\r\n")
    head.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "".join(head).encode("latin-1") + body


_REASONS = {int(status): status.phrase for status in HTTPStatus}


def _reason(status: int) -> str:
    return _REASONS.get(status, "Unknown")


class RequestReader:
    """Turns a stream of bytes into requests, however the bytes are cut or joined."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: Request | None = None
        self._body = bytearray()
        self.wants_continue = False

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        self._buffer += data

    def next(self) -> Request | None:
        """The next complete request, or None while bytes are missing."""
        if self._head is None and not self._read_head():
            return None
        request = self._head
        if request is None or not self._read_body(request):
            return None
        self._head = None
        self.wants_continue = False
        request.time = time.time()
        request.clock = time.monotonic()
        return request

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequestError(431, "head too long")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        self._head = _parse_head(lines)
        self._body = bytearray()
        self.wants_continue = "100-continue" in self._head.headers.get("expect", "").lower()
        return True

    def _read_body(self, request: Request) -> bool:
        if "chunked" in request.headers.get("transfer-encoding", "").lower():
            return self._read_chunks(request)
        length = _content_length(request)
        if len(self._buffer) < length:
            return False
        if length:
            request.body = bytes(self._buffer[:length])
            del self._buffer[:length]
        return True

    def _read_chunks(self, request: Request) -> bool:
        while True:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                return False
            size = _chunk_size(self._buffer[:line_end])
            if len(self._body) + size > MAX_BODY:
                raise BadRequestError(413, "body too long")
            end = line_end + 2 + size
            if len(self._buffer) < end + 2:
                return False
            self._body += self._buffer[line_end + 2 : end]
            if size == 0:
                return self._finish_chunks(request, line_end + 2)
            if self._buffer[end : end + 2] != b"\r\n":
                raise BadRequestError(400, "chunk without its end")
            del self._buffer[: end + 2]

    def _finish_chunks(self, request: Request, start: int) -> bool:
        # Trailers may stand between the last chunk and the empty line.
        if self._buffer[start : start + 2] == b"\r\n":
            del self._buffer[: start + 2]
        else:
            end = self._buffer.find(b"\r\n\r\n", start)
            if end < 0:
                return False
            del self._buffer[: end + 4]
        request.body = bytes(self._body)
        return True


def _parse_head(lines: list[str]) -> Request:
    if len(lines[0]) > MAX_REQUEST_LINE:
        raise BadRequestError(414, "request line too long")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequestError(400, "not an HTTP/1 request line")
    method, target, version = parts
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError(400, "header without a colon")
        headers[name.lower()] = value.strip()
    path, _, query = target.partition("?")
    request = Request(method, path, query, headers)
    connection = headers.get("connection", "").lower()
    if version == "HTTP/1.0":
        request.keep_alive = connection == "keep-alive"
    else:
        request.keep_alive = connection != "close"
    return request


def _content_length(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    if not text.isascii() or not text.isdigit():
        raise BadRequestError(400, "content-length is not a number")
    length = int(text)
    if length > MAX_BODY:
        raise BadRequestError(413, "body too long")
    return length


def _chunk_size(line: bytearray) -> int:
    text = bytes(line).partition(b";")[0].strip()
    try:
        size = int(text, 16)
    except ValueError:
        raise BadRequestError(400, "chunk size is not a number") from None
    if size < 0:
        raise BadRequestError(400, "chunk size is negative")
    return size
