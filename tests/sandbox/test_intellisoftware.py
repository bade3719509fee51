"""IntelliSoftware: the envelope, answers per recipient, SMS, the balance."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from messaging.sandbox import SandboxClient
from messaging.sandbox.accounts import IS_NUMBER

from .conftest import OTHER, PHONE, IntelliSoftware
from .test_msgobject import OBJECTS, ORDER_READY


def _changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(body)
    *parents, last = path.split(".")
    place = body
    for name in parents:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return body


TEXT = {"format": "wa_msgobject_v2", "msgobject": OBJECTS["text"]}
ENVELOPES: list[tuple[str, Any, int]] = [
    ("auth", ..., 20),
    ("auth", "keys", 20),
    ("auth.accesskey", ..., 20),
    ("auth.secretkey", "", 20),
    ("auth.authtype", ..., 20),
    ("auth.authtype", "password", 21),
    ("auth.token", "x", 21),
    ("auth.accesskey", 5, 21),
    ("auth.accesskey", "unknown", 11),
    ("auth.secretkey", "wrong", 11),
    ("request_version", "1.0.1", 3),
    ("request_version", ..., 3),
    ("response_version", "1.0.0", 3),
    ("extra", 1, 3),
    ("message", ..., 3),
    ("message", [], 3),
    ("message.to", ..., 5),
    ("message.to", "", 5),
    ("message.to", [PHONE], 3),
    ("message.to", f"+{PHONE}", 3),
    ("message.to", f"{PHONE}, {OTHER}", 3),
    ("message.to", f"{PHONE},", 3),
    ("message.to", ",".join(str(447700900000 + n) for n in range(101)), 3),
    ("message.from", "447700900999", 27),
    ("message.channel", "telegram", 3),
    ("message.channel", ..., 3),
    ("message.reference", "x", 3),
    ("message.content", ..., 3),
    ("message.content.format", "wa_msgobject_v1", 3),
    ("message.content.format", ..., 3),
    ("message.content.msgtype", "text", 3),
]


@pytest.mark.parametrize(("path", "value", "code"), ENVELOPES)
def test_envelope_refusals(
    isoft: IntelliSoftware, control: SandboxClient, path: str, value: Any, code: int
) -> None:
    body = isoft.envelope(**{"from": IS_NUMBER}, to=PHONE, channel="whatsapp", content=TEXT)
    answer = isoft.post(_changed(body, path, value)).json()
    assert answer["response_status"] == "failure"
    assert answer["errors"][0]["error_code"] == code
    assert control.deliveries() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff"])
def test_bodies_that_are_no_object(isoft: IntelliSoftware, body: bytes) -> None:
    assert isoft.post(body).json()["errors"][0]["error_code"] == 3


def test_only_post(isoft: IntelliSoftware) -> None:
    response = isoft.http.get(f"{isoft.url}/api/json/sendmsg.aspx", timeout=10)
    assert response.json()["errors"][0]["error_code"] == 3


def test_sender_is_optional(isoft: IntelliSoftware) -> None:
    answer = isoft.post(isoft.envelope(to=PHONE, channel="whatsapp", content=TEXT)).json()
    assert answer["response_status"] == "ok"


def test_a_hundred_recipients_each_with_an_answer(
    isoft: IntelliSoftware, control: SandboxClient
) -> None:
    phones = [str(447700900000 + n) for n in range(100)]
    answer = isoft.text(to=",".join(phones)).json()
    assert [entry["to"] for entry in answer["messages"]] == phones
    assert len({entry["id"] for entry in answer["messages"]}) == 100
    assert len(control.deliveries()) == 100
    (arrival,) = control.arrivals()
    assert arrival["accepted"] == 100
    assert arrival["phones"] == phones


def test_repeated_numbers_are_answered_once(isoft: IntelliSoftware) -> None:
    answer = isoft.text(to=f"{PHONE},{OTHER},{PHONE}").json()
    assert [entry["to"] for entry in answer["messages"]] == [PHONE, OTHER]


def test_errors_of_single_recipients(isoft: IntelliSoftware, control: SandboxClient) -> None:
    control.account("intellisoftware", errors={OTHER: 28})
    answer = isoft.text(to=f"{PHONE},{OTHER},12345").json()
    assert answer["response_status"] == "ok"
    taken, refused, short = answer["messages"]
    assert "id" in taken
    assert refused == {"to": OTHER, "error": "number_not_supported", "error_code": 28}
    assert short == {"to": "12345", "error": "invalid_number", "error_code": 2}
    assert [item["phone"] for item in control.deliveries()] == [PHONE]


def test_sandboxed_account(isoft: IntelliSoftware, control: SandboxClient) -> None:
    control.account("intellisoftware", in_sandbox=[PHONE])
    taken, refused = isoft.text(to=f"{PHONE},{OTHER}").json()["messages"]
    assert "id" in taken
    assert (refused["error"], refused["error_code"]) == ("number_not_in_sandbox", 29)


def test_credit_runs_out_in_the_middle(isoft: IntelliSoftware, control: SandboxClient) -> None:
    control.account("intellisoftware", credit=1)
    taken, refused = isoft.text(to=f"{PHONE},{OTHER}").json()["messages"]
    assert "id" in taken
    assert (refused["error"], refused["error_code"]) == ("insufficient_credit", 10)
    assert isoft.text().json() == {
        "response_status": "failure",
        "errors": [{"error": "insufficient_credit", "error_code": 10}],
    }


@pytest.mark.parametrize(
    ("style", "shown"),
    [("plus", f"+{PHONE}"), ("national", "07700900123"), ("zeros", f"00{PHONE}")],
)
def test_rewritten_recipients(
    isoft: IntelliSoftware, control: SandboxClient, style: str, shown: str
) -> None:
    control.account("intellisoftware", rewrite=style)
    assert isoft.text().json()["messages"][0]["to"] == shown
    assert control.deliveries()[0]["phone"] == PHONE


def test_reordered_omitted_and_one_id(isoft: IntelliSoftware, control: SandboxClient) -> None:
    third = "447700900125"
    control.account("intellisoftware", reorder=True, omit=[OTHER], one_id=True)
    entries = isoft.text(to=f"{PHONE},{OTHER},{third}").json()["messages"]
    assert [entry["to"] for entry in entries] == [third, PHONE]
    assert len({entry["id"] for entry in entries}) == 1
    assert len(control.deliveries()) == 3


def test_http_status_of_failures(isoft: IntelliSoftware, control: SandboxClient) -> None:
    control.account("intellisoftware", failure_status=500)
    response = isoft.text(to="")
    assert response.status_code == 500
    assert response.json()["errors"] == [{"error": "no_to", "error_code": 5}]


def test_extras(isoft: IntelliSoftware, control: SandboxClient) -> None:
    control.account("intellisoftware", extras=True)
    (entry,) = isoft.text().json()["messages"]
    assert (entry["msgparts"], entry["creditsused"]) == (1, "1.0")


def test_window(isoft: IntelliSoftware, control: SandboxClient) -> None:
    control.account("intellisoftware", enforce_window=True, open_windows=[OTHER])
    closed, opened = isoft.text(to=f"{PHONE},{OTHER}").json()["messages"]
    assert closed["error_code"] == 3
    assert "id" in opened
    assert "id" in isoft.send(ORDER_READY).json()["messages"][0]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"msgtype": "text", "text": "Hello"}, 0),
        ({"msgtype": "voice", "text": "Hello"}, 0),
        ({"msgtype": "text", "text": "x" * 160}, 0),
        ({"msgtype": "text", "text": "x" * 161}, 3),
        ({"msgtype": "text", "text": "x" * 161, "maxconcat": 2}, 0),
        ({"msgtype": "text", "text": "€" * 81}, 3),
        ({"msgtype": "text", "text": "я" * 70}, 0),
        ({"msgtype": "text", "text": "я" * 71}, 3),
        ({"msgtype": "text", "text": "\ud83d"}, 0),
        ({"msgtype": "text", "text": ""}, 3),
        ({"msgtype": "text", "text": "Hello", "maxconcat": "2"}, 3),
        ({"text": "Hello"}, 3),
        (TEXT, 3),
    ],
)
def test_sms(
    isoft: IntelliSoftware, control: SandboxClient, content: dict[str, Any], code: int
) -> None:
    body = isoft.envelope(to=PHONE, channel="sms", content=content)
    answer = isoft.post(body).json()
    assert answer.get("errors", [{"error_code": 0}])[0]["error_code"] == code
    assert [item["kind"] for item in control.deliveries()] == ([] if code else ["sms"])


def test_balance(isoft: IntelliSoftware, control: SandboxClient) -> None:
    control.account("intellisoftware", credit=100)
    isoft.text()
    body = isoft.envelope()
    del body["message"]
    answer = isoft.post(body, "getbalance").json()
    assert answer == {"response_status": "ok", "balance": "99.0"}
    assert isoft.post(isoft.envelope(), "getbalance").json()["errors"][0]["error_code"] == 3
    body["auth"]["secretkey"] = "wrong"
    assert isoft.post(body, "getbalance").json()["errors"][0]["error_code"] == 11


def test_no_credential_is_recorded(isoft: IntelliSoftware, control: SandboxClient) -> None:
    isoft.text()
    isoft.text(to="")
    secret = isoft.envelope()["auth"]["secretkey"]
    assert secret not in str(control.arrivals())
