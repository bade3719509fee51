"""Intellixent's reading calls: the reply window, senders and templates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from messaging.adapters.http import Http
from messaging.adapters.intellixent import Intellixent
from messaging.errors import ErrorClass, GatewayError, Verdict

from .builders import API_KEY, PHONE, intellixent
from .recorder import Recorder

SESSION = {
    "is_open": True,
    "can_send_freeform": True,
    "requires_template": False,
    "message": "Session open",
    "minutes_remaining": 1425,
    "expires_at": "2026-03-02T09:15:00+00:00",
}


@pytest.fixture
def gateway(http: Http, server: Recorder) -> Intellixent:
    return intellixent(http, server.url)


def test_session_status(gateway: Intellixent, server: Recorder) -> None:
    server.answer(
        {
            "success": True,
            "has_conversation": True,
            "last_customer_message_at": "2026-03-01T09:15:00+00:00",
            "session_status": SESSION,
        }
    )
    session = gateway.session_status(PHONE)
    assert session.is_open
    assert session.expires_at == datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
    assert session.last_inbound_at == datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
    [request] = server.requests
    assert (request.method, request.path) == ("GET", "/api/user/whatsapp/session-status")
    # A bare plus would arrive as a space.
    assert request.query == "sender_id=12&recipient_phone=%2B447700900123"
    assert request.headers["Authorization"] == f"Bearer {API_KEY}"


@pytest.mark.parametrize("expires", [None, "", "never", 5, "0001-01-01T00:00:00Z"])
def test_closed_session(gateway: Intellixent, server: Recorder, expires: Any) -> None:
    session = {"is_open": False, "expires_at": expires}
    server.answer({"success": True, "has_conversation": False, "session_status": session})
    status = gateway.session_status(PHONE)
    assert (status.is_open, status.expires_at, status.last_inbound_at) == (False, None, None)


def test_senders(gateway: Intellixent, server: Recorder) -> None:
    row = {
        "id": 12,
        "phone_number": "+447700900300",
        "display_name": "Shop",
        "status": "online",
        "quality_rating": "GREEN",
        "messaging_limit": None,
    }
    rows = [row, {"id": 13, "status": "offline"}, {"id": 14, "status": "odd"}, {"x": 1}, "odd"]
    server.answer({"data": rows})
    first, *rest = gateway.fetch_senders()
    assert (first.external_id, first.address, first.name) == ("12", "+447700900300", "Shop")
    assert (first.online, dict(first.details)) == (True, row)
    assert [(sender.external_id, sender.online) for sender in rest] == [("13", False), ("14", None)]
    [request] = server.requests
    assert (request.path, request.query) == ("/api/user/whatsapp/senders", "status=all")


def test_templates(gateway: Intellixent, server: Recorder) -> None:
    row = {
        "id": 45,
        "name": "appointment",
        "language": "en_GB",
        "category": "UTILITY",
        "status": "Approved",
        "body_text": "Hello {{1}}, on {{2}}.",
        "variables": ["customer", "day"],
        "has_variables": True,
    }
    server.answer({"data": [row, {"id": 46, "status": "in_appeal", "variables": ["1"]}]})
    first, second = gateway.fetch_templates()
    assert (first.external_id, first.name, first.language) == ("45", "appointment", "en_GB")
    assert (first.category, first.status, first.raw_status) == ("utility", "approved", "Approved")
    assert (first.body, first.variables) == ("Hello {{1}}, on {{2}}.", ("1", "2"))
    assert (second.status, second.raw_status, second.variables) == ("unknown", "in_appeal", ("1",))
    [request] = server.requests
    assert request.path == "/api/user/whatsapp/senders/12/templates"
    assert request.query == "status=all"


def test_test_lists_the_senders(gateway: Intellixent, server: Recorder) -> None:
    server.answer({"data": []})
    balance = gateway.test()
    assert balance.amount is None
    assert balance.call is not None
    assert not Intellixent.supports("balance")
    assert server.requests[0].path == "/api/user/whatsapp/senders"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"message": "Unauthenticated."}, ErrorClass.AUTHENTICATION),
        (404, {"success": False, "error_code": "SENDER_NOT_FOUND"}, ErrorClass.CONFIGURATION),
        (200, {"success": False, "error_code": "SENDER_NOT_FOUND"}, ErrorClass.CONFIGURATION),
        (422, {"message": "No.", "errors": {"sender_id": ["No."]}}, ErrorClass.INVALID_CONTENT),
        (429, {"message": "Too Many Attempts."}, ErrorClass.RATE_LIMIT),
        (500, {"message": "Server Error"}, ErrorClass.TRANSIENT),
        (302, b"", ErrorClass.CONFIGURATION),
        (200, b"<html>", ErrorClass.TRANSIENT),
        (200, b"[]", ErrorClass.TRANSIENT),
        (200, {"data": {"id": 1}, "session_status": "open"}, ErrorClass.TRANSIENT),
        (200, {"session_status": {"is_open": "yes"}}, ErrorClass.TRANSIENT),
    ],
)
def test_reading_failures(
    gateway: Intellixent, server: Recorder, status: int, body: Any, expected: ErrorClass
) -> None:
    for read in (
        gateway.test,
        gateway.fetch_senders,
        gateway.fetch_templates,
        lambda: gateway.session_status(PHONE),
    ):
        server.answer(body, status)
        with pytest.raises(GatewayError) as caught:
            read()
        assert caught.value.failure.error_class is expected
        assert caught.value.failure.verdict is not Verdict.MAYBE_SENT
