"""What a worker under test does wrong, by FAULTS_HOOKS: a JSON object, each key one hook.

`crash`      name of a crash point: the process that gets there first is killed, once
`signal`     SIGSTOP to have it stopped there instead, LOST to have it lose its database there
`marker`     file that says the crash has happened
`skip`       let so many passes of the crash point go by first
`double`     every bell is rung twice
`naive`      results that prove nothing are taken for "not sent" and tried again
`times`      shorter times than the settings allow: {"module.NAME": seconds}
`skew`       this host's clock is wrong by so many seconds
`explode`    every so many calls the adapter fails, with all it knows in the error's text
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import count
from typing import Any

import time_machine
from django.db import OperationalError, connection

from messaging import background, inbox
from messaging.adapters import exchange
from messaging.adapters.base import Outbound, SendOutcome
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.delivery import flush
from messaging.delivery.results import Decision
from messaging.errors import Verdict
from messaging.events import Status
from messaging.outbox import calls, claims

# The packages export functions of the same names.
finishing = import_module("messaging.delivery.finish")
drain = import_module("messaging.outbox.drain")

#: Crash points in the order a message passes them.
POINTS = (
    "before_claim",
    "after_claim",
    "after_sending",
    "mid_request",
    "after_response",
    "in_flush",
    "after_recording",
)


def install() -> None:
    """Patch this process as its environment says."""
    hooks: dict[str, Any] = json.loads(os.environ.get("FAULTS_HOOKS", "{}"))
    for name, seconds in hooks.get("times", {}).items():
        path, _, attribute = name.rpartition(".")
        module = import_module(f"messaging.{path}")
        assert hasattr(module, attribute), name
        setattr(module, attribute, seconds)
    if "messaging_worker" in sys.argv:
        threading.Thread(target=_end_with_the_tests, name="end", daemon=True).start()
    if hooks.get("double"):
        _ring_twice()
    if hooks.get("naive"):
        _retry_blindly()
    if skew := hooks.get("skew"):
        time_machine.travel(datetime.now(UTC) + timedelta(seconds=skew), tick=True).start()
    if every := hooks.get("explode"):
        _explode(every)
    if point := hooks.get("crash"):
        crash = Crash(hooks["marker"], hooks.get("skip", 0), hooks.get("signal", "SIGKILL"))
        _CRASHES[point](crash)


def _end_with_the_tests() -> None:
    """A test run that is killed leaves no hosts behind."""
    tests = os.getppid()
    while os.getppid() == tests:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


class Crash:
    """Kills (or stops) the process that calls it, once in all processes together."""

    def __init__(self, marker: str, skip: int, kind: str) -> None:
        self._marker = marker
        self._skip = skip
        self._kind = kind
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            if self._skip > 0:
                self._skip -= 1
                return
            try:
                with open(self._marker, "x") as marker:
                    marker.write(str(os.getpid()))
            except FileExistsError:
                return
        if self._kind == "LOST":
            connection.close()
            raise OperationalError("the connection is lost")
        os.kill(os.getpid(), signal.Signals[self._kind])


def _before(owner: Any, name: str, crash: Crash) -> None:
    original = getattr(owner, name)

    def patched(*args: Any, **kwargs: Any) -> Any:
        crash()
        return original(*args, **kwargs)

    setattr(owner, name, patched)


def _after(owner: Any, name: str, crash: Crash) -> None:
    """Where it did something: an empty claim is no step of a message."""
    original = getattr(owner, name)

    def patched(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if result:
            crash()
        return result

    setattr(owner, name, patched)


_CRASHES: dict[str, Callable[[Crash], None]] = {
    "before_claim": lambda crash: _before(claims, "claim", crash),
    "after_claim": lambda crash: _after(claims, "claim", crash),
    "after_sending": lambda crash: _after(claims, "begin", crash),
    # The request is written, its answer not read.
    "mid_request": lambda crash: _before(exchange, "_read", crash),
    "after_response": lambda crash: _after(calls, "call", crash),
    # Written, not committed: `_write` runs inside the transaction.
    "in_flush": lambda crash: _after(flush, "_write", crash),
    "after_recording": lambda crash: _after(drain, "finish", crash),
    # No step of a message's way out: a page of an inbox is recorded, its cursor not moved.
    "in_page": lambda crash: _after(inbox, "record_page", crash),
}


def _ring_twice() -> None:
    original = background.run

    def twice(job: str, *ids: int) -> bool:
        return original(job, *ids) and original(job, *ids)

    background.run = twice


def _retry_blindly() -> None:
    """The mistake this package exists to avoid; the checker must see what it does."""
    original = finishing.decide

    def naive(result: Any, **kwargs: Any) -> Decision:
        decision = original(result, **kwargs)
        failure = result.failure
        if failure is None or failure.verdict is not Verdict.MAYBE_SENT:
            return decision
        if kwargs["retries"] >= 2:
            return decision
        return replace(
            decision, status=Status.QUEUED, due_at=kwargs["now"], retries=kwargs["retries"] + 1
        )

    finishing.decide = naive


def _explode(every: int) -> None:
    original = WhatsAppHttp.send
    numbers = count(1)

    def send(self: WhatsAppHttp, message: Outbound) -> SendOutcome:
        if next(numbers) % every == 0:
            raise RuntimeError(f"{self.account} {dict(self.account.credentials)} {message}")
        return original(self, message)

    WhatsAppHttp.send = send
