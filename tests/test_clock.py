"""The one clock: the host's, set by the database's where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection, transaction

from messaging import clock

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_offset(settings: Any) -> Iterator[None]:
    settings.MESSAGING |= {"DATABASE_CLOCK": True}
    before = (clock._Offset.seconds, clock._Offset.measured_at)
    clock._Offset.seconds, clock._Offset.measured_at = 0.0, None
    yield
    clock._Offset.seconds, clock._Offset.measured_at = before


def test_it_is_aware_and_in_utc(settings: Any) -> None:
    settings.MESSAGING |= {"DATABASE_CLOCK": False}
    with time_machine.travel(NOW, tick=False):
        assert clock.now() == NOW
        assert clock.now().tzinfo is UTC


def test_hosts_agree_by_the_databases_time() -> None:
    """A host whose clock is an hour ahead tells the database's time; on SQLite there is one."""
    truth = datetime.now(UTC)
    with time_machine.travel(truth + timedelta(hours=1)):
        told = clock.now()
    expected = truth if connection.vendor == "postgresql" else truth + timedelta(hours=1)
    assert abs(told - expected) < timedelta(seconds=20)


def test_noise_is_no_difference() -> None:
    clock.now()
    assert clock._Offset.seconds == 0.0


@pytest.mark.postgres
def test_the_difference_is_measured_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    moment = 1000.0
    monkeypatch.setattr(clock.time, "monotonic", lambda: moment)
    with django_assert_num_queries(1):
        clock.now()
        clock.now()
    moment += 61
    with django_assert_num_queries(1):
        clock.now()


def test_it_can_be_switched_off(settings: Any, django_assert_num_queries: Any) -> None:
    settings.MESSAGING |= {"DATABASE_CLOCK": False}
    with django_assert_num_queries(0):
        clock.now()


def test_the_time_is_told_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks may hold results that wait to be written."""

    def away() -> float:
        raise OperationalError("away")

    monkeypatch.setattr(clock, "measure", away)
    monkeypatch.setattr(clock, "_is_stale", lambda: True)
    clock._Offset.seconds = 30.0
    with time_machine.travel(NOW, tick=False):
        assert clock.now() == NOW + timedelta(seconds=30)


@pytest.mark.postgres
def test_a_broken_transaction_is_left_alone() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        assert clock.now()
        assert clock._Offset.measured_at is None
