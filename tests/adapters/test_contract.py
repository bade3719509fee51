"""What every adapter in MESSAGING["ADAPTERS"] promises, whatever gateway it speaks to.

A new adapter is in here as soon as it is in the list. It needs a test file of its own, too.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.adapters.base import (
    INBOUND_ONLY,
    INBOUND_OR_TEMPLATE,
    NO_WINDOW,
    SMS,
    WHATSAPP,
    Adapter,
    CallRecord,
)
from messaging.adapters.http import Answer, Http
from messaging.content import KINDS
from messaging.errors import ErrorClass, Verdict

from .builders import AMBIGUOUS
from .contract import ADAPTERS, adapter, calling, every, free_port, judged, operations, outbound
from .recorder import Recorder

# --- Declarations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ADAPTERS)
def test_has_a_test_file_of_its_name(path: str) -> None:
    cls = ADAPTERS[path]
    assert issubclass(cls, Adapter)
    assert path.split(".")[-2] == cls.slug
    assert (Path(__file__).parent / f"test_{cls.slug}.py").is_file()


@every
def test_declarations(cls: type[Adapter]) -> None:
    assert str(cls.label)
    assert str(cls.setup_help)
    assert cls.channels
    assert cls.channels <= {WHATSAPP, SMS}
    assert set(cls.kinds) == cls.channels
    assert all(kinds and kinds <= set(KINDS) for kinds in cls.kinds.values())
    assert cls.window_policy in (INBOUND_ONLY, INBOUND_OR_TEMPLATE, NO_WINDOW)
    assert 1 <= cls.default_recipients <= cls.max_recipients
    assert cls.rate is None or cls.rate > 0
    assert cls.default_base_url == cls.default_base_url.rstrip("/")
    assert cls.default_base_url.startswith("https://") or not cls.default_base_url


@every
def test_fields(cls: type[Adapter]) -> None:
    fields = (*cls.provider_credentials, *cls.sender_credentials, *cls.options)
    names = [field.name for field in fields]
    assert len(set(names)) == len(names)
    for field in fields:
        assert field.name.isidentifier()
        assert str(field.label)
        str(field.help)
    for option in cls.options:
        values = [value for value, label in option.choices if str(label)]
        assert not values or option.default in values


@every
def test_optional_operations(cls: type[Adapter]) -> None:
    """Declared or not, never half: what is not declared says so at once."""
    assert cls.supports("balance") or cls.supports("test")
    instance = adapter(cls, Http())
    for name, arguments in operations().items():
        if not cls.supports(name) and name != "test":
            with pytest.raises(NotImplementedError, match=cls.slug):
                getattr(instance, name)(*arguments)


# --- Sending --------------------------------------------------------------------------------------

JUNK: list[tuple[int, bytes]] = [
    (200, b""),
    (200, b"OK"),
    (200, b"<html><body>Welcome</body></html>"),
    (200, b"[]"),
    (200, b"{}"),
    (200, b"null"),
    (200, b"true"),
    (200, b'"accepted"'),
    (200, b'{"ok": true, "id": "a1"}'),
    (200, b'{"status": {}, "messages": {}, "data": 5, "success": "yes", "response_status": 1}'),
    (200, b'{"status": "success", "success": true, "response_status": "ok"}'),
    (200, b'{"unfinished": '),
    (200, b"[" * 5000),
    (200, b"\xff\xfe\x00"),
    (500, b"<html>Server Error</html>"),
    (502, b""),
    (504, b""),
    (503, b"<html>Unavailable</html>"),
    (408, b""),
]


@calling
@pytest.mark.parametrize(("status", "body"), JUNK)
def test_junk_may_have_been_sent(
    cls: type[Adapter], http: Http, server: Recorder, status: int, body: bytes
) -> None:
    server.answer(body, status)
    outcome = adapter(cls, http, server.url).send(outbound())
    assert judged(outcome) == {AMBIGUOUS}
    assert len(outcome.calls) == len(server.requests) == 1
    json.dumps(outcome.calls[0].response)


class Canned(Http):
    """Answers every call with one status and JSON value, without a network."""

    def __init__(self, status: int, data: Any) -> None:
        super().__init__()
        self._answer = status, data

    def call(self, operation: str, method: str, url: str, **request: Any) -> Answer:
        status, data = self._answer
        call = CallRecord(operation=operation, method=method, url=url, status_code=status)
        body = json.dumps(data).encode()
        return Answer(status=status, headers={}, body=body, data=data, call=call)


words = st.sampled_from(
    ["ok", "failure", "success", "00-Success", "05-Quota expiry", "447700900100", "queued"]
)
keys = st.sampled_from(
    [
        "status",
        "message",
        "data",
        "messageIDs",
        "connStatus",
        "success",
        "message_sid",
        "id",
        "error",
        "error_code",
        "errors",
        "response_status",
        "messages",
        "to",
    ]
)
leaves = st.none() | st.booleans() | st.integers(-5, 100) | words | st.text(max_size=3)
answers = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner), max_leaves=8
)


@calling
@settings(max_examples=200, deadline=None)
@given(data=answers, status=st.sampled_from([200, 201, 302, 400, 401, 422, 500, 503]))
def test_any_json_is_survived(cls: type[Adapter], data: Any, status: int) -> None:
    """I3 and I4: taken only with an id, else a failure; never an exception."""
    [result] = adapter(cls, Canned(status, data)).send(outbound()).results
    assert bool(result.external_id) == (result.failure is None) == (result.status is not None)


@every
def test_one_result_per_recipient(cls: type[Adapter], http: Http, server: Recorder) -> None:
    for count in sorted({1, cls.default_recipients, cls.max_recipients, cls.max_recipients + 1}):
        server.answer(b"{}")
        outcome = adapter(cls, http, server.url).send(outbound(count))
        assert len(outcome.results) == count


@calling
def test_silence_may_have_been_sent(cls: type[Adapter], http: Http) -> None:
    with Listening(lambda connection: connection.recv(65_536)) as url:
        outcome = adapter(cls, http, url).send(outbound())
    assert judged(outcome) == {AMBIGUOUS}
    [call] = outcome.calls
    assert call.status_code == 0
    assert call.error


@calling
def test_a_broken_connection_may_have_been_sent(cls: type[Adapter], http: Http) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.close()

    with Listening(hang_up) as url:
        outcome = adapter(cls, http, url).send(outbound())
    assert judged(outcome) == {AMBIGUOUS}


@calling
def test_a_refused_connection_never_left(cls: type[Adapter], http: Http) -> None:
    outcome = adapter(cls, http, f"http://127.0.0.1:{free_port()}").send(outbound())
    [result] = outcome.results
    assert result.failure is not None
    assert result.failure.verdict is Verdict.NEVER_LEFT
    assert result.failure.error_class is ErrorClass.TRANSIENT
    assert result.failure.retry


@calling
def test_a_private_address_is_never_called(cls: type[Adapter], server: Recorder) -> None:
    outcome = adapter(cls, Http(), server.url).send(outbound())
    [result] = outcome.results
    assert result.failure is not None
    assert result.failure.verdict is Verdict.NEVER_LEFT
    assert server.requests == []


class Listening:
    """A server that takes one connection after another and does to it what it is told."""

    def __init__(self, serve: Callable[[socket.socket], Any]) -> None:
        self._serve = serve
        self._taken: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._taken.append(connection)
                self._serve(connection)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(2)
        for connection in self._taken:
            connection.close()
