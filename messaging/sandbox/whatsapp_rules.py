"""What each send operation of the WhatsApp HTTP API takes (sections 1.1 to 1.9) and refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from .links import MAX_LINK_BYTES, Download, well_formed

if TYPE_CHECKING:
    from .forms import Params
    from .whatsapp_http import Fields

CODES = {
    "00": "Success",
    "01": "Access token failed",
    "02": "Client id not found",
    "03": "Instance id not found",
    "04": "Phone number not registered on whatsapp or your instance not connected",
    "05": "Quota expiry",
    "06": "Not enough quota",
    "07": "Quota limit",
    "08": "Save file / document failed",
    "09": "Link not valid",
    "10": "Download file failed",
    "11": "Unknown file type",
    "12": "Parsing parameter failed",
    "13": "Parameter required",
    "14": "Data not found",
    "15": "QrCode failed",
}
"""Section 9."""

LIST_REFUSAL = "please check request required header/message/buttonText/ at least one row"

ECHOED = {"01", "02", "03", "04", "05", "06", "07", "11", "12", "13", "list"}
"""Refusals that repeat the whole request; the document's samples of 08, 09, 10 and 14 do not."""

MAX_UPLOAD_BYTES = 3_000_000
TEXT_BYTES = 2000
BODY_CHARACTERS = 1024
FOOTER_CHARACTERS = HEADER_CHARACTERS = 60
LABEL_CHARACTERS = 20
DESCRIPTION_CHARACTERS = 30
NAME_CHARACTERS = 30

BUTTON_SETS = (
    {"b1"},
    {"b1", "b2"},
    {"b1", "b2", "b3"},
    {"call"},
    {"url"},
    {"call", "url"},
    {"call", "b1"},
    {"url", "b1"},
    {"call", "url", "b1"},
)
"""The nine combinations that section 1.6 allows."""

BUTTON_PARAMETERS = (
    "button1",
    "button2",
    "button3",
    "callButtonText",
    "callButtonValue",
    "urlButtonText",
    "urlButtonValue",
)
BUTTON_FILE_TYPES = {
    "jpg", "jpeg", "png", "gif", "webp", "mp4", "3gp", "mov", "avi", "mkv", "webm",
    "doc", "docx", "xls", "xlsx", "ppt", "pptx", "pdf",
}  # fmt: skip
"""Section 1.7: "It supports image, video, word, excel, ppt, pdf files"."""

_PHONE = re.compile(r"[0-9]{7,15}")
_DIALLABLE = re.compile(r"\+?[0-9]{3,15}")
_DEGREES = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,7})?")
_APP_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,5})$")


