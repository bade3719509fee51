"""Whose message it is: the conversation of a sender and an address, found or made.

Gateways write some numbers in two ways (Brazil's ninth digit, Mexico's and Argentina's mobile
prefix). A message is matched to the conversation that exists under either; no number that is
stored, or that is written to, is ever changed.
"""

from __future__ import annotations

from typing import Any

from ..addresses import variants
from ..events import Inbound
from ..models import (
    AddressKind,
    Contact,
    ContactAddress,
    Conversation,
    ConversationKind,
    Sender,
)
from ..outbox import make_addresses
from . import sql


def conversation_for(sender: Sender, event: Inbound) -> Conversation:
    """The conversation this message belongs to; made if new.

    Beside its own columns it has address_value, contact_id, contact_name and has_held (whether
    messages wait there for the customer to write).
    """
    found = _find(sender, event.address)
    if found is not None:
        return found
    address = _find_address(event.address)
    if address is None:
        address = make_addresses({event.address: event.name})[event.address]
    Conversation.objects.bulk_create(
        [Conversation(sender=sender, address=address, kind=_kind(address))],
        # Another message of the same person may have made it in this moment.
        ignore_conflicts=True,
    )
    rows = sql.conversations(sender, address.value)
    return next(row for row in rows if row.address_id == address.pk)


def learn_name(conversation: Conversation, name: str) -> None:
    """Keep the name people gave themselves, where nobody has given them one."""
    known: Any = conversation
    if name and not known.contact_name:
        Contact.objects.filter(pk=known.contact_id, name="").update(name=name[:255])


def _find(sender: Sender, value: str) -> Any:
    rows = sql.conversations(sender, value)
    if len(rows) < 2:
        return rows[0] if rows else None
    exact = [row for row in rows if row.address_value == value]
    return exact[0] if exact else max(rows, key=_last_used)


def _last_used(row: Conversation) -> tuple[float, int]:
    return (row.last_message_at.timestamp() if row.last_message_at else 0.0, row.pk)


def _find_address(value: str) -> ContactAddress | None:
    rows = ContactAddress.objects.filter(value__in=variants(value)).order_by("id")
    found = {row.value: row for row in rows}
    return found.get(value) or next(iter(found.values()), None)


def _kind(address: ContactAddress) -> ConversationKind:
    is_group = address.kind == AddressKind.GROUP
    return ConversationKind.GROUP if is_group else ConversationKind.PERSON
