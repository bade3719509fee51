"""One key, one message; and a caller's transaction that decides whether anything is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from messaging import background, errors, outbox
from messaging.content import Location, TemplateMessage, Text
from messaging.models import (
    Contact,
    ContactAddress,
    Conversation,
    Heartbeat,
    Message,
    Sender,
    Template,
)
from tests.rows import make_conversation, make_sender, make_template

NUMBER = "+447911123456"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sender() -> Sender:
    return make_sender(is_default=True)


@pytest.fixture(autouse=True)
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs the queue was asked for; the queue itself stays out of it."""
    rung: list[str] = []

    def run(job: str, *ids: int) -> bool:
        rung.append(job)
        return True

    monkeypatch.setattr(background, "run", run)
    return rung


# Keys


def test_the_same_key_is_the_same_row(sender: Sender) -> None:
    first = outbox.queue(Text("Hello"), to=NUMBER, key="k")
    version = Conversation.objects.get().version
    again = outbox.queue(Text("Hello"), to="07911 123456", key="k")
    assert again == first
    assert Message.objects.count() == 1
    assert Conversation.objects.get().version == version


@pytest.mark.parametrize(
    "other",
    [
        {"content": Text("Goodbye")},
        {"content": Location(1.0, 2.0)},
        {"to": "+447911000000"},
        {"sender": True},
    ],
)
def test_the_same_key_for_something_else_is_an_error(other: dict[str, Any], sender: Sender) -> None:
    if other.get("sender"):
        other = {"sender": make_sender()}
    arguments: dict[str, Any] = {"content": Text("Hello"), "to": NUMBER, "key": "k"}
    outbox.queue(arguments["content"], to=NUMBER, key="k")
    arguments |= other
    with pytest.raises(errors.KeyConflict, match="k"):
        outbox.queue(arguments.pop("content"), **arguments)
    assert Message.objects.count() == 1


def test_a_repeat_is_answered_although_it_would_be_refused_by_now(sender: Sender) -> None:
    first = outbox.queue(Text("Hello"), to=NUMBER, key="k")
    ContactAddress.objects.update(opted_out_at="2027-01-01T00:00Z")
    assert outbox.queue(Text("Hello"), to=NUMBER, key="k") == first


def test_a_repeat_does_not_depend_on_who_is_the_default_by_now(sender: Sender) -> None:
    first = outbox.queue(Text("Hello"), to=NUMBER, key="k")
    Sender.objects.update(is_default=False)
    make_sender(is_default=True)
    assert outbox.queue(Text("Hello"), to=NUMBER, key="k") == first


def test_a_template_that_was_synchronised_since_is_the_same(sender: Sender) -> None:
    row = make_template(sender.provider)
    first = outbox.queue(TemplateMessage(row, {"1": "Monday"}), to=NUMBER, key="k")
    Template.objects.update(external_id="99", footer="Reply STOP to stop.")
    row.refresh_from_db()
    assert outbox.queue(TemplateMessage(row, {"1": "Monday"}), to=NUMBER, key="k") == first
    with pytest.raises(errors.KeyConflict):
        outbox.queue(TemplateMessage(row, {"1": "Tuesday"}), to=NUMBER, key="k")


def test_keys_within_one_batch(sender: Sender) -> None:
    drafts = [
        outbox.Draft(content=Text(text), to=NUMBER, key=key)
        for text, key in [("a", "k"), ("a", "k"), ("b", "k"), ("b", None), ("b", "")]
    ]
    done = outbox.queue_many(drafts)
    assert done.messages[0] == done.messages[1]
    assert done.messages[2] is None
    assert [(number, type(error)) for number, error in done.refused] == [(2, errors.KeyConflict)]
    assert Message.objects.count() == 3


def test_a_conflict_leaves_the_callers_transaction_sound(sender: Sender) -> None:
    outbox.queue(Text("Hello"), to=NUMBER, key="k")
    with transaction.atomic():
        outbox.queue(Text("Hello"), to=NUMBER, key="k")
        with pytest.raises(errors.KeyConflict):
            outbox.queue(Text("Goodbye"), to=NUMBER, key="k")
        other = outbox.queue(Text("Goodbye"), to=NUMBER, key="l")
    assert Message.objects.filter(pk=other.pk).exists()


