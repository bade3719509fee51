"""Staff of several roles, and a small office for them to work in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from messaging import outbox
from messaging.content import Text
from messaging.models import (
    Contact,
    ContactAddress,
    Conversation,
    Message,
    Provider,
    Sender,
    Template,
    TemplateStatus,
)

CANARY = "canary-5d1f0a-secret"


@pytest.fixture(autouse=True)
def _own_world(db: None, settings: Any, tmp_path: Any) -> None:
    cache.clear()
    settings.MEDIA_ROOT = str(tmp_path)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@dataclass
class Office:
    """What the tests begin with: one account, its sender, a customer who wrote just now."""

    provider: Provider
    sender: Sender
    contact: Contact
    conversation: Conversation
    template: Template

    def message(self, body: str = "Hello", **kwargs: Any) -> Message:
        return outbox.queue(Text(body), to=self.conversation, **kwargs)

    def settled(self, status: str, **values: Any) -> Message:
        """A message that has come as far as `status`."""
        message = self.message()
        now = timezone.now()
        fields = {"status": status, "sending_at": now, **values}
        Message.objects.filter(pk=message.pk).update(**fields)
        message.refresh_from_db()
        return message


@pytest.fixture
def office() -> Office:
    provider = Provider.objects.create(name="Clinic", adapter="dummy", window_policy="none")
    sender = Sender.objects.create(
        provider=provider, name="Front desk", address="+447700900001", is_default=True
    )
    contact = make_contact("Amina Nakato", "+447700900123")
    now = timezone.now()
    conversation = Conversation.objects.create(
        sender=sender,
        address=contact.addresses.get(),
        last_inbound_at=now,
        last_message_at=now,
        last_message_text="Good morning",
        window_expires_at=now + timedelta(hours=23),
        window_opened_by="inbound",
    )
    template = Template.objects.create(
        provider=provider,
        name="reminder",
        language="en_GB",
        body="Dear {{1}}, see you on {{2}}.",
        status=TemplateStatus.APPROVED,
    )
    return Office(provider, sender, contact, conversation, template)


def make_contact(name: str, number: str) -> Contact:
    contact = Contact.objects.create(name=name)
    ContactAddress.objects.create(contact=contact, value=number)
    return contact


@pytest.fixture
def boss(client: Client) -> Client:
    """A superuser's browser."""
    user = get_user_model().objects.create_superuser("boss", password="x")
    client.force_login(user)
    return client


@pytest.fixture
def as_role() -> Callable[..., Client]:
    """A browser of somebody with these permissions, or in this ready-made group."""

    def login(*permissions: str, group: str = "") -> Client:
        users = get_user_model().objects
        user = users.create_user(f"user{users.count()}", password="x", is_staff=True)
        for codename in permissions:
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label="messaging", codename=codename)
            )
        if group:
            call_command("messaging_groups", verbosity=0, stdout=StringIO())
            user.groups.add(*user.groups.model.objects.filter(name=f"Messaging: {group}"))
        browser = Client()
        browser.force_login(user)
        browser.user = user  # type: ignore[attr-defined]
        return browser

    return login
