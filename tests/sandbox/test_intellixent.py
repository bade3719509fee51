"""Intellixent: template sends, their refusals, the pace, free-form sends and the lists."""

from __future__ import annotations

import re
from typing import Any

import pytest

from messaging.sandbox import SandboxClient
from messaging.sandbox.accounts import IX_API_KEY

from .conftest import OTHER, PHONE, Intellixent


def test_success_is_as_documented(ix: Intellixent, control: SandboxClient) -> None:
    response = ix.send(recipient_name="Asha Rao")
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == [
        "success", "conversation_id", "message_id", "whatsapp_message_id", "message_sid", "status",
    ]  # fmt: skip
    assert (answer["success"], answer["status"]) == (True, "queued")
    assert re.fullmatch(r"SM[0-9a-f]{32}", answer["message_sid"])
    for name in ("conversation_id", "message_id", "whatsapp_message_id"):
        assert type(answer[name]) is int
    (delivery,) = control.deliveries()
    assert (delivery["phone"], delivery["id"]) == (PHONE, answer["message_sid"])
    assert delivery["text"] == "Hello Asha, see you on 3 March at 10:00."
    (arrival,) = control.arrivals()
    assert arrival["phones"] == [f"+{PHONE}"]
    assert arrival["content"]["variables"] == {"1": "Asha", "2": "3 March", "3": "10:00"}
    assert IX_API_KEY not in str(arrival)


def test_template_without_variables(slow_ix: Intellixent) -> None:
    for variables in (..., {}, []):
        assert slow_ix.send(template_id=47, variables=variables).status_code == 200


def test_a_conversation_keeps_its_id(slow_ix: Intellixent) -> None:
    phones = (f"+{PHONE}", f"+{OTHER}", f"+{PHONE}")
    ids = [slow_ix.send(recipient_phone=phone).json()["conversation_id"] for phone in phones]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"sender_id": 99}, 404, "SENDER_NOT_FOUND"),
        ({"sender_id": 13}, 422, "SENDER_OFFLINE"),
        ({"template_id": 99}, 404, "TEMPLATE_NOT_FOUND"),
        ({"template_id": 46, "variables": {"1": "x"}}, 422, "TEMPLATE_NOT_APPROVED"),
        ({"variables": {"1": "Asha"}}, 422, "TEMPLATE_MISMATCH"),
        ({"variables": ...}, 422, "TEMPLATE_MISMATCH"),
        ({"variables": {"1": "a", "2": "b", "3": "c", "4": "d"}}, 422, "TEMPLATE_MISMATCH"),
        ({"variables": {"1": "a", "2": "b", "3": ""}}, 422, "TEMPLATE_MISMATCH"),
        ({"recipient_phone": PHONE}, 422, "INVALID_PHONE"),
        ({"recipient_phone": "+44 7700 900123"}, 422, "INVALID_PHONE"),
        ({"recipient_phone": "+123456"}, 422, "INVALID_PHONE"),
    ],
)
def test_refusals_by_code(
    slow_ix: Intellixent, control: SandboxClient, changes: dict[str, Any], status: int, code: str
) -> None:
    response = slow_ix.send(**changes)
    assert response.status_code == status
    answer = response.json()
    assert list(answer) == ["success", "error", "error_code"]
    assert (answer["success"], answer["error_code"]) == (False, code)
    assert control.deliveries() == []


