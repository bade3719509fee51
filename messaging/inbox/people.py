"""Whose message it is: the conversation of a sender and an address, found or made.

Gateways write some numbers in two ways (Brazil's ninth digit, Mexico's and Argentina's mobile
prefix). A message is matched to the conversation that exists under either; no number that is
stored, or that is written to, is ever changed.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from ..addresses import GROUP_SUFFIX, LID_SUFFIX, variants
from ..events import Inbound, Status
from ..models import (
    AddressKind,
    Contact,
    ContactAddress,
    Conversation,
    ConversationKind,
    Message,
    Sender,
)


def conversation_for(sender: Sender, event: Inbound) -> Conversation:
    """The conversation this message belongs to, with its address and contact; made if new.

    `has_held` on it says whether messages wait there for the customer to write.
    """
    found = _find(sender, event.address)
    if found is not None:
        return found
    address = _find_address(event.address) or _make_address(event)
    Conversation.objects.bulk_create(
        [Conversation(sender=sender, address=address, kind=_kind(address))],
        # Another message of the same person may have made it in this moment.
        ignore_conflicts=True,
    )
    return _conversations(sender).get(address=address)


def learn_name(contact: Contact, name: str) -> None:
    """Keep the name people gave themselves, where nobody has given them one."""
    if name and not contact.name:
        contact.name = name[:255]
        Contact.objects.filter(pk=contact.pk, name="").update(name=contact.name)


def _conversations(sender: Sender) -> QuerySet[Conversation]:
    held = Message.objects.filter(
        conversation=OuterRef("pk"), status=Status.QUEUED, due_at__isnull=True
    )
    rows = Conversation.objects.filter(sender=sender).select_related("address__contact")
    return rows.annotate(has_held=Exists(held))


def _find(sender: Sender, value: str) -> Conversation | None:
    rows = list(_conversations(sender).filter(address__value__in=variants(value)))
    if len(rows) < 2:
        return rows[0] if rows else None
    exact = [row for row in rows if row.address.value == value]
    return exact[0] if exact else max(rows, key=_last_used)


def _last_used(row: Conversation) -> tuple[float, int]:
    return (row.last_message_at.timestamp() if row.last_message_at else 0.0, row.pk)


def _find_address(value: str) -> ContactAddress | None:
    rows = ContactAddress.objects.filter(value__in=variants(value)).order_by("id")
    found = {row.value: row for row in rows}
    return found.get(value) or next(iter(found.values()), None)


def _make_address(event: Inbound) -> ContactAddress:
    contact = Contact.objects.create(name=event.name[:255])
    kind = kind_of(event.address)
    ContactAddress.objects.bulk_create(
        [ContactAddress(contact=contact, value=event.address, kind=kind)], ignore_conflicts=True
    )
    address = ContactAddress.objects.get(value=event.address)
    if address.contact_id != contact.pk:
        contact.delete()
    return address


def kind_of(value: str) -> AddressKind:
    """What sort of address this is."""
    if value.endswith(GROUP_SUFFIX):
        return AddressKind.GROUP
    return AddressKind.LID if value.endswith(LID_SUFFIX) else AddressKind.PHONE


def _kind(address: ContactAddress) -> ConversationKind:
    is_group = address.kind == AddressKind.GROUP
    return ConversationKind.GROUP if is_group else ConversationKind.PERSON
