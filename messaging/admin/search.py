"""Search that stays quick: digits are the start of a number, words are names and recent texts."""

from __future__ import annotations

import re
from typing import Any, Final

import phonenumbers
from django.db import connections, router
from django.db.models import BigIntegerField, Model, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from .. import conf
from ..models import Contact, ContactAddress, Conversation, Message
from .paging import CAP

#: Texts are searched in this many of the newest messages.
RECENT: Final = 20_000

#: Whoever may not see whole numbers finds a person only by a number they know already.
_WHOLE: Final = 8


def digits_of(term: str) -> str:
    """The digits of a term that is a number and nothing else; empty for words."""
    if not re.fullmatch(r"[+\d][\d\s().-]*", term.strip()):
        return ""
    return re.sub(r"\D", "", term)


def addresses(term: str, *, full: bool) -> QuerySet[ContactAddress]:
    """The addresses whose number begins with these digits, in local or international spelling."""
    digits = digits_of(term)
    if not digits or (not full and len(digits) < _WHOLE):
        return ContactAddress.objects.none()
    wanted = Q()
    for prefix in _prefixes(digits):
        wanted |= starts(ContactAddress, "value", prefix) if full else Q(value=prefix)
    return ContactAddress.objects.filter(wanted)


def _prefixes(digits: str) -> list[str]:
    found = [f"+{digits}"]
    if digits.startswith("00"):
        found.append(f"+{digits[2:]}")
    elif digits.startswith("0"):
        code = phonenumbers.country_code_for_region(str(conf.get("DEFAULT_REGION")))
        if code:
            found.append(f"+{code}{digits[1:]}")
    return [prefix for prefix in found if len(prefix) > 1]


def starts(model: type[Model], column: str, prefix: str) -> Q:
    """A condition the column's unique index answers: LIKE on PostgreSQL, else a range."""
    if connections[router.db_for_read(model)].vendor == "postgresql":
        return Q((f"{column}__startswith", prefix))
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return Q((f"{column}__gte", prefix), (f"{column}__lt", after))


def contacts(rows: QuerySet[Contact], term: str, *, full: bool) -> QuerySet[Contact]:
    """Contacts by the start of a number, else by words of their name."""
    if digits_of(term):
        found = addresses(term, full=full).values("contact")[:CAP]
        return rows.filter(pk__in=found)
    for word in term.split():
        rows = rows.filter(name__icontains=word)
    return rows


def conversations(rows: QuerySet[Conversation], term: str, *, full: bool) -> QuerySet[Conversation]:
    """Conversations by the person's number or name."""
    if digits_of(term):
        return rows.filter(address__in=addresses(term, full=full).values("pk")[:CAP])
    for word in term.split():
        rows = rows.filter(address__contact__name__icontains=word)
    return rows


def messages(rows: QuerySet[Message], term: str, *, full: bool) -> QuerySet[Message]:
    """Messages of the persons found, and the newest messages whose text holds every word."""
    people = conversations(Conversation.objects.all(), term, full=full)
    theirs = rows.filter(conversation__in=list(people.values_list("pk", flat=True)[:CAP]))
    ids = set(_ids(theirs)) | set(_ids(_recent(rows, term)))
    return rows.filter(pk__in=ids)


def _recent(rows: QuerySet[Message], term: str) -> QuerySet[Message]:
    oldest: Any = Message.objects.order_by("-pk").values("pk")[RECENT : RECENT + 1]
    rows = rows.filter(pk__gt=Coalesce(Subquery(oldest), Value(0), output_field=BigIntegerField()))
    for word in term.split():
        rows = rows.filter(text__icontains=word)
    return rows


def _ids(rows: QuerySet[Message]) -> list[int]:
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:CAP])
