"""Pausing and resuming a lane: everything signed with one set of credentials.

A lane paused for a reason that can pass has a `paused_until`. After that the outbox sends one
message as a trial: if it is taken the lane resumes, else the pause doubles, to an hour at most.
A lane paused by a person stays so until a person (or the time they chose) ends it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import router, transaction
from django.db.models import Q

from .. import clock, conf
from ..errors import ErrorClass, Failure
from ..models import LaneBase, PauseReason, Sender
from ..signals import lane_paused, lane_resumed
from .results import storable

_LONGEST: Final = 3600

#: An outage is tried sooner and more often: seconds at first and at most.
_OUTAGE: Final = (5, 300)

#: The pause that a failure of the whole account leads to.
REASONS: Final = {
    ErrorClass.AUTHENTICATION: PauseReason.AUTHENTICATION,
    ErrorClass.QUOTA: PauseReason.QUOTA,
    ErrorClass.CONFIGURATION: PauseReason.CONFIGURATION,
    ErrorClass.RATE_LIMIT: PauseReason.RATE_LIMIT,
}


def pause(
    lane: LaneBase,
    reason: str,
    *,
    text: str = "",
    until: datetime | None = None,
    by: Any = None,
) -> bool:
    """Stop sending from this lane. True where it was not paused before.

    `text` is the gateway's or a person's word on it. With `by` (or reason "person") it lasts
    until `until`, or until somebody resumes it; else the end is worked out from the reason.
    Does nothing to a lane that is paused already, unless a person does it or the pause had run
    out.
    """
    now = clock.now()
    by_person = by is not None or reason == PauseReason.PERSON
    # A person's word replaces every other pause; the account's own only one that had run out.
    replaced = Q() if by_person else Q(paused_until__lte=now)
    rows = type(lane)._default_manager.filter(pk=lane.pk)
    seconds = 0 if by_person else _backoff(lane, reason)
    values = {
        "pause_reason": PauseReason.PERSON if by_person else reason,
        "pause_text": text[:255],
        "pause_seconds": seconds,
        "paused_until": until if by_person or until else now + timedelta(seconds=seconds),
    }
    began = bool(rows.filter(pause_reason="").update(**values))
    if began or rows.filter(replaced).update(**values):
        for name, value in values.items():
            setattr(lane, name, value)
    else:
        # Somebody was before us: what they wrote counts, here too.
        lane.refresh_from_db(fields=list(values))
    if began:
        transaction.on_commit(
            lambda: lane_paused.send_robust(type(lane), lane=lane, reason=values["pause_reason"]),
            using=router.db_for_write(type(lane)),
        )
    return began


def resume(lane: LaneBase, *, by: Any = None, run_out_by: datetime | None = None) -> bool:
    """Send again from this lane. True where it was paused.

    What a person paused only a person ends. With `run_out_by` only a pause that had run out by
    then is ended, whoever's it was: a later one has another reason.
    """
    rows = type(lane)._default_manager.filter(pk=lane.pk).exclude(pause_reason="")
    if run_out_by is not None:
        rows = rows.filter(paused_until__lte=run_out_by)
    elif by is None:
        rows = rows.exclude(pause_reason=PauseReason.PERSON)
    values = {"pause_reason": "", "pause_text": "", "pause_seconds": 0, "paused_until": None}
    if not rows.update(**values):
        return False
    for name, value in values.items():
        setattr(lane, name, value)
    transaction.on_commit(
        lambda: lane_resumed.send_robust(type(lane), lane=lane),
        using=router.db_for_write(type(lane)),
    )
    return True


def pause_for(lane: LaneBase, failure: Failure, *, time_zone: str) -> bool:
    """Pause because of a failure that concerns the whole account."""
    reason = REASONS.get(failure.error_class, PauseReason.CONFIGURATION)
    until = _end(failure, time_zone)
    return pause(lane, reason, text=storable(failure.text or failure.code), until=until)


def mark_connected(sender: Sender, connected: bool) -> None:
    """Keep what an answer says of the phone: a lost one pauses its sender, a found one resumes."""
    state = "connected" if connected else "disconnected"
    Sender.objects.filter(pk=sender.pk).exclude(connection=state).update(connection=state)
    sender.connection = state
    if not connected:
        pause(sender.lane, PauseReason.DISCONNECTED)
    elif sender.lane.pause_reason == PauseReason.DISCONNECTED:
        resume(sender.lane)


def _backoff(lane: LaneBase, reason: str) -> int:
    first, longest = int(conf.get("PAUSE_SECONDS")), _LONGEST
    if reason == PauseReason.UNREACHABLE:
        first, longest = _OUTAGE
    return min(longest, lane.pause_seconds * 2 if lane.pause_seconds else first)


def _end(failure: Failure, time_zone: str) -> datetime | None:
    """When the cause ends, where the gateway's words say so."""
    now = clock.now()
    if failure.retry_after is not None:
        return now + timedelta(seconds=failure.retry_after)
    if failure.until not in ("day", "month"):
        return None
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    local = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if failure.until == "month":
        local = (local.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        local += timedelta(days=1)
    # A minute later, so that the two clocks need not agree to the second.
    return local + timedelta(minutes=1)
