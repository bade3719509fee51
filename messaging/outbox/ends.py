"""What ends without leaving: too late, refused by the recheck, or lost with a worker that died."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connections, transaction

from .. import conf, consent
from ..delivery import TIME_COLUMNS, Attempt, announce, touch
from ..errors import ErrorClass
from ..events import Source, Status
from ..models import Conversation, Message, MessageEvent, Sender
from ..window import Window


def settle_left(alias: str, attempts: Sequence[Attempt], now: datetime) -> list[Attempt]:
    """Settle the claimed rows that `begin` left: failed or expired where that is final.

    Returns those that may simply wait (paused, switched off, behind another); their lease stays.
    """
    by_id = {attempt.message_id: attempt for attempt in attempts}
    waiting: list[Attempt] = []
    ended: dict[tuple[Status, str], list[Message]] = {}
    with transaction.atomic(using=alias):
        rows = (
            Message.objects.using(alias)
            .select_for_update(of=("self",))
            .select_related("conversation__address__contact", "template", "sender__provider")
            .filter(pk__in=by_id, status=Status.QUEUED)
            .order_by("pk")
        )
        for row in rows:
            attempt = by_id[row.pk]
            if row.claim != attempt.claim:
                continue
            end = _why_left(row, now)
            if end is None:
                waiting.append(attempt)
            else:
                ended.setdefault(end, []).append(row)
        for (status, error_class), alike in ended.items():
            _end(alias, alike, status, error_class, now)
    return waiting


def _why_left(row: Message, now: datetime) -> tuple[Status, str] | None:
    """The final state of a row that may not leave any more; None where it may later."""
    if row.expires_at is not None and row.expires_at <= now:
        return Status.EXPIRED, ""
    address = row.conversation.address
    if address.opted_out and not consent.is_confirmation(row.key, address.pk):
        return Status.FAILED, ErrorClass.OPTED_OUT.value
    if row.kind != "template":
        closed = not window_open(row.conversation, row.sender, now)
        return (Status.FAILED, ErrorClass.WINDOW_CLOSED.value) if closed else None
    # Where the template's row was deleted, nobody can say any more that it is approved.
    if row.template is None or row.template.status != "approved":
        return Status.FAILED, ErrorClass.TEMPLATE.value
    return None


def window_open(conversation: Conversation, sender: Sender, now: datetime) -> bool:
    """Whether free-form messages may leave, with the time to spare that a call needs."""
    window = Window(
        policy=sender.provider.window_policy,
        channel=sender.channel,
        is_group=conversation.kind == "group",
        last_inbound_at=conversation.last_inbound_at,
        expires_at=conversation.window_expires_at,
        opened_by=conversation.window_opened_by,
    )
    return window.is_open(now, timedelta(seconds=float(conf.get("WINDOW_MARGIN"))))


def _end(
    alias: str, rows: Sequence[Message], status: Status, error_class: str, now: datetime
) -> None:
    """Settle locked rows that never left."""
    Message.objects.using(alias).filter(pk__in=[row.pk for row in rows]).update(
        status=status.value, error_class=error_class, **{TIME_COLUMNS[status]: now}
    )
    MessageEvent.objects.using(alias).bulk_create(
        MessageEvent(
            message=row, status=status.value, source=Source.SEND.value, at=now, text=error_class
        )
        for row in rows
    )
    touch(row.conversation_id for row in rows)
    announce((row.pk, status) for row in rows)


def sweep(alias: str, now: datetime) -> int:
    """Settle what time has run out for: expired messages, and calls of workers that died.

    How many of the latter became `unknown`.
    """
    given_up = give_up_lapsed(alias, now)
    expire(alias, now)
    return len(given_up)


def expire(alias: str, now: datetime, limit: int = 1000) -> int:
    """Settle what is too late, held messages included; how many.

    A claim does not keep a row: `begin` refuses what is expired, and the claim of a worker that
    died stays on rows of a lane nobody may claim from.
    """
    with transaction.atomic(using=alias):
        rows = list(
            Message.objects.using(alias)
            .select_for_update(of=("self",), skip_locked=connections[alias].vendor == "postgresql")
            .filter(status=Status.QUEUED, expires_at__lte=now)
            .order_by("pk")[:limit]
        )
        if rows:
            _end(alias, rows, Status.EXPIRED, "", now)
    return len(rows)


def give_up_lapsed(alias: str, now: datetime) -> list[int]:
    """`sending` rows whose worker died are `unknown`: their calls may or may not have arrived.

    Their claim stays, so that a late result of the same attempt can still settle them.
    """
    with transaction.atomic(using=alias):
        rows = list(
            Message.objects.using(alias)
            .select_for_update(of=("self",), skip_locked=connections[alias].vendor == "postgresql")
            .filter(status=Status.SENDING, due_at__lt=now)
            .order_by("pk")[:1000]
        )
        ids = [row.pk for row in rows]
        if not ids:
            return []
        Message.objects.using(alias).filter(pk__in=ids, status=Status.SENDING).update(
            status=Status.UNKNOWN,
            unknown_at=now,
            error_class=ErrorClass.AMBIGUOUS.value,
            error_text="",
        )
        MessageEvent.objects.using(alias).bulk_create(
            MessageEvent(
                message_id=pk, status=Status.UNKNOWN.value, source=Source.SEND.value, at=now
            )
            for pk in ids
        )
        touch(row.conversation_id for row in rows)
        announce((pk, Status.UNKNOWN) for pk in ids)
    return ids
