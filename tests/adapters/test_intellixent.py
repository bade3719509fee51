"""Intellixent: its document's request and answers, and those of the vendor's wider pages.

The expected template request is the document's own curl call, read from the copy beside the tests.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from messaging.adapters.http import Http
from messaging.adapters.intellixent import Intellixent
from messaging.content import Text
from messaging.errors import ErrorClass, Scope, Verdict
from messaging.events import Status
from messaging.sandbox import Sandbox
from messaging.sandbox.accounts import (
    IX_API_KEY,
    IX_OFFLINE_SENDER,
    IX_ONLINE_SENDER,
    IX_PENDING_TEMPLATE,
    IX_PLAIN_TEMPLATE,
    IX_TEMPLATE,
)

from .builders import AMBIGUOUS, API_KEY, HELLO, PHONE, failure_of, intellixent, outbound, template
from .recorder import Recorder

SEED = (Path(__file__).parent / "samples/seeds/intellixent-send-template.txt").read_text()


def sample(marker: str) -> Any:
    """The JSON value of the document that follows the marker."""
    return json.JSONDecoder().raw_decode(SEED, SEED.index("{", SEED.index(marker)))[0]


REQUEST = sample("-d '")
SUCCESS = sample("200 Success")
M, L = Scope.MESSAGE, Scope.LANE


@pytest.fixture
def gateway(http: Http, server: Recorder) -> Intellixent:
    return intellixent(http, server.url)


# --- The document ---------------------------------------------------------------------------------


def test_request_is_the_documents_curl_call(http: Http, server: Recorder) -> None:
    """Method, path below the base URL, headers and body."""
    method, url = re.findall(r'curl -X (\w+) "([^"]+)"', SEED)[0]
    headers = dict(re.findall(r'-H "([^:]+): ([^"]+)"', SEED))
    assert url == f"{Intellixent.default_base_url}/user/whatsapp/send"

    gateway = intellixent(http, server.url, credentials={"api_key": "YOUR_API_KEY"})
    server.answer(SUCCESS)
    gateway.send(outbound(template(), "+1234567890", name="John Doe"))
    [request] = server.requests
    assert (request.method, request.path) == (method, "/api/user/whatsapp/send")
    assert request.query == ""
    assert request.headers["Authorization"] == headers["Authorization"]
    assert request.headers["Content-Type"].startswith(headers["Content-Type"])
    assert request.json() == REQUEST


def test_success(gateway: Intellixent, server: Recorder) -> None:
    server.answer(SUCCESS)
    outcome = gateway.send(outbound(template()))
    [result] = outcome.results
    # The gateway's "queued" is not ours: that would send the message again.
    assert result.status is Status.ACCEPTED
    assert result.external_id == SUCCESS["message_sid"]
    assert result.external_data == {
        "message_sid": SUCCESS["message_sid"],
        "conversation_id": 1234,
        "message_id": 567,
        "whatsapp_message_id": 890,
        "status": "queued",
    }
    assert outcome.connected is None


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("queued", Status.ACCEPTED),
        ("accepted", Status.ACCEPTED),
        ("sent", Status.SENT),
        ("Sent", Status.SENT),
        ("scheduled", Status.ACCEPTED),
        ("", Status.ACCEPTED),
        (None, Status.ACCEPTED),
        (7, Status.ACCEPTED),
    ],
)
def test_status_words(gateway: Intellixent, server: Recorder, raw: Any, status: Status) -> None:
    server.answer(SUCCESS | {"status": raw})
    [result] = gateway.send(outbound(template())).results
    assert result.status is status
    assert result.external_data.get("status", "") == str(raw or "")


@pytest.mark.parametrize(
    ("marker", "error_class", "scope"),
    [
        ("404 Sender not found", ErrorClass.CONFIGURATION, Scope.LANE),
        ("422 Template not approved", ErrorClass.TEMPLATE, Scope.MESSAGE),
        ("402 Insufficient balance", ErrorClass.QUOTA, Scope.LANE),
    ],
)
def test_the_documents_errors(
    gateway: Intellixent, server: Recorder, marker: str, error_class: ErrorClass, scope: Scope
) -> None:
    body = sample(marker)
    server.answer(body, int(marker[:3]))
    failure = failure_of(gateway.send(outbound(template())))
    assert (failure.verdict, failure.error_class) == (Verdict.REFUSED, error_class)
    assert (failure.code, failure.text) == (body["error_code"], body["error"])
    assert failure.scope is scope


# --- The vendor's other pages ---------------------------------------------------------------------


def test_freeform(gateway: Intellixent, server: Recorder) -> None:
    answer = {name: value for name, value in SUCCESS.items() if name != "status"}
    server.answer(answer | {"session_status": {"is_open": True}})
    [result] = gateway.send(outbound(Text("Hi *you*\nthere"), name="Asha")).results
    assert (result.status, result.external_id) == (Status.ACCEPTED, SUCCESS["message_sid"])
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/api/user/whatsapp/send-freeform")
    assert request.json() == {
        "sender_id": 12,
        "recipient_phone": PHONE,
        "message": "Hi *you*\nthere",
    }


@pytest.mark.parametrize(
    ("status", "word", "error_class", "scope", "retry"),
    [
        (404, "SENDER_NOT_FOUND", ErrorClass.CONFIGURATION, L, False),
        (404, "TEMPLATE_NOT_FOUND", ErrorClass.TEMPLATE, M, False),
        (422, "TEMPLATE_NOT_APPROVED", ErrorClass.TEMPLATE, M, False),
        (422, "TEMPLATE_NOT_SYNCED", ErrorClass.TEMPLATE, M, False),
        (422, "TEMPLATE_MISMATCH", ErrorClass.TEMPLATE, M, False),
        (402, "INSUFFICIENT_BALANCE", ErrorClass.QUOTA, L, True),
        (422, "SENDER_OFFLINE", ErrorClass.CONFIGURATION, L, True),
        (503, "SENDER_OFFLINE", ErrorClass.CONFIGURATION, L, True),
        (403, "SESSION_EXPIRED", ErrorClass.WINDOW_CLOSED, M, False),
        (422, "INVALID_PHONE", ErrorClass.INVALID_RECIPIENT, M, False),
        (422, "MESSAGING_LIMIT_UNAVAILABLE", ErrorClass.RATE_LIMIT, L, True),
        (422, "NO_ASSISTANT_CONFIGURED", ErrorClass.CONFIGURATION, L, False),
        (422, "VOICE_CALL_LIMIT_NOT_MET", ErrorClass.CONFIGURATION, M, False),
        (422, "TWILIO_ERROR_63016", ErrorClass.WINDOW_CLOSED, M, False),
        (422, "TWILIO_ERROR_63018", ErrorClass.RATE_LIMIT, L, True),
        (422, "TWILIO_ERROR_63024", ErrorClass.INVALID_RECIPIENT, M, False),
        (422, "TWILIO_ERROR_131047", ErrorClass.WINDOW_CLOSED, M, False),
        (422, "TWILIO_ERROR_131042", ErrorClass.QUOTA, L, True),
        (422, "TWILIO_ERROR_132001", ErrorClass.TEMPLATE, M, False),
        (422, "TWILIO_ERROR_131000", ErrorClass.TRANSIENT, M, True),
        (422, "TWILIO_ERROR_131053", ErrorClass.MEDIA, M, False),
        (422, "TWILIO_ERROR_131050", ErrorClass.INVALID_RECIPIENT, M, False),
        (422, "TWILIO_ERROR_250", ErrorClass.AUTHENTICATION, L, False),
        (422, "TWILIO_ERROR_99999", ErrorClass.UNKNOWN_REJECTION, M, False),
        (422, "TWILIO_ERROR_", ErrorClass.UNKNOWN_REJECTION, M, False),
        (422, "NEVER_HEARD_OF", ErrorClass.UNKNOWN_REJECTION, M, False),
        (409, "NEVER_HEARD_OF", ErrorClass.UNKNOWN_REJECTION, M, False),
        # The word decides at any status; without one we know, the status does.
        (200, "INSUFFICIENT_BALANCE", ErrorClass.QUOTA, L, True),
        (500, "TEMPLATE_MISMATCH", ErrorClass.TEMPLATE, M, False),
        (200, "NEVER_HEARD_OF", ErrorClass.UNKNOWN_REJECTION, M, False),
        (401, "NEVER_HEARD_OF", ErrorClass.AUTHENTICATION, L, False),
        (402, "NEVER_HEARD_OF", ErrorClass.QUOTA, L, True),
        (429, "NEVER_HEARD_OF", ErrorClass.RATE_LIMIT, L, True),
        (422, "template_mismatch", ErrorClass.TEMPLATE, M, False),
    ],
)
def test_error_words(
    gateway: Intellixent,
    server: Recorder,
    status: int,
    word: str,
    error_class: ErrorClass,
    scope: Scope,
    retry: bool,
) -> None:
    server.answer({"success": False, "error": "Some words.", "error_code": word}, status)
    failure = failure_of(gateway.send(outbound()))
    assert (failure.verdict, failure.error_class) == (Verdict.REFUSED, error_class)
    assert (failure.scope, failure.retry) == (scope, retry)
    assert (failure.code, failure.text) == (word, "Some words.")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 422, 500])
def test_unknown_error_may_have_been_sent(
    gateway: Intellixent, server: Recorder, status: int
) -> None:
    server.answer({"success": False, "error": "?", "error_code": "UNKNOWN_ERROR"}, status)
    failure = failure_of(gateway.send(outbound()))
    assert (failure.verdict, failure.error_class) == AMBIGUOUS
    assert (failure.code, failure.text, failure.retry) == ("UNKNOWN_ERROR", "?", False)


def test_the_daily_limit_is_tried_again_in_an_hour(gateway: Intellixent, server: Recorder) -> None:
    server.answer({"success": False, "error_code": "MESSAGING_LIMIT_UNAVAILABLE"}, 422)
    assert failure_of(gateway.send(outbound())).retry_after == 3600


def test_validation_errors(gateway: Intellixent, server: Recorder) -> None:
    errors = {"recipient_phone": ["Not a phone.", "Too short."], "message": "Missing."}
    server.answer({"message": "The given data was invalid.", "errors": errors}, 422)
    failure = failure_of(gateway.send(outbound()))
    assert (failure.verdict, failure.error_class) == (Verdict.REFUSED, ErrorClass.INVALID_CONTENT)
    assert (failure.code, failure.text) == ("422", "Not a phone. Too short. Missing.")


@pytest.mark.parametrize("errors", [None, [], "odd", {"a": 5}, {"a": {"b": 1}}])
def test_odd_validation_errors(gateway: Intellixent, server: Recorder, errors: Any) -> None:
    server.answer({"message": "Invalid.", "errors": errors}, 422)
    failure = failure_of(gateway.send(outbound()))
    assert failure.error_class is ErrorClass.INVALID_CONTENT
    assert failure.text


def test_too_fast(gateway: Intellixent, server: Recorder) -> None:
    server.answer({"message": "Too Many Attempts."}, 429, {"Retry-After": "17"})
    failure = failure_of(gateway.send(outbound()))
    assert (failure.verdict, failure.error_class) == (Verdict.REFUSED, ErrorClass.RATE_LIMIT)
    assert (failure.scope, failure.retry, failure.retry_after) == (Scope.LANE, True, 17)
    assert failure.text == "Too Many Attempts."


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"message": "Unauthenticated."}, (Verdict.REFUSED, ErrorClass.AUTHENTICATION)),
        (401, b"", (Verdict.REFUSED, ErrorClass.AUTHENTICATION)),
        (402, b"<html>", (Verdict.REFUSED, ErrorClass.QUOTA)),
        (404, b"<html>", (Verdict.REFUSED, ErrorClass.UNKNOWN_REJECTION)),
        (422, b"<html>", (Verdict.REFUSED, ErrorClass.INVALID_CONTENT)),
        (302, b"", (Verdict.REFUSED, ErrorClass.CONFIGURATION)),
        (200, {"success": False}, (Verdict.REFUSED, ErrorClass.UNKNOWN_REJECTION)),
        (200, {"success": True}, AMBIGUOUS),
        (200, SUCCESS | {"message_sid": None}, AMBIGUOUS),
        (200, SUCCESS | {"message_sid": {"sid": 5}}, AMBIGUOUS),
        (200, SUCCESS | {"message_sid": "S" * 201}, AMBIGUOUS),
        (200, {"success": "yes", "message_sid": "SM1"}, AMBIGUOUS),
        (200, {}, AMBIGUOUS),
        (200, [SUCCESS], AMBIGUOUS),
        (200, b"<html>Welcome</html>", AMBIGUOUS),
        (200, b"", AMBIGUOUS),
        (400, SUCCESS, AMBIGUOUS),
        (500, SUCCESS, AMBIGUOUS),
        (408, b"", AMBIGUOUS),
        (500, {"message": "Server Error"}, AMBIGUOUS),
        (500, {"success": False, "error_code": "NEVER_HEARD_OF"}, AMBIGUOUS),
        (502, b"<html>", AMBIGUOUS),
        (503, b"<html>", AMBIGUOUS),
        (504, b"", AMBIGUOUS),
    ],
)
def test_other_answers(
    gateway: Intellixent,
    server: Recorder,
    status: int,
    body: Any,
    expected: tuple[Verdict, ErrorClass],
) -> None:
    server.answer(body, status)
    failure = failure_of(gateway.send(outbound()))
    assert (failure.verdict, failure.error_class) == expected
    assert len(failure.code) <= 50
    assert len(server.requests) == 1


# --- Secrets --------------------------------------------------------------------------------------


def test_key_is_in_the_header_only(gateway: Intellixent, server: Recorder) -> None:
    server.answer({"success": False, "error": f"Bad {API_KEY}", "error_code": "X"}, 401)
    outcome = gateway.send(outbound())
    [call] = outcome.calls
    assert call.request == server.requests[0].json()
    assert call.url == f"{gateway.account.base_url}/user/whatsapp/send-freeform"
    assert call.response["error"] == "Bad ***"
    assert API_KEY not in repr((outcome, gateway.account))


# --- The sandbox, which enforces the documents ----------------------------------------------------


@pytest.fixture(scope="module")
def sandbox() -> Any:
    with Sandbox() as running:
        running.control.account("intellixent", rate_limit=0)
        yield running


def at(http: Http, sandbox: Sandbox, sender: int = IX_ONLINE_SENDER) -> Intellixent:
    return intellixent(
        http, sandbox.url, credentials={"api_key": IX_API_KEY}, external_id=str(sender)
    )


def test_sandbox_template_opens_the_window(http: Http, sandbox: Sandbox) -> None:
    gateway, phone = at(http, sandbox), "+447700900150"
    assert failure_of(gateway.send(outbound(HELLO, phone))).error_class is ErrorClass.WINDOW_CLOSED
    assert not gateway.session_status(phone).is_open
    content = template(external_id=str(IX_TEMPLATE))
    assert gateway.send(outbound(content, phone, name="Asha")).results[0].status is Status.ACCEPTED
    assert gateway.send(outbound(HELLO, phone)).results[0].status is Status.ACCEPTED
    session = gateway.session_status(phone)
    assert session.is_open
    assert session.expires_at is not None


def test_sandbox_lists(http: Http, sandbox: Sandbox) -> None:
    gateway = at(http, sandbox)
    online = {sender.external_id: sender.online for sender in gateway.fetch_senders()}
    assert online == {str(IX_ONLINE_SENDER): True, str(IX_OFFLINE_SENDER): False}
    statuses = {info.external_id: info.status for info in gateway.fetch_templates()}
    assert statuses[str(IX_TEMPLATE)] == "approved"
    assert statuses[str(IX_PENDING_TEMPLATE)] == "pending"


def test_sandbox_refusals(http: Http, sandbox: Sandbox) -> None:
    gateway = at(http, sandbox)
    pending = template(external_id=str(IX_PENDING_TEMPLATE))
    plain = template("Thanks.", {}, external_id=str(IX_PLAIN_TEMPLATE))
    assert failure_of(gateway.send(outbound(pending))).error_class is ErrorClass.TEMPLATE
    assert gateway.send(outbound(plain)).results[0].status is Status.ACCEPTED
    offline = failure_of(at(http, sandbox, IX_OFFLINE_SENDER).send(outbound(plain)))
    assert (offline.error_class, offline.scope) == (ErrorClass.CONFIGURATION, Scope.LANE)
    unknown = failure_of(at(http, sandbox, 99).send(outbound(plain)))
    assert unknown.code == "SENDER_NOT_FOUND"
