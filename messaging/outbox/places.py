"""Where drafts go: addresses and conversations found, and made, for a whole batch at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import F

from ..addresses import parse_phone
from ..errors import InvalidAddress, Refused
from ..i18n import gettext as _
from ..models import (
    AddressKind,
    Contact,
    ContactAddress,
    Conversation,
    ConversationStatus,
    Sender,
)
from ..window import Window
from .rules import Rules, region_of

if TYPE_CHECKING:
    from .door import Draft


@dataclass(slots=True)
class Place:
    """A sender and an address, with the rows behind them where they exist."""

    sender: Sender
    value: str
    kind: str = AddressKind.PHONE
    address: ContactAddress | None = None
    conversation: Conversation | None = None
    suppressed: bool = False

    @property
    def opted_out_at(self) -> tuple[datetime | None, ...]:
        if self.address is None:
            return ()
        if hasattr(self.address, "person_opted_out_at"):
            return self.address.opted_out_at, self.address.person_opted_out_at
        return self.address.opted_out_at, self.address.contact.opted_out_at

    @property
    def window(self) -> Window:
        conversation = self.conversation
        return Window(
            policy=self.sender.provider.window_policy,
            channel=self.sender.channel,
            is_group=self.kind == AddressKind.GROUP,
            last_inbound_at=conversation.last_inbound_at if conversation else None,
            expires_at=conversation.window_expires_at if conversation else None,
            opened_by=conversation.window_opened_by if conversation else "",
        )


class Places:
    """The places of a batch of drafts, in a handful of queries whatever their number.

    Rows the caller holds may be old: what counts is read anew.
    """

    def __init__(
        self,
        drafts: Sequence[Draft],
        rules: Rules,
        refused: dict[int, Refused] | None = None,
    ) -> None:
        self._drafts = drafts
        self._places: dict[int, Place] = {}
        named = _Named(drafts)
        for number, draft in enumerate(drafts):
            try:
                self._places[number] = named.place(draft, rules)
            except Refused as error:
                if refused is None:
                    raise
                refused[number] = error
        self._find_addresses()
        self._find_conversations()
        suppressed = rules.suppressed({place.value for place in self._places.values()})
        for place in self._places.values():
            place.suppressed = place.value in suppressed

    def of(self, number: int) -> Place:
        return self._places[number]

    def conversation(self, number: int) -> Conversation:
        conversation = self._places[number].conversation
        assert conversation is not None
        return conversation

    def make(self, numbers: Iterable[int]) -> None:
        """Make the contacts, addresses and conversations these drafts still lack."""
        places = [self._places[number] for number in numbers]
        _make_addresses([place for place in places if place.address is None])
        missing = [place for place in places if place.conversation is None]
        _make_conversations(missing, self._by_broadcast())

    def _by_broadcast(self) -> dict[tuple[int, str], bool]:
        """Which conversations a broadcast begins: those start done."""
        return {
            (place.sender.pk, place.value): self._drafts[number].broadcast_id is not None
            for number, place in self._places.items()
        }

    def _find_addresses(self) -> None:
        lacking = [place for place in self._places.values() if place.address is None]
        found = _addresses({place.value for place in lacking})
        for place in lacking:
            place.address = found.get(place.value)
            if place.address is not None:
                place.kind = place.address.kind

    def _find_conversations(self) -> None:
        lacking = [
            place
            for place in self._places.values()
            if place.conversation is None and place.address is not None
        ]
        found = _conversations(lacking)
        for place in lacking:
            assert place.address is not None
            place.conversation = found.get((place.sender.pk, place.address.pk))


class _Named:
    """The contacts and conversations that drafts name, read at once."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        contacts = {draft.to.pk for draft in drafts if isinstance(draft.to, Contact)}
        rows = {draft.to.pk for draft in drafts if isinstance(draft.to, Conversation)}
        self._addresses = _of_contacts(contacts - {None})
        self._conversations = (
            Conversation.objects.select_related("address__contact", "sender").in_bulk(rows - {None})
            if rows
            else {}
        )

    def place(self, draft: Draft, rules: Rules) -> Place:
        """Where this draft goes. Raises NoSender and InvalidAddress."""
        to = draft.to
        if isinstance(to, Conversation):
            conversation = self._conversations.get(to.pk)
            if conversation is None:
                raise InvalidAddress(_("This conversation is no longer there."))
            sender = rules.sender(draft.sender or conversation.sender)
            address = conversation.address
            place = Place(sender, address.value, address.kind, address)
            if sender.pk == conversation.sender_id:
                place.conversation = conversation
            return place
        sender = rules.sender(draft.sender)
        if isinstance(to, Contact):
            found = self._addresses.get(to.pk)
            if found is None:
                raise InvalidAddress(
                    _("%(name)s has no phone number.") % {"name": to.name or _("This contact")}
                )
            return Place(sender, found.value, found.kind, found)
        if isinstance(to, ContactAddress):
            return Place(sender, to.value, to.kind)
        return Place(sender, parse_phone(to, region_of(sender)))


