"""Ringing for a worker: at most once a second, and never as part of a caller's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import router, transaction
from django.db.models import Q

from .. import background, clock
from ..models import Heartbeat, Message

BELL: Final = "bell"

_QUIET = timedelta(seconds=1)


def ring_on_commit() -> None:
    """Ring when the caller's transaction commits; a rollback rings nothing.

    A bell that cannot be rung is no error of the caller: the message is in, and whoever took an
    error for "not queued" would queue it twice.
    """
    transaction.on_commit(ring, using=router.db_for_write(Message), robust=True)


def ring(*, again: bool = False) -> None:
    """Ask for a drain, unless one was asked for within the last second and not begun.

    The row is cleared by the drain before its first look (`heard`), so a message committed after
    that rings anew, and one committed before is seen. A bell lost on the way is forgotten after
    a second. `again` rings in any case: a drain that ends knows that bells came to nothing
    while it held the job.
    """
    if again:
        heard()
    now = clock.now()
    quiet = Q(beat_at=None) | Q(beat_at__lt=now - _QUIET) | Q(beat_at__gt=now + _QUIET)
    rung = Heartbeat.objects.filter(quiet, name=BELL)
    if rung.update(beat_at=now) or _made(now):
        background.run("drain")


def heard() -> None:
    """Note that a drain has begun: what is committed from now on must ring again."""
    Heartbeat.objects.filter(name=BELL).update(beat_at=None)


def _made(now: datetime) -> bool:
    """Make the row at the very first ring; False where it stood there already."""
    return Heartbeat.objects.get_or_create(name=BELL, defaults={"beat_at": now})[1]