class RefusedError(Exception):
    """A documented refusal, by its two-digit code or `list` for the text of section 1.9."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.message = LIST_REFUSAL if code == "list" else f"{code}-{CODES[code]}"
        super().__init__(self.message)


class Send(NamedTuple):
    """One send operation."""

    kind: str
    required: tuple[str, ...]
    allowed: tuple[str, ...]
    check: Callable[[Fields], None]
    ids_key: str
    upload_ids_key: str = ""
    text: str = "message"
    refusal: str = "13"


def check_names(
    params: Params, required: Iterable[str], allowed: tuple[str, ...], refusal: str = "13"
) -> None:
    """Refuse parameters the document does not name, repeated ones, and missing ones."""
    for name, values in params.items():
        if name not in allowed or (len(values) > 1 and name != "rows"):
            raise RefusedError("12")
    for name in required:
        if not any(params.get(name, ())):
            raise RefusedError(refusal if name not in ("token", "phone") else "13")


def characters(text: str) -> int:
    """Length by code points or UTF-16 units, whichever is more: the document does not say."""
    return max(len(text), len(text.encode("utf-16-le", "surrogatepass")) // 2)


def list_echo(params: Params) -> Params:
    """The echo of section 1.9, where the server calls the message description and the header
    title."""
    names = {"message": "description", "header": "title"}
    return {names.get(name, name): values for name, values in params.items()}


def _check_phone(fields: Fields) -> None:
    if not _PHONE.fullmatch(fields.one("phone")):
        raise RefusedError("12")


def _limit(text: str, most: int) -> None:
    if characters(text) > most:
        raise RefusedError("12")


def _limit_bytes(text: str) -> None:
    if len(text.encode()) > TEXT_BYTES:
        raise RefusedError("12")


def _check_text(fields: Fields) -> None:
    _check_phone(fields)
    _limit_bytes(fields.one("message"))


def _check_file(fields: Fields) -> None:
    _check_phone(fields)
    link = fields.one("link")
    if fields.files:
        if link or set(fields.files) != {"file"} or len(fields.files["file"]) != 1:
            raise RefusedError("12")
        upload = fields.files["file"][0]
        if not upload.filename or not 0 < upload.size <= MAX_UPLOAD_BYTES:
            raise RefusedError("08")
        return
    if not link:
        raise RefusedError("13")
    if not well_formed(link):
        raise RefusedError("09")
    _check_download(fields.download)


def _check_download(download: Download | None) -> None:
    if download is None:
        return
    # A web page in place of a file is what an expired or mistaken link gives.
    if not 0 < download.size <= MAX_LINK_BYTES or download.content_type == "text/html":
        raise RefusedError("10")


def _check_captioned_file(fields: Fields) -> None:
    _check_file(fields)
    _limit_bytes(fields.one("message"))


def _check_location(fields: Fields) -> None:
    _check_phone(fields)
    for name, most in (("degreesLatitude", 90), ("degreesLongitude", 180)):
        value = fields.one(name)
        if not _DEGREES.fullmatch(value) or abs(float(value)) > most:
            raise RefusedError("12")


def _check_contact(fields: Fields) -> None:
    _check_phone(fields)
    _limit(fields.one("contactName"), NAME_CHARACTERS)
    if not _DIALLABLE.fullmatch(fields.one("contactPhone")):
        raise RefusedError("12")


def _check_buttons(fields: Fields) -> None:
    _limit(fields.one("message"), BODY_CHARACTERS)
    _limit(fields.one("footer"), FOOTER_CHARACTERS)
    used = set()
    for short, name in (("b1", "button1"), ("b2", "button2"), ("b3", "button3")):
        if fields.one(name):
            used.add(short)
            _limit(fields.one(name), LABEL_CHARACTERS)
    for short, valid in (("call", _DIALLABLE), ("url", _APP_URL)):
        text, value = fields.one(f"{short}ButtonText"), fields.one(f"{short}ButtonValue")
        if not text and not value:
            continue
        if not text or not value:
            raise RefusedError("13")
        _limit(text, LABEL_CHARACTERS)
        if not valid.fullmatch(value):
            raise RefusedError("12")
        used.add(short)
    if not used:
        raise RefusedError("13")
    if used not in BUTTON_SETS:
        raise RefusedError("12")


def _check_text_button(fields: Fields) -> None:
    _check_phone(fields)
    _check_buttons(fields)


def _check_location_button(fields: Fields) -> None:
    _check_location(fields)
    _check_buttons(fields)


def _check_files_button(fields: Fields) -> None:
    _check_file(fields)
    if fields.files:
        upload = fields.files["file"][0]
        if _extension(upload.filename) not in BUTTON_FILE_TYPES:
            raise RefusedError("11")
    elif _extension(urlsplit(fields.one("link")).path) not in BUTTON_FILE_TYPES | {""}:
        # A link need not end in a file name; one that names another kind is refused.
        raise RefusedError("10")
    _check_buttons(fields)


def _extension(name: str) -> str:
    match = _EXTENSION.search(name)
    return match.group(1).lower() if match else ""


def _check_list(fields: Fields) -> None:
    _check_phone(fields)
    _limit(fields.one("header"), HEADER_CHARACTERS)
    _limit(fields.one("message"), BODY_CHARACTERS)
    _limit(fields.one("footer"), FOOTER_CHARACTERS)
    _limit(fields.one("buttonText"), LABEL_CHARACTERS)
    for row in fields.params["rows"]:
        parts = row.split(":")
        if len(parts) != 3 or not parts[1].strip():
            raise RefusedError("12")
        _limit(parts[0], LABEL_CHARACTERS)
        _limit(parts[1], LABEL_CHARACTERS)
        _limit(parts[2], DESCRIPTION_CHARACTERS)


_BASE = ("token", "phone")
_PLACE = ("degreesLatitude", "degreesLongitude", "name")


def _send(
    kind: str,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    check: Callable[[Fields], None],
    keys: tuple[str, str],
    text: str = "message",
    refusal: str = "13",
) -> Send:
    needed = _BASE + required
    return Send(kind, needed, needed + optional, check, *keys, text=text, refusal=refusal)


_UPPER, _LOWER = "messageIDs", "messageIds"

SENDS = {
    "sendText": _send("text", ("message",), (), _check_text, (_UPPER, _UPPER)),
    "sendFiles": _send("file", (), ("link",), _check_file, (_UPPER, _UPPER), "link"),
    "sendFileWithCaption": _send(
        "file", ("message",), ("link",), _check_captioned_file, (_UPPER, _LOWER)
    ),
    "sendLocation": _send(
        "location", _PLACE, ("address", "url"), _check_location, (_LOWER, _LOWER), "name"
    ),
    "sendContact": _send(
        "contact",
        ("contactName", "contactPhone"),
        ("contactOrganization",),
        _check_contact,
        (_UPPER, _UPPER),
        "contactName",
    ),
    "sendTextButton": _send(
        "buttons",
        ("message",),
        ("footer", *BUTTON_PARAMETERS),
        _check_text_button,
        (_UPPER, _UPPER),
    ),
    "sendFilesButton": _send(
        "buttons",
        ("message",),
        ("link", "footer", *BUTTON_PARAMETERS),
        _check_files_button,
        (_LOWER, _UPPER),
    ),
    "sendLocationButton": _send(
        "buttons",
        (*_PLACE, "message"),
        ("footer", *BUTTON_PARAMETERS),
        _check_location_button,
        (_UPPER, _UPPER),
    ),
    "sendList": _send(
        "list",
        ("message", "buttonText", "rows"),
        ("header", "footer"),
        _check_list,
        (_LOWER, _LOWER),
        refusal="list",
    ),
}
"""Operation -> its rules. `messageIDs` and `messageIds` as each section's sample spells it."""
