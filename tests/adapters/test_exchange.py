"""Every way a call can end, and what it proves about the message it carried."""

from __future__ import annotations

import gzip
import io
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from messaging.adapters import exchange
from messaging.adapters.base import Upload
from messaging.adapters.http import Http, TransportError
from messaging.errors import ErrorClass, Scope, Verdict

from .recorder import Recorder
from .stage import (
    CANARY,
    JSON,
    OK,
    Play,
    Stage,
    answering,
    client_for,
    failing,
    free_port,
    hasty_client,
    reset,
    take_request,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def http() -> Http:
    return client_for("127.0.0.1")


@pytest.fixture
def hasty() -> Http:
    return hasty_client()


def hang(connection: socket.socket) -> None:
    take_request(connection)


def reset_unread(connection: socket.socket) -> None:
    connection.recv(1, socket.MSG_PEEK)
    reset(connection)


def reset_after_reading(connection: socket.socket) -> None:
    take_request(connection)
    reset(connection)


def drip(*pieces: bytes) -> Play:
    """Says one byte after another, each well within the read timeout."""

    def play(connection: socket.socket) -> None:
        take_request(connection)
        for piece in pieces[:-1]:
            connection.sendall(piece)
        for byte in pieces[-1]:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    return play


def flood(start: bytes, piece: bytes) -> Play:
    def play(connection: socket.socket) -> None:
        take_request(connection)
        connection.sendall(start)
        while True:
            connection.sendall(piece)

    return play


BOMB = gzip.compress(b"[" + b" " * 200_000 + b"]")
ENDINGS: dict[str, tuple[Play, str]] = {
    "silence": (hang, "read_timeout"),
    "reset before reading": (reset_unread, "reset"),
    "reset after reading": (reset_after_reading, "reset"),
    "closed without a word": (answering(), "empty"),
    "half a status line": (answering(b"HTTP/1"), "unreadable"),
    "another protocol": (answering(b"220 mail.example.com ESMTP\r\n"), "unreadable"),
    "nonsense": (answering(b"\x15\x03\x01\x00\x02\x02\x46" * 9), "unreadable"),
    "half a body": (answering(OK, JSON[:7]), "reset"),
    "half a body, then silence": (answering(OK, JSON[:7], close=False), "read_timeout"),
    "half a chunk": (
        answering(CHUNKED + b"9\r\n{"),
        "unreadable",
    ),
    "no chunk": (
        answering(CHUNKED + b"zz\r\n{"),
        "unreadable",
    ),
    "dripping head": (drip(OK * 9), "deadline"),
    "dripping body": (drip(OK, JSON), "deadline"),
    "too long, and says so": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", close=False),
        "too_large",
    ),
    "too long, in chunks": (
        flood(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        "too_large",
    ),
    "too long, until closed": (flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096), "too_large"),
    "endless head": (flood(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 4096 + b"\r\n"), "too_large"),
    "endless interim answers": (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99), "too_large"),
    "gzip bomb": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + BOMB),
        "too_large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_after_the_first_byte_nobody_can_know(
    hasty: Http, stage: Callable[[Play], Stage], ending: str
) -> None:
    play, code = ENDINGS[ending]
    error = failing(hasty, stage(play).url)
    failure = error.failure
    assert (failure.verdict, failure.error_class) == (Verdict.MAYBE_SENT, ErrorClass.AMBIGUOUS)
    assert (failure.code, failure.retry, failure.scope) == (code, False, Scope.MESSAGE)
    assert error.call.status_code == 0
    assert error.call.error == failure.text
    assert error.call.duration < 3


def test_a_request_nobody_reads_ends_at_the_deadline(stage: Callable[[Play], Stage]) -> None:
    big = Upload(
        filename="a",
        content_type="b/c",
        size=16_000_000,
        open=lambda: io.BytesIO(b"x" * 16_000_000),
    )
    http = hasty_client(total_timeout=0.5)
    error = failing(http, stage(lambda connection: None).url, files={"file": big})
    assert error.failure.verdict is Verdict.MAYBE_SENT
    assert error.failure.code == "write"
    assert error.call.duration < 3


