"""Raw servers on loopback that misbehave as they are told, and clients that soon lose patience."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from messaging.adapters.http import Http, TransportError

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
JSON = b'{"answer": 42 }'
CANARY = "c4n4ry-t0ken"

Play = Callable[[socket.socket], Any]
#: Clients a test has made; closed when it ends.
CLIENTS: list[Http] = []


class Stage:
    """A raw server on loopback. `play` is given each connection in turn, each in its thread."""

    def __init__(self, play: Play) -> None:
        self.connections = 0
        self._play = play
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api/send"
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._taken.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self._play(connection)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._taken:
            connection.close()


def client_for(*allowed: str, **options: Any) -> Http:
    """A client that may reach the hosts named."""
    values: dict[str, Any] = {"response_cap": 20_000, **options}
    CLIENTS.append(Http(allowed_private_hosts=allowed, **values))
    return CLIENTS[-1]


def hasty_client(**options: Any) -> Http:
    """A client that may reach loopback and has no patience, for servers that never finish."""
    values: dict[str, Any] = {"connect_timeout": 0.3, "read_timeout": 0.2, "total_timeout": 0.4}
    return client_for("127.0.0.1", **values | options)


def take_request(connection: socket.socket) -> bytes:
    """One whole request."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            raise OSError("closed")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    size = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
    while len(body) < size:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def answering(*pieces: bytes, close: bool = True) -> Play:
    """Reads one request, says the pieces, and hangs up."""

    def play(connection: socket.socket) -> None:
        take_request(connection)
        for piece in pieces:
            connection.sendall(piece)
        if close:
            connection.close()

    return play


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def failing(http: Http, url: str, **options: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        http.call("send", "POST", url, **({"form": {"token": CANARY}} | options))
    return caught.value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
