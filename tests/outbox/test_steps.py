"""What people do to a queued message: each step is safe to repeat and knows its limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connection

from messaging import errors, outbox
from messaging.content import TemplateMessage, Text
from messaging.models import Conversation, Message
from messaging.outbox import ends
from tests.rows import (
    make_conversation,
    make_message,
    make_provider,
    make_sender,
    make_sending,
    make_template,
    status_of,
)

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS_3 = timedelta(hours=72)

pytestmark = pytest.mark.django_db

EVERY = [
    *("queued", "sending", "accepted", "sent", "delivered", "read"),
    *("failed", "unknown", "cancelled", "expired"),
]


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture
def ada() -> Any:
    return get_user_model().objects.create(username="ada", first_name="Ada")


def closed() -> Conversation:
    """A conversation whose reply window never opened."""
    return make_conversation(make_sender(make_provider(window_policy="inbound_only")))


# Cancelling


@pytest.mark.parametrize("status", EVERY)
def test_only_what_waits_can_be_cancelled(status: str, ada: Any) -> None:
    message = make_sending(status=status)
    assert outbox.cancel([message], by=ada) == (status == "queued")
    assert status_of(message) == ("cancelled" if status == "queued" else status)
    assert outbox.cancel([message]) == 0
    if status == "queued":
        event = message.events.get()
        assert (event.status, event.source, event.actor_name) == ("cancelled", "person", "Ada")
        assert message.cancelled_at == NOW


def test_a_queryset_of_thousands_is_cancelled_in_parts(django_assert_max_num_queries: Any) -> None:
    conversation = make_conversation()
    row = make_message(conversation)
    values = {
        field.attname: getattr(row, field.attname)
        for field in Message._meta.concrete_fields
        if field.name != "id"
    }
    Message.objects.bulk_create(Message(**values) for _number in range(1500))
    with django_assert_max_num_queries(60):
        assert outbox.cancel(Message.objects.all()) == 1501
    assert Conversation.objects.get().version == 2


# Changing


def test_a_planned_message_may_say_something_else_at_another_time(ada: Any) -> None:
    message = outbox.queue(Text("Monday"), to=make_conversation(), send_at=NOW + HOUR)
    outbox.edit(message, content=Text("Tuesday"), send_at=NOW + 2 * HOUR, by=ada)
    message.refresh_from_db()
    assert (message.text, message.content["body"]) == ("Tuesday", "Tuesday")
    assert message.due_at == message.scheduled_at == NOW + 2 * HOUR
    assert message.expires_at == NOW + 2 * HOUR + DAYS_3
    assert message.events.get().actor_name == "Ada"
    # Now, in a word.
    outbox.edit(message, send_at=None)
    message.refresh_from_db()
    assert (message.due_at, message.scheduled_at) == (NOW, None)


def test_an_expiry_that_was_chosen_keeps_its_distance() -> None:
    message = outbox.queue(
        Text("a"), to=make_conversation(), send_at=NOW + HOUR, expires_at=NOW + 3 * HOUR
    )
    outbox.edit(message, content=Text("b"))
    message.refresh_from_db()
    assert message.expires_at == NOW + 3 * HOUR
    outbox.edit(message, send_at=NOW + 5 * HOUR)
    message.refresh_from_db()
    assert message.expires_at == NOW + 7 * HOUR


@pytest.mark.parametrize("status", [item for item in EVERY if item != "queued"])
def test_what_has_left_or_ended_cannot_be_changed(status: str) -> None:
    message = make_sending(status=status, due_at=NOW + HOUR)
    with pytest.raises(errors.NotPossible):
        outbox.edit(message, content=Text("b"))


@pytest.mark.parametrize(
    "values",
    [
        {"due_at": NOW},
        {"due_at": NOW + HOUR, "claim": "0" * 32},
        {"due_at": NOW + HOUR, "attempts": 1},
    ],
)
def test_what_a_worker_has_or_had_cannot_be_changed(values: dict[str, Any]) -> None:
    message = make_message(**values)
    with pytest.raises(errors.NotPossible):
        outbox.edit(message, content=Text("b"))


def test_the_doors_rules_hold_for_changes_too() -> None:
    message = outbox.queue(Text("a"), to=make_conversation(), send_at=NOW + HOUR)
    with pytest.raises(errors.InvalidContent):
        outbox.edit(message, content=Text(" "))
    type(message.conversation.address).objects.update(opted_out_at=NOW)
    with pytest.raises(errors.OptedOut):
        outbox.edit(message, content=Text("b"))
    message.refresh_from_db()
    assert message.text == "a"


def test_a_held_message_stays_held_unless_it_may_go() -> None:
    conversation = closed()
    message = outbox.queue(Text("a"), to=conversation, hold="window")
    outbox.edit(message, content=Text("b"))
    message.refresh_from_db()
    assert (message.held, message.text) == (True, "b")
    with pytest.raises(errors.WindowClosed):
        outbox.edit(message, send_at=None)
    row = make_template(conversation.sender.provider)
    outbox.edit(message, content=TemplateMessage(row, {"1": "Monday"}))
    message.refresh_from_db()
    assert (message.kind, message.template, message.due_at) == ("template", row, NOW)
    assert message.expires_at == NOW + DAYS_3


# Sending again


@pytest.mark.parametrize("status", EVERY)
def test_only_what_failed_or_is_unknown_is_sent_again(status: str, ada: Any) -> None:
    message = make_sending(status=status)
    if status not in ("failed", "unknown"):
        with pytest.raises(errors.NotPossible):
            outbox.send_again(message, by=ada)
        return
    again = outbox.send_again(message, by=ada)
    assert (again.status, again.content, again.priority) == ("queued", message.content, 0)
    assert (again.resend_of, again.author, again.claim) == (message, ada, None)
    assert status_of(message) == status
    assert message.events.get().text == "sent again"
    # Twice is impossible.
    assert outbox.send_again(message) == again
    assert Message.objects.count() == 2


def test_sending_again_passes_the_door() -> None:
    message = make_sending(closed(), status="failed")
    with pytest.raises(errors.WindowClosed):
        outbox.send_again(message)
    assert Message.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_people_send_the_same_message_again() -> None:
    message = make_sending(status="unknown")
    start = threading.Barrier(4)
    made: list[int] = []

    def work() -> None:
        start.wait()
        made.append(outbox.send_again(message).pk)
        connection.close()

    threads = [threading.Thread(target=work) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 4
    assert len(set(made)) == 1
    assert Message.objects.count() == 2


# It arrived


@pytest.mark.parametrize("status", EVERY)
def test_a_person_may_say_that_it_arrived(status: str, ada: Any) -> None:
    message = make_sending(status=status, error_class="ambiguous")
    if status in ("queued", "sending", "cancelled", "expired"):
        with pytest.raises(errors.NotPossible):
            outbox.mark_arrived(message, by=ada)
        assert status_of(message) == status
        return
    outbox.mark_arrived(message, by=ada)
    outbox.mark_arrived(message, by=ada)
    expected = status if status in ("delivered", "read") else "delivered"
    assert status_of(message) == expected
    assert message.events.count() == (expected != status)
    if expected != status:
        assert (message.error_class, message.delivered_at) == ("", NOW)
        assert message.events.get().source == "person"


def test_after_it_was_sent_again_the_word_is_for_the_new_one() -> None:
    message = make_sending(status="unknown")
    again = outbox.send_again(message)
    with pytest.raises(errors.NotPossible):
        outbox.mark_arrived(message)
    outbox.cancel([again])
    assert outbox.mark_arrived(message).status == "delivered"


# Letting held messages go


def write(conversation: Conversation) -> None:
    """The customer has just written."""
    conversation.window_expires_at = NOW + timedelta(hours=24)
    conversation.window_opened_by = "inbound"
    conversation.save()


def test_held_messages_go_when_the_customer_writes() -> None:
    conversation = closed()
    held = [outbox.queue(Text(str(n)), to=conversation, hold="window") for n in range(2)]
    other = outbox.queue(Text("x"), to=closed(), hold="window")
    assert outbox.release_held(conversation) == 0
    write(conversation)
    assert outbox.release_held(conversation) == 2
    assert outbox.release_held(conversation) == 0
    for message in held:
        message.refresh_from_db()
        assert (message.due_at, message.expires_at) == (NOW, NOW + DAYS_3)
    other.refresh_from_db()
    assert other.held


def test_a_held_message_keeps_the_time_and_the_expiry_it_was_given() -> None:
    conversation = closed()
    planned = outbox.queue(Text("a"), to=conversation, hold="window", send_at=NOW + HOUR)
    short = outbox.queue(Text("b"), to=conversation, hold="window", expires_at=NOW + 2 * HOUR)
    late = outbox.queue(Text("c"), to=conversation, hold="window", expires_at=NOW)
    write(conversation)
    assert outbox.release_held(conversation) == 2
    for message in (planned, short, late):
        message.refresh_from_db()
    assert (planned.due_at, planned.expires_at) == (NOW + HOUR, NOW + HOUR + DAYS_3)
    assert (short.due_at, short.expires_at) == (NOW, NOW + 2 * HOUR)
    assert late.held
    assert ends.expire("default", NOW) == 1
