"""From a gateway's answer to a message's next state.

`decide` is a pure function; `flush` writes many decisions at once, in one transaction, with a
history step each and a redacted call each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from ..adapters.base import CallRecord, SendResult
from ..errors import ErrorClass, Failure, Scope, Verdict
from ..events import EMPTY, Status

_MAX_TEXT: Final = 1000
_MAX_ID: Final = 200
_NO_ID: Final = Failure(verdict=Verdict.MAYBE_SENT, error_class=ErrorClass.AMBIGUOUS, code="no_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one message after one attempt.

    `call` is the index of its call among those flushed with it, None where none was made.
    `due_at` and `retries` matter only where the status is `queued` again.
    """

    message_id: int
    conversation_id: int
    claim: UUID
    status: Status
    external_id: str = ""
    external_data: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    error_class: str = ""
    error_code: str = ""
    error_text: str = ""
    due_at: datetime | None = None
    retries: int = 0
    call: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushedCall:
    """A call to store: who was called, when, and its redacted record."""

    provider_id: int
    at: datetime
    record: CallRecord


def decide(
    result: SendResult,
    *,
    message_id: int,
    conversation_id: int,
    claim: UUID,
    now: datetime,
    due_at: datetime,
    retries: int,
    delays: Sequence[float],
    call: int | None = None,
) -> Decision:
    """The next state after one result. `due_at` is when the message was due for this attempt.

    `sending → queued` only on proof that nothing was taken; what proves nothing is `unknown`.
    """
    base: dict[str, Any] = {
        "message_id": message_id,
        "conversation_id": conversation_id,
        "claim": claim,
        "external_data": _plain(result.external_data),
        "call": call,
    }
    external_id = storable(result.external_id)[:_MAX_ID]
    if is_accepted(result):
        status = Status.SENT if result.status is Status.SENT else Status.ACCEPTED
        return Decision(status=status, external_id=external_id, **base)
    # An adapter that says "taken" without an id has nothing that a report could be matched by.
    failure = result.failure or _NO_ID
    base |= {
        "error_class": failure.error_class.value,
        "error_code": storable(failure.code)[:50],
        "error_text": storable(failure.text)[:_MAX_TEXT],
    }
    if failure.verdict is Verdict.MAYBE_SENT:
        return Decision(status=Status.UNKNOWN, external_id=external_id, **base)
    again = _again(failure, now, due_at, retries, delays)
    if again is None:
        return Decision(status=Status.FAILED, **base)
    return Decision(status=Status.QUEUED, due_at=again[0], retries=again[1], **base)


def is_accepted(result: SendResult) -> bool:
    """The gateway took the message and gave it an id."""
    return result.failure is None and bool(result.external_id)


def storable(text: str) -> str:
    """The text as both databases take it: a gateway's odd words must not cost a result."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """Without what is None, at any depth: the two databases merge such values differently."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    return value


def is_outage(failure: Failure) -> bool:
    """The gateway could not be reached at all: no fault of any one message."""
    return (
        failure.verdict is Verdict.NEVER_LEFT
        and failure.error_class is ErrorClass.TRANSIENT
        and failure.retry
    )


def _again(
    failure: Failure, now: datetime, due_at: datetime, retries: int, delays: Sequence[float]
) -> tuple[datetime, int] | None:
    """When to try again and the count of tries; None where this is the end."""
    if failure.scope is Scope.LANE or is_outage(failure):
        # The account's trouble, not the message's: it keeps its place and the lane pauses.
        return due_at, retries
    if failure.error_class is ErrorClass.RATE_LIMIT and failure.retry:
        # Bounded by the message's expiry, not by a count: the gateway only asks for patience.
        # Counted once all the same, so that its followers wait.
        return now + timedelta(seconds=failure.retry_after or delays[0]), max(retries, 1)
    if not failure.retry or retries >= len(delays):
        return None
    return now + timedelta(seconds=failure.retry_after or delays[retries]), retries + 1
