"""WhatsApp's message object ("wa_msgobject_v2"): how Meta writes a message, and what it allows.

IntelliSoftware's document shows one sample per type and links to Meta for the rest. Where the
sample and Meta differ (captions on audio and stickers) the sample is followed and the clerk is
told that it may not be shown. Limits are Meta's Cloud API figures, in characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ..content import (
    NAMED,
    Buttons,
    ContactCard,
    ContactCards,
    Content,
    Location,
    Media,
    TemplateButton,
    TemplateMessage,
    Text,
    button_key,
    fill,
    header_key,
    placeholders,
)
from ..errors import NotSupported
from ..i18n import gettext as _
from .base import Upload, Validation

TEXT_LENGTH: Final = 4096
CAPTION_LENGTH: Final = 1024
BUTTONS_BODY_LENGTH: Final = 1024
LINE_LENGTH: Final = 60
"""A text header and a footer."""
MAX_BUTTONS: Final = 3
BUTTON_TITLE_LENGTH: Final = 20
BUTTON_ID_LENGTH: Final = 256
MAX_CARDS: Final = 257
FILENAME_LENGTH: Final = 240
TEMPLATE_NAME_LENGTH: Final = 512
TEMPLATE_BODY_LENGTH: Final = 1024

_HEADER_KINDS: Final = ("image", "video", "document")
_EXTENSIONS: Final[Mapping[str, frozenset[str]]] = {
    "image": frozenset({"jpg", "jpeg", "png"}),
    "video": frozenset({"mp4", "3gp", "3gpp"}),
    "audio": frozenset({"aac", "amr", "mp3", "m4a", "mp4", "ogg", "opus"}),
    "document": frozenset({"txt", "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx"}),
    "sticker": frozenset({"webp"}),
}
#: Others that files really have; anything else after a dot tells nothing about the file.
_OTHER_EXTENSIONS: Final = frozenset(
    {"avif", "avi", "bmp", "csv", "flac", "gif", "heic", "html", "mkv", "mov", "odt", "ods"}
    | {"rar", "rtf", "svg", "tif", "tiff", "wav", "webm", "wma", "zip"}
)
_KNOWN_EXTENSIONS: Final = _OTHER_EXTENSIONS.union(*_EXTENSIONS.values())

JSON = dict[str, Any]


#: Meta's size limits for media, in bytes; the gateway hands the file on as it is.
MEDIA_BYTES: Final = {
    "image": 5_000_000,
    "video": 16_000_000,
    "audio": 16_000_000,
    "document": 100_000_000,
    "sticker": 500_000,
}


def file_refusal(content: Content, upload: Upload) -> str:
    """Why WhatsApp would not take this file, as a sentence, or ""."""
    media = content.media
    most = MEDIA_BYTES.get(media.kind, 0) if media else 0
    if not most or upload.size <= most:
        return ""
    return _(
        "WhatsApp takes at most %(most).1f MB for this kind of file; it has %(size).1f MB."
    ) % {
        "most": most / 1_000_000,
        "size": upload.size / 1_000_000,
    }


def message_object(content: Content) -> JSON:
    """`{"type": T, T: {...}}` for a content. Raises NotSupported for what has no such form."""
    body: JSON | list[JSON]
    kind: str = content.kind
    match content:
        case Text():
            body = {"body": content.body}
        case Media():
            body = _media(content)
        case Location():
            body = _location(content)
        case ContactCards():
            body = [_card(card) for card in content.cards]
        case Buttons():
            kind, body = "interactive", _buttons(content)
        case TemplateMessage():
            body = _template(content)
        case _:
            raise NotSupported(_("This kind of message cannot be sent over this gateway."))
    return {"type": kind, kind: body}


def _filled(**values: Any) -> JSON:
    """The fields that have a value: an empty one would be refused."""
    return {name: value for name, value in values.items() if value not in ("", [], {})}


def _media(media: Media) -> JSON:
    filename = media.filename if media.kind == "document" else ""
    return {"link": media.link, **_filled(caption=media.caption, filename=filename)}


def _location(place: Location) -> JSON:
    return {
        "longitude": place.longitude,
        "latitude": place.latitude,
        **_filled(name=place.name, address=place.address),
    }


def _card(card: ContactCard) -> JSON:
    names = _filled(
        first_name=card.first_name,
        last_name=card.last_name,
        middle_name=card.middle_name,
        suffix=card.suffix,
        prefix=card.prefix,
    )
    return _filled(
        # Meta wants one more part of the name beside the displayed one.
        name={"formatted_name": card.name, **(names or {"first_name": card.name})},
        addresses=_entries(card.addresses),
        birthday=card.birthday,
        emails=_entries(card.emails),
        org=_filled(company=card.organization, department=card.department, title=card.title),
        phones=_entries(card.phones),
        urls=_entries(card.urls),
    )


def _entries(parts: Iterable[Any]) -> list[JSON]:
    """Cards' parts have the wire's own field names."""
    return [_filled(**part.to_json()) for part in parts]


def _buttons(content: Buttons) -> JSON:
    buttons = [
        {"type": "reply", "reply": {"id": reply_id, "title": reply.title}}
        for reply_id, reply in zip(reply_ids(content), content.replies, strict=True)
    ]
    return {
        "type": "button",
        "action": {"buttons": buttons},
        "body": {"text": content.body},
        **_filled(
            header=_buttons_header(content.header),
            footer=_filled(text=content.footer),
        ),
    }


def _buttons_header(header: Content | None) -> JSON:
    if isinstance(header, Text):
        return {"type": "text", "text": header.body}
    if isinstance(header, Media):
        return {"type": header.kind, header.kind: _media(header)}
    return {}


def reply_ids(content: Buttons) -> list[str]:
    """The ids of the reply buttons; Meta requires them, so missing ones come from the position."""
    return [reply.id or f"button_{index}" for index, reply in enumerate(content.replies, 1)]


def _template(content: TemplateMessage) -> JSON:
    template = content.template
    components = [
        *_component("header", _header_parameters(content)),
        *_component("body", _body_parameters(content)),
    ]
    for index, button in enumerate(template.buttons):
        parameters = _button_parameters(index, button, content.variables)
        components += _component("button", parameters, sub_type=button.type, index=str(index))
    return {
        "name": template.name,
        "language": {"policy": "deterministic", "code": template.language},
        **_filled(components=components),
    }


def _component(kind: str, parameters: list[JSON], **more: str) -> list[JSON]:
    """A component without variables is left out."""
    return [{"type": kind, **more, "parameters": parameters}] if parameters else []


def _header_parameters(content: TemplateMessage) -> list[JSON]:
    header, template = content.header, content.template
    if isinstance(header, Media):
        return [{"type": header.kind, header.kind: _media(header)}]
    if isinstance(header, Location):
        return [{"type": "location", "location": _location(header)}]
    if template.header_kind != "text":
        return []
    named = template.parameter_format == NAMED
    names = placeholders(template.header)
    return [
        _text_parameter(name, content.variables.get(header_key(name, named=named), ""), named)
        for name in names
    ]


def _body_parameters(content: TemplateMessage) -> list[JSON]:
    named = content.template.parameter_format == NAMED
    return [
        _text_parameter(name, content.variables.get(name, ""), named)
        for name in placeholders(content.template.body)
    ]


def _text_parameter(name: str, text: str, named: bool) -> JSON:
    return {"type": "text", **({"parameter_name": name} if named else {}), "text": text}


def _button_parameters(
    index: int, button: TemplateButton, variables: Mapping[str, str]
) -> list[JSON]:
    values = {
        name: variables.get(button_key(index, name), "") for name in placeholders(button.value)
    }
    if button.type == "url":
        return [{"type": "text", "text": value} for value in values.values()]
    if button.type == "copy_code":
        code = variables.get(button_key(index, "code"), "")
        return [{"type": "coupon_code", "coupon_code": code}]
    if button.type == "quick_reply" and button.value:
        return [{"type": "payload", "payload": fill(button.value, values)}]
    return []


def validate(content: Content) -> Validation:
    """What WhatsApp refuses in this content, and what it may not show, in words."""
    return Validation(refusals=tuple(_refusals(content)), warnings=tuple(_warnings(content)))


def _refusals(content: Content) -> Iterator[str]:
    match content:
        case Text():
            yield from too_long(_("Text"), content.body, TEXT_LENGTH)
        case Media():
            yield from _media_refusals(content)
        case Location():
            yield from _location_refusals(content)
        case ContactCards() if len(content.cards) > MAX_CARDS:
            yield _("At most %(limit)d contact cards fit into one message.") % {"limit": MAX_CARDS}
        case Buttons():
            yield from _buttons_refusals(content)
        case TemplateMessage():
            yield from _template_refusals(content)


def too_long(part: str, text: str, limit: int) -> Iterator[str]:
    """A sentence where `part` of a message has more characters than the limit, else nothing."""
    if len(text) > limit:
        yield _("%(part)s: %(length)d characters are too many, at most %(limit)d can be sent.") % {
            "part": part,
            "length": len(text),
            "limit": limit,
        }


def _media_refusals(media: Media) -> Iterator[str]:
    yield from too_long(_("Caption"), media.caption, CAPTION_LENGTH)
    if media.kind == "document":
        yield from too_long(_("File name"), media.filename, FILENAME_LENGTH)


def _location_refusals(place: Location) -> Iterator[str]:
    if place.url:
        yield _("A location cannot carry a link here. Send the link as a text.")


def _buttons_refusals(content: Buttons) -> Iterator[str]:
    if content.call:
        yield _("This gateway has no buttons that call a number. Write the number in the text.")
    if content.url:
        yield _("This gateway has no buttons that open a link. Write the link in the text.")
    if len(content.replies) > MAX_BUTTONS:
        yield _("At most %(limit)d buttons can be sent.") % {"limit": MAX_BUTTONS}
    yield from too_long(_("Text"), content.body, BUTTONS_BODY_LENGTH)
    yield from too_long(_("Footer"), content.footer, LINE_LENGTH)
    for reply in content.replies:
        yield from too_long(_("Button “%s”") % reply.title, reply.title, BUTTON_TITLE_LENGTH)
    yield from _reply_id_refusals(reply_ids(content))
    if content.header is not None:
        yield from _buttons_header_refusals(content.header)


def _reply_id_refusals(ids: list[str]) -> Iterator[str]:
    if len(set(ids)) != len(ids):
        yield _("Two buttons have the same id.")
    for reply_id in ids:
        yield from too_long(_("Button id"), reply_id, BUTTON_ID_LENGTH)
        if reply_id != reply_id.strip():
            yield _("A button's id may not begin or end with a space.")


def _buttons_header_refusals(header: Content) -> Iterator[str]:
    if isinstance(header, Text):
        yield from too_long(_("Header"), header.body, LINE_LENGTH)
    elif isinstance(header, Media) and header.kind in _HEADER_KINDS:
        yield from _header_media_refusals(header)
    else:
        yield _("The header above buttons can be a text, a picture, a video or a document.")


def _header_media_refusals(header: Media) -> Iterator[str]:
    yield from _media_refusals(header)
    if header.caption:
        yield _("A file in the header has no caption of its own. Put the words into the text.")


def _template_refusals(content: TemplateMessage) -> Iterator[str]:
    template = content.template
    if not template.name:
        yield _("The template has no name at the gateway.")
    if not template.language:
        yield _("The template has no language, such as en_GB.")
    yield from too_long(_("Template name"), template.name, TEMPLATE_NAME_LENGTH)
    if isinstance(content.header, Media):
        yield from _header_media_refusals(content.header)
        if content.header.kind not in _HEADER_KINDS:
            yield _("A template's header can be a text, a picture, a video, a document or a place.")
    elif isinstance(content.header, Location):
        yield from _location_refusals(content.header)
    yield from too_long(_("Text"), fill(template.body, content.variables), TEMPLATE_BODY_LENGTH)


def _warnings(content: Content) -> Iterator[str]:
    media = content.media
    if media is None:
        return
    if media.caption and media.kind in ("audio", "sticker"):
        yield _("WhatsApp may not show the caption beside an audio file or a sticker.")
    known, extension = _EXTENSIONS.get(media.kind, _KNOWN_EXTENSIONS), _extension(media)
    if extension in _KNOWN_EXTENSIONS - known:
        yield _("WhatsApp may not show “.%(extension)s” files here. It takes: %(known)s.") % {
            "extension": extension,
            "known": ", ".join(sorted(known)),
        }


def _extension(media: Media) -> str:
    """The file's extension, lower case, as far as its name or link tells."""
    name = media.filename
    if not name:
        try:
            name = urlsplit(media.link).path
        except ValueError:
            return ""
    match = re.search(r"\.([A-Za-z0-9]{1,5})$", name)
    return match[1].lower() if match else ""
