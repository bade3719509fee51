"""The one HTTP path: what goes out, what comes back, and what is kept of both."""

from __future__ import annotations

import gc
import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from messaging.adapters.base import Upload
from messaging.adapters.http import NOT_JSON, Http

from .recorder import Recorder
from .stage import (
    CANARY,
    JSON,
    OK,
    Play,
    Stage,
    answering,
    client_for,
    hasty_client,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def http() -> Http:
    return client_for("127.0.0.1")


@pytest.fixture
def hasty() -> Http:
    return hasty_client()


# --- What came back -----------------------------------------------------------------------------


def test_answer(http: Http, server: Recorder) -> None:
    server.answer({"status": "success"}, 201, {"X-Note": "yes"})
    answer = http.call("send", "POST", f"{server.url}/api/send", form={"a": "1"}, record={"a": "1"})
    assert (answer.status, answer.data) == (201, {"status": "success"})
    assert answer.body == b'{"status": "success"}'
    assert answer.headers.get("x-note") == "yes"
    call = answer.call
    assert (call.operation, call.method, call.url) == ("send", "POST", f"{server.url}/api/send")
    assert (call.request, call.status_code, call.response) == ({"a": "1"}, 201, answer.data)
    assert call.error == ""
    assert 0 < call.duration < 1


def test_query_and_form(http: Http, server: Recorder) -> None:
    pairs = [("phone", "447700900123"), ("message", "ä+b &=\n%"), ("rows", "a"), ("rows", "b")]
    http.call("send", "POST", f"{server.url}/a/b", params=pairs, form=pairs)
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/a/b")
    assert request.query == ("phone=447700900123&message=%C3%A4%2Bb+%26%3D%0A%25&rows=a&rows=b")
    assert request.form == pairs
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_params_join_a_query(http: Http, server: Recorder) -> None:
    answer = http.call("read", "GET", f"{server.url}/a?x=1#there", params={"y": CANARY})
    [request] = server.requests
    assert (request.method, request.query, request.body) == ("GET", f"x=1&y={CANARY}", b"")
    assert answer.call.url == f"{server.url}/a"


def test_json_body(http: Http, server: Recorder) -> None:
    http.call("send", "POST", server.url, json={"text": "ä😃", "n": 1.5})
    [request] = server.requests
    assert request.path == "/"
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert request.body == '{"text": "ä😃", "n": 1.5}'.encode()


def test_multipart(http: Http, server: Recorder) -> None:
    upload = Upload(
        filename="Preis ü.pdf",
        content_type="application/pdf",
        size=6,
        open=lambda: io.BytesIO(b"%PDF\x00\r\n"),
    )
    form = [("message", "ä\n"), ("rows", "a"), ("rows", "b")]
    http.call("send", "POST", f"{server.url}/x", form=form, files={"file": upload})
    [request] = server.requests
    assert request.form == form
    part = request.files["file"]
    assert (part.filename, part.content_type) == ("Preis ü.pdf", "application/pdf")
    assert part.content == b"%PDF\x00\r\n"


def test_headers(http: Http, server: Recorder) -> None:
    http.call("read", "POST", server.url, headers={"Authorization": "Bearer äß"})
    [request] = server.requests
    assert request.headers["Authorization"] == "Bearer äß"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["User-Agent"].startswith("django-shared-inbox/")
    assert request.headers["Host"] == server.url.removeprefix("http://")
    assert request.headers["Content-Length"] == "0"
    assert "Cookie" not in request.headers


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b'7\r\n{"answe\r\n8\r\nr": 42 }\r\n0\r\n\r\n',
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + JSON,
        b"HTTP/1.0 200 OK\r\n\r\n" + JSON,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(JSON),
        b"HTTP/1.1 200\r\n\r\n\xef\xbb\xbf" + JSON,
    ],
    ids=["chunked", "continue", "until closed", "gzip all the same", "byte order mark"],
)
def test_forms_of_an_answer(http: Http, stage: Callable[[Play], Stage], answer: bytes) -> None:
    assert http.call("read", "GET", stage(answering(answer)).url).data == {"answer": 42}


@pytest.fixture
def no_finalizers() -> Iterator[None]:
    """Nobody else's objects end while the parser stands at the limit of recursion."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (
            b'{"a": "\\u0000b", "\\u0000": "\\ud83d\\ude00 \\ud83d"}',
            {"a": "\ufffdb", "\ufffd": "😀 \ufffd"},
        ),
        (b'{"a": NaN, "b": [Infinity, -Infinity, 1e999]}', {"a": None, "b": [None, None, None]}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        (b"null", None),
        (b"", NOT_JSON),
        (b"<html>", NOT_JSON),
        (b'{"a": 1', NOT_JSON),
        (b"[" * 15_000, NOT_JSON),
        (b"1" * 5000, NOT_JSON),
    ],
)
def test_json_can_be_stored(
    http: Http, server: Recorder, body: bytes, data: Any, no_finalizers: None
) -> None:
    server.answer(body)
    answer = http.call("read", "GET", server.url)
    assert answer.data == data
    assert answer.body == body


def test_what_is_no_json_is_not_kept(http: Http, server: Recorder) -> None:
    server.answer(f"<a href='?token={CANARY}'>".encode(), 502, {"Content-Type": "text/html; x=y"})
    answer = http.call("send", "POST", server.url, params={"token": CANARY})
    assert answer.call.response == {"not_json": "text/html", "bytes": 30}
    assert not answer.data
    assert repr(answer.data) == "NOT_JSON"


def test_redact_makes_the_stored_response(http: Http, server: Recorder) -> None:
    server.answer({"token": CANARY})
    answer = http.call("x", "GET", server.url, redact=lambda data: {"seen": len(data)})
    assert answer.data == {"token": CANARY}
    assert answer.call.response == {"seen": 1}
