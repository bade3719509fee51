"""A gateway's reports on messages it took: ranks rise, nothing else moves.

Any order and any repetition of the same reports ends in the same state. A report for a message
not known yet is parked when it was pushed to us; a polled one simply comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, router, transaction
from django.db.models import Exists, OuterRef

from .. import clock
from ..events import Source, Status, StatusUpdate
from ..models import Message, MessageEvent, ParkedStatus, Provider
from .finish import announce
from .flush import TIME_COLUMNS, touch
from .windows import follow_templates

logger = logging.getLogger("messaging")

_CHUNK: Final = 1000

#: From which states a report may move a message to the new one.
MOVES: Final = {
    Status.ACCEPTED: {Status.UNKNOWN},
    Status.SENT: {Status.ACCEPTED, Status.UNKNOWN},
    Status.DELIVERED: {Status.ACCEPTED, Status.SENT, Status.FAILED, Status.UNKNOWN},
    Status.READ: {
        Status.ACCEPTED,
        Status.SENT,
        Status.DELIVERED,
        Status.FAILED,
        Status.UNKNOWN,
    },
    Status.FAILED: {Status.ACCEPTED, Status.SENT, Status.UNKNOWN},
}


def apply(provider: Provider, updates: Sequence[StatusUpdate], source: Source) -> int:
    """Apply reports to the messages of this provider; how many messages changed."""
    changed = 0
    for start in range(0, len(updates), _CHUNK):
        chunk = updates[start : start + _CHUNK]
        changed += _apply_chunk(provider, chunk, source, park=source is Source.WEBHOOK)
    return changed


def adopt(message: Message, update: StatusUpdate, source: Source) -> bool:
    """Link an `unknown` message to the report row that proves it was taken.

    False where somebody else settled it, or has this id, in this moment.
    """
    try:
        with transaction.atomic(using=router.db_for_write(Message)):
            row = Message.objects.select_for_update().get(pk=message.pk)
            if row.status != Status.UNKNOWN or row.external_id:
                return False
            row.external_id = update.external_id
            row.external_data = {**row.external_data, **update.external_data}
            row.save(update_fields=["external_id", "external_data"])
            found = StatusUpdate(
                external_id=update.external_id, status=Status.ACCEPTED, raw_status=update.raw_status
            )
            _apply_rows([(row, found), (row, update)], source)
    except IntegrityError:
        return False
    return True


def match_parked(limit: int = _CHUNK) -> int:
    """Apply parked reports whose message is known by now; how many were matched."""
    known = Message.objects.filter(
        direction="outbound",
        sender__provider=OuterRef("provider"),
        external_id=OuterRef("external_id"),
    )
    parked = ParkedStatus.objects.filter(Exists(known)).select_related("provider").order_by("id")
    items = list(parked[:limit])
    for item in items:
        with transaction.atomic(using=router.db_for_write(Message)):
            # Done with, whether it fits (one id may cover several numbers) or not.
            ParkedStatus.objects.filter(pk=item.pk).delete()
            try:
                update, source = _thaw(item.update), Source(item.source)
            except (AttributeError, TypeError, ValueError):
                logger.error("Parked report %s cannot be read; it is dropped.", item.pk)
                continue
            _apply_chunk(item.provider, [update], source, park=False)
    return len(items)


def _apply_chunk(
    provider: Provider, updates: Sequence[StatusUpdate], source: Source, *, park: bool
) -> int:
    ids = {update.external_id for update in updates if update.external_id}
    with transaction.atomic(using=router.db_for_write(Message)):
        rows = list(
            Message.objects.select_for_update(of=("self",))
            .filter(sender__provider=provider, direction="outbound", external_id__in=ids)
            .select_related("conversation__address")
            .order_by("pk")
        )
        by_id: dict[str, list[Message]] = {}
        for row in rows:
            by_id.setdefault(row.external_id, []).append(row)
        pairs = []
        for update in updates:
            matches = _narrow(by_id.get(update.external_id, []), update.address)
            pairs += [(row, update) for row in matches]
            if not matches and park and update.external_id:
                _park(provider, update, source)
        return _apply_rows(pairs, source)


def _narrow(rows: list[Message], address: str) -> list[Message]:
    """Where one id covers several recipients, the address decides; without one, nothing does."""
    if len(rows) < 2:
        return rows
    digits = address.lstrip("+")
    return [row for row in rows if row.conversation.address.value.lstrip("+") == digits]


def _apply_rows(pairs: Iterable[tuple[Message, StatusUpdate]], source: Source) -> int:
    now = clock.now()
    events: list[MessageEvent] = []
    touched: dict[int, Message] = {}
    moved: dict[int, Status] = {}
    for row, update in pairs:
        if _fill_times(row, update, now):
            touched[row.pk] = row
        status = update.status
        if status is None or Status(row.status) not in MOVES.get(status, set()):
            continue
        _move(row, update, status)
        touched[row.pk] = row
        moved[row.pk] = status
        events.append(
            MessageEvent(
                message_id=row.pk,
                status=status.value,
                source=source.value,
                at=now,
                text=update.error_text or update.raw_status,
            )
        )
    for row in touched.values():
        row.save(update_fields=_FIELDS)
    MessageEvent.objects.bulk_create(events)
    if moved:
        follow_templates(touched[pk] for pk in moved)
        touch(touched[pk].conversation_id for pk in moved)
        announce(moved.items(), source)
    return len(moved)


_FIELDS: Final = [
    "status",
    "external_data",
    "error_class",
    "error_code",
    "error_text",
    "accepted_at",
    "sent_at",
    "delivered_at",
    "read_at",
    "failed_at",
]


def _fill_times(row: Message, update: StatusUpdate, now: datetime) -> bool:
    """Lower reports change nothing but the time they are about, where it was not known."""
    values = {"delivered_at": update.delivered_at, "read_at": update.read_at}
    if update.status in TIME_COLUMNS:
        column = TIME_COLUMNS[update.status]
        if row.status not in (Status.CANCELLED, Status.EXPIRED, Status.QUEUED):
            values.setdefault(column, None)
            values[column] = values[column] or update.occurred_at or now
    if update.status is Status.FAILED and row.status in (Status.DELIVERED, Status.READ):
        values.pop("failed_at", None)
    filled = False
    for column, value in values.items():
        if value is not None and getattr(row, column) is None:
            setattr(row, column, value)
            filled = True
    return filled


def _move(row: Message, update: StatusUpdate, status: Status) -> None:
    row.status = status.value
    if status is Status.FAILED:
        row.error_class = update.error_class
        row.error_code = update.error_code[:50]
        row.error_text = update.error_text
    else:
        # What was proven wrong leaves no time behind, whichever report came first.
        row.failed_at = None
        row.error_class = row.error_code = row.error_text = ""
    if update.raw_status:
        row.external_data = {**row.external_data, "status": update.raw_status}


def _park(provider: Provider, update: StatusUpdate, source: Source) -> None:
    ParkedStatus.objects.create(
        provider=provider,
        external_id=update.external_id,
        update=_freeze(update),
        source=source.value,
        created_at=clock.now(),
    )


def _freeze(update: StatusUpdate) -> dict[str, Any]:
    frozen: dict[str, Any] = {}
    for spec in fields(update):
        value = getattr(update, spec.name)
        if isinstance(value, datetime):
            frozen[spec.name] = value.isoformat()
        elif isinstance(value, Mapping):
            frozen[spec.name] = dict(value)
        elif value:
            frozen[spec.name] = value
    return frozen


_TIMES: Final = {"occurred_at", "delivered_at", "read_at", "submitted_at"}


def _thaw(values: dict[str, Any]) -> StatusUpdate:
    read: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name in _TIMES else value
        for name, value in values.items()
    }
    if "status" in read:
        read["status"] = Status(read["status"])
    return StatusUpdate(**read)
