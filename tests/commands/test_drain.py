"""`messaging_drain`: everything due leaves, reports come in, and a signal ends it in good order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from messaging import clock, outbox
from messaging.content import Text
from messaging.models import Message, Sender
from messaging.sandbox import SandboxClient

from .conftest import run

pytestmark = pytest.mark.django_db(transaction=True)

DRAIN = "messaging_drain"


def queue(sender: Sender, count: int = 1, **options: Any) -> None:
    for number in range(count):
        to = f"+44770090{number:04d}"
        outbox.queue(Text(f"Hello {number}"), to=to, sender=sender, **options)


@contextmanager
def signalled(number: signal.Signals, sandbox: SandboxClient) -> Iterator[None]:
    """Send this process a signal as soon as the first call has arrived."""
    over = threading.Event()
    usual = signal.getsignal(number)

    def strike() -> None:
        while not over.wait(0.01):
            if sandbox.arrivals(operation="sendText", limit=1):
                break
        # Only to who listens: otherwise it would end the tests.
        if signal.getsignal(number) is not usual:
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_what_is_due_leaves_and_reports_come_in(wh: Sender, sandbox: SandboxClient) -> None:
    queue(wh, 3)
    result = run(DRAIN, "--json")
    assert result.code == 0
    assert result.json | {"seconds": 0} == {
        "calls": 3,
        "messages": 3,
        "given_up": 0,
        "reports": 3,
        "waiting": 0,
        "seconds": 0,
        "stopped": False,
    }
    assert set(Message.objects.values_list("status", flat=True)) == {"read"}


def test_without_reports(wh: Sender) -> None:
    queue(wh)
    assert run(DRAIN, "--no-reports", "--threads", "1").out.strip() == "1 message in 1 call."
    assert Message.objects.get().status == "accepted"


def test_an_idle_sender_is_asked_by_the_next_run(wh: Sender) -> None:
    Sender.objects.filter(pk=wh.pk).update(poll_due_at=clock.now() + timedelta(minutes=10))
    queue(wh)
    assert run(DRAIN, "--json").json["reports"] == 0
    wh.refresh_from_db()
    assert wh.poll_due_at is not None
    assert wh.poll_due_at < clock.now() + timedelta(seconds=30)


def test_nothing_to_do(wh: Sender) -> None:
    assert run(DRAIN).out.strip() == "0 messages, calls: 0."


def test_what_waits_is_told(senders: dict[str, Sender]) -> None:
    queue(senders["intellisoftware.whatsapp"], hold="window")
    assert "Still waiting" in run(DRAIN).out


def test_no_seconds_begin_nothing(wh: Sender, sandbox: SandboxClient) -> None:
    queue(wh)
    assert run(DRAIN, "--seconds", "0", "--json").json["messages"] == 0
    assert not sandbox.deliveries()
    assert run(DRAIN, "--json").json["messages"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_finish(
    wh: Sender, sandbox: SandboxClient, number: signal.Signals
) -> None:
    queue(wh, 200)
    sandbox.fault("latency", operation="sendText", seconds=0.5)
    before = signal.getsignal(number)
    with signalled(number, sandbox):
        result = run(DRAIN, "--threads", "4", "--json")
    assert result.code == 0
    assert result.json["stopped"]
    assert signal.getsignal(number) is before
    states = list(Message.objects.values_list("status", flat=True))
    assert set(states) == {"accepted", "queued"}
    assert states.count("accepted") == len(sandbox.deliveries()) == result.json["messages"]

    sandbox.clear_faults()
    run(DRAIN)
    assert len({row["phone"] for row in sandbox.deliveries()}) == len(sandbox.deliveries()) == 200


def test_a_database_without_tables_is_told_in_words(
    wh: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    def fail(*_args: Any) -> None:
        raise OperationalError("no such table: messaging_message")

    monkeypatch.setattr(outbox.Drain, "run", fail)
    result = run(DRAIN)
    assert result.code == 1
    assert "manage.py migrate" in result.problem
