"""Numbers as they are shown."""

from __future__ import annotations

import pytest

from messaging.admin import numbers


@pytest.mark.parametrize(
    ("value", "full", "masked"),
    [
        ("+447700900123", "+44 7700 900123", "+44 •••• 123"),
        ("+256772431254", "+256 772 431254", "+256 •••• 254"),
        ("+99912345678", "+99912345678", "•••• 678"),
        ("120363041234@g.us", "120363041234@g.us", "•••• 234@g.us"),
        ("9981234@lid", "9981234@lid", "•••• 234@lid"),
    ],
)
def test_whole_and_masked(value: str, full: str, masked: str) -> None:
    assert numbers.plain(value, full=True) == full
    assert numbers.plain(value, full=False) == masked
    assert numbers.shown(value, full=False) == f'<bdi dir="ltr">{masked}</bdi>'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to 447700900123 failed", "to •••• 123 failed"),
        ("to +44 7700 900-123.", "to •••• 123."),
        ("code 400, part 2 of 3", "code 400, part 2 of 3"),
    ],
)
def test_numbers_inside_a_text(text: str, masked: str) -> None:
    assert numbers.mask_text(text) == masked
