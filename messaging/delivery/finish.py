"""The end of an attempt: results written, and what they mean for others applied."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, connections, router, transaction

from .. import conf
from ..adapters.base import INBOUND_OR_TEMPLATE, SendOutcome
from ..errors import ErrorClass, Failure, Scope
from ..events import Source, Status
from ..models import (
    ContactAddress,
    Message,
    PauseReason,
    Sender,
    Template,
    TemplateStatus,
)
from ..signals import message_status_changed
from . import flush
from .lanes import mark_connected, pause, pause_for, resume
from .results import Decision, FlushedCall, decide, is_accepted, is_outage, storable
from .windows import close_window, open_by_template

logger = logging.getLogger("messaging")

T = TypeVar("T")

#: How long results are held while the database is away before we give up, in seconds.
PATIENCE: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One message in the moment of its call: what is needed to send it and to settle it."""

    message_id: int
    conversation_id: int
    sender: Sender
    claim: UUID
    kind: str
    content: dict[str, object]
    address_id: int
    address: str
    name: str
    priority: int
    due_at: datetime
    retries: int
    template_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A call that ended, with the attempts it carried."""

    attempts: Sequence[Attempt]
    outcome: SendOutcome
    started_at: datetime


def finish(finished: Sequence[Finished], now: datetime) -> set[int]:
    """Write what became of these attempts; the ids of the messages really changed.

    Results are precious: while the database is away they are kept and written when it is back
    (up to two minutes). After that the rows become `unknown` when their lease ends.
    """
    delays = conf.get("RETRY_DELAYS")
    keep_calls = conf.get("KEEP_CALLS")
    decisions: list[Decision] = []
    calls: list[FlushedCall] = []
    for item in finished:
        number = _keep_calls(item, calls, keep_all=keep_calls)
        for attempt, result in zip(item.attempts, item.outcome.results, strict=True):
            decisions.append(
                decide(
                    result,
                    message_id=attempt.message_id,
                    conversation_id=attempt.conversation_id,
                    claim=attempt.claim,
                    now=now,
                    due_at=attempt.due_at,
                    retries=attempt.retries,
                    delays=delays,
                    call=number,
                )
            )
    changed = patiently(lambda: _write(decisions, calls, _opened(finished), now))
    patiently(lambda: _apply_effects(finished, now))
    announce((d.message_id, d.status) for d in decisions if d.message_id in changed)
    return changed


def _write(
    decisions: Sequence[Decision], calls: Sequence[FlushedCall], opened: set[int], now: datetime
) -> set[int]:
    """A template that is accepted and the window it opens are one thing: both or neither."""
    if not opened:
        return flush.write(decisions, calls, now)
    with transaction.atomic(using=router.db_for_write(Message)):
        changed = flush.write(decisions, calls, now)
        open_by_template(opened, now)
    return changed


def _opened(finished: Sequence[Finished]) -> set[int]:
    """Conversations whose window an accepted template opens."""
    return {
        attempt.conversation_id
        for item in finished
        for attempt, result in zip(item.attempts, item.outcome.results, strict=True)
        if attempt.kind == "template"
        and is_accepted(result)
        and attempt.sender.provider.window_policy == INBOUND_OR_TEMPLATE
    }


def put_back(attempts: Sequence[Attempt], now: datetime) -> None:
    """Queue begun messages again whose call was never made: their holder knows it."""
    decisions = [
        Decision(
            message_id=attempt.message_id,
            conversation_id=attempt.conversation_id,
            claim=attempt.claim,
            status=Status.QUEUED,
            due_at=attempt.due_at,
            retries=attempt.retries,
        )
        for attempt in attempts
    ]
    patiently(lambda: flush.write(decisions, [], now))


def _keep_calls(item: Finished, calls: list[FlushedCall], *, keep_all: bool) -> int | None:
    """Add the item's call, the one its messages point to; its number."""
    if not item.outcome.calls:
        return None
    if not keep_all and all(result.failure is None for result in item.outcome.results):
        return None
    provider_id = item.attempts[0].sender.provider_id
    # Beside the send there may be calls that only asked something; history points to the send.
    sends = [record for record in item.outcome.calls if record.operation.startswith("send")]
    record = (sends or item.outcome.calls)[0 if sends else -1]
    calls.append(FlushedCall(provider_id=provider_id, at=item.started_at, record=record))
    return len(calls) - 1


