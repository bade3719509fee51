"""The threads that make calls: none is lost, none is made too late, none waits behind a wall."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError

from messaging.adapters.base import SendOutcome, SendResult
from messaging.adapters.dummy import Dummy
from messaging.content import Text
from messaging.delivery import Attempt
from messaging.errors import Verdict
from messaging.events import Status
from messaging.outbox import calls
from messaging.outbox.calls import Callers, Job, call, prepare
from tests.rows import attempt_of, make_sender, make_sending

pytestmark = pytest.mark.django_db


class Wall:
    """Stands for an adapter; its calls wait until they are let through."""

    slug = "wall"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.made = 0
        self.http = make_http()

    def send(self, message: Any) -> SendOutcome:
        self.made += 1
        self.open.wait(20)
        taken = SendResult(status=Status.ACCEPTED, external_id="a1")
        return SendOutcome(results=(taken,) * len(message.recipients))


def make_http() -> Any:
    from messaging.adapters.http import Http

    return Http()


@pytest.fixture
def wall() -> Iterator[Wall]:
    one = Wall()
    yield one
    one.open.set()


@pytest.fixture
def attempt() -> Attempt:
    return attempt_of(make_sending(claim=uuid4()))


def job(adapter: Any, attempt: Attempt, **values: Any) -> Job:
    made = prepare(adapter, [attempt], **values)
    assert made.failed is None
    return made


def collect(callers: Callers, count: int) -> int:
    """How many came back, of `count` that should."""
    finished = 0
    end = time.monotonic() + 20
    while finished < count and time.monotonic() < end:
        finished += len(callers.collect(at_least=count - finished, patience=0.1))
    return finished


def test_calls_run_side_by_side_in_as_many_threads_as_they_may(
    wall: Wall, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_STUCK", 3600.0)
    callers = Callers(3)
    for _number in range(7):
        callers.start(job(wall, attempt))
    assert (callers.busy, callers.messages) == (7, 7)
    assert callers.collect(at_least=1, patience=0.1) == []
    assert wall.made == 3
    wall.open.set()
    assert collect(callers, 7) == 7
    assert (callers.busy, callers.messages) == (0, 0)
    callers.close()


def test_a_wall_does_not_stop_the_calls_behind_it(
    wall: Wall, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_STUCK", 0.05)
    callers = Callers(2)
    for _number in range(4):
        callers.start(job(wall, attempt))
    callers.start(job(make_sender().connect(), attempt))
    assert collect(callers, 1) == 1
    assert callers.busy == 4
    wall.open.set()
    assert collect(callers, 4) == 4


def test_what_waited_too_long_is_not_made(wall: Wall, attempt: Attempt) -> None:
    callers = Callers(2)
    late = job(wall, attempt, start_before=time.monotonic() - 1)
    callers.start(late)
    while not callers.unmade:
        assert callers.collect(at_least=1, patience=0.1) == []
    assert callers.unmade == [late]
    assert (wall.made, callers.busy, callers.messages) == (0, 0, 0)


def test_stopping_makes_no_call_that_has_not_begun(
    wall: Wall, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_STUCK", 3600.0)
    callers = Callers(1)
    for _number in range(4):
        callers.start(job(wall, attempt))
    while wall.made < 1:
        callers.collect(at_least=1, patience=0.01)
    callers.stop()
    wall.open.set()
    assert collect(callers, 1) == 1
    while callers.busy:
        callers.collect(at_least=1, patience=0.1)
    assert (wall.made, len(callers.unmade)) == (1, 3)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, MemoryError])
def test_no_error_takes_a_call_with_it(
    error: type[BaseException], attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> SendOutcome:
        raise error("secret words")

    monkeypatch.setattr(Dummy, "send", fail)
    callers = Callers(1)
    for _number in range(3):
        callers.start(job(make_sender().connect(), attempt))
    finished = []
    while callers.busy:
        finished += callers.collect(at_least=1, patience=0.1)
    assert len(finished) == 3
    failure = finished[0].outcome.results[0].failure
    assert failure is not None
    assert failure.verdict is Verdict.NEVER_LEFT
    assert "secret" not in failure.text


def test_an_adapter_that_gives_too_few_results_proves_nothing(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dummy, "send", lambda *_arguments: SendOutcome(results=()))
    outcome = call(job(make_sender().connect(), attempt))
    assert len(outcome.results) == 1
    assert outcome.results[0].failure is not None


def test_the_database_going_away_is_no_fault_of_the_message(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: Any) -> Any:
        raise OperationalError("away")

    monkeypatch.setattr("messaging.outbox.calls.media.resolve", away)
    callers = Callers(1)
    callers.start(prepare(make_sender().connect(), [attempt]))
    while not callers.unmade:
        assert callers.collect(at_least=1, patience=0.1) == []


def test_what_leaves_is_the_content_for_every_recipient() -> None:
    first, second = (attempt_of(make_sending(content=Text("Hello"))) for _number in range(2))
    made = prepare(make_sender().connect(), [first, second])
    assert made.outbound is not None
    assert made.outbound.content == Text("Hello")
    assert [item.address for item in made.outbound.recipients] == [first.address, second.address]
