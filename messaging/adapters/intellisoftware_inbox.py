"""What IntelliSoftware forwards: messages as JSON or as an older form, and delivery reports.

Nothing is signed. A message names the number it came to, which tells whose it is. Of the reports
only the SMS product's are documented, so their fields are looked for under every name seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from ..errors import ErrorClass
from ..events import Inbound, InboundMedia, Status, StatusUpdate
from ..i18n import gettext as _
from . import received
from .base import SMS, WHATSAPP, Account, Parsed, WebhookRequest
from .gateway_codes import CODE_LENGTH, WORDS_LENGTH, message_id, secrets
from .http import redact_json
from .received import Said, clean, first, word
from .times import parse_time
from .whatsapp_rows import lower_keys

_IDS: Final = ("messageid", "msgid", "id")
#: Nothing that a customer writes is a credential, but should one be repeated, nobody sees it.
SECRET_KEYS: Final = frozenset({"accesskey", "secretkey"})

_NUMBER: Final = re.compile(r"(?:whatsapp:|tel:|\+|00)*([1-9]\d{6,14})", re.I | re.ASCII)

#: Codes of the status forwarding. 0 says nothing; 11 and 12 are of voice messages.
_STATUSES: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "1": Status.ACCEPTED,
        "2": Status.ACCEPTED,
        "3": Status.SENT,
        "4": Status.DELIVERED,
        "5": Status.FAILED,
        "6": Status.FAILED,
        "7": Status.FAILED,
        "8": Status.FAILED,
        "11": Status.DELIVERED,
        "12": Status.FAILED,
        "ok": Status.ACCEPTED,
        "accepted": Status.ACCEPTED,
        "queued": Status.ACCEPTED,
        "sent": Status.SENT,
        "delivered": Status.DELIVERED,
        "acknowledged": Status.DELIVERED,
        "read": Status.READ,
        "seen": Status.READ,
        "played": Status.READ,
    }
)
_FAILED_WORDS: Final = re.compile(r"fail|error|reject|unable|undeliver|not delivered|expire")
_CLASSES: Final[Mapping[str, ErrorClass]] = MappingProxyType(
    {
        "5": ErrorClass.INVALID_CONTENT,
        "6": ErrorClass.INVALID_RECIPIENT,
        "7": ErrorClass.INVALID_RECIPIENT,
    }
)
_REPLIES: Final = ("interactive", "reply", "button_reply", "list_reply")


def read_webhook(request: WebhookRequest, account: Account) -> Parsed:
    """All that a request says, whatever its content type."""
    events: list[Inbound | StatusUpdate] = []
    problems: list[str] = []
    items, is_form = _items(request)
    if not items:
        problems.append(_("The request holds nothing that can be read."))
    for item in items:
        row = lower_keys(redact_json(item, SECRET_KEYS, secrets(account)))
        found = _event(row, is_form)
        if isinstance(found, str):
            problems.append(found)
        else:
            events.append(found)
    return Parsed(events=tuple(events), problems=tuple(problems))


def _items(request: WebhookRequest) -> tuple[list[Any], bool]:
    """The messages of a request, and whether they came as a form, which holds one."""
    data = received.json_in(request.body)
    if isinstance(data, list):
        return data, False
    if isinstance(data, dict):
        body = lower_keys(data)
        lists = [
            body[name] for name in ("messages", "statuses") if isinstance(body.get(name), list)
        ]
        return [item for each in lists for item in each] if lists else [data], False
    fields = dict(request.fields)
    if not fields:
        try:
            fields = dict(parse_qsl(request.body, keep_blank_values=True, errors="replace"))
        except ValueError:
            return [], True
    row = {clean(name): clean(value) for name, value in fields.items()}
    return ([row] if row else []), True


def _event(row: Mapping[str, Any], is_form: bool) -> Inbound | StatusUpdate | str:
    """One entry as what it is, or why it is nothing, as a sentence."""
    if not row:
        return _("An entry is no JSON object.")
    if any(name in row for name in ("content", "text", "ud", "msgobject")):
        return _form(row) if is_form else _message(row)
    if "status" not in row:
        return _("An entry is neither a message nor a report.")
    if not _id_of(row):
        return _("A delivery report names no message.")
    return _report(row)


def _id_of(row: Mapping[str, Any]) -> str:
    return next((each for name in _IDS if (each := message_id(row.get(name)))), "")


def phone_address(value: object) -> str:
    """A number with country code as `+E164`; "" for names, short codes and all else."""
    match = _NUMBER.fullmatch(re.sub(r"[\s().-]", "", message_id(value)))
    return f"+{match[1]}" if match else ""


# --- Messages -------------------------------------------------------------------------------------


def _message(row: Mapping[str, Any]) -> Inbound:
    content = row.get("content")
    parts = lower_keys(content) or lower_keys({"text": content} if content is not None else row)
    is_whatsapp = "format" in parts or "msgobject" in parts
    said = _whatsapp(parts) if is_whatsapp else _sms(parts)
    channel = word(row.get("channel")).lower() or (WHATSAPP if is_whatsapp else SMS)
    return _inbound(row, said, channel, {})


def _form(row: Mapping[str, Any]) -> Inbound:
    """The older form, which the document shows without a sender and without a channel."""
    network = word(row.get("networkcode"))
    return _inbound(row, _sms(row), SMS, {"networkcode": network} if network else {})


def _inbound(row: Mapping[str, Any], said: Said, channel: str, data: dict[str, Any]) -> Inbound:
    address, at = phone_address(row.get("from")), parse_time(row.get("sent"))
    if not address:
        data["from"] = message_id(row.get("from"))
    if at is None:
        data["sent"] = word(row.get("sent"))
    return Inbound(
        external_id=_id_of(row),
        to=message_id(row.get("to")),
        channel=channel[:20],
        address=address,
        name=first(row, ("name", "profilename")),
        kind=said.kind,
        content=said.content,
        text=said.text,
        occurred_at=at,
        media=said.media,
        external_data={name: value for name, value in data.items() if value},
    )


def _sms(parts: Mapping[str, Any]) -> Said:
    """An SMS. One of bytes calls itself a text, too, and is known by its user data."""
    ud, text = parts.get("ud"), parts.get("text")
    if isinstance(ud, str) and ud.strip():
        return received.binary(clean(ud).strip())
    if isinstance(text, str | int) and not isinstance(text, bool):
        return received.text(clean(str(text)))
    return received.unsupported({name: parts[name] for name in parts if name != "to"})


def _whatsapp(parts: Mapping[str, Any]) -> Said:
    """A WhatsApp message object: `{"type": T, T: {...}}`."""
    raw = parts.get("msgobject")
    given = lower_keys(raw)
    kind = word(given.get("type")).lower()
    value = given.get(kind)
    return _known(kind, value, given) or received.unsupported(raw, _words(value))


def _words(value: object) -> str:
    """The words inside an object nobody documented, as far as they stand where words do."""
    return first(lower_keys(value), ("caption", "body", "text", "title"), 4096)


def _known(kind: str, value: object, given: Mapping[str, Any]) -> Said | None:
    parts = lower_keys(value)
    match kind:
        case "text":
            body = value if isinstance(value, str) else parts.get("body")
            return received.text(body) if isinstance(body, str) else None
        case "button":
            title = first(parts, ("text", "title"))
            return received.button_reply(title, first(parts, ("payload", "id"))) if title else None
        case "reply" | "interactive" | "button_reply" | "list_reply":
            return _reply(given, 3)
        case "reaction":
            emoji = parts.get("emoji")
            target = message_id(parts.get("message_id"))
            return received.reaction(word(emoji), target) if target or word(emoji) else None
        case "location":
            return received.location(value)
        case "contacts":
            return received.contacts(value)
    return _media(kind, parts) if received.media_kind(kind) else None


def _reply(given: Mapping[str, Any], depth: int) -> Said | None:
    """The tapped button: under one of several names, directly or nested."""
    for name in _REPLIES:
        if not (parts := lower_keys(given.get(name))):
            continue
        title, reply_id = first(parts, ("title", "text")), first(parts, ("id", "payload"))
        if title or reply_id:
            return received.button_reply(title, reply_id)
        if depth and (found := _reply(parts, depth - 1)):
            return found
    return None


def _media(kind: str, parts: Mapping[str, Any]) -> Said:
    """A file by link. How long the link lives is not documented."""
    link = received.web_link(parts.get("link")) or received.web_link(parts.get("url"))
    source = InboundMedia(
        link=link,
        filename=word(parts.get("filename")),
        content_type=word(parts.get("mime_type"), received.TYPE_LENGTH),
        missing=not link,
    )
    return received.media(received.media_kind(kind), source, parts.get("caption"), link=link)


# --- Reports --------------------------------------------------------------------------------------


def _report(row: Mapping[str, Any]) -> StatusUpdate:
    """The status forwarding. 8, expired, is a failure: the message is not on its way any more."""
    given = row.get("status")
    raw = str(given).strip() if isinstance(given, str | int) else ""
    code = raw.lstrip("0") if raw.isdecimal() else raw.lower()
    status = _STATUSES.get(code)
    if status is None and not raw.isdecimal() and _FAILED_WORDS.search(code):
        status = Status.FAILED
    failed = status is Status.FAILED
    words = first(row, ("error_description", "error", "statustext", "description"), WORDS_LENGTH)
    number = message_id(row.get("error_code")) or raw
    return StatusUpdate(
        external_id=_id_of(row),
        address=phone_address(row.get("toaddr")) or phone_address(row.get("to")),
        status=status,
        error_class=_CLASSES.get(code, ErrorClass.UNKNOWN_REJECTION) if failed else "",
        error_code=number[:CODE_LENGTH] if failed else "",
        error_text=(words or _reason(code)) if failed else "",
        raw_status=raw[:WORDS_LENGTH],
    )


def _reason(code: str) -> str:
    return {
        "5": _("The request had an error."),
        "6": _("The message could not be delivered."),
        "7": _("There is no route to this number."),
        "8": _("The message expired before it could be delivered."),
        "12": _("The recipient rejected the message."),
    }.get(code, code)


# --- Whose it is ----------------------------------------------------------------------------------


def owned(event: Inbound, account: Account) -> bool:
    """Whether a message came to this number, or to this name, on this channel."""
    if not event.to or (event.channel and event.channel != account.channel):
        return False
    given = _name(event.to)
    return any(given == _name(each) for each in (account.address, account.external_id) if each)


def _name(text: str) -> str:
    """A number by its digits, however it is written; a name in one letter case."""
    plain = re.sub(r"[\s().+-]", "", text)
    return phone_address(text) or (plain if plain.isdecimal() else text.strip().casefold())
