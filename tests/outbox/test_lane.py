"""One account's share: evenly with others, best first, one per conversation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.delivery import Attempt
from messaging.models import Provider, Sender
from messaging.outbox import lane as lane_module
from messaging.outbox.lane import Lane, in_order, level

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def attempt(number: int, conversation: int = 0, due: int = 0, priority: int = 10) -> Attempt:
    return Attempt(
        message_id=number,
        conversation_id=conversation or number,
        sender=Sender(pk=1),
        claim=uuid4(),
        kind="text",
        content={},
        address_id=1,
        address="+447911123456",
        name="",
        priority=priority,
        due_at=NOW + timedelta(seconds=due),
        retries=0,
    )


def ids(attempts: list[Attempt]) -> list[int]:
    return [item.message_id for item in attempts]


@pytest.mark.parametrize(
    ("room", "held", "share"),
    [
        (50, [0], 50),
        (10, [40], 10),
        (50, [0, 0], 25),
        (25, [0, 25], 25),
        (13, [7, 30], 13),
        (0, [0, 50], 0),
        (-3, [0], 0),
        (30, [20, 0], 5),
    ],
)
def test_room_is_shared_so_that_all_come_to_hold_the_same(
    room: int, held: list[int], share: int
) -> None:
    assert max(0, level(room, held)) == share


@given(st.integers(0, 100), st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_no_more_is_given_than_there_is(room: int, held: list[int]) -> None:
    held = sorted(held)
    left = room
    for position in range(len(held)):
        share = level(left, held[position:])
        assert 0 <= share <= left
        left -= share
    # Nothing stays unused where somebody could use it.
    assert left == 0


def test_oldest_due_first_and_a_conversation_in_its_own_order() -> None:
    # Message 1 was tried before, so it is due after its followers 2 and 3.
    given_order = [
        attempt(2, 7, due=0),
        attempt(3, 7, due=0),
        attempt(9, due=1),
        attempt(1, 7, due=5),
    ]
    assert ids(in_order(given_order)) == [1, 2, 9, 3]


def test_the_best_come_first_one_per_conversation() -> None:
    one = Lane(Provider(pk=1))
    one.add([attempt(1, 5), attempt(2, 5), attempt(3, 6)], priority=20)
    one.add([attempt(4, 6, priority=0)], priority=0)
    busy: set[int] = set()
    assert ids(one.take(10, busy)) == [4, 1]
    assert busy == {5, 6}
    assert one.waiting == 2
    busy.clear()
    assert ids(one.take(1, busy)) == [2]
    busy.clear()
    assert ids(one.take(10, busy)) == [3]
    assert one.take(10, busy) == []


def test_dropping_gives_everything_back() -> None:
    one = Lane(Provider(pk=1))
    one.more = True
    one.add([attempt(1)], priority=20)
    one.add([attempt(2)], priority=0)
    assert sorted(ids(one.drop())) == [1, 2]
    assert (one.waiting, one.more) == (0, False)


def test_a_lane_is_slow_while_its_gateway_is(monkeypatch: pytest.MonkeyPatch) -> None:
    moment: Any = [1000.0]
    monkeypatch.setattr(lane_module.time, "monotonic", lambda: moment[0])
    monkeypatch.setattr(lane_module, "_slow_until", {})
    one, again = Lane(Provider(pk=1)), Lane(Provider(pk=1))
    one.note_call(4.9)
    assert not one.is_slow()
    one.note_call(20.0)
    assert one.is_slow()
    # Another drain of this process knows it too; another account is not concerned.
    assert again.is_slow()
    assert not Lane(Provider(pk=2)).is_slow()
    moment[0] += 61
    assert not one.is_slow()
    # A call that has not come back yet is as telling as one that came back late.
    one.flying[1] += 1
    one.moved_at = moment[0]
    assert not one.is_slow()
    moment[0] += 6
    assert one.is_slow()
