"""Phone numbers on screen: whole for those who may see them, masked for everybody else."""

from __future__ import annotations

import re
from typing import Any, Final

import phonenumbers
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..addresses import is_phone
from ..models import Contact, ContactAddress, Conversation, Group

PERMISSION: Final = "messaging.view_full_number"

_DOTS: Final = "••••"
_NUMBER = re.compile(r"\+?\d(?:[\s().-]?\d){6,}")


def may_see(request: HttpRequest) -> bool:
    """Whether this person may see whole numbers."""
    return request.user.has_perm(PERMISSION)


def _parsed(value: str) -> phonenumbers.PhoneNumber | None:
    """The number taken apart; None for other ids, and for numbers of no known country."""
    try:
        return phonenumbers.parse(value) if is_phone(value) else None
    except phonenumbers.NumberParseException:
        return None


def mask(value: str) -> str:
    """The number with its middle hidden: `+44 •••• 123`."""
    number = _parsed(value)
    if number is None:
        name, at, domain = value.partition("@")
        return f"{_DOTS} {name[-3:]}{at}{domain}"
    return f"+{number.country_code} {_DOTS} {value[-3:]}"


def mask_text(text: str) -> str:
    """The text with everything that looks like a phone number masked."""
    return _NUMBER.sub(lambda match: f"{_DOTS} {match[0][-3:]}", text)


def plain(value: str, *, full: bool) -> str:
    """The number as text, in the international spelling people read."""
    if not full:
        return mask(value)
    number = _parsed(value)
    if number is None:
        return value
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def shown(value: str, *, full: bool) -> SafeString | str:
    """The number for a page, left to right in every language."""
    if not value:
        return ""
    return format_html('<bdi dir="ltr">{}</bdi>', plain(value, full=full))


def person(address: ContactAddress, *, full: bool) -> str:
    """The person's name, else the number. Makes no query where the contact is loaded."""
    return address.contact.name or plain(address.value, full=full)


def contact_name(contact: Contact, *, full: bool) -> str:
    """What a page calls this contact."""
    if contact.name:
        return contact.name
    value = contact.phone
    return plain(value, full=full) if value else str(contact)


def label(row: Any, *, full: bool) -> str:
    """What a page calls this row, where its `str()` may be a number."""
    if isinstance(row, Contact):
        return contact_name(row, full=full)
    if isinstance(row, ContactAddress):
        return plain(row.value, full=full)
    if isinstance(row, Conversation):
        return _("%(person)s via %(sender)s") % {
            "person": person(row.address, full=full),
            "sender": row.sender.name,
        }
    if isinstance(row, Group):
        # Without a name there is its id, which may begin with the number of who made it.
        return row.name or plain(row.external_id, full=full)
    return str(row)
