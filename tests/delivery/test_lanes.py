"""Pausing and resuming: who may, how long, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging import delivery, signals
from messaging.errors import ErrorClass, Failure, Scope, Verdict
from messaging.models import Provider, Sender
from tests.rows import make_provider, make_sender

NOW = datetime(2027, 3, 1, 22, 30, tzinfo=UTC)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture
def lane(traveller: Any) -> Provider:
    return make_provider()


@pytest.fixture
def told() -> Iterator[list[str]]:
    heard: list[str] = []

    def paused(reason: str, **_values: Any) -> None:
        heard.append(f"paused: {reason}")

    def resumed(**_values: Any) -> None:
        heard.append("resumed")

    signals.lane_paused.connect(paused)
    signals.lane_resumed.connect(resumed)
    yield heard
    signals.lane_paused.disconnect(paused)
    signals.lane_resumed.disconnect(resumed)


def stored(lane: Provider) -> tuple[str, int | None]:
    """The reason in the database, and the seconds it lasts from NOW on."""
    row = Provider.objects.get(pk=lane.pk)
    until = row.paused_until
    return row.pause_reason, int((until - NOW).total_seconds()) if until else None


def trouble(error_class: ErrorClass, **values: Any) -> Failure:
    return Failure(
        verdict=Verdict.REFUSED, error_class=error_class, scope=Scope.LANE, text="No.", **values
    )


@pytest.mark.parametrize(
    ("failure", "reason", "seconds"),
    [
        (trouble(ErrorClass.AUTHENTICATION), "authentication", 60),
        (trouble(ErrorClass.CONFIGURATION), "configuration", 60),
        (trouble(ErrorClass.QUOTA), "quota", 60),
        (trouble(ErrorClass.RATE_LIMIT), "rate_limit", 60),
        (trouble(ErrorClass.RATE_LIMIT, retry_after=7.0), "rate_limit", 7),
        # A minute past midnight of the gateway's own day, month and year.
        (trouble(ErrorClass.QUOTA, until="day"), "quota", 91 * 60),
        (trouble(ErrorClass.QUOTA, until="month"), "quota", 30 * 24 * 3600 + 31 * 60),
    ],
)
def test_how_long_a_failure_pauses(
    failure: Failure, reason: str, seconds: int, lane: Provider
) -> None:
    zone = "Europe/London"  # on summer time from 28 March: April begins an hour early
    assert delivery.pause_for(lane, failure, time_zone=zone)
    assert stored(lane) == (reason, seconds)
    assert lane.pause_text == "No."
    assert lane.is_paused(NOW)


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [
        ("UTC", 91),
        ("Asia/Kolkata", (24 * 60 - 4 * 60) + 1),
        ("America/New_York", 391),
        ("Mars", 91),
    ],
)
def test_a_day_ends_where_the_gateway_is(zone: str, minutes: int, lane: Provider) -> None:
    delivery.pause_for(lane, trouble(ErrorClass.QUOTA, until="day"), time_zone=zone)
    assert stored(lane) == ("quota", minutes * 60)


def test_a_pause_is_not_made_longer_by_calls_that_fail_with_it(
    lane: Provider, told: list[str]
) -> None:
    for _call in range(20):
        delivery.pause_for(lane, trouble(ErrorClass.AUTHENTICATION), time_zone="UTC")
        assert (lane.pause_seconds, lane.paused_until) == (60, NOW + timedelta(seconds=60))
    assert stored(lane) == ("authentication", 60)
    assert told == ["paused: authentication"]


def test_each_trial_that_fails_doubles_the_pause_up_to_an_hour(
    lane: Provider, traveller: time_machine.Coordinates, told: list[str]
) -> None:
    lengths = []
    for _trial in range(9):
        delivery.pause_for(lane, trouble(ErrorClass.QUOTA), time_zone="UTC")
        lengths.append(lane.pause_seconds)
        assert lane.paused_until
        traveller.move_to(lane.paused_until)
        assert not lane.is_paused(lane.paused_until)
    assert lengths == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert told == ["paused: quota"]


def test_an_outage_is_tried_sooner(lane: Provider, traveller: time_machine.Coordinates) -> None:
    lengths = []
    for _trial in range(8):
        delivery.pause(lane, "unreachable")
        lengths.append(lane.pause_seconds)
        assert lane.paused_until
        traveller.move_to(lane.paused_until)
    assert lengths == [5, 10, 20, 40, 80, 160, 300, 300]


def test_a_persons_pause_is_only_ended_by_a_person(lane: Provider, told: list[str]) -> None:
    delivery.pause(lane, "person", by=object(), text="Holiday")
    assert stored(lane) == ("person", None)
    assert not delivery.pause_for(lane, trouble(ErrorClass.QUOTA), time_zone="UTC")
    assert not delivery.resume(lane)
    assert stored(lane) == ("person", None)
    assert lane.pause_reason == "person"
    assert delivery.resume(lane, by=object())
    assert stored(lane) == ("", None)
    assert told == ["paused: person", "resumed"]


def test_a_persons_pause_replaces_any_other(lane: Provider) -> None:
    delivery.pause_for(lane, trouble(ErrorClass.QUOTA), time_zone="UTC")
    assert not delivery.pause(lane, "person", by=object(), until=NOW + timedelta(days=2))
    assert stored(lane) == ("person", 2 * 24 * 3600)


def test_a_persons_pause_that_ran_out_gives_way(
    lane: Provider, traveller: time_machine.Coordinates
) -> None:
    delivery.pause(lane, "person", by=object(), until=NOW + timedelta(hours=1))
    later = NOW + timedelta(hours=2)
    traveller.move_to(later)
    stale = Provider.objects.get(pk=lane.pk)
    # A trial that fails must pause again, or the gateway would be asked without end.
    delivery.pause_for(lane, trouble(ErrorClass.QUOTA), time_zone="UTC")
    assert stored(lane) == ("quota", 7200 + 60)
    # And a trial that was taken ends the pause it tried, not a newer one.
    assert not delivery.resume(stale, run_out_by=later)
    assert stored(lane)[0] == "quota"
    assert delivery.resume(lane, run_out_by=later + timedelta(minutes=5))


def test_resuming_what_is_not_paused_says_so(lane: Provider, told: list[str]) -> None:
    assert not delivery.resume(lane)
    assert told == []


def test_a_phone_pauses_and_resumes_its_own_sender(traveller: Any) -> None:
    provider = make_provider(adapter="whatsapp_http", base_url="https://gateway.example")
    sender = make_sender(provider, credentials={"token": "t"})
    delivery.mark_connected(sender, False)
    sender.refresh_from_db()
    assert (sender.connection, sender.pause_reason) == ("disconnected", "disconnected")
    delivery.mark_connected(sender, True)
    sender.refresh_from_db()
    assert (sender.connection, sender.pause_reason) == ("connected", "")
    Sender.objects.update(pause_reason="quota")
    sender.refresh_from_db()
    delivery.mark_connected(sender, True)
    sender.refresh_from_db()
    assert sender.pause_reason == "quota"


def test_a_word_no_database_takes_still_pauses(lane: Provider) -> None:
    failure = Failure(
        verdict=Verdict.REFUSED,
        error_class=ErrorClass.QUOTA,
        scope=Scope.LANE,
        text="a\x00\ud800" * 300,
    )
    delivery.pause_for(lane, failure, time_zone="UTC")
    assert stored(lane)[0] == "quota"
