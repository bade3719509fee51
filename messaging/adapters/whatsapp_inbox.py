"""What comes in over the WhatsApp HTTP API: rows of its inbox report, and bodies of its webhook.

The webhook posts JSON, and files as a multipart form whose field `json` is that JSON. It is not
signed. `instanceID` serves as a token, so it is read once, as `to`, and masked in all the rest.
The document shows a text and a picture; every other object is read as far as it explains itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from ..events import Inbound, InboundMedia, StatusUpdate
from ..i18n import gettext as _
from . import received
from .base import InboxPage, Parsed, WebhookFile, WebhookRequest
from .gateway_codes import SHORTEST_SECRET, message_id
from .http import MASK, redact_json
from .received import Said, clean, first, word
from .times import parse_time
from .whatsapp_answers import SECRET_KEYS
from .whatsapp_rows import lower_keys, status_update

#: Room of a chat's address, and of the cursor a poll goes on from.
_ADDRESS_LENGTH: Final = 100
_CURSOR_LENGTH: Final = 100

_PERSON: Final = re.compile(
    r"\+?([1-9]\d{6,14})(?:[._]\d+)?(?::\d+)?(?:@(?:s\.whatsapp\.net|c\.us))?", re.I | re.ASCII
)
_OTHER_CHAT: Final = re.compile(r"([\w*.-]+)(?::\d+)?@(g\.us|lid)", re.I | re.ASCII)
_GROUP_NUMBER: Final = re.compile(r"\d{5,}-\d{5,}|\d{16,}", re.ASCII)
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}", re.I | re.ASCII)
_IGNORED: Final = {"broadcast": "status", "newsletter": "newsletter"}
_TITLES: Final = ("title", "selecteddisplaytext", "displaytext", "buttontext", "text", "name")
_REPLY_IDS: Final = ("id", "selectedid", "selectedbuttonid", "selectedrowid", "buttonid", "rowid")
_FLAGS: Final = {"isbutton": "button", "islist": "list"}


# --- Chats ----------------------------------------------------------------------------------------


def chat_address(value: object) -> str:
    """A chat id as a canonical address, "" where it is none: people, groups and hidden ids.

    The part after a colon names one of the person's devices.
    """
    text = message_id(value)
    if person := _PERSON.fullmatch(text):
        return f"+{person[1]}"
    chat = _OTHER_CHAT.fullmatch(text)
    address = f"{chat[1]}@{chat[2].lower()}" if chat else ""
    return address if len(address) <= _ADDRESS_LENGTH else ""


def group_address(value: object) -> str:
    """A group's id, which lists write without its suffix, as a canonical address."""
    text = message_id(value)
    address = chat_address(text if "@" in text else f"{text}@g.us")
    return address if address.endswith("@g.us") else ""


def _chat_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """Where an inbound row is from, and why it is no message to us where it is none.

    `waID` is the chat. `phone` may hold the number, or a group's id without its suffix.
    """
    for name in ("waid", "phone"):
        text = message_id(row.get(name))
        if ignored := _IGNORED.get(text.rpartition("@")[2].lower(), ""):
            return text.lower(), ignored
        address = group_address(text) if _GROUP_NUMBER.fullmatch(text) else chat_address(text)
        if address:
            return address, ""
    return "", ""


# --- One message ----------------------------------------------------------------------------------


def masked(body: object, secrets: Iterable[str]) -> tuple[str, Any]:
    """The instance id of a row or body, and the body without it and everything like it."""
    to = message_id(lower_keys(body).get("instanceid"))
    values = [*secrets, *([to] if len(to) >= SHORTEST_SECRET else [])]
    return to, redact_json(body, SECRET_KEYS, values)


def _inbound(row: Mapping[str, Any], said: Said, to: str, zone: tzinfo) -> Inbound:
    address, ignored = _chat_of(row)
    wa_id, ref = message_id(row.get("wamessageid")), message_id(row.get("messageid"))
    data: dict[str, Any] = {}
    if ignored:
        data["ignored"] = ignored
    name, phone = first(row, ("full_push_name", "pushname", "name")), chat_address(row.get("phone"))
    if address.endswith("@g.us"):
        # The row's name is its author's, not the group's.
        data |= {"author": phone if phone.startswith("+") else "", "author_name": name}
        name = ""
    elif address.endswith("@lid") and phone.startswith("+") and phone[1:] not in address:
        data["phone"] = phone
    at = parse_time(row.get("createdat"), zone)
    if at is None:
        data["createdAt"] = word(row.get("createdat"))
    return Inbound(
        # Only polls know the gateway's own id; WhatsApp's is the one both ways bring.
        external_id=wa_id or (f"messageID:{ref}"[:200] if ref else ""),
        external_ref=ref,
        to=to,
        channel="whatsapp",
        address=address,
        name=name,
        kind=said.kind,
        content=said.content,
        text=said.text,
        occurred_at=at,
        media=said.media,
        external_data={key: value for key, value in data.items() if value},
    )


