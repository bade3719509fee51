"""Sections 2, 3.1 and 5 of the WhatsApp HTTP API: status, report, QR answer, balance."""

from __future__ import annotations

import base64
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.sandbox import SandboxClient
from messaging.sandbox.accounts import WH_NUMBER, WH_TOKEN
from messaging.sandbox.whatsapp_reports import ZONE

from .conftest import OTHER, PHONE, WhatsAppHttp

DAY = 86_400
ROW_FIELDS = [
    "messageID", "clientId", "instanceID", "creditID", "phone", "full_push_name", "text", "link",
    "serverSend", "isMedia", "mediaType", "mediaPath", "isLocation", "location", "isContact",
    "contact", "isButton", "button", "isList", "list", "wacheck", "waID", "waMessageID", "status",
    "timedOut", "statusInfo", "statusMessage", "statusMessageInfo", "mode", "deliveredAt", "readAt",
    "createdAt", "updatedAt", "value",
]  # fmt: skip


def _id(response: Any) -> str:
    return str(response.json()["data"]["messageIDs"][0])


def _date(days_ago: int) -> str:
    return (datetime.now(ZONE) - timedelta(days=days_ago)).strftime("%d-%m-%Y")


def test_report_row_has_the_documents_fields(wh: WhatsAppHttp) -> None:
    message_id = _id(wh.text("Hello 😃"))
    answer = wh("campaignReport").json()
    assert list(answer) == [
        "status", "message", "data", "total", "offset", "limit", "responsetime",
    ]  # fmt: skip
    assert (answer["total"], answer["offset"], answer["limit"]) == (1, 0, 0)
    (row,) = answer["data"]
    assert list(row) == ROW_FIELDS
    assert row["messageID"] == message_id
    assert row["instanceID"] == WH_TOKEN
    assert row["waID"] == WH_NUMBER
    assert (row["phone"], row["text"], row["mode"]) == (PHONE, "Hello 😃", "Panel")
    assert (row["status"], row["statusInfo"]) == (1, "Sent")
    assert row["createdAt"].endswith("+05:30")
    age = datetime.now(UTC) - datetime.fromisoformat(row["createdAt"])
    assert timedelta(0) <= age < timedelta(seconds=30)


def test_status_of_one_message_spells_client_id_its_own_way(wh: WhatsAppHttp) -> None:
    message_id = _id(wh.text())
    data = wh("campaignStatus", msg_id=message_id).json()["data"]
    assert list(data) == ["clientID" if name == "clientId" else name for name in ROW_FIELDS]
    assert data["messageID"] == message_id
    assert data["creditID"] == ""


@pytest.mark.parametrize("msg_id", ["65a1b2c3d4e5f60718293a4b", "nonsense"])
def test_status_of_an_unknown_message_is_500_without_body(wh: WhatsAppHttp, msg_id: str) -> None:
    response = wh("campaignStatus", msg_id=msg_id)
    assert (response.status_code, response.content) == (500, b"")


def test_status_needs_a_message_id(wh: WhatsAppHttp) -> None:
    assert wh("campaignStatus").json()["message"].startswith("13-")


