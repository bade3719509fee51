"""WhatsApp HTTP API: what the rows of its reports prove about a message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from messaging.adapters.whatsapp_rows import lower_keys, rows_of, status_of, status_update
from messaging.errors import ErrorClass
from messaging.events import Status

from .whatsapp_seed import BY_NUMBER

INDIA = ZoneInfo("Asia/Kolkata")
ROW: dict[str, Any] = BY_NUMBER["2.1"].answers[0][1]["data"]


def test_the_documents_row() -> None:
    update = status_update(lower_keys(ROW), INDIA)
    assert update.status is Status.DELIVERED
    assert update.delivered_at == datetime(2022, 6, 25, 9, 6, 16, 546_000, tzinfo=UTC)
    assert update.occurred_at == update.delivered_at
    assert update.submitted_at == datetime(2022, 6, 25, 9, 6, 1, 25_000, tzinfo=UTC)
    assert update.read_at is None
    assert update.text == "test_message"
    assert update.raw_status == "1 Sent / 3 Delivered"
    assert update.external_id == "62*****35"
    assert update.external_data == {"waMessageID": "EC***22"}
    assert (update.error_class, update.error_text) == ("", "")


def row(**changes: Any) -> dict[str, Any]:
    values = {
        "status": 1,
        "statusInfo": "Sent",
        "statusMessage": 0,
        "statusMessageInfo": "",
        "deliveredAt": None,
        "readAt": None,
        "serverSend": False,
        "wacheck": False,
        "timedOut": 0,
    }
    return lower_keys(values | changes)


AT = "2026-03-10T14:36:16.546+05:30"
NEVER = "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, Status.SENT),
        ({"readAt": AT, "statusMessageInfo": "Failed"}, Status.READ),
        ({"deliveredAt": AT, "statusMessage": 2}, Status.DELIVERED),
        ({"deliveredAt": NEVER, "readAt": NEVER}, Status.SENT),
        ({"statusMessageInfo": "READ"}, Status.READ),
        ({"statusMessageInfo": "Played "}, Status.READ),
        ({"statusMessageInfo": "delivered"}, Status.DELIVERED),
        ({"statusMessageInfo": "Sent", "statusMessage": 4}, Status.SENT),
        ({"statusMessageInfo": "Failed"}, Status.FAILED),
        ({"statusMessageInfo": "Message rejected"}, Status.FAILED),
        ({"statusMessageInfo": "Number not registered"}, Status.FAILED),
        ({"statusInfo": "Error in sending"}, Status.FAILED),
        ({"statusInfo": "", "statusMessage": 2}, Status.SENT),
        ({"statusInfo": "", "statusMessage": 3}, Status.DELIVERED),
        ({"statusInfo": "", "statusMessage": 4}, Status.READ),
        ({"statusInfo": "", "statusMessage": 5}, Status.READ),
        # Never failed from a 0 or a false, never the portal's scale for the phone's.
        ({"statusInfo": "", "statusMessage": 0}, None),
        ({"statusInfo": "", "statusMessage": 1}, None),
        ({"statusInfo": "", "statusMessage": True}, None),
        ({"statusInfo": "", "statusMessage": "4"}, None),
        ({"statusInfo": "", "status": 4}, None),
        ({"statusInfo": "", "status": 0, "timedOut": 1}, None),
        ({"statusInfo": "Pending", "status": 0}, None),
        ({"statusMessageInfo": "Not delivered yet"}, None),
        ({"statusMessageInfo": "Server Ack", "statusMessage": 2}, Status.SENT),
        ({"statusInfo": None, "statusMessageInfo": ["Read"], "statusMessage": {}}, None),
    ],
)
def test_what_a_row_proves(changes: dict[str, Any], status: Status | None) -> None:
    assert status_of(row(**changes), INDIA) is status


def test_failed_rows_say_why() -> None:
    update = status_update(row(statusMessageInfo="Message rejected"), INDIA)
    assert update.error_class == ErrorClass.UNKNOWN_REJECTION
    assert update.error_text == "Message rejected"


@pytest.mark.parametrize(
    ("phone", "address"),
    [("447700900123", "+447700900123"), ("120363@g.us", "120363@g.us"), (None, ""), (5, "")],
)
def test_addresses(phone: Any, address: str) -> None:
    assert status_update(row(phone=phone), INDIA).address == address


@pytest.mark.parametrize(
    ("data", "count"),
    [([ROW, ROW], 2), (ROW, 1), (None, 0), ([], 0), ([None, 5, ROW], 1), ("x", 0)],
)
def test_data_is_a_list_a_row_or_nothing(data: Any, count: int) -> None:
    assert len(list(rows_of(data))) == count
