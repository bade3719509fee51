"""WhatsApp HTTP API: how parameters travel, and what is never given away."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from messaging.adapters.http import Http
from messaging.content import (
    Buttons,
    ListMenu,
    ListRow,
    Media,
    Text,
)
from messaging.errors import ErrorClass, GatewayError, Verdict

from .recorder import Recorded, Recorder
from .stage import Play, Stage, answering, free_port, hasty_client, take_request
from .whatsapp_cases import (
    ACCEPTED,
    BALANCE,
    LANE,
    NEVER,
    OK,
    REFUSED,
    TOKEN,
    UNKNOWN,
    adapter,
    outbound,
    sent,
    upload,
)

HELLO = outbound(Text("Hello"))
UNAUTHORISED = {"status": "error", "message": "invalid object id"}

# --- Finding out where parameters are read ------------------------------------------------------


def gateway_that_reads(*places: str, balance: Any = BALANCE) -> Callable[[Recorded], Any]:
    """Knows the token only where it reads it; answers 200 all the same."""

    def answer(request: Recorded) -> Any:
        read = ("body" in places and "token" in dict(request.form)) or (
            "query" in places and "token=" in request.query
        )
        if not read:
            return UNAUTHORISED
        return balance if request.path == "/api/checkBal" else OK

    return answer


def paths(server: Recorder) -> list[tuple[str, str]]:
    return [
        (request.path.removeprefix("/api/"), "query" if request.query else "body")
        for request in server.requests
    ]


@pytest.mark.parametrize("mode", ["auto", ""])
def test_the_body_where_it_is_read(http: Http, server: Recorder, mode: str) -> None:
    server.answer(gateway_that_reads("body", "query"))
    for _ in range(3):
        assert sent(adapter(http, server.url, mode).send(HELLO)) == ACCEPTED
    assert paths(server) == [("checkBal", "body")] + [("sendText", "body")] * 3


def test_the_documented_way_where_it_is_not(http: Http, server: Recorder) -> None:
    server.answer(gateway_that_reads("query"))
    for _ in range(3):
        assert sent(adapter(http, server.url, "auto").send(HELLO)) == ACCEPTED
    assert paths(server) == [
        ("checkBal", "body"),
        ("checkBal", "query"),
        *[("sendText", "query")] * 3,
    ]


def test_a_quota_code_proves_a_known_token(http: Http, server: Recorder) -> None:
    empty = {"status": "error", "message": "05-Quota expiry"}
    server.answer(gateway_that_reads("body", balance=empty))
    assert sent(adapter(http, server.url, "auto").send(HELLO)) == ACCEPTED
    assert paths(server) == [("checkBal", "body"), ("sendText", "body")]


def test_what_is_learnt_is_of_one_host(http: Http, server: Recorder) -> None:
    server.answer(gateway_that_reads("body"))
    adapter(http, server.url, "auto").send(HELLO)
    adapter(http, f"{server.url}/", "auto").send(HELLO)
    with Recorder() as other:
        other.answer(gateway_that_reads("query"))
        assert sent(adapter(http, other.url, "auto").send(HELLO)) == ACCEPTED
        assert paths(other)[-1] == ("sendText", "query")


def test_a_token_nobody_knows_teaches_nothing(http: Http, server: Recorder) -> None:
    server.answer(UNAUTHORISED, 401)
    outcome = adapter(http, server.url, "auto").send(HELLO)
    assert sent(outcome) == (REFUSED, ErrorClass.AUTHENTICATION, LANE, False)
    assert paths(server) == [("checkBal", "body"), ("checkBal", "query"), ("sendText", "query")]
    assert len(outcome.calls) == 3
    server.answer(gateway_that_reads("body"))
    assert sent(adapter(http, server.url, "auto").send(HELLO)) == ACCEPTED
    assert paths(server)[-1] == ("sendText", "body")


@pytest.mark.parametrize(
    ("status", "body", "error_class"),
    [
        (200, b"<html>", ErrorClass.TRANSIENT),
        (302, b"", ErrorClass.CONFIGURATION),
        (403, b"", ErrorClass.TRANSIENT),
        (429, b"", ErrorClass.RATE_LIMIT),
        (502, b"", ErrorClass.TRANSIENT),
        (503, b"", ErrorClass.TRANSIENT),
    ],
)
def test_a_question_without_answer_sends_nothing(
    http: Http, server: Recorder, status: int, body: bytes, error_class: ErrorClass
) -> None:
    server.answer(body, status)
    outcome = adapter(http, server.url, "auto").send(HELLO)
    [result] = outcome.results
    assert result.failure is not None
    assert (result.failure.verdict, result.failure.error_class) == (NEVER, error_class)
    assert paths(server) == [("checkBal", "body")]
    assert len(outcome.calls) == 1


@pytest.mark.parametrize("play", [take_request, answering()])
def test_a_question_that_breaks_sends_nothing(stage: Callable[[Play], Stage], play: Play) -> None:
    on_stage = stage(play)
    outcome = adapter(hasty_client(), f"http://127.0.0.1:{on_stage.port}", "auto").send(HELLO)
    [result] = outcome.results
    assert result.failure is not None
    assert (result.failure.verdict, result.failure.retry) == (Verdict.NEVER_LEFT, True)
    assert on_stage.connections == 1


def test_reads_go_the_same_way(http: Http, server: Recorder) -> None:
    server.answer(gateway_that_reads("query"))
    gateway = adapter(http, server.url, "auto")
    assert gateway.balance().amount == "4300"
    assert paths(server)[-1] == ("checkBal", "query")
    server.clear()
    server.answer(b"", 502)
    with pytest.raises(GatewayError):
        adapter(Http(allowed_private_hosts=["127.0.0.1"]), server.url, "auto").balance()
    assert len(server.requests) == 1


def test_an_address_that_would_be_too_long(http: Http, server: Recorder) -> None:
    content = Buttons("😀" * 512, ["b"], header=Media("image", link=f"https://e.com/{'ä' * 500}"))
    server.answer(gateway_that_reads("query"))
    gateway = adapter(http, server.url, "auto")
    [result] = gateway.send(outbound(content)).results
    assert result.failure is not None
    assert (result.failure.verdict, result.failure.error_class) == (
        NEVER,
        ErrorClass.INVALID_CONTENT,
    )
    assert "sendFilesButton" not in dict(paths(server))
    assert gateway.validate(content).refusals  # known by now
    server.answer(OK)
    assert sent(adapter(http, server.url, "body").send(outbound(content))) == ACCEPTED


def test_base_url_with_a_slash(http: Http, server: Recorder) -> None:
    server.answer(OK)
    adapter(http, f"{server.url}/").send(HELLO)
    assert server.requests[0].path == "/api/sendText"


# --- How a call can end -------------------------------------------------------------------------


def test_nobody_there(http: Http) -> None:
    outcome = adapter(http, f"http://127.0.0.1:{free_port()}").send(HELLO)
    [result] = outcome.results
    assert result.failure is not None
    assert (result.failure.verdict, result.failure.retry) == (NEVER, True)


@pytest.mark.parametrize(
    "play",
    [take_request, answering(), answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")],
)
def test_broken_sends_are_unknown(stage: Callable[[Play], Stage], play: Play) -> None:
    on_stage = stage(play)
    outcome = adapter(hasty_client(), f"http://127.0.0.1:{on_stage.port}").send(HELLO)
    assert sent(outcome) == UNKNOWN
    assert on_stage.connections == 1


def test_two_recipients_are_our_own_mistake(http: Http, server: Recorder) -> None:
    message = outbound(Text("Hello"))
    outcome = adapter(http, server.url).send(
        type(message)(content=message.content, recipients=message.recipients * 2)
    )
    assert [result.failure and result.failure.error_class for result in outcome.results] == [
        ErrorClass.INTERNAL
    ] * 2
    assert server.requests == []


# --- Secrets ------------------------------------------------------------------------------------

ECHO = {
    "status": "error",
    "message": f"05-Quota expiry of {TOKEN}",
    "request": {"phone": ["447700900123"], "token": [TOKEN], "note": f"<{TOKEN}>"},
    "data": {"instanceID": TOKEN, "clientId": "5f00c8", "creditID": "1", "webHook": "/hook"},
}


@pytest.mark.parametrize("mode", ["auto", "body", "query"])
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_the_token_is_nowhere(
    http: Http, server: Recorder, caplog: pytest.LogCaptureFixture, mode: str, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer(ECHO, status)
    gateway = adapter(http, server.url, mode)
    told = repr(gateway.send(outbound(Media("image", file="k"), upload=upload()))) + repr(gateway)
    now = datetime.now(UTC)
    for operation in (
        gateway.balance,
        gateway.connection,
        lambda: gateway.fetch_statuses(now, now),
        lambda: gateway.fetch_status("a1"),
    ):
        try:
            told += repr(operation())
        except GatewayError as error:
            told += "".join(traceback.format_exception(error)) + repr(vars(error))
    told += repr(gateway.account)
    assert all(TOKEN in str(request.parameters) for request in server.requests)
    for secret in (TOKEN, "5f00c8", "/hook"):
        assert secret not in told
    assert TOKEN not in caplog.text


def test_what_is_kept_of_a_request(http: Http, server: Recorder) -> None:
    server.answer(OK)
    rows = [ListRow("Tea", section="Drinks"), ListRow("Water")]
    [call] = adapter(http, server.url).send(outbound(ListMenu("Pick", "Open", rows))).calls
    assert call.request == {
        "token": "***",
        "phone": "447700900123",
        "message": "Pick",
        "buttonText": "Open",
        "rows": ["Drinks:Tea:", ":Water:"],
    }
    assert call.url == f"{server.url}/api/sendList"
    assert call.response == OK
    [call] = (
        adapter(http, server.url)
        .send(outbound(Media("image", file="k"), upload=upload(size=5)))
        .calls
    )
    assert call.request["file"] == {"name": "Preis.jpg", "bytes": 5}
