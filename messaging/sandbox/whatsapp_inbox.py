"""The inbox of the WhatsApp HTTP API: its rows (section 4) and its webhooks (section 8)."""

from __future__ import annotations

import random
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .accounts import WhatsAppHttpAccount
from .call import Outcome
from .postman import Letter
from .state import WH, Message, State
from .whatsapp_reports import ACK, answered, date_range, limit_of, stamp, wa_message_id
from .whatsapp_rules import RefusedError
from .wire import JSON_TYPE, dump
from .writing import MEDIA, Writing

if TYPE_CHECKING:
    from .whatsapp_http import Fields

BOUNDARY = "----------------------------sandbox7MA4YWxkTrZu0gW"
_OBJECT_ID = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)
_CHOICES = ("button", "reply")


@dataclass
class Inbound:
    """One message in the inbox of an instance."""

    account: str
    writing: Writing
    id: str
    wa_id: str
    at: float
    webhook_url: str = ""
    webhook_status: int = 0

    @property
    def phone(self) -> str:
        """In a group the group's id stands here, and the author nowhere."""
        writing = self.writing
        return writing.group or writing.lid or writing.phone

    @property
    def chat(self) -> str:
        """The chat's id with its suffix."""
        writing = self.writing
        if writing.group:
            return f"{writing.group}@g.us"
        return f"{writing.lid}@lid" if writing.lid else f"{writing.phone}@s.whatsapp.net"

    @property
    def text(self) -> str:
        """What the row shows; no document says how the tap on a button looks."""
        writing = self.writing
        return writing.text or (writing.title if writing.kind in _CHOICES else "")

    @property
    def created(self) -> str | None:
        """Whole seconds: WhatsApp's own clock."""
        return stamp(self.at, "seconds") if self.writing.sent is None else self.writing.sent


def take(state: State, account: WhatsAppHttpAccount, writing: Writing) -> Inbound:
    """Put what a customer wrote into the inbox."""
    at = state.now() if writing.at is None else float(writing.at)
    wa_id = writing.id or f"3A{secrets.token_hex(9).upper()}"
    item = Inbound(account.name, writing, state.object_id(), wa_id, at)
    state.inbox.append(item)
    return item


# Section 4