def _of_contacts(ids: set[int]) -> dict[int, ContactAddress]:
    """Each contact's preferred address, else its oldest one."""
    if not ids:
        return {}
    found: dict[int, ContactAddress] = {}
    rows = ContactAddress.objects.filter(contact__in=ids).select_related("contact").order_by("-id")
    for row in rows:
        found[row.contact_id] = row
    chosen = Contact.objects.filter(pk__in=ids).exclude(preferred_address=None)
    for contact in chosen.select_related("preferred_address__contact"):
        assert contact.preferred_address is not None
        found[contact.pk] = contact.preferred_address
    return found


def _addresses(values: set[str]) -> dict[str, ContactAddress]:
    if not values:
        return {}
    # The person's own opt-out comes along; the person need not.
    rows = ContactAddress.objects.filter(value__in=values)
    return {row.value: row for row in rows.annotate(person_opted_out_at=F("contact__opted_out_at"))}


def _conversations(places: Sequence[Place]) -> dict[tuple[int, int], Conversation]:
    by_sender: dict[int, set[int]] = {}
    for place in places:
        if place.address is not None:
            by_sender.setdefault(place.sender.pk, set()).add(place.address.pk)
    found: dict[tuple[int, int], Conversation] = {}
    for sender_id, address_ids in by_sender.items():
        rows = Conversation.objects.filter(sender_id=sender_id, address_id__in=address_ids)
        found |= {(row.sender_id, row.address_id): row for row in rows}
    return found


def _make_addresses(places: Sequence[Place]) -> None:
    if not places:
        return
    values = sorted({place.value for place in places})
    make_addresses(dict.fromkeys(values, ""))
    found = _addresses(set(values))
    for place in places:
        place.address = found[place.value]


def make_addresses(names: Mapping[str, str]) -> dict[str, ContactAddress]:
    """New people with these addresses and names; the rows by address, whoever made them."""
    contacts = Contact.objects.bulk_create([Contact(name=name[:255]) for name in names.values()])
    ContactAddress.objects.bulk_create(
        [
            ContactAddress(contact=contact, value=value, kind=AddressKind.of(value))
            for contact, value in zip(contacts, names, strict=True)
        ],
        ignore_conflicts=True,
    )
    rows = ContactAddress.objects.filter(value__in=names).select_related("contact")
    found = {row.value: row for row in rows}
    # An address somebody else added in this moment has its own contact: ours stays without.
    unused = {contact.pk for contact in contacts} - {row.contact_id for row in found.values()}
    if unused:
        Contact.objects.filter(pk__in=unused, addresses=None).delete()
    return found


def _make_conversations(places: Sequence[Place], by_broadcast: dict[tuple[int, str], bool]) -> None:
    wanted: dict[tuple[int, int], Conversation] = {}
    for place in places:
        assert place.address is not None
        done = by_broadcast.get((place.sender.pk, place.value), False)
        wanted[place.sender.pk, place.address.pk] = Conversation(
            sender=place.sender,
            address=place.address,
            status=ConversationStatus.DONE if done else ConversationStatus.OPEN,
        )
    if not wanted:
        return
    # In one order, so that two batches to the same people do not wait for each other in a ring.
    rows = [wanted[key] for key in sorted(wanted)]
    Conversation.objects.bulk_create(rows, ignore_conflicts=True)
    found = _conversations(places)
    for place in places:
        assert place.address is not None
        place.conversation = found[place.sender.pk, place.address.pk]
