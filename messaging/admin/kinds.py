"""Every kind of content a person can send, and the form that asks for it."""

from __future__ import annotations

from typing import Any, Final

from ..content import KINDS, MEDIA_KINDS
from ..models import MessageKind, Template
from .cards import CardsForm
from .compose import (
    ButtonsForm,
    ContentForm,
    ListForm,
    LocationForm,
    MediaForm,
    TemplateValuesForm,
    TextForm,
)

_FORMS: Final[dict[str, type[ContentForm]]] = {
    "text": TextForm,
    "template": TemplateValuesForm,
    **{kind: type(f"{kind.title()}Form", (MediaForm,), {"kind": kind}) for kind in MEDIA_KINDS},
    "location": LocationForm,
    "contacts": CardsForm,
    "buttons": ButtonsForm,
    "list": ListForm,
}

#: In the order the page offers them.
SENDABLE: Final = tuple(kind for kind in _FORMS if kind in KINDS)


def label(kind: str) -> str:
    return str(MessageKind(kind).label)


def content_form(
    kind: str, *args: Any, template: Template | None = None, more: bool = False, **kwargs: Any
) -> ContentForm:
    """The form of one kind; `template` for templates, `more` for one more contact card."""
    if kind == "template":
        kwargs["template"] = template
    if kind == "contacts":
        kwargs["more"] = more
    return _FORMS[kind](*args, **kwargs)
