"""What the WhatsApp HTTP API can say: contents as its operations and parameters, and its limits.

Section numbers are those of the document ("Whatsapp HTTP API Specification 2.0.0", June 2022).
Parameters are spelled as in its addresses, not as in its tables, which write some in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final
from urllib.parse import urlsplit

from ..content import (
    Buttons,
    ContactCard,
    ContactCards,
    Content,
    ListMenu,
    ListRow,
    Location,
    Media,
    Text,
)
from ..i18n import gettext as _
from .base import Upload, Validation

#: Largest text of one part, in bytes of UTF-8 (1.1, 1.3).
TEXT_BYTES: Final = 2000
#: Largest uploaded file, in bytes. The document says "3 mb"; the smaller reading.
UPLOAD_BYTES: Final = 3_000_000
#: In characters, counted the strict way: see `characters`.
MESSAGE, FOOTER, HEADER, LABEL, DESCRIPTION, NAME = 1024, 60, 60, 20, 30, 30
#: Rows of a list; the document names no limit, WhatsApp's own is ten.
ROWS: Final = 10

#: What can stand above buttons (1.7): pictures, films, Word, Excel, PowerPoint, PDF.
_HEADER_KINDS: Final = ("image", "video", "document")
_HEADER_TYPES: Final = frozenset(
    {"jpg", "jpeg", "png", "gif", "webp", "mp4", "3gp", "mov", "avi", "mkv", "webm"}
    | {"doc", "docx", "xls", "xlsx", "ppt", "pptx", "pdf"}
)
# The parts of a name stand in the displayed name already.
_CARD_PARTS: Final = frozenset(
    {"name", "phones", "organization"}
    | {"prefix", "first_name", "middle_name", "last_name", "suffix"}
)

Parameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """An operation and its parameters, without token and phone."""

    operation: str
    parameters: Parameters


def characters(text: str) -> int:
    """Length in UTF-16 units, never less than in characters: the document does not say which."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def request(content: Content) -> Request:
    """The request that says this content. Uploaded files travel beside it."""
    match content:
        case Text():
            return Request("sendText", (("message", _lines(content.body)),))
        case Media():
            operation = "sendFileWithCaption" if content.caption else "sendFiles"
            return Request(operation, _given(link=content.link, message=_lines(content.caption)))
        case Location():
            place = _place(content)
            return Request("sendLocation", place + _given(address=content.address, url=content.url))
        case ContactCards():
            card = content.cards[0]
            return Request(
                "sendContact",
                _given(
                    contactName=card.name,
                    contactPhone=_digits(card.phones[0].phone),
                    contactOrganization=card.organization,
                ),
            )
        case Buttons():
            return _buttons(content)
        case ListMenu():
            return _list(content)
        case _:
            raise TypeError(content.kind)


def _buttons(content: Buttons) -> Request:
    header = content.header
    operation = "sendTextButton"
    start: Parameters = ()
    if isinstance(header, Media):
        operation, start = "sendFilesButton", _given(link=header.link)
    elif isinstance(header, Location):
        operation, start = "sendLocationButton", _place(header)
    labels = {f"button{index}": reply.title for index, reply in enumerate(content.replies, 1)}
    if content.call:
        labels["callButtonText"] = content.call.text
        labels["callButtonValue"] = f"+{_digits(content.call.phone)}"
    if content.url:
        labels["urlButtonText"] = content.url.text
        labels["urlButtonValue"] = content.url.url
    words = _given(message=_lines(content.body), footer=_lines(content.footer), **labels)
    return Request(operation, start + words)


def _list(content: ListMenu) -> Request:
    words = _given(
        header=content.header,
        message=_lines(content.body),
        footer=_lines(content.footer),
        buttonText=content.button,
    )
    # Both colons stand even where the section or the description is empty.
    rows = tuple(("rows", ":".join((row.section, row.title, row.description)))
                 for row in content.rows)  # fmt: skip
    return Request("sendList", words + rows)


