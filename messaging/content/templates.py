"""Approved templates as contents, and the {{variables}} in their texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, cast

from ..i18n import gettext as _
from .kinds import MEDIA_KINDS, Location, Media
from .parts import Content, Part, filled, freeze, part, parts

POSITIONAL: Final = "positional"
NAMED: Final = "named"

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class TemplateButton(Part):
    """A button of an approved template: `type` quick_reply, url, call or copy_code."""

    type: str
    text: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class TemplateRef(Part):
    """What a message keeps of a Template row, so that it can leave after the row has changed.

    `header_kind` is "", "text", a media kind or "location"; `header` the text of a text header.
    `parameter_format` is "positional" ({{1}}) or "named" ({{order_no}}).
    """

    pk: int | None = None
    name: str = ""
    language: str = ""
    external_id: str = ""
    parameter_format: str = POSITIONAL
    header_kind: str = ""
    header: str = ""
    body: str = ""
    footer: str = ""
    buttons: tuple[TemplateButton, ...] = parts(TemplateButton)

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all values this template needs, in order. See `placeholder_key`."""
        named = self.parameter_format == NAMED
        keys = []
        if self.header_kind == "text":
            keys += [header_key(name, named=named) for name in placeholders(self.header)]
        keys += placeholders(self.body)
        for index, button in enumerate(self.buttons):
            keys += [button_key(index, name) for name in placeholders(button.value)]
            if button.type == "copy_code":
                keys.append(button_key(index, "code"))
        return tuple(dict.fromkeys(keys))


def header_key(name: str, *, named: bool) -> str:
    """The key of a header's value. Positions count anew in each part, so they are told apart."""
    return name if named else f"header_{name}"


def button_key(index: int, name: str) -> str:
    """The key of a button's value; buttons are counted from 1, as people do."""
    return f"button{index + 1}_{name}"


def placeholders(text: str) -> list[str]:
    """The names inside {{…}}, each once: positions by number, others in order of appearance."""
    names = list(dict.fromkeys(_PLACEHOLDER.findall(text)))
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else names


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its {{…}} replaced; those without a value stay as they are."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


@dataclass(frozen=True, slots=True)
class TemplateMessage(Content):
    """An approved template with its values.

    `template` takes a Template row (or anything with a `ref()` of TemplateRef) and keeps its
    name, language, ids and texts. `variables` maps the names the template declares to values.
    `header` is the Media or Location of a template whose header is one.
    """

    KIND: ClassVar[str] = "template"
    template: TemplateRef = field(metadata={"part": TemplateRef})
    variables: Mapping[str, str] = field(default_factory=dict)
    header: Content | None = part(Content)

    def __post_init__(self) -> None:
        if not isinstance(self.template, TemplateRef):
            object.__setattr__(self, "template", cast(Any, self.template).ref())
        values = {str(name): str(value) for name, value in dict(self.variables or {}).items()}
        object.__setattr__(self, "variables", values)

    def __hash__(self) -> int:
        return hash((self.template, tuple(sorted(self.variables.items())), self.header))

    def _problems(self) -> Iterator[str]:
        yield from self._variable_problems()
        wanted = self.template.header_kind
        if wanted in MEDIA_KINDS:
            if not isinstance(self.header, Media) or self.header.kind != wanted:
                yield _("This template needs a file for its header (%(kind)s).") % {"kind": wanted}
            else:
                yield from self.header.problems()
        elif wanted == "location" and not isinstance(self.header, Location):
            yield _("This template needs a location for its header.")
        elif self.header is not None and wanted != "location":
            yield _("This template has no file or location in its header.")

    def _variable_problems(self) -> Iterator[str]:
        wanted, given = self.template.variables, self.variables
        missing = [name for name in wanted if not filled(given.get(name, ""))]
        if missing:
            yield _("Fill in: %(names)s.") % {"names": ", ".join(missing)}
        if unknown := [name for name in given if name not in wanted]:
            yield _("The template has no place for: %(names)s.") % {"names": ", ".join(unknown)}
        for name, value in given.items():
            if re.search(r"[\n\r\t]| {5,}", value):
                yield _(
                    "“%(name)s” may not hold line breaks, tabs or more than four spaces in a row."
                ) % {"name": name}

    def preview(self) -> str:
        template, values = self.template, self.variables
        named = template.parameter_format == NAMED
        header_values = {
            name: values.get(header_key(name, named=named), "")
            for name in placeholders(template.header)
        }
        parts = [
            fill(template.header, header_values) if template.header_kind == "text" else "",
            self.header.preview() if self.header else "",
            fill(template.body, values),
            template.footer,
        ]
        return "\n".join(part for part in parts if part) or template.name

    @property
    def media(self) -> Media | None:
        return self.header if isinstance(self.header, Media) else None

    def with_media(self, media: Media) -> Content:
        return replace(self, header=media)
