"""The jobs of a worker: alone where they must be, never stopped by one another."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging import background, delivery, health, outbox, polling, tasks
from messaging.adapters.dummy import Dummy
from messaging.content import Text
from messaging.models import Heartbeat, Message, Sender
from tests.rows import make_conversation, make_message, make_provider, make_sender, status_of

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture(autouse=True)
def _cluster(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MESSAGING |= {"DRAIN_SECONDS": 5, "DRAIN_LINGER": 0}
    monkeypatch.setenv("MESSAGING_CLUSTER", "here")
    Dummy.clear()


@pytest.fixture(autouse=True)
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []

    def run(job: str, *ids: int) -> bool:
        rung.append(job)
        return True

    monkeypatch.setattr(background, "run", run)
    return rung


@pytest.fixture
def sender() -> Sender:
    return make_sender(is_default=True)


def queued(sender: Sender, count: int = 1) -> list[Message]:
    return [make_message(make_conversation(sender)) for _number in range(count)]


# Draining


def test_a_drain_sends_what_is_due_and_gives_its_lease_up(sender: Sender, bells: list[str]) -> None:
    messages = queued(sender, 3)
    tasks.drain()
    assert {status_of(message) for message in messages} == {"accepted"}
    assert len(Dummy.sent) == 3
    row = Heartbeat.objects.get(name="drain:here")
    assert (row.holder, row.expires_at) == ("", None)
    # Every second of a drain is proof of life.
    assert Heartbeat.objects.get(name="worker:here").beat_at == NOW
    assert bells == []


@pytest.mark.parametrize("values", [{"holder": "other", "expires_at": NOW}, {"stop": True}])
def test_one_drain_per_cluster_and_none_in_one_that_stops(
    values: dict[str, Any], sender: Sender
) -> None:
    (message,) = queued(sender)
    Heartbeat.objects.create(name="drain:here", **values)
    tasks.drain()
    assert status_of(message) == "queued"


def test_the_lease_of_a_drain_that_died_lapses(
    sender: Sender, traveller: time_machine.Coordinates
) -> None:
    (message,) = queued(sender)
    Heartbeat.objects.create(name="drain:here", holder="dead", expires_at=NOW)
    traveller.shift(1)
    tasks.drain()
    assert status_of(message) == "accepted"


def test_another_cluster_has_its_own_lease(sender: Sender) -> None:
    (message,) = queued(sender)
    Heartbeat.objects.create(name="drain:there", holder="other", expires_at=NOW)
    tasks.drain()
    assert status_of(message) == "accepted"


def test_a_drain_that_ends_with_work_left_rings_whoever_rang_before(
    sender: Sender, bells: list[str], settings: Any
) -> None:
    settings.MESSAGING |= {"DRAIN_SECONDS": 0}
    queued(sender)
    # A bell in this moment came to nothing, because the drain held the job.
    Heartbeat.objects.create(name="bell", beat_at=NOW)
    tasks.drain()
    assert bells == ["drain"]


def test_what_waits_for_a_paused_account_rings_nothing(bells: list[str], settings: Any) -> None:
    settings.MESSAGING |= {"DRAIN_SECONDS": 0}
    queued(make_sender(make_provider(pause_reason="person")))
    tasks.drain()
    assert bells == []


def test_what_just_left_is_reported_on_soon(bells: list[str]) -> None:
    provider = make_provider(adapter="whatsapp_http", base_url="https://gateway.example")
    sender = make_sender(provider, credentials={"token": "t" * 24})
    Sender.objects.update(poll_due_at=NOW + timedelta(minutes=9))
    lease = health.Lease("drain:here", seconds=10)
    assert lease.take()
    beat = tasks._Beat(lease, threading.Event())
    beat.done = outbox.Drained(sender_ids={sender.pk})
    assert beat()
    assert Sender.objects.get().poll_due_at == NOW + timedelta(seconds=3)
    assert beat.done.sender_ids == set()
    # And who is due is asked in a task of its own.
    Sender.objects.update(poll_due_at=NOW)
    tasks.drain()
    assert bells == []
    lease.give_up()
    tasks.drain()
    assert bells == ["poll"]


def test_a_drain_ends_when_it_lost_its_lease_or_is_asked_to(sender: Sender) -> None:
    lease = health.Lease("drain:here", seconds=10)
    assert lease.take()
    stopping = threading.Event()
    beat = tasks._Beat(lease, stopping)
    assert beat()
    stopping.set()
    assert not beat()
    stopping.clear()
    Heartbeat.objects.filter(name="drain:here").update(stop=True)
    assert not beat()
    Heartbeat.objects.filter(name="drain:here").update(stop=False, holder="other")
    assert not beat()


def test_sigterm_finishes_what_is_in_the_air_and_puts_the_handler_back(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, bells: list[str]
) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    real = Dummy.send

    def send(self: Any, message: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(self, message)

    monkeypatch.setattr(Dummy, "send", send)
    try:
        messages = queued(sender, 2)
        tasks.drain()
        assert heard == []
        assert {status_of(message) for message in messages} <= {"accepted", "queued"}
        assert sum(message.status == "accepted" for message in messages) == len(Dummy.sent)
        assert bells == []  # a worker that ends asks for nothing more
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    def work() -> None:
        with tasks._finishing_on_sigterm() as stopping:
            seen.append((stopping.is_set(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


# The minute


def test_the_tick_finds_everything_by_its_time(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = queued(sender)[0]
    held = make_message(make_conversation(sender), due_at=None, expires_at=NOW)
    paused = make_message(
        make_conversation(make_sender(make_provider(pause_reason="person"))), expires_at=NOW
    )
    calls: list[str] = []
    monkeypatch.setattr(polling, "run_due", lambda: calls.append("poll"))
    monkeypatch.setattr(tasks.delivery, "match_parked", _noting(calls, "match_parked"))
    tasks.tick()
    assert [status_of(message) for message in (due, held, paused)] == [
        "accepted",
        "expired",
        "expired",
    ]
    assert calls == ["poll", "match_parked"]
    assert Heartbeat.objects.get(name="tick:here").beat_at == NOW


def _noting(calls: list[str], name: str, error: Exception | None = None) -> Any:
    def job() -> None:
        calls.append(name)
        if error:
            raise error

    job.__name__ = name
    return job


@pytest.mark.parametrize("broken", ["sweep", "poll", "match_parked"])
def test_what_is_wrong_with_one_part_of_the_tick_stops_no_other(
    broken: str, sender: Sender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (message,) = queued(sender)
    calls: list[str] = []
    for owner, name in ((outbox, "sweep"), (tasks, "poll"), (delivery, "match_parked")):
        error = RuntimeError("odd") if name == broken else None
        monkeypatch.setattr(owner, name, _noting(calls, name, error))
    tasks.tick()
    assert calls == ["sweep", "poll", "match_parked"]
    assert status_of(message) == "accepted"
    assert broken in caplog.text


def test_a_tick_without_work_drains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def drain() -> None:
        raise AssertionError

    monkeypatch.setattr(tasks, "drain", drain)
    tasks.tick()


# Life


def test_a_beat_is_written_by_a_task_under_its_clusters_name() -> None:
    tasks.beat()
    assert Heartbeat.objects.get().name == "worker:here"
    assert health.last_beat() == NOW


def test_without_a_supervisor_a_cluster_is_its_host_and_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MESSAGING_CLUSTER")
    assert tasks.cluster_name().endswith(f":{os.getppid()}")
    connected: list[Any] = []
    monkeypatch.setattr(background, "watch_worker", lambda *jobs: connected.append(jobs))
    tasks.watch_worker()
    assert connected == []
    monkeypatch.setenv("MESSAGING_CLUSTER", "here")
    monkeypatch.setenv("MESSAGING_SUPERVISOR", str(os.getpid()))
    tasks.watch_worker()
    assert len(connected) == 1


def test_a_clusters_rows_fit_their_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.socket, "gethostname", lambda: "h" * 64)
    monkeypatch.setattr(health.socket, "gethostname", lambda: "h" * 64)
    monkeypatch.delenv("MESSAGING_CLUSTER")
    lease = health.Lease(f"worker:{tasks.cluster_name()}", seconds=1)
    assert lease.take()
    row = Heartbeat.objects.get()
    row.full_clean()
    # From one end to the other: what is queued leaves by the task alone.
    message = outbox.queue(Text("Hello"), to="+447911123456", sender=make_sender())
    tasks.drain()
    assert status_of(message) == "accepted"