def _given(**values: str) -> Parameters:
    return tuple((name, value) for name, value in values.items() if value)


def _place(location: Location) -> Parameters:
    return _given(
        degreesLatitude=_degrees(location.latitude),
        degreesLongitude=_degrees(location.longitude),
        name=location.name,
    )


def _degrees(value: float) -> str:
    """A plain decimal with at most seven places (a centimetre), never an exponent."""
    text = f"{value:.7f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _digits(phone: str) -> str:
    return re.sub("[^0-9]", "", phone).removeprefix("00")


# --- Limits -------------------------------------------------------------------------------------


def validate(content: Content) -> Validation:
    """What the document forbids or cannot express, and what may be lost, in words."""
    return Validation(refusals=tuple(_refusals(content)), warnings=tuple(_warnings(content)))


def _refusals(content: Content) -> Iterator[str]:
    match content:
        case Text():
            yield from _bytes(_("The message"), content.body)
        case Media():
            yield from _bytes(_("The text beside the file"), content.caption)
        case Location():
            yield from _place_refusals(content)
        case ContactCards():
            yield from _card_refusals(content)
        case Buttons():
            yield from _buttons_refusals(content)
        case ListMenu():
            yield from _list_refusals(content)
        case _:
            yield _("This gateway cannot send this kind of message.")


def _bytes(what: str, text: str) -> Iterator[str]:
    size = len(_lines(text).encode("utf-8", "replace"))
    if size > TEXT_BYTES:
        yield _(
            "%(what)s is too long for this gateway: %(size)d bytes, at most %(limit)d. Most letters"
            " count as one, letters with accents as two, other scripts as three and emoji as four"
            " or more."
        ) % {"what": what, "size": size, "limit": TEXT_BYTES}


def _length(what: str, text: str, limit: int) -> Iterator[str]:
    size = characters(_lines(text))
    if size > limit:
        yield _(
            "%(what)s is too long for this gateway: %(size)d characters, at most %(limit)d. Emoji"
            " count as two or more."
        ) % {"what": what, "size": size, "limit": limit}


def _place_refusals(location: Location) -> Iterator[str]:
    if not location.name.strip():
        yield _("This gateway needs a name for the location.")


def _card_refusals(content: ContactCards) -> Iterator[str]:
    if len(content.cards) != 1:
        yield _("This gateway sends one contact card per message.")
    for card in content.cards[:1]:
        yield from _length(_("The name on the contact card"), card.name, NAME)
        if not card.phones or not _digits(card.phones[0].phone):
            yield _("This gateway needs a phone number on the contact card.")


def _buttons_refusals(content: Buttons) -> Iterator[str]:
    yield from _length(_("The message above the buttons"), content.body, MESSAGE)
    yield from _length(_("The footer"), content.footer, FOOTER)
    labels = [reply.title for reply in content.replies]
    labels += [button.text for button in (content.call, content.url) if button]
    for label in labels:
        yield from _length(_("The button “%(label)s”") % {"label": label}, label, LABEL)
    if len(labels) > 3:
        yield _("This gateway allows at most three buttons.")
    elif (content.call or content.url) and len(content.replies) > 1:
        yield _("Beside a call or link button this gateway allows one reply button only.")
    if content.call and not re.fullmatch("[1-9][0-9]{6,14}", _digits(content.call.phone)):
        yield _("The call button needs a phone number with its country code.")
    yield from _header_refusals(content.header)


def _header_refusals(header: Content | None) -> Iterator[str]:
    if isinstance(header, Text):
        yield _(
            "This gateway has no text above a message with buttons. Put it into the message, or"
            " use a file or a location there."
        )
    elif isinstance(header, Location):
        yield from _place_refusals(header)
    elif isinstance(header, Media):
        name = header.filename or urlsplit(header.link).path
        if header.kind not in _HEADER_KINDS or _file_type(name) not in _HEADER_TYPES | {""}:
            yield _wrong_header_file()


