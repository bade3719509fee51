"""Webhook requests: stored raw before anything else, then worked on, again if need be.

What was answered 200 is committed. A request that is authentic but cannot be read, or that came
to a number we do not know, waits in quarantine for a person; one whose processing failed is taken
up again by the sweep. Working on one twice does nothing twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import router, transaction

from .. import clock
from ..adapters.answers import NOT_JSON, parse, redact_json
from ..adapters.base import WebhookFile, WebhookRequest
from ..errors import ConfigurationError
from ..events import Source
from ..i18n import gettext as _
from ..models import DeliveryState, Provider, WebhookDelivery
from ..models.fields import keyed_digests
from . import sql
from .aside import CONTENT_TYPE, thaw
from .record import Batch, Recorded

logger = logging.getLogger("messaging")

#: When the sweep may take up a request whose own process should long be done with it.
_PATIENCE: Final = timedelta(seconds=60)

#: The waits after failures: doubling, then for a day in all.
_FIRST_RETRY: Final = 30
_LONGEST_RETRY: Final = 3600
_MOST_ATTEMPTS: Final = 30


def store(
    provider: Provider, request: WebhookRequest, *, raw: bytes = b"", remote: str = ""
) -> WebhookDelivery:
    """Keep a request, in one statement. `raw` are its bytes where its text is not all of it."""
    now = clock.now()
    kept: dict[str, Any] = {"body": request.body}
    if request.fields:
        kept["fields"] = dict(request.fields)
    if request.files:
        kept["files"] = [asdict(file) for file in request.files]
    if raw:
        kept["raw"] = base64.b64encode(raw).decode()
    text = json.dumps(kept, ensure_ascii=True)
    row = WebhookDelivery(
        provider=provider,
        digest=keyed_digests("delivery", hashlib.sha256(text.encode()).hexdigest())[0],
        content_type=request.content_type[:200],
        body=text,
        state=DeliveryState.STORED,
        remote_address=remote[:64],
        received_at=now,
        due_at=now + _PATIENCE,
    )
    sql.insert(row)
    return row


def request_of(row: WebhookDelivery) -> WebhookRequest:
    """The request as it came."""
    kept = json.loads(row.body or "{}")
    return WebhookRequest(
        content_type=row.content_type,
        body=kept.get("body", ""),
        fields=kept.get("fields", {}),
        files=tuple(WebhookFile(**file) for file in kept.get("files", ())),
    )


def redacted(row: WebhookDelivery) -> Any:
    """The request as staff may see it: what serves as a credential is masked."""
    if row.content_type == CONTENT_TYPE:
        return json.loads(row.body)
    request = request_of(row)
    try:
        names = row.provider.adapter_class.secret_names
        values = [value for sender in row.provider.senders.all() for value in _secrets(sender)]
    except ConfigurationError:
        names, values = frozenset(), []
    shown: dict[str, Any] = {"body": _readable(request.body)}
    if request.fields:
        shown["fields"] = {name: _readable(value) for name, value in request.fields.items()}
    if request.files:
        shown["files"] = [
            {"filename": file.filename, "type": file.content_type, "bytes": file.size}
            for file in request.files
        ]
    return redact_json(shown, names, [*values, *row.provider.credentials.values()])


def _secrets(sender: Any) -> list[str]:
    return [*sender.credentials.values(), sender.instance_id]


def _readable(text: str) -> Any:
    data = parse(text.encode())
    return text if data is NOT_JSON else data


def process(row: WebhookDelivery) -> WebhookDelivery:
    """Work on a stored request, in a transaction of its own. Raises nothing."""
    try:
        batch, problems = _batch(row)
        with transaction.atomic(using=router.db_for_write(WebhookDelivery)):
            recorded = batch.record()
            _settle(row, recorded, [*problems, *recorded.problems])
    except Exception as error:
        # What it holds is a customer's; of the error the name alone is kept.
        logger.error("Delivery %s failed: %s.", row.pk, type(error).__name__, exc_info=True)
        _note_failure(row, type(error).__name__)
    return row


def _batch(row: WebhookDelivery) -> tuple[Batch, Iterable[str]]:
    """What the request says, made ready outside any transaction."""
    origin = f"d{row.pk}"
    if row.content_type == CONTENT_TYPE:
        event, sender = thaw(row.body, row.provider)
        return Batch(row.provider, [event], Source.POLL, origin=origin, sender=sender), ()
    parsed = row.provider.connect().parse_webhook(request_of(row))
    return Batch(row.provider, parsed.events, Source.WEBHOOK, origin=origin), parsed.problems


def _settle(row: WebhookDelivery, recorded: Recorded, problems: list[str]) -> None:
    now = clock.now()
    row.attempts += 1
    row.processed_at = now
    if recorded.failed:
        row.state, row.due_at = DeliveryState.FAILED, _next_try(row.attempts, now)
        problems = [_("Some messages could not be recorded."), *problems]
    elif problems:
        row.state, row.due_at = DeliveryState.QUARANTINED, None
    else:
        row.state, row.due_at = DeliveryState.PROCESSED, None
    row.error = "\n".join(dict.fromkeys(problems))
    _save(row)


def _note_failure(row: WebhookDelivery, name: str) -> None:
    row.attempts += 1
    row.state = DeliveryState.FAILED
    row.error = _("It could not be worked on; the log of the server says why (%(error)s).") % {
        "error": name
    }
    row.due_at = _next_try(row.attempts, clock.now())
    try:
        with transaction.atomic(using=router.db_for_write(WebhookDelivery)):
            _save(row)
    except Exception:
        # It is stored; the sweep finds it by its time.
        logger.exception("The failure of delivery %s could not be noted.", row.pk)


def _save(row: WebhookDelivery) -> None:
    row.attempts = min(row.attempts, 32_000)
    sql.settle(row)


def _next_try(attempts: int, now: datetime) -> datetime | None:
    if attempts >= _MOST_ATTEMPTS:
        return None
    wait = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(attempts - 1, 12))
    return now + timedelta(seconds=wait)


def sweep(limit: int = 200) -> int:
    """Take up requests whose process died or failed; how many were worked on."""
    now = clock.now()
    due = WebhookDelivery.objects.filter(due_at__lte=now).order_by("due_at")
    done = 0
    for pk, due_at in due.values_list("pk", "due_at")[:limit]:
        # Leased, so that two workers do not do the same work at once.
        leased = WebhookDelivery.objects.filter(pk=pk, due_at=due_at)
        if leased.update(due_at=now + _PATIENCE):
            process(WebhookDelivery.objects.select_related("provider").get(pk=pk))
            done += 1
    return done


def replay(rows: Iterable[WebhookDelivery]) -> dict[str, int]:
    """Work on these again, whatever their state; how many ended in which. Safe to repeat."""
    ends: dict[str, int] = {}
    for row in rows:
        state = str(process(row).state)
        ends[state] = ends.get(state, 0) + 1
    return ends
