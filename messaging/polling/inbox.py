"""Asking gateways what came in: the way that finds what no webhook brought.

By cursor, without a limit, again while the gateway says that there is more; the cursor moves only
in the transaction that stores its rows. Once a day the last two days are read whole, because no
document promises an order of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.db import router, transaction

from .. import clock, inbox
from ..adapters.base import Adapter, InboxPage
from ..adapters.times import zone_of
from ..events import Source
from ..models import Message, Sender, WebhookDelivery
from .reports import LONGEST_POLL

#: How far back the first look at an inbox goes.
FIRST_DAYS: Final = timedelta(days=7)

#: Pages in one go; the rest waits for the next look.
_MOST_PAGES: Final = 50

#: Seconds between looks: while people talk, within the hour after, and when all is quiet. Where a
#: webhook brings everything at once the look is only a check.
_TALKING: Final = 5
_LATELY: Final = 30
_QUIET: Final = 120
_CHECKING: Final = 60

_TALK: Final = timedelta(minutes=10)
_HOUR: Final = timedelta(hours=1)


def poll_inbox(
    sender: Sender,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    limit: int | None = None,
) -> int:
    """Fetch and record what came in; how many messages were new.

    With `start` (and `end`) the days a person asked for, at most the newest `limit` messages,
    beside the cursor; else from the cursor on. Raises GatewayError.
    """
    adapter = sender.connect()
    with adapter.http.within(LONGEST_POLL):
        if start is not None:
            page = adapter.fetch_inbox(start, end or clock.now())
            events = page.events[-limit:] if limit else page.events
            return _record(sender, InboxPage(events=events))
        found = sum(_record(sender, page) for page in _new_pages(sender, adapter))
        return found + _reconcile(sender, adapter)


def _new_pages(sender: Sender, adapter: Adapter) -> Iterator[InboxPage]:
    """Pages from the cursor on; each must be recorded before the next is asked for."""
    for _number in range(_MOST_PAGES):
        before = sender.inbox_cursor
        if before:
            page = adapter.fetch_inbox_after(before)
        else:
            now = clock.now()
            page = adapter.fetch_inbox(now - FIRST_DAYS, now)
            _note_whole(sender, now)  # more than two days of it
        yield page
        # A gateway that always says there is more must not keep us for ever.
        if page.complete or sender.inbox_cursor == before:
            return


def _record(sender: Sender, page: InboxPage) -> int:
    """Store a page and move the cursor behind it, in one transaction."""
    now = clock.now()
    with transaction.atomic(using=router.db_for_write(Message)):
        done = inbox.record_page(sender, page.events)
        values: dict[str, object] = {"inbox_polled_at": now}
        if page.cursor:
            values["inbox_cursor"] = page.cursor
        # Two looks at once: the one that comes second moves nothing back.
        Sender.objects.filter(pk=sender.pk, inbox_cursor=sender.inbox_cursor).update(**values)
    if page.cursor:
        sender.inbox_cursor = page.cursor
    return done


def _reconcile(sender: Sender, adapter: Adapter) -> int:
    """Once a day read yesterday and today whole, beside the cursor."""
    now = clock.now()
    zone = zone_of(sender.provider.time_zone)
    last = sender.inbox_reconciled_at
    if last is not None and last.astimezone(zone).date() == now.astimezone(zone).date():
        return 0
    events = adapter.fetch_inbox(now - timedelta(days=1), now).events
    found = _record(sender, InboxPage(events=events))
    _note_whole(sender, now)
    return found


def _note_whole(sender: Sender, now: datetime) -> None:
    sender.inbox_reconciled_at = now
    Sender.objects.filter(pk=sender.pk).update(inbox_reconciled_at=now)


def wait_for_inbox(sender: Sender, now: datetime) -> int:
    """Seconds to the next look."""
    newest = (
        Message.objects.filter(conversation__sender=sender)
        .order_by("-created_at", "-id")
        .values_list("created_at", flat=True)
        .first()
    )
    pushed = WebhookDelivery.objects.filter(
        provider=sender.provider_id, state="processed", received_at__gte=now - _HOUR
    ).exists()
    if newest is None or now - newest > _HOUR:
        return _QUIET
    if pushed:
        return _CHECKING
    return _TALKING if now - newest < _TALK else _LATELY


def only_polled(sender: Sender, since: datetime) -> int:
    """How many messages since then no webhook brought."""
    return Message.objects.filter(
        sender=sender, source=Source.POLL.value, created_at__gte=since
    ).count()
