"""The one HTTP path of all adapters, and the one place that judges how a call ended.

A send has three outcomes that differ in what may follow: it never left (repeat it), it was refused
(the gateway said so), or nobody can know (never repeat it). The difference is made here, by where
in the exchange things went wrong, never by the words of an exception.

requests prepares addresses and multipart bodies and keeps the pools; the exchange itself is spoken
on a pooled connection, because every step of it needs its own share of one deadline and a note of
whether a byte of the request has left.
"""

from __future__ import annotations

import json as jsonlib
import logging
import math
import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlencode

from requests import PreparedRequest, RequestException
from urllib3.util import parse_url

from .. import __version__
from ..errors import ErrorClass, Failure, Verdict
from ..events import EMPTY
from ..i18n import gettext as _
from .answers import (
    MASK,
    NOT_JSON,
    Answer,
    TransportError,
    misconfigured,
    parse,
    read_failure,
    redact_json,
    send_failure,
    unknown,
)
from .base import CallRecord, Upload
from .exchange import ExchangeError, Limits, Received, exchange
from .network import AddressPolicy, Pool, Pools

__all__ = [
    "MASK",
    "NOT_JSON",
    "Answer",
    "Http",
    "TransportError",
    "read_failure",
    "redact_json",
    "send_failure",
]

logger = logging.getLogger("messaging")

Pairs = Mapping[str, Any] | Sequence[tuple[str, Any]]

_ROUTES: Final = 512


@dataclass(frozen=True, slots=True)
class _Route:
    """What stays the same for all calls to one address."""

    pool: Pool
    target: str
    host: str
    shown: str


