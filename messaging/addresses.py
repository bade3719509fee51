"""Where a message can go, in one spelling: `+E164`, `…@g.us` or `…@lid`."""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from .errors import InvalidAddress
from .i18n import gettext as _

GROUP_SUFFIX: Final = "@g.us"
LID_SUFFIX: Final = "@lid"

#: What many read, and nobody writes to from here: groups, status posts, newsletters.
GROUP_SUFFIXES: Final = (GROUP_SUFFIX, "@broadcast", "@newsletter")

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LETTER = re.compile(r"[^\W\d_]")


def is_phone(address: str) -> bool:
    """True for a canonical phone number."""
    return bool(re.fullmatch(r"\+\d{7,15}", address))


def parse_phone(text: str, region: str = "") -> str:
    """The number as `+E164`. Spaces, brackets, 00 and local spellings are understood.

    A number without country code is read in `region` ("GB"). Raises InvalidAddress.
    """
    shown = _INVISIBLE.sub("", str(text)).strip()
    cleaned = re.sub(r"^(whatsapp:|tel:|sms:)", "", shown, flags=re.IGNORECASE).strip()
    if re.fullmatch(r"00[1-9][\d\s().-]{6,}", cleaned):
        cleaned = "+" + cleaned[2:]
    if not cleaned:
        raise InvalidAddress(_("Enter a phone number."))
    if _LETTER.search(cleaned):
        # The library would dial FLOWERS as 3569377, and read an O for a zero as the end.
        raise InvalidAddress(_("“%(number)s” is not a phone number.") % {"number": shown})
    try:
        number = phonenumbers.parse(cleaned, region.upper() or None)
    except phonenumbers.NumberParseException:
        raise InvalidAddress(_reason(shown, cleaned, region)) from None
    # "Possible" alone would let through what is complete only within one town.
    possible = phonenumbers.is_possible_number_with_reason(number)
    if number.extension or possible != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise InvalidAddress(_("“%(number)s” is not a complete phone number.") % {"number": shown})
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _reason(shown: str, cleaned: str, region: str) -> str:
    if not region and not cleaned.startswith("+"):
        return _(
            "“%(number)s” has no country code. Write it with one, such as +44 7700 900123."
        ) % {"number": shown}
    return _("“%(number)s” is not a phone number.") % {"number": shown}


#: Numbers that gateways and WhatsApp write in two ways: the pattern of one and the other, both
#: ways round.
_SPELLINGS: Final = (
    # Brazil: mobile numbers got a ninth digit in front; WhatsApp ids may lack it.
    (re.compile(r"\+55(\d\d)9([6-9]\d{7})"), r"+55\1\2"),
    (re.compile(r"\+55(\d\d)([6-9]\d{7})"), r"+55\g<1>9\2"),
    # Mexico: WhatsApp ids keep the 1 that mobile numbers were dialled with.
    (re.compile(r"\+521(\d{10})"), r"+52\1"),
    (re.compile(r"\+52([2-9]\d{9})"), r"+521\1"),
    # Argentina: the 9 of mobile numbers, likewise.
    (re.compile(r"\+549(\d{10})"), r"+54\1"),
    (re.compile(r"\+54([1-8]\d{9})"), r"+549\1"),
)


def variants(address: str) -> tuple[str, ...]:
    """The address, and how else the same one may be written. For matching only.

    What a message is sent to is never changed to another of these.
    """
    others = (
        pattern.sub(other, address) for pattern, other in _SPELLINGS if pattern.fullmatch(address)
    )
    return (address, *others)
