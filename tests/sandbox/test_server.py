"""HTTP/1.1 as clients really send it: kept alive, cut, joined, chunked, broken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from messaging.sandbox import Sandbox, SandboxClient
from messaging.sandbox.accounts import WH_TOKEN
from messaging.sandbox.server import is_loopback
from messaging.sandbox.wire import MAX_HEAD, BadRequestError, RequestReader

from .conftest import PHONE

BALANCE = f"GET /api/checkBal?token={WH_TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
FORM = f"token={WH_TOKEN}&phone={PHONE}&message=Hello".encode()


def _post(head: bytes, body: bytes) -> bytes:
    kind = b"Content-Type: application/x-www-form-urlencoded\r\n"
    return b"POST /api/sendText HTTP/1.1\r\nHost: x\r\n" + kind + head + b"\r\n" + body


@pytest.fixture
def wire(sandbox: Sandbox, control: SandboxClient) -> Iterator[socket.socket]:
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        yield connection


def _answers(wire: socket.socket, count: int) -> list[bytes]:
    """The next `count` answers, each head and body."""
    stream = wire.makefile("rb")
    answers = []
    for _ in range(count):
        lines = []
        while (line := stream.readline()) not in (b"\r\n", b""):
            lines.append(line)
        length = next(
            (int(line.split(b":")[1]) for line in lines if line.startswith(b"Content-Length")), 0
        )
        answers.append(b"".join(lines) + stream.read(length))
    stream.close()
    return answers


def test_joined_requests_are_answered_in_order(wire: socket.socket, control: SandboxClient) -> None:
    control.fault("status", http=500, skip=1, times=1)
    wire.sendall(BALANCE * 3)
    statuses = [answer.split(b" ")[1] for answer in _answers(wire, 3)]
    assert statuses == [b"200", b"500", b"200"]


def test_joined_requests_wait_for_a_late_answer(
    wire: socket.socket, control: SandboxClient
) -> None:
    control.fault("status", http=503, seconds=0.1, times=1)
    wire.sendall(BALANCE * 2)
    statuses = [answer.split(b" ")[1] for answer in _answers(wire, 2)]
    assert statuses == [b"503", b"200"]


CHUNKED = _post(
    b"Transfer-Encoding: chunked\r\n",
    b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (10, FORM[:10], len(FORM) - 10, FORM[10:]),
)


@pytest.mark.parametrize("data", [BALANCE, CHUNKED])
def test_a_request_in_single_bytes(wire: socket.socket, data: bytes) -> None:
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for place in range(len(data)):
        wire.sendall(data[place : place + 1])
    assert _answers(wire, 1)[0].startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_chunked_body(wire: socket.socket, control: SandboxClient) -> None:
    chunks = b"%x\r\n%b\r\n" % (10, FORM[:10]) + b"%x;ext=1\r\n%b\r\n" % (len(FORM) - 10, FORM[10:])
    wire.sendall(_post(b"Transfer-Encoding: chunked\r\n", chunks + b"0\r\nTrailer: x\r\n\r\n"))
    wire.sendall(_post(b"Transfer-Encoding: chunked\r\n", chunks + b"0\r\n\r\n"))
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in _answers(wire, 2))
    assert [item["text"] for item in control.deliveries()] == ["Hello", "Hello"]


def test_expect_100_continue(wire: socket.socket) -> None:
    request = _post(b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(FORM), b"")
    wire.sendall(request)
    assert wire.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.sendall(FORM)
    assert _answers(wire, 1)[0].startswith(b"HTTP/1.1 200")


def test_connection_close_is_obeyed(wire: socket.socket) -> None:
    wire.sendall(BALANCE.replace(b"Host: x", b"Connection: close"))
    (answer,) = _answers(wire, 1)
    assert b"Connection: close" in answer
    assert wire.recv(10) == b""


def test_http_1_0_closes(wire: socket.socket) -> None:
    wire.sendall(BALANCE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    _answers(wire, 1)
    assert wire.recv(10) == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (_post(b"Content-Length: x\r\n", b""), 400),
        (_post(b"Content-Length: -5\r\n", b""), 400),
        (_post(b"Content-Length: 99999999999\r\n", b""), 413),
        (_post(b"Transfer-Encoding: chunked\r\n", b"zz\r\n\r\n"), 400),
        (_post(b"Transfer-Encoding: chunked\r\n", b"2\r\nabcd\r\n"), 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_what_is_no_request(wire: socket.socket, request_bytes: bytes, status: int) -> None:
    wire.sendall(request_bytes)
    (answer,) = _answers(wire, 1)
    assert answer.split(b" ")[1] == str(status).encode()
    assert wire.recv(10) == b""


def test_a_head_without_end() -> None:
    reader = RequestReader()
    reader.feed(b"GET / HTTP/1.1\r\n" + b"a" * MAX_HEAD)
    with pytest.raises(BadRequestError) as caught:
        reader.next()
    assert caught.value.status == 431


def test_half_a_request_is_no_arrival(wire: socket.socket, control: SandboxClient) -> None:
    wire.sendall(_post(b"Content-Length: 500\r\n", FORM))
    wire.close()
    assert control.arrivals() == []


def test_unknown_paths_are_404_and_recorded(wire: socket.socket, control: SandboxClient) -> None:
    wire.sendall(b"GET /api/inbox HTTP/1.1\r\n\r\n")
    assert _answers(wire, 1)[0].startswith(b"HTTP/1.1 404")
    (arrival,) = control.arrivals()
    assert (arrival["gateway"], arrival["operation"]) == ("", "/api/inbox")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
