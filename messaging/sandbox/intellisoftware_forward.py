"""What IntelliSoftware forwards: received messages, and where sent ones are.

The JSON and the older form body are the receive document's; the status report is that of the
vendor's public pages for SMS, since the document has none.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from .accounts import IntelliSoftwareAccount, OptionError
from .postman import Letter
from .state import IS, Message, State
from .wire import JSON_TYPE
from .writing import MEDIA, Writing

FORM_TYPE = "application/x-www-form-urlencoded"
STATUS = {"sent": 3, "delivered": 4, "failed": 6}
"""The codes of the public page; it knows no "read"."""


def received(
    state: State, account: IntelliSoftwareAccount, writings: list[Writing]
) -> tuple[list[str], Letter]:
    """The ids, and the one post that forwards all these messages."""
    if writings[0].form:
        if len(writings) > 1:
            raise OptionError("the old form carries one message")
        message_id = writings[0].id or f"10011{state.number():015d}"
        body = _form(state, account, writings[0], message_id)
        return [message_id], _letter(account, FORM_TYPE, body)
    messages = [_message(state, account, writing) for writing in writings]
    # Escaped as in the document: emoji come as pairs of surrogates.
    body = json.dumps({"messages": messages}, separators=(",", ":"))
    return [str(message["messageid"]) for message in messages], _letter(account, JSON_TYPE, body)


def status(account: IntelliSoftwareAccount, message: Message, step: str) -> Letter | None:
    """The status report of one step; None where the format has no code for it."""
    words = account.status_format == "words"
    code: Any = step if words else STATUS.get(step)
    if code is None:
        return None
    fields = {"msgid": message.id, "status": code, "toaddr": message.phone}
    if account.status_format == "form":
        kind, body = FORM_TYPE, _encoded(fields)
    else:
        kind, body = JSON_TYPE, json.dumps(fields, separators=(",", ":"))
    url = account.status_webhook
    return Letter(IS, account.name, "status", url, kind, body.encode(), body, repeat=True)


def _letter(account: IntelliSoftwareAccount, kind: str, body: str) -> Letter:
    url = account.webhook
    return Letter(IS, account.name, "forward", url, kind, body.encode(), body, repeat=True)


def _message(state: State, account: IntelliSoftwareAccount, writing: Writing) -> dict[str, Any]:
    channel = writing.channel or ("sms" if writing.ud else "whatsapp")
    return {
        "to": _our_number(account, writing),
        "from": writing.phone,
        "messageid": writing.id or state.hex_id(),
        "channel": channel,
        "sent": _sent(state, writing),
        "content": _content(state, writing, channel),
    }


def _content(state: State, writing: Writing, channel: str) -> dict[str, Any]:
    if writing.ud:
        return {"msgtype": "text", "ud": writing.ud}
    if channel == "sms":
        return {"msgtype": "text", "text": writing.text}
    msgobject = writing.msgobject
    if msgobject is None:
        msgobject = {"type": writing.kind} | _payload(state, writing)
    return {"format": "wa_msgobject_v2", "msgobject": msgobject}


def _payload(state: State, writing: Writing) -> dict[str, Any]:
    label = writing.title or writing.text
    if writing.kind == "text":
        return {"text": {"body": writing.text}}
    if writing.kind == "button":
        return {"button": {"text": label}}
    if writing.kind == "reply":
        # The document's own spelling: the type is "reply" and the key "interactive".
        return {"interactive": {"title": label, "id": writing.reply_id or label}}
    if writing.kind in MEDIA:
        link = writing.link
        if not link and writing.file is not None:
            link = state.serve(writing.file, writing.content_type, writing.upload_name)
        return {writing.kind: {"link": link} | ({"caption": writing.text} if writing.text else {})}
    return {writing.kind: {} if writing.value is None else writing.value}


def _form(state: State, account: IntelliSoftwareAccount, writing: Writing, id_: str) -> str:
    fields = {} if writing.bare else {"from": writing.phone, "to": _our_number(account, writing)}
    fields |= {"text": writing.text, "msgid": id_}
    if writing.networkcode:
        fields["networkcode"] = writing.networkcode
    return _encoded(fields | {"sent": _sent(state, writing)})


def _encoded(fields: dict[str, Any]) -> str:
    return "&".join(f"{name}={_quoted(str(value))}" for name, value in fields.items())


def _quoted(text: str) -> str:
    # Lower-case escapes, as the document's sample has them.
    quoted = quote_plus(text, errors="replace")
    parts = quoted.split("%")
    return parts[0] + "".join(f"%{part[:2].lower()}{part[2:]}" for part in parts[1:])


def _our_number(account: IntelliSoftwareAccount, writing: Writing) -> str:
    if writing.to is not None:
        return writing.to
    sender = str(writing.sender or "").lstrip("+")
    return sender if sender in account.senders else min(account.senders, default="")


def _sent(state: State, writing: Writing) -> str:
    if writing.sent is not None:
        return writing.sent
    at = state.now() if writing.at is None else float(writing.at)
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S-00:00")
