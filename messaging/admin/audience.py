"""Whom a send page writes to: a typed number, a conversation, or contacts chosen in their list."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import addresses, outbox
from ..adapters.base import Validation
from ..content import Content
from ..errors import MessagingError
from ..models import Contact, ContactAddress, Conversation, Priority, Sender
from . import numbers, scope

#: People looked at one by one before sending, and names shown of a longer list.
SAMPLE: Final = 20

_BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be sent, how and when: everything but to whom."""

    content: Content
    sender: Sender | None
    send_at: Any = None
    hold: str | None = None

    def check(self, to: Any) -> Validation:
        """The outbox's word on it, whatever it is."""
        try:
            return outbox.check(
                self.content, to=to, sender=self.sender, hold=self.hold, send_at=self.send_at
            )
        except MessagingError as error:
            return Validation(refusals=(str(error),))

    def draft(self, to: Any, **kwargs: Any) -> outbox.Draft:
        return outbox.Draft(
            content=self.content,
            to=to,
            sender=self.sender,
            send_at=self.send_at,
            hold=self.hold,
            **kwargs,
        )


@dataclass(slots=True)
class Checked:
    """What a look before sending found. `left_out` are (name, reason) of those not written to."""

    count: int
    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    left_out_more: int = 0
    #: Where a typed number leads, as it was understood.
    place: str = ""

    @property
    def partial(self) -> bool:
        """Whether some were not looked at one by one."""
        return self.count > SAMPLE

    @property
    def sendable(self) -> bool:
        return self.count > 0 and not self.refusals


class Audience:
    """Base: one place to write to."""

    is_one = True
    #: True where the number is typed into the form.
    asks_number = False
    sender: Sender | None = None

    def __init__(self, *, full: bool) -> None:
        self.full = full

    @property
    def title(self) -> str:
        raise NotImplementedError

    @property
    def count(self) -> int:
        return 1

    def check(self, wish: Wish, to: Any = None) -> Checked:
        found = wish.check(to)
        return Checked(1, list(found.refusals), list(found.warnings))

    def identity(self) -> str:
        """Changes when the audience does, so that a check counts for the one it was made of."""
        raise NotImplementedError


class TypedNumber(Audience):
    asks_number = True

    @property
    def title(self) -> str:
        return ""

    def check(self, wish: Wish, to: Any = None) -> Checked:
        found = super().check(wish, to)
        try:
            sender = outbox.resolve_sender(wish.sender)
            value = addresses.parse_phone(str(to), outbox.region_of(sender))
        except MessagingError:
            return found
        found.place = self._known(value)
        return found

    def _known(self, value: str) -> str:
        """The number as it was understood, and whose it is: a slip of the finger shows here."""
        text = numbers.plain(value, full=True)
        row = ContactAddress.objects.select_related("contact").filter(value=value).first()
        return f"{text} ({row.contact.name})" if row and row.contact.name else text

    def identity(self) -> str:
        return "typed"


class OneConversation(Audience):
    def __init__(self, conversation: Conversation, *, full: bool) -> None:
        super().__init__(full=full)
        self.conversation = conversation
        self.sender = conversation.sender

    @property
    def title(self) -> str:
        return numbers.label(self.conversation, full=self.full)

    def check(self, wish: Wish, to: Any = None) -> Checked:
        return super().check(wish, self.conversation)

    def identity(self) -> str:
        return f"conversation {self.conversation.pk}"