def _object(kind: str, value: object) -> Said | None:
    """A location or cards, where the undocumented object explains itself."""
    if kind == "location":
        return received.location(value)
    return received.contacts(value) if kind in ("contact", "contacts", "vcard") else None


# --- The inbox report -----------------------------------------------------------------------------


def page(
    rows: list[dict[str, Any]], complete: bool, *, zone: tzinfo, secrets: list[str], base_url: str
) -> InboxPage:
    """Rows of the report, their names in lower case, oldest first and each once."""
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        found.setdefault(message_id(row.get("messageid")) or f" {number}", row)
    ids = [row_id for row_id in found if not row_id.startswith(" ")]
    by_id = len(ids) == len(found) and all(map(_OBJECT_ID.fullmatch, ids))

    def age(item: tuple[str, dict[str, Any]]) -> tuple[str, datetime]:
        at = parse_time(item[1].get("createdat"), zone) or datetime.min.replace(tzinfo=UTC)
        return (item[0].lower() if by_id else "", at)

    oldest_first = sorted(found.items(), key=age)
    cursors = [each for each, _row in oldest_first if each in ids and len(each) <= _CURSOR_LENGTH]
    return InboxPage(
        events=tuple(_of_row(row, zone, secrets, base_url) for _id, row in oldest_first),
        cursor=cursors[-1] if cursors else "",
        complete=complete,
    )


def _of_row(row: dict[str, Any], zone: tzinfo, secrets: list[str], base_url: str) -> Inbound:
    to, shown = masked(row, secrets)
    return _inbound(shown, _said_by_row(shown, base_url), to, zone)


def _said_by_row(row: Mapping[str, Any], base_url: str) -> Said:
    text = row["text"] if isinstance(row.get("text"), str) else ""
    value = row.get("value")
    if row.get("ismedia") is True or row.get("mediatype") or row.get("mediapath"):
        return _file_of_row(row, text, base_url)
    for name in ("location", "contact"):
        if row.get(f"is{name}") is True or row.get(name):
            return _object(name, row.get(name)) or _unread(row, text)
    for flag, name in _FLAGS.items():
        if row.get(flag) is True or row.get(name):
            return _tapped(row.get(name), text) or _unread(row, text)
    if text or (isinstance(value, str) and value):
        return received.text(text or str(value))
    return _unread(row, "")


def _unread(row: Mapping[str, Any], text: str) -> Said:
    """The row as it is, without its many empty fields."""
    raw = {name: value for name, value in row.items() if value not in (None, "", False, 0, [], {})}
    return received.unsupported(raw, text)


def _file_of_row(row: Mapping[str, Any], caption: str, base_url: str) -> Said:
    """The report's files lie at the gateway, if it says where; else only the webhook has them."""
    value = lower_keys(row.get("value"))
    declared = word(row.get("mediatype"))
    kind = received.media_kind(declared, value.get("type")) or "document"
    content_type = declared if "/" in declared else word(value.get("type"))
    links = (row.get("mediapath"), row.get("link"))
    link = next((str(each) for each in links if is_own_file(each, base_url)), "")
    media = InboundMedia(
        link=link, content_type=content_type[: received.TYPE_LENGTH], missing=not link
    )
    return received.media(kind, media, caption or value.get("caption"))


def is_own_file(link: object, base_url: str) -> bool:
    """True for a web address at the gateway itself which holds nothing that had to be masked.

    A row is written by the gateway, but what it points to could be anything a stranger sent.
    """
    address = received.web_link(link)
    if not address or MASK in address:
        return False
    try:
        there, here = urlsplit(address), urlsplit(base_url)
        own = (here.scheme, here.hostname, here.port or _port(here.scheme))
        found = (there.scheme, there.hostname, there.port or _port(there.scheme))
    except ValueError:
        return False
    return "@" not in there.netloc and found in (own, ("https", here.hostname, 443))


def _port(scheme: str) -> int:
    return 80 if scheme == "http" else 443


def _tapped(value: object, text: str) -> Said | None:
    row = lower_keys(value)
    title = text or first(row, _TITLES) or word(value)
    return received.button_reply(title, first(row, _REPLY_IDS)) if title else None


# --- The webhook ----------------------------------------------------------------------------------