class Http:
    """Calls over pooled connections. One instance serves any number of threads.

    Times are in seconds: `connect_timeout` for each of connecting and the TLS handshake,
    `read_timeout` for a silence, `total_timeout` for the whole call (only a slow name server can
    exceed it, and then nothing is written). `response_cap` is in bytes. `allowed_private_hosts`:
    see AddressPolicy. Redirects, retries, cookies and the proxy environment do not exist here.
    """

    def __init__(
        self,
        *,
        allowed_private_hosts: Iterable[str] = (),
        connect_timeout: float = 5.0,
        read_timeout: float = 20.0,
        total_timeout: float = 30.0,
        response_cap: int = 1_000_000,
        verify: bool | str = True,
        pool_size: int = 64,
    ) -> None:
        #: Facts learnt in this process, such as "this host reads bodies".
        self.memo: dict[Any, Any] = {}
        self._local = threading.local()
        self._policy = AddressPolicy(allowed_private_hosts)
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._total_timeout = total_timeout
        self._cap = response_cap
        self._verify = verify
        self._pool_size = pool_size
        self._open()

    @property
    def calls_by_this_thread(self) -> int:
        """How many calls this thread has begun: tells a fault before the socket from one after."""
        return int(getattr(self._local, "calls", 0))

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All calls this thread makes inside the block share so many seconds."""
        self._local.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._local.deadline = math.inf

    def _open(self) -> None:
        self._process = os.getpid()
        self._routes: dict[str, _Route] = {}
        self._pools = Pools(self._policy, verify=self._verify, size=self._pool_size)

    def close(self) -> None:
        """Close kept connections. The next call opens new ones."""
        old = self._pools
        self._open()
        old.close()

    def call(
        self,
        operation: str,
        method: str,
        url: str,
        *,
        params: Pairs | None = None,
        form: Pairs | None = None,
        json: Any = None,
        files: Mapping[str, Upload] | None = None,
        headers: Mapping[str, str] | None = None,
        record: Mapping[str, Any] = EMPTY,
        redact: Callable[[Any], Any] | None = None,
        cap: int | None = None,
    ) -> Answer:
        """Make one request, once.

        `params` go into the query, `form` into an urlencoded body (with `files`: multipart).
        `record` is the request as it may be stored; `redact` makes the stored response from the
        parsed JSON. `cap` replaces the response cap, in bytes. Raises TransportError.
        """
        self._local.calls = self.calls_by_this_thread + 1
        started = time.monotonic()
        shown = ""
        failure: Failure | None = None
        received: Received | None = None
        data = response = None
        left = False
        try:
            route = self._route(url)
            shown = route.shown
            request = _encode(route, method, params, _body(form, json, files), headers)
            left = True
            received = exchange(route.pool, method, request, self._limits(started, cap))
            data = parse(received[2])
            response = _stored(data, received, redact)
        except ExchangeError as error:
            failure = error.failure
        except Exception as error:
            failure = _broken(error, left=left)
        call = CallRecord(
            operation=operation,
            method=method,
            url=shown,
            request=record,
            status_code=received[0] if received else 0,
            response=response,
            error=failure.text if failure else "",
            duration=time.monotonic() - started,
        )
        if failure:
            # Raised out here, so that not even the hidden context holds the original.
            raise TransportError(failure, call)
        status, answer_headers, body = cast(Received, received)
        return Answer(status=status, headers=answer_headers, body=body, data=data, call=call)

    def download(self, url: str, cap: int) -> Received:
        """Fetch a file once: status, headers and at most `cap` bytes. Raises TransportError.

        Its connection is not kept: files come from anywhere, and from there once.
        """
        started = time.monotonic()
        shown = ""
        try:
            route = self._route(url)
            shown = route.shown
            request = _encode(route, "GET", None, (None, ""), {"Connection": "close"})
            return exchange(route.pool, "GET", request, self._limits(started, cap), keep=False)
        except ExchangeError as error:
            failure = error.failure
        except Exception as error:
            failure = _broken(error, left=True)
        # Raised out here, so that not even the hidden context holds the original.
        duration = time.monotonic() - started
        call = CallRecord(
            operation="download", method="GET", url=shown, error=failure.text, duration=duration
        )
        raise TransportError(failure, call)

    def _limits(self, started: float, cap: int | None) -> Limits:
        deadline = started + self._total_timeout
        return Limits(
            min(deadline, getattr(self._local, "deadline", math.inf)),
            self._connect_timeout,
            self._read_timeout,
            cap or self._cap,
        )

    def _route(self, url: str) -> _Route:
        if os.getpid() != self._process:
            self._open()  # after a fork the sockets belong to the parent
        route = self._routes.get(url)
        if route is None:
            if len(self._routes) >= _ROUTES:
                self._routes.clear()
            route = self._routes[url] = self._new_route(url)
        return route

    def _new_route(self, url: str) -> _Route:
        prepared = PreparedRequest()
        try:
            prepared.prepare_url(url, None)
            parts = parse_url(prepared.url or "")
        except (RequestException, ValueError):
            parts = parse_url("")
        scheme, host = parts.scheme or "", parts.host or ""
        if scheme not in ("http", "https") or not host or parts.auth:
            raise ExchangeError(
                misconfigured("bad_address", _("This is not a usable web address."))
            )
        port = parts.port or (443 if scheme == "https" else 80)
        if scheme == "http" and not self._policy.lists(host, port):
            raise ExchangeError(
                misconfigured("plain_http", _("Only https addresses may be called."))
            )
        name = host if parts.port is None else f"{host}:{port}"
        return _Route(
            pool=self._pools.pool(scheme, host, port),
            target=parts.request_uri,
            host=name,
            shown=f"{scheme}://{name}{parts.path or '/'}",
        )


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_COMMON = f"User-Agent: django-shared-inbox/{__version__}\r\nAccept-Encoding: identity\r\n"


def _encode(
    route: _Route,
    method: str,
    params: Pairs | None,
    content: tuple[bytes | None, str],
    headers: Mapping[str, str] | None,
) -> bytes:
    """The bytes of the request, head and body."""
    body, content_type = content
    target = route.target
    if params:
        target += ("&" if "?" in target else "?") + urlencode(params, doseq=True)
    lines = [f"{method} {target} HTTP/1.1\r\nHost: {route.host}\r\n{_COMMON}"]
    for name, value in {"Accept": "*/*", **(headers or {})}.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            text = _("The credentials hold characters that cannot be sent.")
            raise ExchangeError(misconfigured("bad_header", text))
        lines.append(f"{name}: {value}\r\n")
    if body is not None:
        lines.append(f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n")
    elif method not in ("GET", "HEAD"):
        lines.append("Content-Length: 0\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1") + (body or b"")


def _body(
    form: Pairs | None, json: Any, files: Mapping[str, Upload] | None
) -> tuple[bytes | None, str]:
    """The body and its content type; None where there is no body."""
    try:
        if files:
            return _multipart(form or {}, files)
        if json is not None:
            text = jsonlib.dumps(json, allow_nan=False, ensure_ascii=False)
            return text.encode(), "application/json; charset=utf-8"
        if form is not None:
            return urlencode(form, doseq=True).encode(), "application/x-www-form-urlencoded"
    except (TypeError, ValueError):
        text = _("The message holds something that cannot be sent.")
    except OSError:
        text = _("The file could not be read.")
    else:
        return None, ""
    error_class = ErrorClass.MEDIA if files else ErrorClass.INTERNAL
    raise ExchangeError(
        Failure(verdict=Verdict.NEVER_LEFT, error_class=error_class, code="body", text=text)
    )


def _multipart(form: Pairs, files: Mapping[str, Upload]) -> tuple[bytes, str]:
    parts = {}
    for name, upload in files.items():
        with upload.open() as stream:
            parts[name] = (upload.filename, stream.read(), upload.content_type)
    prepared: Any = PreparedRequest()
    prepared.headers = {}
    prepared.prepare_body(form, parts)
    return prepared.body, prepared.headers["Content-Type"]


def _broken(error: Exception, *, left: bool) -> Failure:
    """A fault of ours in the middle of a call, told by its place alone.

    It goes no further: an error page or a report of it would show what its frames hold, and they
    hold the credentials.
    """
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("A call to a gateway broke: %s\n%s", type(error).__name__, place)
    text = _("A fault of this software broke the call.")
    if left:
        return unknown("broken", text)
    return Failure(
        verdict=Verdict.NEVER_LEFT, error_class=ErrorClass.INTERNAL, code="broken", text=text
    )


def _stored(data: Any, received: Received, redact: Callable[[Any], Any] | None) -> Any:
    """The answer as it may be kept."""
    if data is NOT_JSON:
        # Not the text itself: error pages like to quote the address, and with it the token.
        kind = (received[1].get("content-type") or "").partition(";")[0].strip()
        return {"not_json": kind[:100], "bytes": len(received[2])}
    return redact(data) if redact else data
