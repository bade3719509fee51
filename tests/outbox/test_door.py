"""Where a message goes, and what its row holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model

from messaging import outbox
from messaging.content import TemplateMessage, Text
from messaging.models import Contact, ContactAddress, Priority, Sender
from tests.rows import make_address, make_conversation, make_provider, make_sender, make_template

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
NUMBER = "+447911123456"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_frozen")]


@pytest.fixture
def _frozen() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def sender() -> Sender:
    return make_sender(is_default=True)


def official(**values: Any) -> Sender:
    return make_sender(make_provider(window_policy="inbound_only"), **values)


# Where it goes


@pytest.mark.parametrize(
    "spelling",
    [
        NUMBER,
        "+44 7911 123456",
        "0044 7911 123456",
        "07911 123456",
        "(07911) 123-456",
        "whatsapp:+447911123456",
        "\u200e+44 7911 123456\u200f",
    ],
)
def test_every_spelling_is_one_number(spelling: str, sender: Sender) -> None:
    message = outbox.queue(Text("Hello"), to=spelling)
    assert message.conversation.address.value == NUMBER


def test_to_may_be_a_row_of_any_kind(sender: Sender) -> None:
    conversation = make_conversation(sender, NUMBER)
    contact = conversation.address.contact
    for to in (NUMBER, contact, conversation.address, conversation):
        assert outbox.queue(Text("Hello"), to=to).conversation == conversation
    assert ContactAddress.objects.count() == 1


def test_a_contact_is_written_to_at_the_preferred_address(sender: Sender) -> None:
    contact = make_address(NUMBER).contact
    preferred = make_address("+447911999999", contact=contact)
    assert outbox.queue(Text("a"), to=contact).conversation.address.value == NUMBER
    Contact.objects.update(preferred_address=preferred)
    assert outbox.queue(Text("b"), to=contact).conversation.address == preferred


def test_a_conversation_brings_its_sender_and_another_one_may_be_chosen(sender: Sender) -> None:
    other = make_sender()
    conversation = make_conversation(other)
    assert outbox.queue(Text("Hello"), to=conversation).sender == other
    message = outbox.queue(Text("Hello"), to=conversation, sender=sender)
    assert message.sender == sender
    assert message.conversation.address == conversation.address
    assert message.conversation != conversation


def test_the_only_sender_needs_no_mark(sender: Sender) -> None:
    Sender.objects.update(is_default=False)
    assert outbox.queue(Text("Hello"), to=NUMBER).sender == sender


# What the row holds


def test_a_row_keeps_what_was_asked(sender: Sender) -> None:
    author = get_user_model().objects.create(username="ada", first_name="Ada", last_name="Byron")
    message = outbox.queue(Text("Hello"), to=NUMBER, author=author, key="k")
    message.refresh_from_db()
    assert (message.status, message.text, message.content) == (
        "queued",
        "Hello",
        {"kind": "text", "body": "Hello"},
    )
    assert (message.author, message.author_name) == (author, "Ada Byron")
    assert (message.due_at, message.expires_at) == (NOW, NOW + timedelta(hours=72))
    assert (message.claim, message.attempts, message.key) == (None, 0, "k")
    author.delete()
    message.refresh_from_db()
    assert message.author_name == "Ada Byron"


@pytest.mark.parametrize(
    ("arguments", "priority"),
    [
        ({}, Priority.AUTOMATIC),
        ({"author": True}, Priority.REPLY),
        ({"priority": Priority.BROADCAST}, Priority.BROADCAST),
        ({"author": True, "priority": 20}, Priority.BROADCAST),
    ],
)
def test_a_persons_message_goes_first(
    arguments: dict[str, Any], priority: int, sender: Sender
) -> None:
    if arguments.get("author"):
        arguments |= {"author": get_user_model().objects.create(username="ada")}
    assert outbox.queue(Text("Hello"), to=NUMBER, **arguments).priority == priority


def test_times(sender: Sender, settings: Any) -> None:
    later, end = NOW + timedelta(days=2), NOW + timedelta(days=3)
    planned = outbox.queue(Text("a"), to=NUMBER, send_at=later)
    assert (planned.due_at, planned.scheduled_at) == (later, later)
    assert planned.expires_at == later + timedelta(hours=72)
    assert outbox.queue(Text("b"), to=NUMBER, send_at=NOW - timedelta(days=1)).due_at == NOW
    assert outbox.queue(Text("c"), to=NUMBER, expires_at=end).expires_at == end
    settings.MESSAGING |= {"EXPIRE_HOURS": 0}
    assert outbox.queue(Text("d"), to=NUMBER).expires_at is None


def test_hold_waits_only_where_the_window_is_closed(sender: Sender) -> None:
    row = official()
    held = outbox.queue(Text("a"), to=NUMBER, sender=row, hold="window")
    assert (held.due_at, held.expires_at, held.held) == (None, None, True)
    assert not outbox.queue(Text("b"), to=NUMBER, sender=sender, hold="window").held
    template = TemplateMessage(make_template(row.provider), {"1": "Monday"})
    assert not outbox.queue(template, to=NUMBER, sender=row, hold="window").held


@pytest.mark.parametrize(
    ("policy", "opened_by", "channel", "may"),
    [
        ("none", "", "whatsapp", True),
        ("inbound_only", "", "whatsapp", False),
        ("inbound_only", "inbound", "whatsapp", True),
        ("inbound_only", "template", "whatsapp", False),
        ("inbound_or_template", "template", "whatsapp", True),
        ("inbound_or_template", "", "whatsapp", False),
        ("inbound_or_template", "", "sms", True),
    ],
)
def test_the_window_as_each_policy_reads_it(
    policy: str, opened_by: str, channel: str, may: bool
) -> None:
    row = make_sender(make_provider(window_policy=policy), channel=channel)
    expires_at = NOW + timedelta(minutes=1) if opened_by else None
    make_conversation(row, NUMBER, window_expires_at=expires_at, window_opened_by=opened_by)
    assert bool(outbox.check(Text("Hello"), to=NUMBER, sender=row).refusals) is not may


def test_a_planned_text_that_outlives_the_window_warns(sender: Sender) -> None:
    row = official()
    make_conversation(
        row, NUMBER, window_expires_at=NOW + timedelta(hours=1), window_opened_by="inbound"
    )
    planned = {"to": NUMBER, "sender": row}
    assert not outbox.check(Text("a"), **planned, send_at=NOW + timedelta(minutes=59)).warnings
    assert outbox.check(Text("a"), **planned, send_at=NOW + timedelta(hours=1)).warnings
    assert outbox.check(Text("a"), to="+447911000001", sender=row, hold="window").warnings