def test_the_documents_own_words(slow_ix: Intellixent, control: SandboxClient) -> None:
    assert slow_ix.send(sender_id=99).json() == {
        "success": False,
        "error": "Sender not found or does not belong to you",
        "error_code": "SENDER_NOT_FOUND",
    }
    assert slow_ix.send(template_id=46, variables={"1": "x"}).json() == {
        "success": False,
        "error": "Template is not approved. Current status: pending",
        "error_code": "TEMPLATE_NOT_APPROVED",
    }
    control.account("intellixent", balance=0)
    response = slow_ix.send()
    assert response.status_code == 402
    assert response.json() == {
        "success": False,
        "error": "Insufficient balance. Please top up your account.",
        "error_code": "INSUFFICIENT_BALANCE",
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sender_id": ...}, "sender_id"),
        ({"sender_id": "12"}, "sender_id"),
        ({"sender_id": True}, "sender_id"),
        ({"template_id": 4.5}, "template_id"),
        ({"recipient_phone": ...}, "recipient_phone"),
        ({"recipient_phone": 447700900123}, "recipient_phone"),
        ({"recipient_name": "n" * 256}, "recipient_name"),
        ({"recipient_name": 5}, "recipient_name"),
        ({"variables": "1"}, "variables"),
        ({"variables": ["Asha"]}, "variables"),
        ({"variables": {"1": 5, "2": "b", "3": "c"}}, "variables.1"),
        ({"message": "Hi"}, "message"),
        ({"to": "x"}, "to"),
    ],
)
def test_refusals_by_field(slow_ix: Intellixent, changes: dict[str, Any], field: str) -> None:
    response = slow_ix.send(**changes)
    assert response.status_code == 422
    answer = response.json()
    assert list(answer) == ["message", "errors"]
    assert list(answer["errors"]) == [field]
    assert answer["errors"][field] == [answer["message"]]


def test_several_field_errors_are_counted(slow_ix: Intellixent) -> None:
    answer = slow_ix.post("send", {}).json()
    assert answer["message"] == "The sender id field is required. (and 2 more errors)"
    assert list(answer["errors"]) == ["sender_id", "template_id", "recipient_phone"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"[" * 100_000])
def test_bodies_that_are_no_object(slow_ix: Intellixent, body: bytes) -> None:
    headers = slow_ix.headers | {"Content-Type": "application/json"}
    response = slow_ix.http.post(f"{slow_ix.url}/send", data=body, headers=headers, timeout=10)
    assert response.status_code == 422
    assert "sender_id" in response.json()["errors"]


def test_a_form_is_not_read(slow_ix: Intellixent) -> None:
    data = {"sender_id": "12", "template_id": "47", "recipient_phone": f"+{PHONE}"}
    response = slow_ix.http.post(
        f"{slow_ix.url}/send", data=data, headers=slow_ix.headers, timeout=10
    )
    assert response.status_code == 422


@pytest.mark.parametrize("header", ["", "Bearer wrong", f"Basic {IX_API_KEY}", "Bearer"])
def test_bad_key(slow_ix: Intellixent, header: str) -> None:
    response = slow_ix.post("send", {}, Authorization=header)
    assert (response.status_code, response.json()) == (401, {"message": "Unauthenticated."})


def test_wrong_method(slow_ix: Intellixent) -> None:
    response = slow_ix.get("send")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert list(response.json()) == ["message"]


def test_the_sixth_request_in_a_second_is_429(ix: Intellixent, control: SandboxClient) -> None:
    responses = [ix.send() for _ in range(6)]
    assert [response.status_code for response in responses] == [200] * 5 + [429]
    assert responses[5].headers["Retry-After"] == "1"
    assert list(responses[5].json()) == ["message"]
    assert len(control.deliveries()) == 5
    pace = control.pace(gateway="intellixent", operation="send*")
    assert (pace["count"], pace["most"]) == (6, 6)


def test_the_pace_counts_both_sends_but_no_reads(ix: Intellixent) -> None:
    for _ in range(5):
        assert ix.get("senders").status_code == 200
    codes = [ix.send().status_code, *(ix.freeform().status_code for _ in range(5))]
    assert codes == [200] * 5 + [429]


def test_pace_is_per_user(ix: Intellixent, control: SandboxClient) -> None:
    control.account("intellixent", api_key="another")
    for _ in range(5):
        ix.send()
    ix.headers = {"Authorization": "Bearer another"}
    assert ix.send().status_code == 200


def test_freeform_needs_an_open_window(slow_ix: Intellixent, control: SandboxClient) -> None:
    response = slow_ix.freeform()
    assert response.status_code == 403
    answer = response.json()
    assert list(answer) == ["success", "error", "error_code", "session_status"]
    assert answer["error_code"] == "SESSION_EXPIRED"
    assert answer["session_status"]["is_open"] is False
    control.session(PHONE, minutes=10)
    opened = slow_ix.freeform(message="At last").json()
    assert list(opened) == [
        "success", "conversation_id", "message_id", "whatsapp_message_id", "message_sid",
        "session_status",
    ]  # fmt: skip
    assert opened["session_status"]["minutes_remaining"] == 9
    assert control.deliveries()[0]["text"] == "At last"
    control.advance(600)
    assert slow_ix.freeform().status_code == 403


