"""What a message says: frozen values, JSON in and out, no models inside.

Every content has `kind` (the word stored on the message), `problems()` (generic rules, as
sentences for a clerk; a gateway's own limits are in its adapter), `preview()` (plain text for
lists and search) and `to_json()`; `from_json()` is the way back.

    outbox.queue(Text("Your order is ready."), to="+447700900123")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import InvalidContent
from ..i18n import gettext as _
from .kinds import (
    MEDIA_KINDS,
    Buttons,
    CallButton,
    CardAddress,
    CardEmail,
    CardPhone,
    CardUrl,
    ContactCard,
    ContactCards,
    ListMenu,
    ListRow,
    Location,
    Media,
    Reply,
    Text,
    UrlButton,
)
from .parts import Content, Part, is_web_link
from .templates import (
    NAMED,
    POSITIONAL,
    TemplateButton,
    TemplateMessage,
    TemplateRef,
    button_key,
    fill,
    header_key,
    placeholders,
)

_KINDS: Final[Mapping[str, type[Content]]] = {
    cls.KIND: cls for cls in (Text, Location, ContactCards, Buttons, ListMenu, TemplateMessage)
} | dict.fromkeys(MEDIA_KINDS, Media)

#: Every kind of content that can be sent.
KINDS: Final = tuple(_KINDS)


def from_json(data: object) -> Content:
    """The content that `to_json` made. Raises InvalidContent where it is none of ours."""
    kind = data.get("kind") if isinstance(data, Mapping) else None
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise InvalidContent(_("This is not a kind of message that can be sent."))
    return cls.load(data)


__all__ = [
    "KINDS",
    "MEDIA_KINDS",
    "NAMED",
    "POSITIONAL",
    "Buttons",
    "CallButton",
    "CardAddress",
    "CardEmail",
    "CardPhone",
    "CardUrl",
    "ContactCard",
    "ContactCards",
    "Content",
    "ListMenu",
    "ListRow",
    "Location",
    "Media",
    "Part",
    "Reply",
    "TemplateButton",
    "TemplateMessage",
    "TemplateRef",
    "Text",
    "UrlButton",
    "button_key",
    "fill",
    "from_json",
    "header_key",
    "is_web_link",
    "placeholders",
]
