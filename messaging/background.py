"""The bell and the clock: the only module that knows django-q2.

A task carries no message and no secret, only the name of a job in `tasks.py` (and at most one
id). What is lost here costs delay, never a message: every job finds its work by due times.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

logger = logging.getLogger("messaging")

TICK: Final = "messaging: every minute"


def run(job: str, *ids: int) -> bool:
    """Ask a worker to run `messaging.tasks.<job>`. False where the bell could not be rung.

    Never raises: whoever queued a message must not lose it because a queue is out of order.
    """
    from django_q.tasks import async_task

    try:
        async_task(f"messaging.tasks.{job}", *ids)
    except Exception:
        logger.exception("The bell for %s could not be rung; it waits for the tick.", job)
        return False
    return True


def ensure_schedule() -> None:
    """Make the minute's tick exist, once, with missed runs left out.

    The queue knows no unique names: two workers that start together may both have made it.
    """
    from django_q.models import Schedule

    values = {
        "func": "messaging.tasks.tick",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
        "repeats": -1,
    }
    kept = Schedule.objects.filter(name=TICK).order_by("pk").first()
    if kept is None:
        kept = Schedule.objects.create(name=TICK, **values)
    Schedule.objects.filter(pk=kept.pk).update(**values)
    Schedule.objects.filter(name=TICK, pk__gt=kept.pk).delete()


def has_schedule() -> bool:
    """True where the minute's tick is registered."""
    from django_q.models import Schedule

    return Schedule.objects.filter(name=TICK).exists()


def queue_length() -> int:
    """Bells waiting to be heard."""
    from django_q.models import OrmQ

    return OrmQ.objects.count()


def watch_worker(
    start: Callable[[], None], begin: Callable[[], None], end: Callable[[], None]
) -> None:
    """Call these in each worker's process: once at its start, and around every task it runs."""
    from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

    for signal, call in ((post_spawn, start), (pre_execute, begin), (post_execute_in_worker, end)):
        signal.connect(_ignoring_arguments(call), weak=False)


def _ignoring_arguments(call: Callable[[], None]) -> Callable[..., None]:
    def receiver(**_kwargs: Any) -> None:
        call()

    return receiver
