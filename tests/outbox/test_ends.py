"""What ends without leaving: calls of workers that died, and what came too late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging.models import Conversation, Message
from messaging.outbox import ends
from tests.rows import make_conversation, make_message, make_sending, status_of

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.mark.parametrize(
    ("status", "due_in", "after"),
    [
        ("sending", -1, "unknown"),
        ("sending", 0, "sending"),
        ("sending", 30, "sending"),
        ("queued", -1, "queued"),
        ("accepted", -1, "accepted"),
    ],
)
def test_only_calls_past_their_lease_are_given_up(status: str, due_in: int, after: str) -> None:
    message = make_sending(status=status, due_at=NOW + due_in * SECOND)
    gone = ends.give_up_lapsed("default", NOW)
    assert status_of(message) == after
    assert gone == ([message.pk] if after == "unknown" else [])
    if gone:
        assert (message.unknown_at, message.error_class) == (NOW, "ambiguous")
        assert message.claim is not None  # a late result may still settle it
        assert message.events.get().status == "unknown"
        assert Conversation.objects.get().version == 1
    assert ends.give_up_lapsed("default", NOW) == []


@pytest.mark.parametrize(
    ("values", "after"),
    [
        ({}, "expired"),
        ({"due_at": None}, "expired"),
        ({"due_at": NOW + timedelta(days=9)}, "expired"),
        ({"claim": "0" * 32}, "expired"),
        ({"expires_at": NOW + SECOND}, "queued"),
        ({"expires_at": None}, "queued"),
        ({"status": "accepted"}, "accepted"),
        ({"status": "sending", "claim": "0" * 32, "due_at": NOW + SECOND}, "sending"),
    ],
)
def test_what_is_too_late_expires_held_and_claimed_ones_too(
    values: dict[str, Any], after: str
) -> None:
    message = make_message(**{"expires_at": NOW, **values})
    assert ends.expire("default", NOW) == (after == "expired")
    assert status_of(message) == after
    assert (message.expired_at == NOW) == (after == "expired")


def test_a_sweep_takes_few_statements(django_assert_max_num_queries: Any) -> None:
    conversation = make_conversation()
    for _number in range(30):
        make_message(conversation, expires_at=NOW)
        make_sending(make_conversation(conversation.sender), due_at=NOW - SECOND)
    with django_assert_max_num_queries(20):
        assert ends.sweep("default", NOW) == 30
    assert not Message.objects.filter(status__in=["queued", "sending"]).exists()