def test_another_accounts_message_is_unknown(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", token="b" * 24)
    message_id = _id(wh.text())
    assert wh("campaignStatus", token="b" * 24, msg_id=message_id).status_code == 500
    assert wh("campaignReport", token="b" * 24).status_code == 400


def test_messages_move_by_their_age(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.settings(sent_after=10, delivered_after=20, read_after=30)
    wh.text()
    seen = []
    for _ in range(4):
        (row,) = wh.rows()
        seen.append((row["status"], row["statusMessage"], row["statusMessageInfo"]))
        control.advance(10)
    assert seen == [(0, 0, ""), (1, 2, "Sent"), (1, 3, "Delivered"), (1, 4, "Read")]
    created = datetime.fromisoformat(row["createdAt"])
    delivered = datetime.fromisoformat(row["deliveredAt"])
    read = datetime.fromisoformat(row["readAt"])
    assert (delivered - created, read - created) == (timedelta(seconds=20), timedelta(seconds=30))


def test_steps_may_never_be_reached(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.settings(delivered_after=None)
    wh.text()
    control.advance(3 * DAY)
    (row,) = wh.rows()
    assert (row["statusMessageInfo"], row["deliveredAt"], row["readAt"]) == ("Sent", None, None)


@pytest.mark.parametrize(
    ("status", "ack", "info"),
    [
        ("accepted", 0, ""),
        ("sent", 2, "Sent"),
        ("delivered", 3, "Delivered"),
        ("read", 4, "Read"),
        ("failed", 0, "Failed"),
    ],
)
def test_a_status_can_be_forced(
    wh: WhatsAppHttp, control: SandboxClient, status: str, ack: int, info: str
) -> None:
    message_id = _id(wh.text())
    assert control.set_status(status, id=message_id) == 1
    (row,) = wh.rows()
    assert (row["statusMessage"], row["statusMessageInfo"]) == (ack, info)
    assert (row["deliveredAt"] is not None) == (status in ("delivered", "read"))
    assert control.messages(id=message_id)[0]["status"] == status


def test_an_empty_report_is_14(wh: WhatsAppHttp) -> None:
    response = wh("campaignReport")
    assert response.status_code == 400
    assert list(response.json()) == ["status", "message", "responsetime"]
    assert response.json()["message"] == "14-Data not found"


def test_report_ends_after_seven_days(wh: WhatsAppHttp, control: SandboxClient) -> None:
    for days in (8, 6):
        control.message(PHONE, text=f"{days} days", age=days * DAY)
    assert [row["text"] for row in wh.rows()] == ["6 days"]
    wide = wh.rows(start_date=_date(20), end_date=_date(0))
    assert [row["text"] for row in wide] == ["6 days"]
    assert wh("campaignReport", start_date=_date(20), end_date=_date(9)).status_code == 400


def test_report_by_dates(wh: WhatsAppHttp, control: SandboxClient) -> None:
    for days in (3, 2, 1):
        control.message(PHONE, text=str(days), age=days * DAY)
    rows = wh.rows(start_date=_date(2), end_date=_date(2))
    assert [row["text"] for row in rows] == ["2"]
    rows = wh.rows(start_date=_date(3), end_date=_date(2))
    assert [row["text"] for row in rows] == ["2", "3"]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"start_date": "01-03-2026"}, "13"),
        ({"end_date": "01-03-2026"}, "13"),
        ({"start_date": "2026-03-01", "end_date": "2026-03-02"}, "12"),
        ({"start_date": "31-02-2026", "end_date": "01-03-2026"}, "12"),
        ({"limit": "0"}, "12"),
        ({"limit": "many"}, "12"),
        ({"offset": "5"}, "12"),
        ({"phone": PHONE}, "12"),
    ],
)
def test_report_refusals(wh: WhatsAppHttp, params: dict[str, str], code: str) -> None:
    response = wh("campaignReport", **params)
    assert response.status_code == 400
    assert response.json()["message"].startswith(f"{code}-")


@pytest.mark.parametrize(
    ("order", "expected"), [("newest", ["3", "2", "1"]), ("oldest", ["1", "2", "3"])]
)
def test_order_limit_and_total(
    wh: WhatsAppHttp, control: SandboxClient, order: str, expected: list[str]
) -> None:
    control.account("whatsapp_http", report_order=order)
    for text in ("1", "2", "3"):
        wh.text(text)
    assert [row["text"] for row in wh.rows()] == expected
    answer = wh("campaignReport", limit=2).json()
    assert [row["text"] for row in answer["data"]] == expected[:2]
    assert (answer["total"], answer["limit"]) == (3, 2)


