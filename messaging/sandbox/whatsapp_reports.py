"""What the WhatsApp HTTP API can be asked (sections 2, 3.1 and 5), in its row shapes."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from .accounts import WhatsAppHttpAccount
from .call import Outcome
from .state import WH, Message, State
from .whatsapp_rules import RefusedError
from .wire import dump

if TYPE_CHECKING:
    from .whatsapp_http import Fields

ZONE = timezone(timedelta(hours=5, minutes=30))
"""Every sample of the document is in this zone."""
REPORT_DAYS = 7
ZERO_TIME = "0001-01-01T00:00:00Z"

ACK = {"accepted": (0, ""), "sent": (2, "Sent"), "delivered": (3, "Delivered"),
       "read": (4, "Read"), "failed": (0, "Failed")}  # fmt: skip
"""`statusMessage`, `statusMessageInfo`. The document shows 3 and 4; the others are inferred."""

_DATE = re.compile(r"([0-9]{2})-([0-9]{2})-([0-9]{4})")


def campaign_status(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 2.1: one message; an unknown id is HTTP 500 without a body."""
    message = state.messages.get(fields.one("msg_id"))
    if message is None or message.gateway != WH or message.account != account.name:
        return Outcome(500, code="500")
    data = row(state, account, message, "clientID")
    answer = {"status": "success", "message": "00-Success", "data": data, "responsetime": 0.00095}
    return Outcome(200, dump(answer), "00")


def campaign_report(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 2.2: the rows of the last seven days; none at all is 400 `14-Data not found`."""
    first, last = date_range(fields, state.now() - REPORT_DAYS * 86_400)
    limit = limit_of(fields)
    rows = [
        message
        for message in state.deliveries
        if message.gateway == WH and message.account == account.name and first <= message.at < last
    ]
    if not rows:
        raise RefusedError("14")
    total = len(rows)
    rows = _ordered(rows, account.report_order)
    shown = min(limit or total, account.report_cap or total)
    answer = {
        "status": "success",
        "message": "00-Success",
        "data": [row(state, account, message, "clientId") for message in rows[:shown]],
        "total": total,
        "offset": 0,
        "limit": limit,
        "responsetime": 0.2374,
    }
    return Outcome(200, dump(answer), "00")


def check_balance(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 5: the credit left; an instance never recharged is HTTP 500 without a body."""
    if not account.recharged:
        return Outcome(500, code="500")
    data = {
        "backup": None,
        "expiryDate": account.expiry_date,
        "quota": account.remaining,
        "status": "active",
    }
    answer = {"status": "success", "message": "00-Success", "data": data, "responsetime": 0.0011}
    return Outcome(200, dump(answer), "00")


def answered(data: Any, rest: dict[str, Any]) -> Outcome:
    """A success in the order the document prints it."""
    answer = {"status": "success", "message": "00-Success", "data": data, **rest}
    return Outcome(200, dump(answer), "00")


def row(
    state: State, account: WhatsAppHttpAccount, message: Message, client: str
) -> dict[str, Any]:
    """One row of the delivery report; `client` is how the operation spells the client's id."""
    steps = state.steps(message)
    ack, ack_info = ACK[steps.status]
    waiting = steps.status == "accepted"
    caption = "" if message.text == message.link else message.text
    return {
        "messageID": message.id,
        client: account.client_id,
        "instanceID": account.token,
        "creditID": "",
        "phone": message.phone,
        "full_push_name": "",
        "text": "" if message.kind in ("location", "contact") else caption,
        "link": message.link,
        "serverSend": False,
        "isMedia": message.kind == "file",
        "mediaType": "",
        "mediaPath": "",
        "isLocation": message.kind == "location",
        "location": None,
        "isContact": message.kind == "contact",
        "contact": None,
        "isButton": message.kind == "buttons",
        "button": None,
        "isList": message.kind == "list",
        "list": None,
        "wacheck": False,
        "waID": account.number,
        "waMessageID": "" if waiting else wa_message_id(message),
        "status": 0 if waiting else 1,
        "timedOut": 0,
        "statusInfo": "Pending" if waiting else "Sent",
        "statusMessage": ack,
        "statusMessageInfo": ack_info,
        "mode": "Panel",
        "deliveredAt": stamp(steps.delivered),
        "readAt": stamp(steps.read),
        "createdAt": stamp(message.at),
        "updatedAt": stamp(steps.sent or message.at),
        "value": None,
    }


def wa_message_id(message: Message) -> str:
    """WhatsApp's own id of an outgoing message, derived from the portal's."""
    return f"EC{int(message.id, 16) * 0x9E3779B97F4A7C15 % (1 << 72):018X}"


def stamp(at: float | None, unit: str = "milliseconds") -> str | None:
    """A time as the rows write it."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).isoformat(timespec=unit)


def date_range(fields: Fields, oldest: float) -> tuple[float, float]:
    """From the beginning of `start_date` to the end of `end_date`, never before `oldest`."""
    start, end = fields.one("start_date"), fields.one("end_date")
    if not start and not end:
        return oldest, float("inf")
    if not start or not end:
        raise RefusedError("13")
    return max(oldest, _day(start)), _day(end) + 86_400


def _day(text: str) -> float:
    match = _DATE.fullmatch(text)
    if match is None:
        raise RefusedError("12")
    day, month, year = (int(part) for part in match.groups())
    try:
        return datetime(year, month, day, tzinfo=ZONE).timestamp()
    except ValueError:
        raise RefusedError("12") from None


def limit_of(fields: Fields) -> int:
    """The parameter `limit`, 0 when it is absent."""
    text = fields.one("limit")
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise RefusedError("12")
    return int(text)


def _ordered(rows: list[Message], order: str) -> list[Message]:
    if order == "newest":
        return rows[::-1]
    if order == "shuffled":
        rows = list(rows)
        random.Random(len(rows)).shuffle(rows)
    return rows
