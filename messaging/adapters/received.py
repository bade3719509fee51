"""What comes in, read into the words of `messaging.content`: shared by all gateways that report it.

A stranger wrote it, and documents show little of it: whatever cannot be read becomes a kind of its
own ("unsupported") that keeps the gateway's object. Nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..content import (
    MEDIA_KINDS,
    CardAddress,
    CardEmail,
    CardPhone,
    CardUrl,
    ContactCard,
    ContactCards,
    Content,
    Location,
    Media,
    Text,
    is_web_link,
)
from ..events import InboundMedia
from ..i18n import gettext as _
from .answers import parse
from .whatsapp_rows import lower_keys

#: Room for names, file names and types in the rows they are kept in.
NAME_LENGTH: Final = 255
TYPE_LENGTH: Final = 100
LINK_LENGTH: Final = 2000

#: What gateways and phones call kinds of files, beside our own words.
_MEDIA_WORDS: Final[Mapping[str, str]] = {kind: kind for kind in MEDIA_KINDS} | {
    "ptt": "audio",
    "voice": "audio",
    "gif": "video",
    "file": "document",
}
_BAD_CHARACTERS: Final = re.compile("[\x00\ud800-\udfff]")
_LATITUDES: Final = ("latitude", "degreeslatitude", "lat")
_LONGITUDES: Final = ("longitude", "degreeslongitude", "lng", "lon")
_NAMES: Final = ("formatted_name", "contactname", "displayname", "name", "first_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a message says, as `events.Inbound` wants it."""

    kind: str
    content: Mapping[str, Any]
    text: str = ""
    media: InboundMedia | None = None


def clean(text: str) -> str:
    """The text without what no database stores: NUL and lone surrogates."""
    return _BAD_CHARACTERS.sub("\ufffd", text)


def json_in(text: str) -> Any:
    """The JSON in a text, storable, or NOT_JSON."""
    return parse(text.encode("utf-8", "replace"))


def word(value: object, length: int = NAME_LENGTH) -> str:
    """A short text, or "" for anything else."""
    return clean(value).strip()[:length] if isinstance(value, str) else ""


def first(row: Mapping[str, Any], names: tuple[str, ...], length: int = NAME_LENGTH) -> str:
    """The first of these fields that is a text with something in it."""
    return next((text for name in names if (text := word(row.get(name), length))), "")


# --- Kinds that can be sent, too ------------------------------------------------------------------


def text(body: str) -> Said:
    return _said(Text(body))


def _said(content: Content) -> Said:
    return Said(kind=content.kind, content=content.to_json(), text=content.preview())


def media_kind(name: object, content_type: object = "") -> str:
    """The kind of file a gateway's word or a MIME type names, "" where neither does."""
    known = word(name).lower()
    if known in _MEDIA_WORDS:
        return _MEDIA_WORDS[known]
    family = (word(content_type) if "/" not in known else known).partition("/")
    if not family[1]:
        return ""
    return family[0].lower() if family[0].lower() in ("image", "video", "audio") else "document"


def media(kind: str, source: InboundMedia, caption: object = "", *, link: str = "") -> Said:
    """A file. `link` is the one the content shows, where it may be shown."""
    filename = source.filename if kind == "document" else ""
    caption = clean(caption) if isinstance(caption, str) else ""
    content = Media(kind, link=link, filename=filename, caption=caption)
    return Said(kind=kind, content=content.to_json(), text=content.preview(), media=source)


def web_link(value: object) -> str:
    """The value where it is an absolute web address we have room for, else ""."""
    link = clean(value).strip() if isinstance(value, str) else ""
    return link if len(link) <= LINK_LENGTH and is_web_link(link) else ""


def location(data: object) -> Said | None:
    """A place, None where it has no coordinates."""
    row = lower_keys(data)
    content = Location(
        _degrees(row, _LATITUDES),
        _degrees(row, _LONGITUDES),
        name=word(row.get("name")),
        address=word(row.get("address"), LINK_LENGTH),
        url=web_link(row.get("url")),
    )
    return None if content.problems() else _said(content)


def _degrees(row: Mapping[str, Any], names: tuple[str, ...]) -> float:
    """A coordinate, given as a number or as its text; NaN, which is in no range, where none is."""
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float("nan")
    try:
        return float(value)
    except (ValueError, OverflowError):
        return float("nan")


def contacts(data: object) -> Said | None:
    """Contact cards in Meta's form, or any near it; None where no card has a name."""
    entries = data if isinstance(data, list) else [data]
    cards = [card for entry in entries if (card := _card(lower_keys(entry)))]
    return _said(ContactCards(tuple(cards))) if cards else None


def _card(row: Mapping[str, Any]) -> ContactCard | None:
    names, org = lower_keys(row.get("name")), lower_keys(row.get("org"))
    phones = tuple(CardPhone(**part) for part in _parts(row.get("phones"), "phone", "type"))
    single = first(row, ("contactphone", "phone", "number"))
    if single and not phones:
        phones = (CardPhone(single),)
    name = first(names, _NAMES) or first(row, _NAMES) or (phones[0].phone if phones else "")
    if not name:
        return None
    birthday = word(row.get("birthday"))
    return ContactCard(
        name,
        phones=phones,
        organization=first(org, ("company",)) or first(row, ("contactorganization",)),
        department=word(org.get("department")),
        title=word(org.get("title")),
        first_name=word(names.get("first_name")),
        last_name=word(names.get("last_name")),
        middle_name=word(names.get("middle_name")),
        suffix=word(names.get("suffix")),
        prefix=word(names.get("prefix")),
        birthday=birthday if re.fullmatch(r"\d{4}-\d{2}-\d{2}", birthday, re.ASCII) else "",
        addresses=tuple(
            CardAddress(**part)
            for part in _parts(
                row.get("addresses"),
                *("street", "city", "state", "zip", "country", "country_code", "type"),
            )
        ),
        emails=tuple(CardEmail(**part) for part in _parts(row.get("emails"), "email", "type")),
        urls=tuple(CardUrl(**part) for part in _parts(row.get("urls"), "url", "type")),
    )


def _parts(entries: object, needed: str, *others: str) -> Iterator[dict[str, str]]:
    """The texts of a card's repeated parts. Of addresses no single part is needed."""
    for entry in entries if isinstance(entries, list) else ():
        row = lower_keys(entry)
        values = {name: word(row.get(name)) for name in (needed, *others)}
        if values[needed] or any(values[name] for name in others if name != "type"):
            yield values


# --- Kinds that only come in ----------------------------------------------------------------------


def button_reply(title: str, reply_id: str = "") -> Said:
    """A tap on a button or on a row of a list."""
    content = {"kind": "button_reply", "id": reply_id, "title": title}
    return Said(kind="button_reply", content=content, text=title or reply_id)


def reaction(emoji: str, message_id: str) -> Said:
    """An emoji on an earlier message; an empty one takes it back."""
    content = {"kind": "reaction", "emoji": emoji, "message_id": message_id}
    return Said(kind="reaction", content=content, text=emoji or _("Reaction removed"))


def binary(ud: str) -> Said:
    """An SMS of bytes, as hexadecimal digits."""
    return Said(kind="binary", content={"kind": "binary", "ud": ud}, text=_("Binary SMS"))


def unsupported(raw: object, words: str = "", media: InboundMedia | None = None) -> Said:
    """What nobody documented: the object is kept, with its words where it has any."""
    text = clean(words) or _("A message of a kind that cannot be shown here")
    content = {"kind": "unsupported", "raw": raw}
    return Said(kind="unsupported", content=content, text=text, media=media)
