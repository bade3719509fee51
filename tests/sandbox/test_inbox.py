"""Customers who write: the WhatsApp HTTP API's inbox, and Intellixent's sessions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from messaging.sandbox import SandboxClient, SandboxError
from messaging.sandbox.accounts import IX_OFFLINE_NUMBER, WH_NEW_TOKEN, WH_TOKEN
from messaging.sandbox.whatsapp_reports import ZONE

from .conftest import OTHER, PHONE, Intellixent, WhatsAppHttp

DAY = 86_400
WH = "whatsapp_http"
SAMPLE_ROW = [
    "messageID", "clientId", "instanceID", "creditID", "phone", "full_push_name", "text", "link",
    "serverSend", "isMedia", "mediaType", "mediaPath", "isLocation", "location", "isContact",
    "contact", "isButton", "button", "isList", "list", "wacheck", "waID", "waMessageID", "status",
    "timedOut", "statusInfo", "statusMessage", "statusMessageInfo", "mode", "deliveredAt", "readAt",
    "createdAt", "updatedAt", "webhookURL", "webhookStatus", "value",
]  # fmt: skip


def _write(control: SandboxClient, *texts: str, **more: Any) -> list[str]:
    return [control.customer_writes(WH, phone=PHONE, text=t, **more)["ids"][0] for t in texts]


def _texts(answer: dict[str, Any]) -> list[str]:
    return [row["text"] for row in answer["data"]]


def _date(days_ago: int) -> str:
    return (datetime.now(ZONE) - timedelta(days=days_ago)).strftime("%d-%m-%Y")


def test_a_single_row_is_the_documents_object(wh: WhatsAppHttp, control: SandboxClient) -> None:
    written = control.customer_writes(WH, phone=PHONE, text="Let me check", name="Asha")
    answer = wh("inboxReport").json()
    assert list(answer) == [
        "status", "message", "data", "total", "offset", "limit", "responsetime",
    ]  # fmt: skip
    row = answer["data"]
    assert list(row) == SAMPLE_ROW
    assert [row["messageID"]] == written["ids"]
    assert [row["waMessageID"]] == written["wa_ids"]
    assert (row["phone"], row["waID"]) == (PHONE, f"{PHONE}@s.whatsapp.net")
    assert (row["text"], row["full_push_name"], row["mode"]) == ("Let me check", "Asha", "")
    assert (row["status"], row["statusInfo"], row["statusMessage"]) == (3, "Delivered", 0)
    assert (row["webhookURL"], row["webhookStatus"]) == ("", 0)
    assert row["createdAt"].endswith("+05:30")
    assert "." not in row["createdAt"]
    control.account(WH, inbox_single=False)
    assert wh("inboxReport").json()["data"] == [row]


def test_an_empty_inbox_is_14(wh: WhatsAppHttp, control: SandboxClient) -> None:
    for operation in ("inboxReport", "inboxReportOffset"):
        response = wh(operation)
        assert (response.status_code, response.json()["message"]) == (400, "14-Data not found")
    (last,) = _write(control, "Hello")
    assert wh("inboxReportOffset", offset=last).status_code == 400
    assert wh("inboxReport", token=WH_NEW_TOKEN).status_code == 400


def test_what_came_after_a_message(wh: WhatsAppHttp, control: SandboxClient) -> None:
    ids = _write(control, "1", "2", "3")
    assert ids == sorted(ids)
    answer = wh("inboxReportOffset", offset=ids[0]).json()
    assert (_texts(answer), answer["offset"]) == (["3", "2"], 0)
    single = wh("inboxReportOffset", "GET", offset=ids[1]).json()
    assert (single["data"]["messageID"], single["total"]) == (ids[2], 1)
    assert len(wh("inboxReportOffset").json()["data"]) == 3


def test_order_limit_and_cap(wh: WhatsAppHttp, control: SandboxClient) -> None:
    texts = [f"{number:02d}" for number in range(12)]
    _write(control, *texts)
    assert _texts(wh("inboxReport").json()) == texts[::-1]
    control.account(WH, inbox_order="oldest")
    answer = wh("inboxReport", limit=5).json()
    assert (_texts(answer), answer["total"], answer["limit"]) == (texts[:5], 12, 5)
    assert isinstance(wh("inboxReport", limit=1).json()["data"], dict)
    control.account(WH, inbox_order="shuffled")
    shuffled = _texts(wh("inboxReport").json())
    assert shuffled != sorted(shuffled) == texts
    control.account(WH, inbox_order="oldest", inbox_cap=4)
    answer = wh("inboxReportOffset").json()
    assert (_texts(answer), answer["total"], answer["limit"]) == (texts[:4], 12, 0)


def test_the_inbox_by_dates_has_no_seven_days(wh: WhatsAppHttp, control: SandboxClient) -> None:
    now = datetime.now(ZONE).timestamp()
    for days in (20, 2, 1):
        _write(control, str(days), at=now - days * DAY)
    assert len(wh("inboxReport").json()["data"]) == 3
    answer = wh("inboxReport", start_date=_date(20), end_date=_date(2)).json()
    assert _texts(answer) == ["2", "20"]
    assert wh("inboxReport", start_date=_date(9), end_date=_date(8)).status_code == 400


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("inboxReport", {"start_date": "01-03-2026"}, "13"),
        ("inboxReport", {"start_date": "1-3-26", "end_date": "02-03-2026"}, "12"),
        ("inboxReport", {"offset": "6" * 24}, "12"),
        ("inboxReportOffset", {"offset": "7"}, "12"),
        ("inboxReportOffset", {"limit": "0"}, "12"),
    ],
)
def test_inbox_refusals(
    wh: WhatsAppHttp, operation: str, params: dict[str, str], code: str
) -> None:
    response = wh(operation, **params)
    assert response.status_code == 400
    assert response.json()["message"].startswith(f"{code}-")


def test_groups_and_hidden_ids(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account(WH, inbox_order="oldest")
    control.customer_writes(WH, phone=PHONE, text="to all", group="120363000000000001")
    control.customer_writes(WH, lid="99887766554433", text="who am I")
    rows = wh("inboxReport").json()["data"]
    assert [(row["phone"], row["waID"]) for row in rows] == [
        ("120363000000000001", "120363000000000001@g.us"),
        ("99887766554433", "99887766554433@lid"),
    ]


def test_media_buttons_and_places_in_rows(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account(WH, inbox_order="oldest")
    place = {"latitude": 50.72, "longitude": -1.98}
    control.customer_writes(WH, phone=PHONE, kind="image", text="This one?", file=b"\xff\xd8")
    control.customer_writes(WH, phone=PHONE, kind="reply", title="Yes", reply_id="yes")
    control.customer_writes(WH, phone=PHONE, kind="location", value=place)
    image, reply, location = wh("inboxReport").json()["data"]
    assert (image["isMedia"], image["mediaType"], image["text"]) == (True, "image", "This one?")
    assert (image["mediaPath"], image["value"]) == ("", None)
    assert (reply["text"], reply["isButton"]) == ("Yes", False)
    assert (location["isLocation"], location["location"]) == (True, place)


def test_an_account_is_found_by_token_or_number(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.customer_writes(WH, phone=PHONE, text="new", sender=WH_NEW_TOKEN)
    control.customer_writes(WH, phone=PHONE, text="old", sender="+447700900100")
    assert wh("inboxReport", token=WH_NEW_TOKEN).json()["data"]["text"] == "new"
    row = wh("inboxReport").json()["data"]
    assert (row["text"], row["instanceID"]) == ("old", WH_TOKEN)


@pytest.mark.parametrize(
    ("gateway", "options", "words"),
    [
        (WH, {}, "who writes"),
        (WH, {"phone": PHONE, "sender": "nobody"}, "no account"),
        (WH, {"phone": PHONE, "colour": "blue"}, "colour"),
        ("pigeon", {"phone": PHONE}, "no gateway"),
        ("intellisoftware", {"messages": []}, "empty"),
    ],
)
def test_writings_that_make_no_sense(
    control: SandboxClient, gateway: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SandboxError, match=words):
        control.customer_writes(gateway, **options)


def test_a_reset_empties_the_inbox(wh: WhatsAppHttp, control: SandboxClient) -> None:
    _write(control, "Hello")
    control.reset()
    assert wh("inboxReport").status_code == 400


# Intellixent


def test_a_customer_opens_intellixents_session(
    slow_ix: Intellixent, control: SandboxClient
) -> None:
    asked = {"sender_id": 12, "recipient_phone": f"+{PHONE}"}
    assert slow_ix.freeform().status_code == 403
    written = control.customer_writes("intellixent", phone=PHONE, text="Hi", name="Asha Rao")
    assert written["ids"] == []
    answer = slow_ix.get("session-status", **asked).json()
    assert list(answer) == [
        "success", "has_conversation", "conversation_id", "customer_name",
        "last_customer_message_at", "session_status",
    ]  # fmt: skip
    assert (answer["customer_name"], answer["conversation_id"]) == ("Asha Rao", 1)
    assert answer["session_status"]["expires_at"] == written["expires_at"]
    heard = datetime.fromisoformat(answer["last_customer_message_at"])
    assert datetime.fromisoformat(written["expires_at"]) - heard == timedelta(days=1)
    assert slow_ix.freeform().json()["conversation_id"] == 1
    control.advance(DAY)
    assert slow_ix.freeform().status_code == 403


def test_a_template_does_not_count_as_the_customers_message(
    slow_ix: Intellixent, control: SandboxClient
) -> None:
    now = datetime.now(ZONE).timestamp()
    control.customer_writes("intellixent", phone=PHONE, at=now - 3600)
    slow_ix.send()
    asked = {"sender_id": 12, "recipient_phone": f"+{PHONE}"}
    answer = slow_ix.get("session-status", **asked).json()
    assert answer["session_status"]["minutes_remaining"] >= 24 * 60 - 1
    heard = datetime.fromisoformat(answer["last_customer_message_at"])
    assert abs(heard.timestamp() - (now - 3600)) < 2


def test_the_session_is_the_senders_own(slow_ix: Intellixent, control: SandboxClient) -> None:
    control.customer_writes("intellixent", phone=OTHER, sender=IX_OFFLINE_NUMBER)
    for sender, is_open in ((12, False), (13, True)):
        asked = {"sender_id": sender, "recipient_phone": f"+{OTHER}"}
        answer = slow_ix.get("session-status", **asked).json()
        assert answer["session_status"]["is_open"] is is_open