def upload_refusal(content: Content, upload: Upload) -> str:
    """Why this file cannot be sent with this content, as a sentence, or ""."""
    if not 0 < upload.size <= UPLOAD_BYTES:
        return _("This gateway takes files of at most 3 MB; this one has %(size).1f MB.") % {
            "size": upload.size / 1_000_000
        }
    if isinstance(content, Buttons) and _file_type(upload.filename) not in _HEADER_TYPES:
        return _wrong_header_file()
    return ""


def too_long_for_address() -> str:
    """The sentence for parameters that fit into a body but not into an address."""
    return _(
        "This message is too long for a gateway that reads parameters from the address. Shorten it,"
        " or choose “In the body” in the provider's settings if the gateway can read that."
    )


def _wrong_header_file() -> str:
    return _(
        "Above buttons this gateway takes pictures, films, Word, Excel, PowerPoint and PDF files"
        " only."
    )


def _file_type(name: str) -> str:
    """The letters behind a file name's last dot, in lower case; "" where there are none."""
    found = re.search(r"\.([A-Za-z0-9]{1,5})$", name)
    return found[1].lower() if found else ""


def _list_refusals(content: ListMenu) -> Iterator[str]:
    yield from _length(_("The header"), content.header, HEADER)
    yield from _length(_("The message above the list"), content.body, MESSAGE)
    yield from _length(_("The footer"), content.footer, FOOTER)
    yield from _length(_("The button that opens the list"), content.button, LABEL)
    if len(content.rows) > ROWS:
        yield _("A list holds at most %(limit)d rows.") % {"limit": ROWS}
    for row in content.rows:
        yield from _row_refusals(row)


def _row_refusals(row: ListRow) -> Iterator[str]:
    parts = ((row.section, LABEL), (row.title, LABEL), (row.description, DESCRIPTION))
    for text, limit in parts:
        yield from _length(_("“%(text)s” in the list") % {"text": text}, text, limit)
        if ":" in text:
            yield _(
                "“%(text)s” in the list holds a colon, which this gateway uses between the parts of"
                " a row. Write 10.30 instead of 10:30."
            ) % {"text": text}


def _warnings(content: Content) -> Iterator[str]:
    match content:
        case Media() if content.caption and content.kind == "document":
            yield _(
                "This gateway delivers documents without the text beside them. Send the text as a"
                " message of its own."
            )
        case Media() if content.caption and content.kind in ("audio", "sticker"):
            yield _("The text beside the file may not be displayed.")
        case ContactCards():
            if any(_left_out(card) for card in content.cards[:1]):
                yield _(
                    "This gateway sends the name, the first phone number and the organization of a"
                    " contact card. The rest is left out."
                )
        case Buttons():
            yield from _buttons_warnings(content)
        case ListMenu():
            yield _may_not_show()
    if any("\\n" in text for text in _texts(content)):
        yield _("The gateway may turn the characters \\n into a new line.")


def _may_not_show() -> str:
    return _(
        "Phones may not display buttons and lists from this gateway. A plain text with numbered"
        " choices always arrives."
    )


def _buttons_warnings(content: Buttons) -> Iterator[str]:
    yield _may_not_show()
    if content.replies and (content.call or content.url):
        yield _(
            "The gateway's document contradicts itself on reply buttons beside call and link"
            " buttons. Try this message with one person first."
        )
    if isinstance(content.header, Location) and (content.header.address or content.header.url):
        yield _("Above buttons this gateway shows the location's name only.")
    if isinstance(content.header, Media) and content.header.caption:
        yield _("The text beside the file is left out, because the message takes its place.")


def _left_out(card: ContactCard) -> bool:
    parts = (spec.name for spec in fields(card) if spec.name not in _CARD_PARTS)
    return len(card.phones) > 1 or any(getattr(card, name) for name in parts)


def _texts(content: Content) -> Iterator[str]:
    for name in ("body", "caption", "footer"):
        text = getattr(content, name, "")
        if isinstance(text, str):
            yield text
