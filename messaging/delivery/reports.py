"""A gateway's reports on messages it took: ranks rise, nothing else moves.

Any order and any repetition of the same reports ends in the same state. A report for a message
not known yet is parked when it was pushed to us; a polled one simply comes again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, router, transaction
from django.db.models import Exists, OuterRef

from .. import clock
from ..events import Source, Status, StatusUpdate
from ..models import Message, ParkedStatus, Provider
from .finish import announce
from .flush import TIME_COLUMNS
from .moves import STRENGTH, Moved, Report, fill_times, move
from .windows import follow_templates

logger = logging.getLogger("messaging")

_CHUNK: Final = 1000


def apply(provider: Provider, updates: Sequence[StatusUpdate], source: Source) -> int:
    """Apply reports to the messages of this provider; how many messages changed."""
    changed = 0
    for start in range(0, len(updates), _CHUNK):
        chunk = updates[start : start + _CHUNK]
        # No savepoint of its own: where it fails, the caller's whole step does.
        with transaction.atomic(using=router.db_for_write(Message), savepoint=False):
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
                external_id=update.external_id,
                address=update.address,
                status=Status.ACCEPTED,
                raw_status=update.raw_status,
            )
            for step in (found, update):
                _apply_chunk(message.sender.provider, [step], source)
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
            _apply_chunk(item.provider, [update], source)
    return len(items)


def _apply_chunk(
    provider: Provider, updates: Sequence[StatusUpdate], source: Source, *, park: bool = False
) -> int:
    now = clock.now()
    count = 0
    for reports in _waves(updates, now):
        moved = move(provider, reports, source, now)
        count += len(moved)
        _tell(moved, source)
        reported = {item.report.external_id for item in moved}
        rest = [report for report in reports if report.external_id not in reported]
        if rest:
            fill_times(provider, rest)
            if park:
                _park_unknown(provider, rest, source, now)
    return count


def _waves(updates: Iterable[StatusUpdate], now: datetime) -> Iterator[list[Report]]:
    """The reports, merged per id and number; ids that several numbers share in turn."""
    merged: dict[tuple[str, str], Report] = {}
    for update in updates:
        report = _read(update, now)
        if report is None:
            continue
        known = merged.setdefault((report.external_id, report.digits), report)
        if known is not report:
            known.merge(report)
    while merged:
        wave: dict[str, Report] = {}
        for key in list(merged):
            if key[0] not in wave:
                wave[key[0]] = merged.pop(key)
        yield list(wave.values())


def _read(update: StatusUpdate, now: datetime) -> Report | None:
    status = update.status
    if status not in STRENGTH or not update.external_id:
        return None
    times = {
        column: value
        for column, value in (
            ("delivered_at", update.delivered_at),
            ("read_at", update.read_at),
        )
        if value is not None
    }
    times.setdefault(TIME_COLUMNS[status], update.occurred_at or now)
    digits = update.address.lstrip("+")
    return Report(update.external_id, digits, status, times, update)


def _tell(moved: Sequence[Moved], source: Source) -> None:
    if not moved:
        return
    follow_templates({item.conversation_id for item in moved if item.kind == "template"})
    announce(((item.message_id, item.status) for item in moved), source)


# --- Parked ---------------------------------------------------------------------------------------


def _park_unknown(
    provider: Provider, reports: Sequence[Report], source: Source, now: datetime
) -> None:
    """Keep what is about messages we do not know yet: our own answer may still be on its way."""
    rows = Message.objects.filter(
        sender__provider=provider,
        direction="outbound",
        external_id__in=[report.external_id for report in reports],
    )
    known = set(rows.values_list("external_id", flat=True))
    ParkedStatus.objects.bulk_create(
        [
            _parked(provider, report.update, source, now)
            for report in reports
            if report.external_id not in known
        ],
        ignore_conflicts=True,
    )


def _parked(
    provider: Provider, update: StatusUpdate, source: Source, now: datetime
) -> ParkedStatus:
    frozen = _freeze(update)
    text = json.dumps(frozen, sort_keys=True, default=str)
    return ParkedStatus(
        provider=provider,
        external_id=update.external_id,
        update=frozen,
        digest=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        source=source.value,
        created_at=now,
    )


def _freeze(update: StatusUpdate) -> dict[str, Any]:
    frozen: dict[str, Any] = {}
    for spec in fields(update):
        if spec.name == "to":
            continue  # may be a secret, and has done its work
        value = getattr(update, spec.name)
        if isinstance(value, datetime):
            frozen[spec.name] = value.isoformat()
        elif isinstance(value, Mapping):
            frozen[spec.name] = dict(value)
        elif value:
            frozen[spec.name] = value
    return frozen


_MOMENTS: Final = {"occurred_at", "delivered_at", "read_at", "submitted_at"}


def _thaw(values: dict[str, Any]) -> StatusUpdate:
    read: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name in _MOMENTS else value
        for name, value in values.items()
    }
    if "status" in read:
        read["status"] = Status(read["status"])
    return StatusUpdate(**read)