def read_webhook(request: WebhookRequest, *, zone: tzinfo, secrets: list[str]) -> Parsed:
    """All that a request says. One JSON array may hold several bodies."""
    bodies = _bodies(request)
    events: list[Inbound | StatusUpdate] = []
    problems: list[str] = []
    files = sorted(
        (file for file in request.files if file.field.lower() != "json"),
        key=lambda file: file.field.lower() != "file1",
    )
    if not bodies:
        problems.append(_("The request holds no JSON object that can be read."))
    for body in bodies:
        to, shown = masked(body, secrets)
        row = lower_keys(shown)
        report = _report_of(row)
        if report == "inbox":
            said = _said_by_body(row, shown, files)
            events.append(_inbound(row, said, to, zone))
        elif report == "delivery" and message_id(row.get("messageid")):
            events.append(_delivery(row, to, zone))
        else:
            problems.append(_problem(row, report))
    if files:
        problems.append(_("A file came that belongs to no message."))
    return Parsed(events=tuple(events), problems=tuple(problems))


def _bodies(request: WebhookRequest) -> list[Any]:
    """The JSON of a request wherever it stands, whatever its content type says."""
    found = received.json_in(request.body)
    if not isinstance(found, dict | list):
        fields = dict(request.fields)
        if not fields:
            try:
                fields = dict(parse_qsl(request.body, keep_blank_values=True, errors="replace"))
            except ValueError:
                return []
        given = lower_keys(fields)
        found = received.json_in(clean(str(given.get("json") or "")))
        if not isinstance(found, dict | list):
            found = {name: clean(value) for name, value in given.items() if value}
            return [found] if "reporttype" in found else []
    return found if isinstance(found, list) else [found]


def _report_of(row: Mapping[str, Any]) -> str:
    """inbox, delivery, or the gateway's word; by its fields where a body does not name itself."""
    if "reporttype" in row or not row:
        return word(row.get("reporttype")).lower()
    if "value" in row or "type" in row:
        return "inbox"
    return "delivery" if "status" in row and "messageid" in row else ""


def _problem(row: Mapping[str, Any], report: str) -> str:
    if not row:
        return _("An entry is no JSON object.")
    if report == "delivery":
        return _("A delivery report names no message.")
    return _("“%(report)s” is no kind of report that is known here.") % {"report": report}


def _delivery(row: Mapping[str, Any], to: str, zone: tzinfo) -> StatusUpdate:
    """A delivery report, whose `status` is on the scale of the phone's acknowledgements.

    Whether `createdAt` is the time of the message or of this step is not documented, so it is
    kept as it is and moves nothing.
    """
    fields = {name: row.get(name) for name in ("messageid", "wamessageid", "phone", "readat")} | {
        "statusmessage": row.get("status"),
        "statusmessageinfo": row.get("statusinfo"),
    }
    update = status_update(fields, zone)
    created = word(row.get("createdat"))
    data = {**update.external_data, **({"createdAt": created} if created else {})}
    return replace(
        update,
        to=to,
        address=chat_address(row.get("phone")),
        external_data=data,
    )


def _said_by_body(row: Mapping[str, Any], body: object, files: list[WebhookFile]) -> Said:
    """The words of one body, which takes the file that came with it out of `files`."""
    kind, value = word(row.get("type")).lower(), row.get("value")
    if kind in ("text", "") and isinstance(value, str):
        return received.text(value)
    parts = lower_keys(value)
    if said := _object(kind, value):
        return said
    caption = parts["caption"] if isinstance(parts.get("caption"), str) else ""
    media_kind = received.media_kind(kind, parts.get("type"))
    if media_kind:
        file = files.pop(0) if files else None
        return received.media(media_kind, _file(file, parts.get("type")), caption)
    file = files.pop(0) if files and kind != "text" else None
    words = value if isinstance(value, str) else caption
    return received.unsupported(body, words, _file(file, "") if file else None)


def _file(file: WebhookFile | None, declared: object) -> InboundMedia:
    """Without a filename the file has arrived as a text, which no longer is the file."""
    content_type = word(declared, received.TYPE_LENGTH)
    if file is None:
        return InboundMedia(content_type=content_type, missing=True)
    return InboundMedia(
        file=file.key,
        filename=word(file.filename),
        content_type=content_type or word(file.content_type, received.TYPE_LENGTH),
    )


def owned(to: str, names: Iterable[str]) -> bool:
    """Whether `to` is one of these secret names, told in a time that does not depend on them."""
    given = to.encode("utf-8", "replace")
    matches = [compare_digest(given, name.encode("utf-8", "replace")) for name in names if name]
    return bool(to) and any(matches)
