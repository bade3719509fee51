"""Rows for tests, one line each: what is not said is sound, active and open."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from messaging import clock
from messaging.content import Content, Text
from messaging.delivery import Attempt
from messaging.models import (
    Contact,
    ContactAddress,
    Conversation,
    Message,
    Provider,
    Sender,
    Template,
)

_numbers = count(1)


def make_provider(**values: Any) -> Provider:
    values = {"adapter": "dummy", "window_policy": "none", **values}
    return Provider.objects.create(**{"name": f"Provider {next(_numbers)}", **values})


def make_sender(provider: Provider | None = None, **values: Any) -> Sender:
    number = next(_numbers)
    values = {"name": f"Sender {number}", "address": f"+44770090{number % 10_000:04d}", **values}
    return Sender.objects.create(provider=provider or make_provider(), **values)


def make_address(value: str = "", **values: Any) -> ContactAddress:
    contact = values.pop("contact", None) or Contact.objects.create(name=values.pop("name", ""))
    value = value or f"+447911{next(_numbers):06d}"
    return ContactAddress.objects.create(contact=contact, value=value, **values)


def make_conversation(sender: Sender | None = None, value: str = "", **values: Any) -> Conversation:
    address = values.pop("address", None) or make_address(value)
    return Conversation.objects.create(sender=sender or make_sender(), address=address, **values)


def make_template(provider: Provider, **values: Any) -> Template:
    values = {"name": "reminder", "body": "See you on {{1}}.", "status": "approved", **values}
    return Template.objects.create(provider=provider, **values)


def make_message(
    conversation: Conversation | None = None, content: Content | None = None, **values: Any
) -> Message:
    """A queued message, due now; with `status` in another state."""
    conversation = conversation or make_conversation()
    content = content or Text("Hello")
    now = clock.now()
    fields = {
        "direction": "outbound",
        "kind": content.kind,
        "content": content.to_json(),
        "text": content.preview(),
        "status": "queued",
        "due_at": now,
        "created_at": now,
        **values,
    }
    return Message.objects.create(conversation=conversation, sender=conversation.sender, **fields)


def make_sending(
    conversation: Conversation | None = None, *, claim: UUID | None = None, **values: Any
) -> Message:
    """A message whose call is under way."""
    now = clock.now()
    fields = {
        "status": "sending",
        "claim": claim or uuid4(),
        "sending_at": now,
        "due_at": now + timedelta(seconds=57),
        "attempts": 1,
        **values,
    }
    return make_message(conversation, **fields)


def attempt_of(message: Message, *, due_at: datetime | None = None) -> Attempt:
    """The attempt whose call this message's row is waiting for."""
    address = message.conversation.address
    assert message.claim is not None
    return Attempt(
        message_id=message.pk,
        conversation_id=message.conversation_id,
        sender=message.sender,
        claim=message.claim,
        kind=message.kind,
        content=message.content,
        address_id=address.pk,
        address=address.value,
        name=address.contact.name,
        priority=message.priority,
        due_at=due_at or message.created_at,
        retries=message.retries,
        template_id=message.template_id,
    )


def status_of(message: Message) -> str:
    message.refresh_from_db()
    return message.status
