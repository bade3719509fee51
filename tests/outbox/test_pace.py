"""The pace of a lane: whoever leases, no second holds more calls than the rate allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from messaging.models import Pace
from messaging.outbox import pace
from messaging.outbox.pace import TOLERANCE, Slots, interval

rates = st.floats(0.001, 2000, allow_nan=False)


@given(rates)
def test_the_interval_keeps_any_second_within_the_rate(rate: float) -> None:
    gap = interval(rate)
    # So many calls, spaced so, begin within one second at most (its end exclusive).
    assert math.ceil(1 / gap) <= max(1, math.ceil(rate))


@given(rates)
def test_the_interval_gives_little_away(rate: float) -> None:
    assert 0.92 * rate <= 1 / interval(rate) < rate


@given(st.integers(2, 100))
def test_one_late_call_makes_no_extra_one(rate: int) -> None:
    """The first of rate + 1 calls may start as late as is tolerated, where few share a second."""
    if rate <= 8:
        assert rate * interval(rate) - TOLERANCE >= 1.0


class Clock:
    """The host's time and the time of calls, moved together by hand."""

    def __init__(self, coordinates: time_machine.Coordinates, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self._coordinates = coordinates
        patch.setattr(pace.time, "monotonic", lambda: self.now)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self._coordinates.shift(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    with time_machine.travel(datetime(2027, 3, 1, tzinfo=UTC), tick=False) as coordinates:
        yield Clock(coordinates, monkeypatch)


@pytest.fixture
def one_clock(db: None, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """On PostgreSQL its own clock counts; here it is the one that is moved by hand."""
    statement = pace._POSTGRESQL.replace(
        "extract(epoch FROM clock_timestamp())", "current_setting('messaging.now')::float8"
    )
    monkeypatch.setattr(pace, "_POSTGRESQL", statement)
    real = pace._advance

    def advance(alias: str, lane: str, length: float) -> tuple[float, float, float]:
        from django.db import connections

        if connections[alias].vendor == "postgresql":
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT set_config('messaging.now', %s, false)", [repr(clock.now)])
        return real(alias, lane, length)

    monkeypatch.setattr(pace, "_advance", advance)
    return clock


def most_in_a_second(calls: list[float]) -> int:
    return max(sum(start <= call < start + 1.0 for call in calls) for start in calls)


@pytest.mark.parametrize(("rate", "most"), [(5.0, 5), (80.0, 80), (1.0, 1)])
def test_two_holders_together_never_exceed_the_rate(
    rate: float, most: int, one_clock: Clock
) -> None:
    holders = [Slots("p1", rate), Slots("p1", rate)]
    calls: list[float] = []
    step = 0.003
    while one_clock.now < 1006:
        for holder in holders:
            holder.lease("default", 3)
            while holder.take():
                calls.append(one_clock.now)
        one_clock.pass_by(step)
    assert most_in_a_second(calls) <= most
    assert len(calls) >= 6 * rate * 0.9


def test_one_holder_is_as_fast_as_two(one_clock: Clock) -> None:
    holder, calls = Slots("p1", 5.0), 0
    for _step in range(2000):
        holder.lease("default", 10)
        calls += holder.take()
        one_clock.pass_by(0.005)
    assert 45 <= calls <= 50


def test_lanes_do_not_share(one_clock: Clock) -> None:
    for lane in ("p1", "s1"):
        slots = Slots(lane, 5.0)
        slots.lease("default", 1)
        one_clock.pass_by(0.001)
        assert slots.take()
    assert Pace.objects.count() == 2


def test_missed_slots_are_thrown_away(one_clock: Clock) -> None:
    slots = Slots("p1", 5.0)
    slots.lease("default", 4)
    assert len(slots) == 4
    one_clock.pass_by(0.001)
    assert slots.take()
    # A process that was stopped for a while must not make up for it all at once.
    one_clock.pass_by(2 * slots.interval + TOLERANCE / 2)
    assert slots.take()
    assert not slots.take()
    one_clock.pass_by(60)
    assert len(slots) == 0
    assert slots.wait() is None


def test_a_slot_is_not_used_early(one_clock: Clock) -> None:
    slots = Slots("p1", 5.0)
    slots.lease("default", 2)
    one_clock.pass_by(0.001)
    assert slots.take()
    assert not slots.take()
    assert slots.wait() == pytest.approx(slots.interval - 0.001)
    one_clock.pass_by(slots.interval - 0.002)
    assert not slots.take()
    one_clock.pass_by(0.002)
    assert slots.take()


def test_no_more_than_a_second_is_held(one_clock: Clock) -> None:
    slots = Slots("p1", 80.0)
    for _turn in range(5):
        slots.lease("default", 500)
    assert len(slots) == slots.most == 79
    assert Slots("p1", 0.01).most == 1


def test_only_what_is_near_may_begin(one_clock: Clock) -> None:
    first, second = Slots("p1", 0.01), Slots("p1", 0.01)
    first.lease("default", 5)
    assert first.near == 1
    second.lease("default", 5)
    assert (len(second), second.near) == (1, 0)
    one_clock.pass_by(first.interval - 0.5)
    assert second.near == 1


def test_unused_slots_go_back(one_clock: Clock) -> None:
    slots = Slots("p1", 0.01)
    slots.lease("default", 1)
    one_clock.pass_by(0.001)
    assert slots.take()
    slots.lease("default", 1)
    before = Pace.objects.get().tat
    # The process ends; the next one begins where it would have been.
    slots.give_up("default")
    assert Pace.objects.get().tat == pytest.approx(before - slots.interval)
    other = Slots("p1", 0.01)
    other.lease("default", 1)
    assert other.wait() == pytest.approx(other.interval - 0.001)


def test_slots_behind_which_somebody_leased_do_not_go_back(one_clock: Clock) -> None:
    first, second = Slots("p1", 5.0), Slots("p1", 5.0)
    first.lease("default", 4)
    second.lease("default", 1)
    before = Pace.objects.get().tat
    first.give_up("default")
    assert Pace.objects.get().tat == before
    assert len(first) == 0


def test_only_slots_of_the_last_lease_go_back(one_clock: Clock) -> None:
    first, second = Slots("p1", 5.0), Slots("p1", 5.0)
    first.lease("default", 2)
    second.lease("default", 1)
    first.lease("default", 4)
    before = Pace.objects.get().tat
    first.give_up("default")
    assert Pace.objects.get().tat == pytest.approx(before - 2 * first.interval)


def test_a_slow_answer_makes_slots_late_and_fewer_never_early(
    one_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pace, "_advance", lambda *_args: (0.0, one_clock.now + 4 * interval(5.0), 0.25)
    )
    slots = Slots("p1", 5.0)
    slots.lease("default", 4)
    # A quarter of a second in doubt is more than one interval: two slots are left out.
    assert len(slots) == 2
    assert slots.take()
