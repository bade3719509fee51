"""What contents are made of: frozen values that turn into JSON and back."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..errors import InvalidContent
from ..i18n import gettext as _

if TYPE_CHECKING:
    from .kinds import Media

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def part(cls: type[Part]) -> Any:
    """A field that holds one nested part, or nothing."""
    return field(default=None, metadata={"part": cls})


def parts(cls: type[Part], text_field: str = "") -> Any:
    """A field that holds nested parts; plain strings are taken for their `text_field`."""
    return field(default=(), metadata={"parts": cls, "text_field": text_field})


@dataclass(frozen=True, slots=True)
class Part:
    """Base of contents and of the values inside them: JSON in and out, nothing else."""

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; fields that hold their default are left out."""
        data = {}
        for spec in fields(self):
            value = getattr(self, spec.name)
            if spec.default is not MISSING and value == spec.default:
                continue
            data[spec.name] = _dump(value)
        return data

    @classmethod
    def load(cls, data: object) -> Self:
        """The value `to_json` came from. Raises InvalidContent where the shape is wrong."""
        if not isinstance(data, Mapping):
            raise InvalidContent(_("This content is not complete."))
        known = {spec.name: spec for spec in fields(cls)}
        values = {
            name: _load(known[name].metadata, value)
            for name, value in data.items()
            if name in known
        }
        if not all(_is_of(known[name].type, value) for name, value in values.items()):
            raise InvalidContent(_("This content is not complete."))
        try:
            return cls(**values)
        except (AttributeError, TypeError, ValueError) as error:
            raise InvalidContent(_("This content is not complete.")) from error


def _is_of(kind: object, value: Any) -> bool:
    """Whether a value read from JSON is of a field's type, as far as it matters for a text."""
    if kind == "str":
        return isinstance(value, str)
    if kind == "str | None":
        return value is None or isinstance(value, str)
    return kind != "float" or isinstance(value, int | float | str)


def _dump(value: Any) -> Any:
    if isinstance(value, Part):
        return value.to_json()
    if isinstance(value, tuple):
        return [_dump(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value


def _load(metadata: Mapping[str, Any], value: Any) -> Any:
    if "part" in metadata:
        return None if value is None else _load_part(metadata["part"], value)
    if "parts" in metadata:
        if not isinstance(value, list | tuple):
            raise InvalidContent(_("This content is not complete."))
        return tuple(_load_part(metadata["parts"], item, metadata["text_field"]) for item in value)
    return value


def _load_part(cls: type[Part], value: Any, text_field: str = "") -> Part:
    if text_field and isinstance(value, str):
        return cls(**{text_field: value})
    if cls is Content:
        # Here, because the kinds are made of these parts.
        from . import from_json

        return from_json(value)
    return cls.load(value)


def freeze(obj: Part) -> None:
    """Turn lists into tuples, and plain strings or dicts into the parts they stand for."""
    for spec in fields(obj):
        value = getattr(obj, spec.name)
        if isinstance(value, list):
            value = tuple(value)
            object.__setattr__(obj, spec.name, value)
        cls, text_field = spec.metadata.get("parts"), spec.metadata.get("text_field", "")
        if cls and any(not isinstance(item, Part) for item in value):
            parts = tuple(
                item if isinstance(item, Part) else _load_part(cls, item, text_field)
                for item in value
            )
            object.__setattr__(obj, spec.name, parts)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Part):
        for spec in fields(value):
            yield from _strings(getattr(value, spec.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _strings(name)
            yield from _strings(item)


def is_web_link(value: str) -> bool:
    """True for an absolute http or https address with a host and no white space."""
    return bool(re.fullmatch(r"https?://[^\s/?#]+[^\s]*", value, re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class Content(Part):
    """Base of everything a message can say."""

    KIND: ClassVar[str] = ""

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def kind(self) -> str:
        return self.KIND

    def problems(self) -> list[str]:
        """Why this content can be sent by no gateway at all; empty when it is sound."""
        if any(_UNSTORABLE.search(text) for text in _strings(self)):
            return [_("The text holds characters that cannot be sent. Please type it again.")]
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        yield from ()

    def preview(self) -> str:
        """Plain text for lists and search."""
        return ""

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **Part.to_json(self)}

    @property
    def media(self) -> Media | None:
        """The file inside this content, if there is one."""
        return None

    def with_media(self, media: Media) -> Content:
        """The same content with another file in its place."""
        return self


def filled(*texts: object) -> bool:
    return all(isinstance(text, str) and text.strip() for text in texts)


def in_range(value: object, limit: int) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) <= limit
    )