@pytest.mark.postgres
@pytest.mark.parametrize("same_content", [True, False])
def test_concurrent_inserts_of_one_key(sender: Sender, same_content: bool) -> None:
    start = threading.Barrier(6)

    def insert(number: int) -> Message:
        text = "Hello" if same_content else f"Hello {number}"
        start.wait()
        with transaction.atomic():
            message = outbox.queue(Text(text), to=NUMBER, key="k")
            Contact.objects.create(name=f"after {number}")  # the transaction is still of use
        return message

    outcomes = in_threads([lambda n=n: insert(n) for n in range(6)])
    made = [item for item in outcomes if isinstance(item, Message)]
    refused = [item for item in outcomes if isinstance(item, errors.KeyConflict)]
    assert len(made) + len(refused) == 6
    assert len({message.pk for message in made}) == 1
    assert len(refused) == (0 if same_content else 5)
    assert Message.objects.count() == ContactAddress.objects.count() == 1
    assert Contact.objects.filter(name="").count() == 1


@pytest.mark.postgres
def test_concurrent_batches_to_the_same_people_do_not_block_each_other(sender: Sender) -> None:
    numbers = [f"+4479110{number:05d}" for number in range(200)]
    start = threading.Barrier(4)

    def insert(turn: int) -> None:
        drafts = [
            outbox.Draft(content=Text(f"{turn} {number}"), to=number)
            for number in (numbers if turn % 2 else reversed(numbers))
        ]
        start.wait()
        outbox.queue_many(drafts)

    assert in_threads([lambda n=n: insert(n) for n in range(4)]) == [None] * 4
    assert Message.objects.count() == 800
    assert Conversation.objects.count() == Contact.objects.count() == 200


def in_threads(jobs: list[Callable[[], Any]]) -> list[Any]:
    """What each job returned or raised, in order."""
    outcomes: list[Any] = [None] * len(jobs)

    def work(number: int, job: Callable[[], Any]) -> None:
        try:
            outcomes[number] = job()
        except (errors.Refused, DatabaseError) as error:
            outcomes[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=item) for item in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


# Transactions


def test_a_rollback_sends_nothing_and_rings_nothing(sender: Sender, bells: list[str]) -> None:
    with transaction.atomic():
        outbox.queue(Text("Hello"), to=NUMBER)
        transaction.set_rollback(True)
    assert not Message.objects.exists()
    assert not Contact.objects.exists()
    assert bells == []


def test_the_bell_rings_after_the_commit_and_once_a_second(
    sender: Sender, bells: list[str]
) -> None:
    with transaction.atomic():
        outbox.queue(Text("a"), to=NUMBER)
        outbox.queue(Text("b"), to=NUMBER)
        assert bells == []
    assert bells == ["drain"]
    outbox.queue(Text("c"), to=NUMBER)
    assert bells == ["drain"]
    Heartbeat.objects.update(beat_at=None)  # a drain has begun
    outbox.queue(Text("d"), to=NUMBER)
    assert bells == ["drain", "drain"]


def test_a_broken_bell_is_no_error_of_the_caller(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_values: Any) -> Any:
        raise DatabaseError("away")

    monkeypatch.setattr("messaging.outbox.bell._made", broken)
    assert outbox.queue(Text("Hello"), to=NUMBER).pk


@pytest.mark.postgres
def test_a_callers_long_transaction_holds_no_conversation(sender: Sender) -> None:
    conversation = make_conversation(sender)
    with transaction.atomic():
        outbox.queue(Text("Hello"), to=conversation)

        def touch() -> int:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '5s'")
            return Conversation.objects.filter(pk=conversation.pk).update(unread_count=1)

        assert in_threads([touch]) == [1]
    conversation.refresh_from_db()
    assert (conversation.version, conversation.last_message_text) == (1, "Hello")
