"""No adapter lets a credential into a result, a record, an exception or a log."""

from __future__ import annotations

import dataclasses
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus

import pytest

from messaging.adapters.base import Adapter
from messaging.adapters.http import Http
from messaging.errors import GatewayError

from .contract import adapter, calling, canaries, free_port, operations, outbound
from .recorder import Recorder


def spellings(secret: str) -> set[str]:
    """How a secret may look inside other texts."""
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)}


def leaks(cls: type[Adapter], text: str) -> list[str]:
    return [
        name
        for name, secret in canaries(cls).items()
        if any(spelling in text for spelling in spellings(secret))
    ]


def everything_of(value: Any) -> str:
    """All a value holds, also what its repr leaves out."""
    if dataclasses.is_dataclass(value):
        parts = [everything_of(getattr(value, field.name)) for field in dataclasses.fields(value)]
        return " ".join([repr(value), *parts])
    if isinstance(value, tuple):
        return " ".join(map(everything_of, value))
    return f"{value!r} {value!s}"


def told(cls: type[Adapter]) -> list[tuple[int, bytes]]:
    """Answers that repeat the credentials, as JSON under their names, inside texts, and as HTML."""
    secrets = canaries(cls)
    words = " ".join(secrets.values())
    named: dict[str, Any] = {
        **secrets,
        "request": {name: [value] for name, value in secrets.items()},
    }
    failure = {"error": words, "error_code": 4, "error_description": words}
    return [
        (400, json.dumps({"status": "error", "message": words, **named}).encode()),
        (422, json.dumps({"success": False, **failure, "errors": {"a": [words]}}).encode()),
        (200, json.dumps({"response_status": "failure", "errors": [failure], **named}).encode()),
        (500, f"<html>{words}</html>".encode()),
    ]


@calling
@pytest.mark.parametrize("index", range(4))
def test_no_secret_in_a_result(
    cls: type[Adapter], http: Http, server: Recorder, caplog: pytest.LogCaptureFixture, index: int
) -> None:
    caplog.set_level(logging.DEBUG)
    status, body = told(cls)[index]
    server.answer(body, status)
    instance = adapter(cls, http, server.url)
    outcome = instance.send(outbound())
    # The secrets did leave: in a header, the body or the query.
    sent = " ".join(
        f"{request.headers} {request.body!r} {request.query} {parse_qs(request.body.decode())}"
        for request in server.requests
    )
    assert leaks(cls, sent)
    assert leaks(cls, f"{instance!r} {instance.account!r}") == []
    assert leaks(cls, everything_of(outcome)) == []
    assert leaks(cls, caplog.text) == []


@calling
@pytest.mark.parametrize("index", range(4))
def test_no_secret_in_an_exception(
    cls: type[Adapter], http: Http, server: Recorder, caplog: pytest.LogCaptureFixture, index: int
) -> None:
    caplog.set_level(logging.DEBUG)
    status, body = told(cls)[index]
    instance = adapter(cls, http, server.url)
    for name, arguments in operations().items():
        if cls.supports(name) or name == "test":
            for _ in range(3):
                server.answer(body, status)
            raised = failure_of(getattr(instance, name), *arguments)
            assert leaks(cls, raised) == []
    assert leaks(cls, caplog.text) == []


@calling
def test_no_secret_when_nothing_answers(
    cls: type[Adapter], http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    instance = adapter(cls, http, f"http://127.0.0.1:{free_port()}")
    assert leaks(cls, everything_of(instance.send(outbound()))) == []
    for name, arguments in operations().items():
        if cls.supports(name) or name == "test":
            raised = failure_of(getattr(instance, name), *arguments)
            assert raised, name
            assert leaks(cls, raised) == []
    assert leaks(cls, caplog.text) == []


def failure_of(operation: Callable[..., Any], *arguments: Any) -> str:
    """How a reading call fails, with everything a traceback would show of the way there."""
    try:
        operation(*arguments)
    except GatewayError as error:
        shown = "".join(traceback.format_exception(error))
        chain = [error.__cause__, error.__context__]
        return f"{shown} {error!r} {error.failure!r} {chain!r} {vars(error)!r}"
    return ""