def patiently(work: Callable[[], T]) -> T:
    """Do database work, waiting out a restart of the server."""
    end = time.monotonic() + PATIENCE
    pause_seconds = 0.1
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError):
            if time.monotonic() > end:
                raise
            logger.warning("The database is away; results are kept and written when it is back.")
            connections[router.db_for_write(Message)].close()
            time.sleep(pause_seconds)
            pause_seconds = min(5.0, pause_seconds * 2)


def announce(changes: Iterable[tuple[int, Status]], source: Source = Source.SEND) -> None:
    """Tell receivers, after commit and once per status."""
    if not message_status_changed.receivers:
        return
    by_status: dict[Status, list[int]] = {}
    for message_id, status in changes:
        by_status.setdefault(status, []).append(message_id)
    for status, ids in by_status.items():
        transaction.on_commit(
            partial(
                message_status_changed.send_robust,
                Message,
                message_ids=ids,
                status=status.value,
                source=source.value,
            ),
            using=router.db_for_write(Message),
        )


def _apply_effects(finished: Sequence[Finished], now: datetime) -> None:
    """What results say about accounts, phones, templates, windows and numbers.

    Safe to repeat. What goes wrong with one leaves the others.
    """
    alive: dict[int, Sender] = {}
    for item in finished:
        sender = item.attempts[0].sender
        if item.outcome.connected is not None and (
            not item.outcome.connected or sender.connection == "disconnected"
        ):
            mark_connected(sender, item.outcome.connected)
        for attempt, result in zip(item.attempts, item.outcome.results, strict=True):
            if result.failure is None:
                alive[sender.pk] = sender
                continue
            try:
                _apply_failure(attempt, result.failure, item.started_at, now)
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:
                logger.error(
                    "What failed for message %s could not be noted elsewhere: %s.",
                    attempt.message_id,
                    type(error).__name__,
                )
    for sender in alive.values():
        _resume_after_trial(sender, now)


def _resume_after_trial(sender: Sender, now: datetime) -> None:
    """A message was taken: a pause that had run out is over. A phone's pause ends with it."""
    for row in (sender.lane, sender):
        if row.pause_reason and not row.is_paused(now):
            resume(row, run_out_by=now)


def _apply_failure(attempt: Attempt, failure: Failure, asked_at: datetime, now: datetime) -> None:
    sender = attempt.sender
    text = storable(failure.text or failure.code)
    throttled = failure.error_class is ErrorClass.RATE_LIMIT and failure.retry_after
    if is_outage(failure):
        pause(sender.lane, PauseReason.UNREACHABLE, text=text)
    elif failure.scope is Scope.LANE or throttled:
        # A wrong sender id is the sender's trouble; its account's other senders go on.
        own = failure.error_class is ErrorClass.CONFIGURATION
        pause_for(sender if own else sender.lane, failure, time_zone=sender.provider.time_zone)
    elif failure.error_class is ErrorClass.TEMPLATE and attempt.template_id:
        block_template(attempt.template_id, text)
    elif failure.error_class is ErrorClass.WINDOW_CLOSED:
        close_window(attempt.conversation_id, asked_at)
    elif failure.error_class is ErrorClass.INVALID_RECIPIENT:
        ContactAddress.objects.filter(pk=attempt.address_id, invalid_at=None).update(
            invalid_at=now, invalid_reason=text[:255]
        )


def block_template(template_id: int, text: str) -> None:
    """The gateway refused a template: nothing more leaves with it until somebody looks."""
    Template.objects.filter(pk=template_id, status=TemplateStatus.APPROVED).update(
        status=TemplateStatus.BLOCKED, status_text=text[:255]
    )
