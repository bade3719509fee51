"""The helpers for host projects' tests do what they say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django_q.models import OrmQ

from messaging import clock, errors, outbox, signals, testing
from messaging.adapters.dummy import Dummy
from messaging.content import Location, Text
from messaging.models import Message, Sender
from tests.rows import make_provider
from tests.rows import make_sender as make_real_sender

NUMBER = "+447700900123"

pytestmark = pytest.mark.django_db


def test_what_is_queued_is_captured_in_order() -> None:
    testing.make_sender()
    outbox.queue(Text("before"), to=NUMBER)
    with testing.capture() as sent:
        assert len(sent) == 0
        outbox.queue(Text("a"), to=NUMBER)
        assert sent.texts == ["a"]
        outbox.queue(Location(1.0, 2.0, name="Office"), to="07700 900124")
    first, second = sent
    assert (first.to, first.text, first.content) == (NUMBER, "a", Text("a"))
    assert second.content == Location(1.0, 2.0, name="Office")
    assert sent[-1] == second
    assert sent[:1] == [first]
    assert sent.to("+447700900124") == [second]
    assert NUMBER in repr(sent)
    assert first.message.status == "queued"


@pytest.mark.django_db(transaction=True)
def test_nobody_is_asked_to_send_it() -> None:
    testing.make_sender()
    with testing.capture() as sent:
        outbox.queue(Text("a"), to=NUMBER)
    assert len(sent) == 1
    assert OrmQ.objects.count() == 0
    outbox.queue(Text("b"), to=NUMBER)
    # Outside the block the bell rings as ever.
    assert OrmQ.objects.count() <= 1


def test_a_rollback_sends_nothing() -> None:
    testing.make_sender()
    with testing.capture() as sent:
        with transaction.atomic():
            outbox.queue(Text("a"), to=NUMBER)
            transaction.set_rollback(True)
        outbox.queue(Text("b"), to=NUMBER)
    assert sent.texts == ["b"]


@pytest.mark.parametrize(
    ("outcome", "status", "taken"),
    [("accepted", "accepted", 1), ("failed", "failed", 0), ("unknown", "unknown", 1)],
)
def test_delivering_goes_on_to_the_chosen_outcome(outcome: str, status: str, taken: int) -> None:
    testing.make_sender(outcome=outcome)
    with testing.capture() as sent:
        outbox.queue(Text("a"), to=NUMBER)
        delivered = sent.deliver()
    assert [(item.recipient.address, item.content) for item in delivered] == [
        (NUMBER, Text("a"))
    ] * taken
    assert sent[0].message.status == status


def test_delivering_never_leaves_the_process() -> None:
    testing.make_sender()
    provider = make_provider(adapter="whatsapp_http", base_url="https://gateway.example")
    real = make_real_sender(provider, credentials={"token": "t" * 24})
    with testing.capture() as sent:
        outbox.queue(Text("a"), to=NUMBER)
        outbox.queue(Text("b"), to=NUMBER, sender=real)
        assert len(sent.deliver()) == 1
    assert Message.objects.get(text="b").status == "queued"


def test_the_doors_rules_hold_and_the_window_can_be_opened() -> None:
    sender = testing.make_sender(window_policy="inbound_only")
    with pytest.raises(errors.WindowClosed):
        outbox.queue(Text("a"), to=NUMBER)
    conversation = testing.open_window(NUMBER)
    with testing.capture() as sent:
        outbox.queue(Text("a"), to=NUMBER)
    assert sent[0].message.conversation == conversation
    long_ago = clock.now() - timedelta(hours=25)
    testing.open_window(conversation, sender=sender, wrote_at=long_ago)
    with pytest.raises(errors.WindowClosed):
        outbox.queue(Text("b"), to=NUMBER)


def test_the_first_sender_is_the_default_and_needs_no_key(settings: Any) -> None:
    settings.MESSAGING = {"ADAPTERS": ["messaging.adapters.dummy.Dummy"]}
    first = testing.make_sender(default_region="GB", address="+447700900001")
    second = testing.make_sender(channel="sms", name="Other")
    assert (first.is_default, second.is_default) == (True, False)
    assert Sender.objects.count() == 2
    with testing.capture() as sent:
        outbox.queue(Text("a"), to="07700 900123")
        outbox.queue(Text("b"), to=NUMBER, sender=second)
        sent.deliver()
    assert [item.sender for item in Dummy.sent] == ["+447700900001", ""]


# What customers write


def test_a_customer_writes_and_everything_follows(
    django_capture_on_commit_callbacks: Any,
) -> None:
    sender = testing.make_sender(window_policy="inbound_only")
    heard: list[str] = []

    def answer(message: Message, **_values: Any) -> None:
        heard.append(message.text)
        outbox.queue(Text("We are open until six."), to=message.conversation)

    signals.message_received.connect(answer)
    try:
        with testing.capture() as sent, django_capture_on_commit_callbacks(execute=True):
            testing.receive("Are you open?", from_="+447700900123", sender=sender, name="Asha")
    finally:
        signals.message_received.disconnect(answer)
    assert (heard, sent.texts) == (["Are you open?"], ["We are open until six."])
    testing.receive("Stop", from_="+447700900123")
    with pytest.raises(errors.OptedOut):
        outbox.queue(Text("But"), to="+447700900123")
