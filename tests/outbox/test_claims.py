"""What a claim takes, in which order, and what stands before a message."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from messaging.delivery import Attempt
from messaging.models import Conversation, Message, Sender
from messaging.outbox import claims, ends
from tests.rows import make_conversation, make_message, make_sender, make_sending

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture
def sender() -> Sender:
    return make_sender()


@pytest.fixture
def conversation(sender: Sender) -> Conversation:
    return make_conversation(sender)


def claim(
    sender: Sender, *, priority: int = 10, limit: int = 100, now: datetime = NOW
) -> list[Attempt]:
    return claims.claim("default", sender, priority, limit, now)


def ids(attempts: list[Attempt]) -> list[int]:
    return [attempt.message_id for attempt in attempts]


def test_the_order_is_due_time_then_id(sender: Sender) -> None:
    late = make_message(make_conversation(sender), due_at=NOW - SECOND)
    first = make_message(make_conversation(sender), due_at=NOW - 3 * SECOND)
    second = make_message(make_conversation(sender), due_at=NOW - 3 * SECOND)
    assert ids(claim(sender, limit=2)) == [first.pk, second.pk]
    assert ids(claim(sender)) == [late.pk]
    assert ids(claim(sender)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"due_at": NOW + SECOND},
        {"due_at": None},
        {"status": "accepted"},
        {"status": "failed"},
        {"status": "unknown"},
        {"status": "cancelled"},
        {"status": "expired"},
        {"priority": 20},
    ],
)
def test_what_is_not_claimed(values: dict[str, Any], sender: Sender) -> None:
    make_message(make_conversation(sender), **values)
    make_message(make_conversation())  # another sender's
    assert claim(sender) == []


def test_an_attempt_knows_all_that_is_needed(conversation: Conversation) -> None:
    conversation.address.contact.name = "Ada"
    conversation.address.contact.save()
    message = make_message(conversation, due_at=NOW - SECOND, retries=2)
    (attempt,) = claim(conversation.sender)
    message.refresh_from_db()
    assert message.claim == attempt.claim
    assert message.due_at == NOW + timedelta(seconds=claims.LEASE)
    assert (attempt.content, attempt.name, attempt.retries, attempt.due_at) == (
        message.content,
        "Ada",
        2,
        NOW - SECOND,
    )
    assert attempt.address == conversation.address.value


def test_due_says_which_senders_have_what(sender: Sender) -> None:
    other = make_sender()
    make_message(make_conversation(other), priority=20)
    make_message(make_conversation(sender), priority=20)
    make_message(make_conversation(sender), priority=0, due_at=NOW + SECOND)
    make_message(make_conversation(other), priority=0)
    assert claims.due("default", NOW) == [(other.pk, 0), (sender.pk, 20), (other.pk, 20)]


# What stands before a message of its own conversation

BEFORE = [
    # (the earlier message, whether the later one may be claimed, whether it may begin)
    ({"status": "sending"}, False, False),
    ({"claim": True, "due_at": NOW + 20 * SECOND}, False, False),
    ({"attempts": 1, "retries": 1, "due_at": NOW + 20 * SECOND}, False, False),
    # Asked to be patient: no retry is counted, but it was tried.
    ({"attempts": 1, "due_at": NOW + 20 * SECOND}, False, False),
    # Due as well: it may join the same claim, but not pass.
    ({"due_at": NOW - SECOND}, True, False),
    ({"due_at": NOW}, True, False),
    # A lease that lapsed.
    ({"claim": True, "due_at": NOW - SECOND}, True, False),
    # Held, or planned for later.
    ({"due_at": None}, True, True),
    ({"due_at": NOW + SECOND}, True, True),
    # At rest, whatever became of it.
    ({"status": "unknown"}, True, True),
    ({"status": "failed"}, True, True),
    ({"status": "cancelled"}, True, True),
    ({"status": "accepted"}, True, True),
    # Of less weight: a reply passes what has not begun, and what waits for its next try.
    ({"priority": 20, "due_at": NOW - SECOND}, True, True),
    ({"priority": 20, "attempts": 1, "due_at": NOW + SECOND}, True, True),
    ({"priority": 20, "status": "sending"}, False, False),
    # Of more weight.
    ({"priority": 0, "due_at": NOW - SECOND}, True, False),
]


@pytest.mark.parametrize(("before", "claimable", "may_begin"), BEFORE)
def test_what_stands_before_a_message(
    before: dict[str, Any], claimable: bool, may_begin: bool, conversation: Conversation
) -> None:
    values = {"status": "queued", "attempts": 0, **before}
    claimed = values.pop("claim", values["status"] == "sending")
    (make_sending if claimed else make_message)(conversation, **values)
    message = make_message(conversation, due_at=NOW)
    attempts = [item for item in claim(conversation.sender) if item.message_id == message.pk]
    assert bool(attempts) == claimable
    if claimable:
        begun = claims.begin("default", attempts, NOW, 57)
        assert (message.pk in begun) == may_begin


def test_a_later_message_does_not_stand_before_an_earlier_one(conversation: Conversation) -> None:
    first = make_message(conversation)
    make_message(conversation, attempts=1, retries=1, due_at=NOW + SECOND)
    attempts = claim(conversation.sender)
    assert ids(attempts) == [first.pk]
    # But nothing passes a call that is under way, whichever came first.
    call = make_sending(conversation)
    assert claims.begin("default", attempts, NOW, 57) == set()
    call.delete()
    assert claims.begin("default", attempts, NOW, 57) == {first.pk}


def test_another_conversation_does_not_matter(sender: Sender) -> None:
    make_sending(make_conversation(sender))
    message = make_message(make_conversation(sender))
    assert ids(claim(sender)) == [message.pk]


def test_followers_join_the_same_claim_in_order(conversation: Conversation) -> None:
    rows = [make_message(conversation) for _number in range(4)]
    attempts = claim(conversation.sender)
    assert ids(attempts) == [row.pk for row in rows]
    for attempt in attempts:
        assert claims.begin("default", attempts, NOW, 57) == {attempt.message_id}
        Message.objects.filter(pk=attempt.message_id).update(status="accepted")


# Leases


def test_a_lease_lapses_and_the_older_holder_has_lost_it(
    conversation: Conversation, traveller: time_machine.Coordinates
) -> None:
    message = make_message(conversation)
    (old,) = claim(conversation.sender)
    later = NOW + timedelta(seconds=claims.LEASE)
    assert claim(conversation.sender, now=later - SECOND) == []
    (new,) = claim(conversation.sender, now=later)
    assert claims.begin("default", [old], later, 57) == set()
    claims.release("default", [old])
    claims.postpone("default", [old], later)
    assert ends.settle_left("default", [old], later) == []
    # Nor may the older attempt begin beside the newer one, in one process.
    other = make_message(make_conversation(conversation.sender))
    (beside,) = claim(conversation.sender, now=later)
    assert beside.message_id == other.pk
    assert claims.begin("default", [old, beside], later, 57) == {other.pk}
    assert claims.begin("default", [new], later, 57) == {message.pk}


def test_releasing_restores_the_place(conversation: Conversation) -> None:
    message = make_message(conversation, due_at=NOW - 9 * SECOND)
    attempts = claim(conversation.sender)
    claims.release("default", attempts)
    message.refresh_from_db()
    assert (message.claim, message.due_at, message.attempts) == (None, NOW - 9 * SECOND, 0)


def test_a_postponed_head_keeps_its_followers_waiting(conversation: Conversation) -> None:
    head, follower = make_message(conversation), make_message(conversation)
    attempts = claim(conversation.sender)
    claims.postpone("default", attempts[:1], NOW + SECOND)
    claims.release("default", attempts[1:])
    assert claim(conversation.sender) == []
    again = claim(conversation.sender, now=NOW + SECOND)
    assert sorted(ids(again)) == [head.pk, follower.pk]
    assert claims.begin("default", again, NOW + SECOND, 57) == {head.pk}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_claims_at_the_same_time_share_nothing(sender: Sender) -> None:
    for _number in range(200):
        make_message(make_conversation(sender))
    taken: list[list[int]] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        mine: list[int] = []
        while attempts := claim(sender, limit=10):
            mine += ids(attempts)
        taken.append(mine)
        connection.close()

    threads = [threading.Thread(target=work) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == 4
    everything = [pk for mine in taken for pk in mine]
    # A row somebody else was about to take is passed over, and found again in the next round.
    assert len(everything) == len(set(everything)) == 200