@pytest.mark.parametrize(("opens", "status"), [(True, 200), (False, 403)])
def test_a_template_opens_the_window_or_not(
    slow_ix: Intellixent, control: SandboxClient, opens: bool, status: int
) -> None:
    control.account("intellixent", template_opens_window=opens)
    slow_ix.send()
    assert slow_ix.freeform().status_code == status
    control.advance(86_400)
    assert slow_ix.freeform().status_code == 403


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"sender_id": 13}, 503, "SENDER_OFFLINE"),
        ({"sender_id": 99}, 404, "SENDER_NOT_FOUND"),
        ({"message": "m" * 4097}, 422, None),
        ({"message": ""}, 422, None),
        ({"template_id": 45}, 422, None),
    ],
)
def test_freeform_refusals(
    slow_ix: Intellixent, control: SandboxClient, changes: dict[str, Any], status: int, code: Any
) -> None:
    control.session(PHONE)
    response = slow_ix.freeform(**changes)
    assert (response.status_code, response.json().get("error_code")) == (status, code)


def test_freeform_limit_is_exact(slow_ix: Intellixent, control: SandboxClient) -> None:
    control.session(PHONE)
    assert slow_ix.freeform(message="m" * 4096).status_code == 200


def test_session_status(slow_ix: Intellixent, control: SandboxClient) -> None:
    asked = {"sender_id": 12, "recipient_phone": f"+{PHONE}"}
    answer = slow_ix.get("session-status", **asked).json()
    assert list(answer) == ["success", "has_conversation", "session_status"]
    assert answer["has_conversation"] is False
    slow_ix.send()
    answer = slow_ix.get("session-status", **asked).json()
    assert answer["has_conversation"] is True
    assert answer["session_status"]["is_open"] is True
    assert answer["session_status"]["expires_at"].endswith("+00:00")
    control.session(PHONE, open=False)
    status = slow_ix.get("session-status", **asked).json()["session_status"]
    assert (status["is_open"], status["requires_template"]) == (False, True)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 422),
        ({"sender_id": "x", "recipient_phone": f"+{PHONE}"}, 422),
        ({"sender_id": 99, "recipient_phone": f"+{PHONE}"}, 404),
        ({"sender_id": 12, "recipient_phone": f" {PHONE}"}, 422),
    ],
)
def test_session_status_refusals(slow_ix: Intellixent, query: dict[str, Any], status: int) -> None:
    assert slow_ix.get("session-status", **query).status_code == status


def test_senders(slow_ix: Intellixent) -> None:
    online = slow_ix.get("senders").json()["data"]
    assert [sender["id"] for sender in online] == [12]
    everyone = slow_ix.get("senders", status="all").json()["data"]
    assert [sender["status"] for sender in everyone] == ["online", "offline"]
    assert set(online[0]) == {
        "id", "phone_number", "display_name", "status", "quality_rating", "messaging_limit",
        "messaging_limit_formatted",
    }  # fmt: skip


def test_templates(slow_ix: Intellixent) -> None:
    approved = slow_ix.get("senders/12/templates").json()["data"]
    assert [template["id"] for template in approved] == [45, 47]
    assert [template["has_variables"] for template in approved] == [True, False]
    everything = slow_ix.get("senders/12/templates", status="all").json()["data"]
    assert [template["status"] for template in everything] == ["approved", "pending", "approved"]
    assert slow_ix.get("senders/13/templates").json()["data"] == []
    assert slow_ix.get("senders/99/templates").json()["error_code"] == "SENDER_NOT_FOUND"


def test_errors_of_single_recipients(slow_ix: Intellixent, control: SandboxClient) -> None:
    control.account("intellixent", errors={PHONE: "TWILIO_ERROR_63024"})
    answer = slow_ix.send().json()
    assert answer["error_code"] == "TWILIO_ERROR_63024"
    assert slow_ix.send(recipient_phone=f"+{OTHER}").status_code == 200


def test_initial_status_may_be_another(slow_ix: Intellixent, control: SandboxClient) -> None:
    control.account("intellixent", initial_status="sent")
    assert slow_ix.send().json()["status"] == "sent"
