"""One spelling for every number, and no number made out of what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.addresses import is_phone, parse_phone
from messaging.errors import InvalidAddress

UK = "+447911123456"


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("+447911123456", "", UK),
        ("+44 7911 123456", "", UK),
        ("+44 (0) 7911 123456", "", UK),
        ("+44-7911-123456", "", UK),
        ("00447911123456", "", UK),
        ("00 44 7911 123456", "DE", UK),
        ("07911 123456", "GB", UK),
        ("07911 123456", "gb", UK),
        ("(07911) 123456", "GB", UK),
        ("07911.123.456", "GB", UK),
        ("07911/123456", "GB", UK),
        ("'07911 123456", "GB", UK),
        ("  07911 123456\t", "GB", UK),
        ("\u202a+44 7911\u00a0123456\u202c", "", UK),
        ("\u200e07911\u200f 123456", "GB", UK),
        ("whatsapp:+447911123456", "", UK),
        ("WhatsApp:07911123456", "GB", UK),
        ("tel:+44-7911-123456", "", UK),
        ("sms:07911123456", "GB", UK),
        ("\uff0b44 7911 123456", "", UK),
        ("٠٧٩١١ ١٢٣٤٥٦", "GB", UK),
        ("+256 772 123456", "", "+256772123456"),
        ("0772 123456", "UG", "+256772123456"),
        ("98765 43210", "IN", "+919876543210"),
        ("0151 23456789", "DE", "+4915123456789"),
        ("(212) 555-0123", "US", "+12125550123"),
        # A whole number says where it is, wherever it is read.
        ("+256772123456", "GB", "+256772123456"),
    ],
)
def test_every_usual_spelling(text: str, region: str, expected: str) -> None:
    assert parse_phone(text, region) == expected
    assert is_phone(expected)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("", "GB"),
        ("   ", "GB"),
        ("nobody", "GB"),
        ("07911", "GB"),
        ("123", "GB"),
        ("07911 123456", ""),
        ("07911 123456 78901", "GB"),
        ("+999 123 456 789", ""),
        ("+44", ""),
        # An extension is not a phone that takes messages.
        ("+44 20 7946 0000 ext. 12", ""),
        ("+44 20 7946 0000;ext=12", ""),
        # What stands beside a number may be another one, or say that it is none.
        ("07911 123456 / 07911 654321", "GB"),
        ("call 07911 123456 after five", "GB"),
        ("1-800-FLOWERS", "US"),
        ("+44 7911 12345O", ""),
        ("ada@example.com", "GB"),
        ("123-456@g.us", "GB"),
        ("99@lid", "GB"),
        ("None", "GB"),
    ],
)
def test_what_is_no_number_is_refused_in_words(text: str, region: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        parse_phone(text, region)
    assert str(refused.value).endswith(".")


def test_the_words_say_what_to_do() -> None:
    with pytest.raises(InvalidAddress, match="country code"):
        parse_phone("07911 123456")
    with pytest.raises(InvalidAddress, match="complete"):
        parse_phone("07911", "GB")


@given(st.text(max_size=40), st.sampled_from(["", "GB", "US", "DE", "UG", "XX"]))
def test_any_text_is_a_canonical_number_or_refused(text: str, region: str) -> None:
    try:
        number = parse_phone(text, region)
    except InvalidAddress:
        return
    assert is_phone(number)
    # One spelling: reading it again changes nothing, wherever that is.
    assert parse_phone(number, "US") == number
