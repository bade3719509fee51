"""Rows of the WhatsApp HTTP API's reports, and what their state numbers and words mean.

The document shows two scales. In an outgoing row `status`/`statusInfo` is the portal's own state
(1 = Sent) and `statusMessage`/`statusMessageInfo` the phone's acknowledgement (3 = Delivered);
they must never be mixed. Times come first, then words, then the numbers the document confirms or
WhatsApp's own scale implies. Nothing is ever read as failed from a 0 or a false.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any, Final

from ..errors import ErrorClass
from ..events import Status, StatusUpdate
from .gateway_codes import WORDS_LENGTH, message_id
from .times import parse_time

_WORDS: Final = MappingProxyType(
    {
        "sent": Status.SENT,
        "delivered": Status.DELIVERED,
        "read": Status.READ,
        "played": Status.READ,
    }
)
_FAILED: Final = re.compile(r"fail|error|reject|not registered", re.IGNORECASE)
_ACKNOWLEDGEMENTS: Final = MappingProxyType(
    {2: Status.SENT, 3: Status.DELIVERED, 4: Status.READ, 5: Status.READ}
)


def lower_keys(row: object) -> dict[str, Any]:
    """The row with its names in lower case: the document spells them in several ways."""
    if not isinstance(row, Mapping):
        return {}
    return {str(name).lower(): value for name, value in row.items()}


def rows_of(data: object) -> Iterator[dict[str, Any]]:
    """The rows in a report's `data`, which is a list, a single row or null."""
    for row in data if isinstance(data, list) else [data]:
        if fields := lower_keys(row):
            yield fields


def whole(body: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """A report's rows, and whether they are all that it says there are."""
    rows, total = list(rows_of(body.get("data"))), body.get("total")
    return rows, not (isinstance(total, int) and total > len(rows))


def status_of(row: Mapping[str, Any], zone: tzinfo) -> Status | None:
    """The state an outgoing row proves; None where it proves none."""
    return _status_of(
        row, parse_time(row.get("deliveredat"), zone), parse_time(row.get("readat"), zone)
    )


def _status_of(
    row: Mapping[str, Any], delivered: datetime | None, read: datetime | None
) -> Status | None:
    if read:
        return Status.READ
    if delivered:
        return Status.DELIVERED
    word = (_text(row, "statusmessageinfo") or _text(row, "statusinfo")).lower()
    if word in _WORDS:
        return _WORDS[word]
    if _FAILED.search(word):
        return Status.FAILED
    number = row.get("statusmessage")
    if isinstance(number, bool) or not isinstance(number, int):
        return None
    return _ACKNOWLEDGEMENTS.get(number)


def status_update(row: Mapping[str, Any], zone: tzinfo) -> StatusUpdate:
    """An outgoing row, its names in lower case, as an event."""
    delivered, read = parse_time(row.get("deliveredat"), zone), parse_time(row.get("readat"), zone)
    status = _status_of(row, delivered, read)
    failed = status is Status.FAILED
    words = _text(row, "statusmessageinfo") or _text(row, "statusinfo")
    wa_id = message_id(row.get("wamessageid"))
    return StatusUpdate(
        external_id=message_id(row.get("messageid")),
        address=_address(row.get("phone")),
        status=status,
        occurred_at=read or delivered,
        delivered_at=delivered,
        read_at=read,
        submitted_at=parse_time(row.get("createdat"), zone),
        text=row["text"] if isinstance(row.get("text"), str) else "",
        error_class=ErrorClass.UNKNOWN_REJECTION if failed else "",
        error_text=words if failed else "",
        raw_status=_raw_status(row),
        external_data={"waMessageID": wa_id} if wa_id else {},
    )


def _raw_status(row: Mapping[str, Any]) -> str:
    """Both scales as they came: "status statusInfo / statusMessage statusMessageInfo"."""
    portal = f"{_text(row, 'status')} {_text(row, 'statusinfo')}".strip()
    phone = f"{_text(row, 'statusmessage')} {_text(row, 'statusmessageinfo')}".strip()
    return f"{portal} / {phone}" if portal and phone else portal or phone


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return str(value).strip()[:WORDS_LENGTH] if isinstance(value, str | int) else ""


def _address(phone: object) -> str:
    """Canonical: `+E164` for digits, chat ids as they are."""
    text = phone.strip() if isinstance(phone, str) else ""
    return f"+{text}" if text.isascii() and text.isdigit() else text