def test_report_may_be_shuffled_and_capped(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", report_order="shuffled")
    texts = [f"{number:02d}" for number in range(20)]
    for text in texts:
        wh.text(text)
    shuffled = [row["text"] for row in wh.rows()]
    assert shuffled != texts
    assert sorted(shuffled) == texts
    control.account("whatsapp_http", report_cap=5)
    answer = wh("campaignReport").json()
    assert (len(answer["data"]), answer["total"]) == (5, 20)


def test_row_kinds(wh: WhatsAppHttp) -> None:
    wh("sendFiles", link="https://media.example.com/a.pdf")
    wh("sendContact", contactName="Asha", contactPhone=OTHER)
    contact, file = wh.rows()
    assert (file["isMedia"], file["text"]) == (True, "")
    assert file["link"] == "https://media.example.com/a.pdf"
    assert (contact["isContact"], contact["isMedia"], contact["text"]) == (True, False, "")


def test_balance(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", quota=4300)
    wh.text()
    answer = wh("checkBal").json()
    assert list(answer) == ["status", "message", "data", "responsetime"]
    assert answer["data"] == {
        "backup": None,
        "expiryDate": "2027-05-04 22:29:59 +0530 IST",
        "quota": 4299,
        "status": "active",
    }


def test_balance_without_recharge_is_500_without_body(
    wh: WhatsAppHttp, control: SandboxClient
) -> None:
    control.account("whatsapp_http", recharged=False)
    response = wh("checkBal")
    assert (response.status_code, response.content) == (500, b"")


def test_qr_code_when_connected_is_the_instance_status(
    wh: WhatsAppHttp, control: SandboxClient
) -> None:
    control.account("whatsapp_http", quota=5000, webhook="https://example.com/hook")
    wh.text()
    answer = wh("qrCode").json()
    assert answer["status"] == "success"
    data = answer["data"]
    assert (data["instanceID"], data["login"], data["status"]) == (WH_TOKEN, True, True)
    assert (data["quota"], data["usage"], data["todayUsage"]) == (5000, 1, 1)
    assert data["webHook"] == "https://example.com/hook"
    assert data["expired"] == "2027-05-04T22:29:59+05:30"
    assert data["info"]["Connected"] is True
    assert data["info"]["Wid"] == WH_NUMBER


def test_the_zero_time_stands_for_never(wh: WhatsAppHttp) -> None:
    assert wh("qrCode").json()["data"]["todayUsageUpdate"] == "0001-01-01T00:00:00Z"


def test_qr_code_when_disconnected_is_a_real_picture(
    wh: WhatsAppHttp, control: SandboxClient
) -> None:
    control.account("whatsapp_http", connected=False)
    answer = wh("qrCode").json()
    assert list(answer) == ["data", "message", "responsetime", "status"]
    assert (answer["status"], answer["message"]) == ("qrcode", "success")
    picture = base64.b64decode(answer["data"], validate=True)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    chunks = _chunks(picture)
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + (width + 7) // 8)
    control.advance(60)
    assert wh("qrCode").json()["data"] != answer["data"]
    control.account("whatsapp_http", connected=True)
    assert wh("qrCode").json()["status"] == "success"


def _chunks(picture: bytes) -> dict[bytes, bytes]:
    chunks, place = {}, 8
    while place < len(picture):
        (length,) = struct.unpack(">I", picture[place : place + 4])
        kind = picture[place + 4 : place + 8]
        data = picture[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", picture[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + data)
        chunks[kind] = data
        place += 12 + length
    return chunks


@pytest.mark.parametrize("operation", ["campaignReport", "campaignStatus", "checkBal", "qrCode"])
def test_reads_need_the_token(wh: WhatsAppHttp, operation: str) -> None:
    response = wh(operation, token="f" * 24, msg_id="x" if "Status" in operation else None)
    assert (response.status_code, response.json()["message"]) == (401, "invalid object id")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_reads_by_get_and_post(wh: WhatsAppHttp, method: str) -> None:
    assert wh("checkBal", method).status_code == 200