class ChosenContacts(Audience):
    """The contacts of a query. Never loaded at once: walked in batches, named in part."""

    def __init__(self, rows: QuerySet[Contact], *, full: bool, identity: str) -> None:
        super().__init__(full=full)
        self.rows = rows
        self._identity = identity

    @cached_property
    def count(self) -> int:
        return self.rows.order_by().count()

    @property
    def is_one(self) -> bool:  # type: ignore[override]
        return self.count == 1

    @property
    def title(self) -> str:
        text = ngettext("%(count)d contact", "%(count)d contacts", self.count)
        return text % {"count": self.count}

    @cached_property
    def names(self) -> list[str]:
        return [self.name(contact) for contact in self.batch(0, 10)]

    @property
    def more(self) -> int:
        return self.count - len(self.names)

    def identity(self) -> str:
        return f"{self._identity} {self.count}"

    def batch(self, after: int, size: int) -> list[Contact]:
        rows = self.rows.order_by("pk").filter(pk__gt=after)
        rows = rows.select_related("preferred_address").prefetch_related("addresses")
        return list(rows[:size])

    def walk(self) -> Iterator[Contact]:
        after = 0
        while batch := self.batch(after, _BATCH):
            yield from batch
            after = batch[-1].pk

    def place(self, contact: Contact) -> ContactAddress | None:
        """The address of `Contact.address`, from what is loaded."""
        found = contact.preferred_address or min(
            contact.addresses.all(), key=lambda row: row.pk, default=None
        )
        if found is not None:
            # Whose consent counts is known already; asking again would be a query for each.
            found.contact = contact
        return found

    def name(self, contact: Contact) -> str:
        place = self.place(contact)
        if contact.name or place is None:
            return contact.name or _("Contact %(id)s") % {"id": contact.pk}
        return numbers.plain(place.value, full=self.full)

    def check(self, wish: Wish, to: Any = None) -> Checked:
        """Each of a few; of many the first, and those who cannot be written to anyway."""
        found = Checked(self.count)
        reasons: Counter[str] = Counter()
        sample = self.batch(0, SAMPLE)
        for contact in sample:
            place = self.place(contact)
            verdict = wish.check(place) if place else Validation(refusals=(_no_number(),))
            found.warnings += [text for text in verdict.warnings if text not in found.warnings]
            if verdict.refusals:
                reason = " ".join(verdict.refusals)
                reasons[reason] += 1
                found.left_out.append((self.name(contact), reason))
        general = wish.check(None)
        if general.refusals:
            return Checked(self.count, list(general.refusals))
        self._look_at_the_rest(found, sample)
        if len(found.left_out) + found.left_out_more >= self.count:
            found.refusals.append(_("Nobody here can be written to; see the reasons below."))
        return found

    def _look_at_the_rest(self, found: Checked, sample: list[Contact]) -> None:
        if self.count <= len(sample):
            return
        rest = self.rows.filter(pk__gt=sample[-1].pk)
        gone = Q(opted_out_at__isnull=False) | Q(
            preferred_address__isnull=True,
            pk__in=ContactAddress.objects.filter(opted_out_at__isnull=False).values("contact"),
        )
        silent = rest.filter(gone | Q(addresses__isnull=True)).order_by().values("pk").distinct()
        found.left_out_more = silent.count()


def _no_number() -> str:
    return _("No number is known.")


@dataclass(slots=True)
class Outcome:
    """What came of sending to contacts."""

    queued: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def by_reason(self) -> list[tuple[str, int, list[str]]]:
        """(reason, how many, some of their names), the most frequent first."""
        groups: dict[str, list[str]] = {}
        for name, reason in self.left_out:
            groups.setdefault(reason, []).append(name)
        ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
        return [(reason, len(names), names[:SAMPLE]) for reason, names in ordered]


def send_to_contacts(audience: ChosenContacts, wish: Wish, *, key: str, author: Any) -> Outcome:
    """Queue for everybody who may be written to; the rest with the reason why not."""
    outcome = Outcome()
    names: list[str] = []

    def drafts() -> Iterator[outbox.Draft]:
        for contact in audience.walk():
            place = audience.place(contact)
            name = audience.name(contact)
            if place is None:
                outcome.left_out.append((name, _no_number()))
                continue
            names.append(name)
            priority = Priority.REPLY if audience.is_one else Priority.BROADCAST
            yield wish.draft(place, key=f"{key}:{contact.pk}", author=author, priority=priority)

    done = outbox.queue_many(drafts())
    outcome.queued = sum(message is not None for message in done.messages)
    outcome.left_out += [(names[index], str(error)) for index, error in done.refused]
    return outcome


def from_request(request: HttpRequest, site: Any) -> Audience:
    """The audience the page's address names."""
    full = numbers.may_see(request)
    query = request.GET
    if "conversation" in query:
        talks = scope.conversations(request.user, Conversation.objects.all())
        talks = talks.select_related("sender__provider", "address__contact")
        return OneConversation(_one(talks, query["conversation"]), full=full)
    if "contacts" in query:
        ids = [int(pk) for pk in query["contacts"].split(",") if pk.isdecimal()]
        rows = _contacts(request, site).get_queryset(request).filter(pk__in=ids)
        return ChosenContacts(rows, full=full, identity=f"contacts {sorted(ids)}")
    if "found" in query:
        rows = _found(request, _contacts(request, site), query["found"])
        return ChosenContacts(rows, full=full, identity=f"found {query['found']}")
    return TypedNumber(full=full)


def _one(rows: QuerySet[Any], pk: str) -> Any:
    found = rows.filter(pk=int(pk)).first() if pk.isdecimal() else None
    if found is None:
        raise Http404
    return found


def _contacts(request: HttpRequest, site: Any) -> Any:
    contact_admin = site.get_model_admin(Contact)
    if not contact_admin.has_view_permission(request):
        raise Http404
    return contact_admin


def _found(request: HttpRequest, contact_admin: Any, filters: str) -> QuerySet[Contact]:
    """What a contacts list with these filters shows, on all its pages."""
    query = QueryDict(filters, mutable=True)
    for name in ("p", "all", "e", "o"):
        query.pop(name, None)
    asked = copy.copy(request)
    asked.GET = query  # type: ignore[assignment]
    try:
        listed = contact_admin.get_changelist_instance(asked)
        rows: QuerySet[Contact] = listed.get_queryset(asked)
    except IncorrectLookupParameters:
        raise Http404 from None
    return rows
