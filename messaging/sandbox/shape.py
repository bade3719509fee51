"""A very small JSON validator: exactly the keys that are shown, of the kind that is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Check = Callable[[Any, str], None]


class ShapeError(Exception):
    """What is wrong, and where, in words for `error_description`."""


def obj(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    """An object with these keys and no others."""
    known = required | (optional or {})

    def check(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise ShapeError(f"{at} must be an object")
        for key, item in value.items():
            if key not in known:
                raise ShapeError(f"{at}.{key} is not known")
            known[key](item, f"{at}.{key}")
        for key in required:
            if key not in value:
                raise ShapeError(f"{at}.{key} is missing")

    return check


def text(most: int = 0, least: int = 1) -> Check:
    """A string; `most` characters at most when given."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, str):
            raise ShapeError(f"{at} must be a string")
        if len(value) < least:
            raise ShapeError(f"{at} must not be empty")
        if most and len(value) > most:
            raise ShapeError(f"{at} has more than {most} characters")

    return check


def number(lowest: float, highest: float) -> Check:
    """A JSON number in a range."""

    def check(value: Any, at: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ShapeError(f"{at} must be a number")
        if not lowest <= value <= highest:
            raise ShapeError(f"{at} must be from {lowest} to {highest}")

    return check


def whole(lowest: int, highest: int) -> Check:
    """A JSON integer in a range."""
    in_range = number(lowest, highest)

    def check(value: Any, at: str) -> None:
        if not isinstance(value, int):
            raise ShapeError(f"{at} must be an integer")
        in_range(value, at)

    return check


def one_of(*allowed: Any) -> Check:
    """One of these values."""

    def check(value: Any, at: str) -> None:
        if value not in allowed:
            raise ShapeError(f"{at} must be {' or '.join(map(str, allowed))}")

    return check


def boolean(value: Any, at: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise ShapeError(f"{at} must be true or false")


def array(item: Check, least: int, most: int) -> Check:
    """A list of `least` to `most` items."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, list):
            raise ShapeError(f"{at} must be an array")
        if not least <= len(value) <= most:
            raise ShapeError(f"{at} must have {least} to {most} items")
        for place, element in enumerate(value):
            item(element, f"{at}[{place}]")

    return check


def pattern(expression: str, meaning: str) -> Check:
    """A string of a certain form."""
    compiled = re.compile(expression)

    def check(value: Any, at: str) -> None:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ShapeError(f"{at} must be {meaning}")

    return check


def tagged(field: str, variants: dict[str, Check]) -> Check:
    """An object whose `field` says which of the variants it is."""

    def check(value: Any, at: str) -> None:
        kind = value.get(field) if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in variants:
            raise ShapeError(f"{at}.{field} must be {' or '.join(variants)}")
        variants[kind](value, at)

    return check


def unique(values: list[Any], at: str) -> None:
    """No value twice."""
    if len(set(values)) != len(values):
        raise ShapeError(f"{at} must differ from each other")
