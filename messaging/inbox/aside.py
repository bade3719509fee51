"""Messages of a report that could not be recorded at once: kept as text, and tried again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any, Final

from .. import clock
from ..events import Inbound, InboundMedia
from ..models import DeliveryState, Provider, Sender, WebhookDelivery
from ..models.fields import keyed_digests

_SOON: Final = timedelta(seconds=30)

#: The content type of a delivery that holds one; no request can have brought it.
CONTENT_TYPE: Final = "messaging/event"


def freeze(event: Inbound, sender: Sender) -> str:
    """The event and whose it is. What serves as a credential is left out."""
    values = {
        spec.name: _plain(getattr(event, spec.name))
        for spec in fields(event)
        if spec.name not in ("to", "media")
    }
    if event.media is not None:
        values["media"] = asdict(event.media)
    return json.dumps({"sender": sender.pk, "event": values})


def thaw(body: str, provider: Provider) -> tuple[Inbound, Sender]:
    """The way back. Raises Sender.DoesNotExist, ValueError and TypeError."""
    kept = json.loads(body)
    values: dict[str, Any] = kept["event"]
    if values.get("occurred_at"):
        values["occurred_at"] = datetime.fromisoformat(values["occurred_at"])
    if values.get("media"):
        values["media"] = InboundMedia(**values["media"])
    sender = Sender.objects.get(pk=kept["sender"], provider=provider)
    sender.provider = provider
    return Inbound(**values), sender


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else value


def set_aside(provider: Provider, body: str, error: str) -> None:
    """Keep one message of a report that could not be recorded; the sweep tries it again.

    Reports repeat themselves: what waits already is not kept twice.
    """
    now = clock.now()
    digests = keyed_digests("delivery", hashlib.sha256(body.encode()).hexdigest())
    waiting = WebhookDelivery.objects.filter(provider=provider, digest__in=digests)
    if waiting.exclude(state=DeliveryState.PROCESSED).exists():
        return
    WebhookDelivery.objects.create(
        provider=provider,
        digest=digests[0],
        content_type=CONTENT_TYPE,
        body=body,
        state=DeliveryState.FAILED,
        error=error,
        received_at=now,
        due_at=now + _SOON,
    )