def test_an_answer_given_in_mid_request_counts(http: Http, stage: Callable[[Play], Stage]) -> None:
    def play(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    answer = http.call("send", "POST", stage(play).url, form={"a": "x" * 500_000})
    assert answer.status == 413


class Nowhere:
    """A connection whose first write fails."""

    def __init__(self, real: socket.socket, error: OSError) -> None:
        self._real, self._error = real, error

    def send(self, data: Any) -> int:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError(), TimeoutError()])
def test_a_first_write_that_fails_never_left(
    http: Http, stage: Callable[[Play], Stage], monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    real = exchange._write
    monkeypatch.setattr(
        exchange,
        "_write",
        lambda sock, *rest: real(Nowhere(sock, error), *rest),  # type: ignore[arg-type]
    )
    failure = failing(http, stage(hang).url).failure
    assert (failure.verdict, failure.error_class) == (Verdict.NEVER_LEFT, ErrorClass.TRANSIENT)
    assert failure.retry


def test_refused_connection(http: Http) -> None:
    never_left(failing(http, f"http://127.0.0.1:{free_port()}/"), "unreachable")


def never_left(error: TransportError, code: str) -> None:
    failure = error.failure
    assert (failure.verdict, failure.error_class) == (Verdict.NEVER_LEFT, ErrorClass.TRANSIENT)
    assert (failure.code, failure.retry) == (code, True)


def test_unknown_name(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known {CANARY}")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    never_left(failing(http, "https://gateway.example/"), "dns")


def test_connection_not_accepted(hasty: Http) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        never_left(failing(hasty, f"http://127.0.0.1:{port}/"), "connect_timeout")
        for each in waiting:
            each.close()


def test_time_spent_before_the_first_byte(
    stage: Callable[[Play], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []
    real = socket.getaddrinfo

    def slow(*args: Any) -> Any:
        time.sleep(0.15)
        return real(*args)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    url = stage(lambda connection: received.append(connection.recv(9))).url
    http = hasty_client(total_timeout=0.1)
    never_left(failing(http, url), "connect_timeout")
    http.close()
    time.sleep(0.05)
    assert received in ([], [b""])


def test_tls_to_a_plain_port(http: Http, stage: Callable[[Play], Stage]) -> None:
    def play(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    url = stage(play).url.replace("http:", "https:")
    never_left(failing(http, url), "tls")


def test_tls_handshake_that_hangs(hasty: Http, stage: Callable[[Play], Stage]) -> None:
    url = stage(lambda connection: connection.recv(4096)).url.replace("http:", "https:")
    never_left(failing(hasty, url), "connect_timeout")


def test_unreadable_file_never_left(http: Http, server: Recorder) -> None:
    def gone() -> Any:
        raise FileNotFoundError("/secret/path")

    upload = Upload(filename="a", content_type="text/plain", size=1, open=gone)
    failure = failing(http, server.url, files={"file": upload}).failure
    assert (failure.verdict, failure.error_class) == (Verdict.NEVER_LEFT, ErrorClass.MEDIA)
    assert not failure.retry
    assert server.requests == []


@pytest.mark.parametrize(
    "body", [{"json": {"a": float("nan")}}, {"json": object()}, {"form": {"a": "\ud800"}}]
)
def test_unsendable_body_never_left(http: Http, server: Recorder, body: dict[str, Any]) -> None:
    failure = failing(http, server.url, **body).failure
    assert (failure.verdict, failure.error_class) == (Verdict.NEVER_LEFT, ErrorClass.INTERNAL)
    assert server.requests == []


@pytest.mark.parametrize("value", [f"Bearer {CANARY}\r\nX-Evil: 1", f"{CANARY}\x00", "Bearer 😀"])
def test_header_injection_never_leaves(http: Http, server: Recorder, value: str) -> None:
    error = failing(http, server.url, headers={"Authorization": value})
    assert error.failure.verdict is Verdict.NEVER_LEFT
    assert (error.failure.error_class, error.failure.scope) == (
        ErrorClass.CONFIGURATION,
        Scope.LANE,
    )
    assert server.requests == []