def inbox_report(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 4.1: all of it, or what came on some days."""
    first, last = date_range(fields, 0.0)
    found = [
        item for item in state.inbox if item.account == account.name and first <= item.at < last
    ]
    return _report(account, found, limit_of(fields))


def inbox_report_offset(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 4.2: what came after the message of this id."""
    offset = fields.one("offset").lower()
    if offset and not _OBJECT_ID.fullmatch(offset):
        raise RefusedError("12")
    found = [item for item in state.inbox if item.account == account.name and item.id > offset]
    return _report(account, found, limit_of(fields))


def _report(account: WhatsAppHttpAccount, found: list[Inbound], limit: int) -> Outcome:
    if not found:
        raise RefusedError("14")
    total = len(found)
    if account.inbox_order == "newest":
        found.reverse()
    elif account.inbox_order == "shuffled":
        random.Random(total).shuffle(found)
    shown = found[: min(limit or total, account.inbox_cap or total)]
    rows = [row(account, item) for item in shown]
    # The document's only sample, with limit 1, has an object where other reports have a list.
    data: Any = rows[0] if len(rows) == 1 and account.inbox_single else rows
    return answered(data, {"total": total, "offset": 0, "limit": limit, "responsetime": 0.180671})


def row(account: WhatsAppHttpAccount, item: Inbound) -> dict[str, Any]:
    """One row of the inbox report, with the fields of the document's sample in its order."""
    writing = item.writing
    return {
        "messageID": item.id,
        "clientId": account.client_id,
        "instanceID": account.token,
        "creditID": "",
        "phone": item.phone,
        "full_push_name": writing.name,
        "text": item.text,
        "link": writing.link,
        "serverSend": False,
        "isMedia": writing.kind in MEDIA,
        "mediaType": writing.kind if writing.kind in MEDIA else "",
        "mediaPath": writing.media_path,
        "isLocation": writing.kind == "location",
        "location": writing.value if writing.kind == "location" else None,
        "isContact": writing.kind == "contact",
        "contact": writing.value if writing.kind == "contact" else None,
        "isButton": False,
        "button": None,
        "isList": False,
        "list": None,
        "wacheck": False,
        "waID": item.chat,
        "waMessageID": item.wa_id,
        "status": 3,
        "timedOut": 0,
        "statusInfo": "Delivered",
        "statusMessage": 0,
        "statusMessageInfo": "",
        "mode": "",
        "deliveredAt": None,
        "readAt": None,
        "createdAt": item.created,
        # Earlier than createdAt in the sample, so nobody may rely on the order of the two.
        "updatedAt": stamp(item.at - 31.455),
        "webhookURL": item.webhook_url,
        "webhookStatus": item.webhook_status,
        "value": None,
    }


# Section 8


def delivery(account: WhatsAppHttpAccount, message: Message, step: str, at: float) -> Letter:
    """The webhook that tells where a message is."""
    ack, info = ACK[step]
    body = {
        "clientID": account.client_id,
        "createdAt": stamp(at),
        "instanceID": account.token,
        "messageID": message.id,
        "phone": message.phone,
        "reportType": "delivery",
        "status": ack,
        "statusInfo": info,
        "waID": account.number,
        "waMessageID": wa_message_id(message),
    }
    return _json_letter(account, "delivery", body)


def inbox_letter(account: WhatsAppHttpAccount, item: Inbound, with_filename: bool) -> Letter:
    """The webhook that brings what a customer wrote."""
    writing = item.writing
    body = {
        "clientID": account.client_id,
        "createdAt": item.created,
        "instanceID": account.token,
        "phone": item.phone,
        "reportType": "inbox",
        "status": 3,
        "statusInfo": "Delivered",
        "type": "text" if writing.kind in _CHOICES else writing.kind,
        "value": _value(item),
        "waID": item.chat,
        "waMessageID": item.wa_id,
    }
    if writing.file is None:
        letter = _json_letter(account, "inbox", body)
    else:
        letter = _multipart(account, body, writing, writing.upload_name if with_filename else "")

    def answered_with(status: int) -> None:
        item.webhook_url, item.webhook_status = letter.url, status

    letter.answered = answered_with
    return letter


def _value(item: Inbound) -> Any:
    writing = item.writing
    if writing.value is not None:
        return writing.value
    if writing.kind in MEDIA:
        return {"caption": writing.text, "type": writing.content_type}
    return item.text


def _json_letter(account: WhatsAppHttpAccount, kind: str, body: dict[str, Any]) -> Letter:
    raw = dump(body)
    return Letter(WH, account.name, kind, account.webhook, JSON_TYPE, raw, raw.decode())


def _multipart(
    account: WhatsAppHttpAccount, body: dict[str, Any], writing: Writing, filename: str
) -> Letter:
    raw, file = dump(body), writing.file or b""
    name = f'; filename="{_quoted(filename)}"' if filename else ""
    mark = f"--{BOUNDARY}\r\n".encode()
    data = b"".join(
        (
            mark,
            b'Content-Disposition: form-data; name="json"\r\n\r\n',
            raw + b"\r\n",
            mark,
            f'Content-Disposition: form-data; name="file1"{name}\r\n'.encode(),
            f"Content-Type: {writing.content_type}\r\n\r\n".encode(),
            file,
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        )
    )
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    letter = Letter(WH, account.name, "inbox", account.webhook, kind, data, raw.decode())
    letter.file = {
        "filename": filename,
        "content_type": writing.content_type,
        "size": len(file),
    }
    return letter


def _quoted(name: str) -> str:
    # As browsers write it; a line break here would forge another header.
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
