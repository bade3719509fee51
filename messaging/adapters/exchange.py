"""One request and its answer, spoken on one connection under one deadline.

Whatever goes wrong here is judged by where it went wrong: before the first byte of the request was
taken, the message has not left; after it, nobody can know. Originals are not kept, because the
exceptions of HTTP libraries quote addresses, and addresses may hold tokens.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from ..errors import Failure
from ..i18n import gettext as _
from .answers import misconfigured, never_left, unknown
from .network import BlockedAddressError, GuardedConnection, Pool

#: status, headers, body
Received = tuple[int, Mapping[str, str], bytes]

_HEADERS_CAP: Final = 65_536
_SLICE: Final = 16_384  # one TLS record: taken whole or not at all


class ExchangeError(Exception):
    """How an exchange ended without an answer."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__()


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, `cap` in bytes; `deadline` by the monotonic clock."""

    deadline: float
    connect: float
    silence: float
    cap: int


class _Reader(io.RawIOBase):
    """The receiving side of a socket under a deadline and a budget of bytes.

    It also stands in for the socket where http.client asks for a file.
    """

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self._sock = sock
        self._limits = limits
        self._budget = limits.cap + _HEADERS_CAP

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        _allow(self._sock, self._limits)
        count = self._sock.recv_into(buffer)
        self._budget -= count
        if self._budget < 0:
            raise _too_large()
        return count

    def makefile(self, *args: Any) -> io.BufferedReader:
        return io.BufferedReader(self)


def exchange(
    pool: Pool, method: str, request: bytes, limits: Limits, *, keep: bool = True
) -> Received:
    """Send the bytes of a request and read its answer. Raises ExchangeError.

    Without `keep` the connection is closed afterwards, whatever the server says of it.
    """
    conn = pool.take()
    reusable = False
    try:
        if conn.sock is None:
            _connect(conn, limits)
        heard_out = _write(conn.sock, request, limits)
        received, reusable = _read(conn.sock, method, limits)
        reusable = reusable and heard_out and keep
    finally:
        if not reusable:
            conn.close()
        pool.give_back(conn)
    return received


def _allow(sock: socket.socket, limits: Limits) -> None:
    """Give the next step on the socket its share of the time. Raises TimeoutError at the end."""
    left = limits.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(min(left, limits.silence))


def _connect(conn: GuardedConnection, limits: Limits) -> None:
    conn.timeout = limits.connect
    try:
        conn.connect()
    except BlockedAddressError:
        failure = misconfigured("private_address", _("This address is inside a private network."))
    except socket.gaierror:
        failure = never_left("dns", _("The gateway's host name was not found."))
    except (ssl.SSLError, ValueError):
        failure = never_left("tls", _("No secure connection to the gateway was possible."))
    except TimeoutError:
        failure = never_left("connect_timeout", _("The gateway did not accept the connection."))
    except Exception:
        # Nothing has been written, whatever this was.
        failure = never_left("unreachable", _("The gateway could not be reached."))
    else:
        if time.monotonic() < limits.deadline:
            return
        failure = never_left("connect_timeout", _("The gateway did not accept the connection."))
    raise ExchangeError(failure)


def _write(sock: socket.socket, request: bytes, limits: Limits) -> bool:
    """Send the request. False where the other side stopped listening before its end."""
    sent = 0
    view = memoryview(request)
    try:
        while sent < len(request):
            _allow(sock, limits)
            sent += sock.send(view[sent : sent + _SLICE])
    except (BrokenPipeError, ConnectionResetError):
        if sent:
            return False  # it may have answered already
        failure = never_left("closed", _("The gateway closed the connection."))
    except Exception:
        # A slice is taken whole or not at all: before the first one nothing can be understood.
        judge = unknown if sent else never_left
        failure = judge("write", _("The message could not be handed over completely."))
    else:
        return True
    raise ExchangeError(failure)


def _read(sock: socket.socket, method: str, limits: Limits) -> tuple[Received, bool]:
    """The answer, and whether the connection may serve again."""
    try:
        return _receive(sock, method, limits)
    except ExchangeError:
        raise
    except TimeoutError:
        code = "deadline" if time.monotonic() >= limits.deadline else "read_timeout"
        failure = unknown(code, _("The gateway did not answer in time."))
    except http.client.RemoteDisconnected:
        failure = unknown("empty", _("The gateway closed the connection without an answer."))
    except OSError:
        failure = unknown("reset", _("The connection broke before the answer was complete."))
    except Exception:
        failure = unknown("unreadable", _("The gateway's answer cannot be read."))
    raise ExchangeError(failure)


def _receive(sock: socket.socket, method: str, limits: Limits) -> tuple[Received, bool]:
    reader: Any = _Reader(sock, limits)
    response = http.client.HTTPResponse(reader, method=method)
    response.begin()
    length = response.length
    if length is not None and length > limits.cap:
        raise _too_large()
    body = response.read(limits.cap + 1)
    if len(body) > limits.cap:
        raise _too_large()
    if length is not None and len(body) < length:
        raise ConnectionResetError
    if encoding := response.headers.get("content-encoding"):
        body = _inflate(body, encoding, limits.cap)
    # An interim answer is followed by another one that nobody would read.
    reusable = not response.will_close and response.status >= 200
    headers = cast(Mapping[str, str], response.headers)  # it looks up like one
    return (response.status, headers, body), reusable


def _inflate(body: bytes, encoding: str, cap: int) -> bytes:
    """The plain body of a server that compresses although it was asked not to."""
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        plain = zlib.decompressobj(47).decompress(body, cap + 1)
    except zlib.error:
        return body  # no JSON, so the answer is judged as unreadable
    if len(plain) > cap:
        raise _too_large()
    return plain


def _too_large() -> ExchangeError:
    return ExchangeError(unknown("too_large", _("The gateway's answer is too long.")))
