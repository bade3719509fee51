"""Whose turn it is to be asked, and what is asked of each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from .. import adapters, clock, delivery, pairing
from ..errors import ConfigurationError, ErrorClass, GatewayError
from ..models import PauseReason, Sender
from .inbox import poll_inbox, wait_for_inbox
from .reports import IDLE, JUST_NOW, LATER, outstanding, poll_reports, wait_for_reports

logger = logging.getLogger("messaging")

#: How long polling goes on to the next sender, and within one to its next question, in seconds.
#: With the longest question (LONGEST_POLL) that is less than a task may take.
_MOST_SECONDS: Final = 40.0
_MOST_FOR_ONE: Final = 30.0

#: How long one poll may take before another worker may try, in seconds.
_LEASE: Final = 120

#: How often a phone is asked whether it is connected: while all is well, and while it is not.
_CHECK_CONNECTED: Final = timedelta(minutes=10)
_CHECK_LOST: Final = timedelta(seconds=30)

_ASKED: Final = ("fetch_statuses", "fetch_inbox")


@dataclass(slots=True)
class Polled:
    """What one sender's poll brought: messages whose state changed, and new ones."""

    changed: int = 0
    received: int = 0


def is_due(now: datetime | None = None) -> bool:
    """Whether there is a sender to poll."""
    return bool(_due(now or clock.now()))


def run_due(now: datetime | None = None) -> int:
    """Poll every sender whose time has come; how many messages changed or are new.

    Raises nothing for what gateways do. What slow ones leave no time for stays due.
    """
    at = now or clock.now()
    end = time.monotonic() + _MOST_SECONDS
    found = 0
    for sender in _due(at):
        if time.monotonic() >= end:
            break
        if _take_lease(sender, at):
            done = _poll_quietly(sender)
            found += done.changed + done.received
    return found


def poll_now(sender: Sender) -> Polled:
    """Ask for everything now, because a person wants it. Raises GatewayError."""
    done = Polled()
    cls = sender.provider.adapter_class
    if cls.supports("fetch_statuses") and outstanding(sender, clock.now()).exists():
        done.changed = poll_reports(sender)
    if cls.supports("fetch_inbox"):
        done.received = poll_inbox(sender)
    return done


def poll_soon(sender_ids: Sequence[int] | set[int]) -> None:
    """Something was just sent by these, or somebody looks: do not wait for their idle poll."""
    soon = clock.now() + timedelta(seconds=JUST_NOW)
    Sender.objects.filter(pk__in=sender_ids).filter(
        Q(poll_due_at=None) | Q(poll_due_at__gt=soon)
    ).update(poll_due_at=soon)


def _due(at: datetime) -> list[Sender]:
    senders = Sender.objects.filter(is_active=True, provider__is_active=True)
    due = senders.filter(Q(poll_due_at=None) | Q(poll_due_at__lte=at)).select_related("provider")
    return [
        sender
        for sender in due.order_by("poll_due_at")
        if adapters.is_known(sender.provider.adapter)
        and any(sender.provider.adapter_class.supports(name) for name in _ASKED)
    ]


def _take_lease(sender: Sender, now: datetime) -> bool:
    return bool(
        Sender.objects.filter(pk=sender.pk)
        .filter(Q(poll_due_at=None) | Q(poll_due_at__lte=now))
        .update(poll_due_at=now + timedelta(seconds=_LEASE))
    )


def _poll_quietly(sender: Sender) -> Polled:
    """Ask one sender for all that is due. What fails in one part harms no other."""
    now, end = clock.now(), time.monotonic() + _MOST_FOR_ONE
    done = Polled()
    cls = sender.provider.adapter_class
    waits = [IDLE]

    def connection() -> None:
        if _connection_due(sender, now):
            check_connection(sender)

    def reports() -> None:
        if outstanding(sender, now).exists():
            done.changed = poll_reports(sender)
        waits.append(wait_for_reports(sender, now))

    def received() -> None:
        done.received = poll_inbox(sender)
        waits.append(wait_for_inbox(sender, clock.now()))

    jobs = {
        connection: cls.needs_pairing,
        reports: cls.supports("fetch_statuses"),
        received: cls.supports("fetch_inbox"),
    }
    for job in [job for job, wanted in jobs.items() if wanted]:
        if time.monotonic() >= end:
            waits.append(JUST_NOW)  # the rest next time, soon
            break
        _attempt(sender, job, waits)
    due_at = clock.now() + timedelta(seconds=min(waits))
    Sender.objects.filter(pk=sender.pk).update(poll_due_at=due_at)
    return done


def _attempt(sender: Sender, job: Callable[[], object], waits: list[int]) -> None:
    try:
        job()
    except GatewayError as error:
        waits.append(LATER)
        _note_failure(sender, error)
    except ConfigurationError as error:
        logger.warning("Sender %s cannot be polled: %s", sender.pk, error)
    except Exception:
        waits.append(LATER)
        logger.exception("Sender %s could not be polled.", sender.pk)


def _note_failure(sender: Sender, error: GatewayError) -> None:
    failure = error.failure
    logger.warning("Sender %s could not be polled: %s.", sender.pk, failure.error_class.value)
    if failure.error_class is ErrorClass.AUTHENTICATION:
        delivery.pause_for(sender.lane, failure, time_zone=sender.provider.time_zone)


def _connection_due(sender: Sender, now: datetime) -> bool:
    """Connected phones are asked now and then, lost ones often, those never paired not at all."""
    if sender.connection in ("unknown", "pairing"):
        return False
    lost = sender.connection == "disconnected" or (
        sender.lane.pause_reason == PauseReason.DISCONNECTED
    )
    asked = sender.connection_checked_at
    return asked is None or now - asked >= (_CHECK_LOST if lost else _CHECK_CONNECTED)


def check_connection(sender: Sender) -> bool:
    """Ask whether the phone is connected, and act on it: pause, or resume. Raises GatewayError."""
    Sender.objects.filter(pk=sender.pk).update(connection_checked_at=clock.now())
    adapter = sender.connect()
    with adapter.http.within(_MOST_FOR_ONE):
        answer = adapter.connection()
    pairing.keep(sender, answer)
    return answer.connected
