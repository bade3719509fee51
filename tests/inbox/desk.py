"""Both gateways' accounts, messages they can report on, and what must be the same in the end."""

from __future__ import annotations

from typing import Any

from django.test import Client

from messaging import inbox
from messaging.models import Conversation, Message, Provider, Sender, WebhookDelivery
from tests.rows import make_conversation, make_sending

from .posts import INSTANCE, IS, OUR_SMS, OUR_WHATSAPP, PHONE, WH, Post


def open_desk() -> dict[str, str]:
    """Accounts with senders; the webhook address of each gateway."""
    official = Provider.objects.create(
        name="Official desk", adapter=IS, credentials={"accesskey": "a" * 20, "secretkey": "s" * 20}
    )
    whatsapp = Sender.objects.create(
        provider=official, name="WhatsApp", address=f"+{OUR_WHATSAPP}", channel="whatsapp"
    )
    Sender.objects.create(provider=official, name="SMS", address=f"+{OUR_SMS}", channel="sms")
    phones = Provider.objects.create(
        name="Phones desk", adapter=WH, base_url="https://gateway.example", time_zone="Asia/Kolkata"
    )
    phone = Sender.objects.create(provider=phones, name="Desk", credentials={"token": INSTANCE})
    for sender, external_id in ((whatsapp, "out-is"), (phone, "out-wh")):
        conversation = Conversation.objects.filter(sender=sender).first()
        address = Conversation.objects.values_list("address", flat=True).first()
        given = {"address_id": address} if address else {}
        if conversation is None:
            conversation = (
                Conversation.objects.create(sender=sender, **given)
                if given
                else make_conversation(sender, f"+{PHONE}")
            )
        make_sending(conversation, status="accepted", external_id=external_id)
    return {IS: inbox.address_of(official), WH: inbox.address_of(phones)}


def send(gateway: Client, paths: dict[str, str], post: Post) -> int:
    """Post it as its gateway would; the answer's status."""
    path = paths[post.gateway]
    return gateway.post(path, post.body, content_type=post.content_type).status_code


def rows() -> set[tuple[Any, ...]]:
    """Everything that must not depend on how often and in which order posts came."""
    kept = set()
    for message in Message.objects.select_related("conversation__address", "sender"):
        conversation = message.conversation
        kept.add(
            (
                message.direction,
                message.sender.name,
                message.external_id,
                message.kind,
                message.text,
                message.status,
                message.attachments.count(),
                conversation.address.value,
                conversation.unread_count,
            )
        )
    return kept


def states() -> dict[str, int]:
    """How many deliveries ended in which state."""
    found: dict[str, int] = {}
    for state in WebhookDelivery.objects.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found
