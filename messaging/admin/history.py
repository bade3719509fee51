"""What happened to a message, and the calls it was in, ready for a page."""

from __future__ import annotations

import json
from typing import Any, Final

from .. import adapters, outbox
from ..errors import ErrorClass, MessagingError
from ..events import Status
from ..models import Message, ProviderCall
from . import numbers

#: Characters of a call shown; the rest is cut.
_LONGEST: Final = 20_000


def steps_of(message: Message, *, full: bool) -> list[dict[str, Any]]:
    """The message's history, oldest first."""
    return [
        {
            "at": step.at,
            "status": step.get_status_display(),
            "source": step.get_source_display(),
            "by": step.actor_name,
            "text": step.text if full else numbers.mask_text(step.text),
        }
        for step in message.events.order_by("pk")
    ]


def calls_of(message: Message, *, full: bool) -> list[dict[str, Any]]:
    """The calls this message was in. What went over the wire names the number, so it is for
    those who may see numbers."""
    rows = ProviderCall.objects.filter(events__message=message).distinct().order_by("pk")
    return [
        {
            "row": row,
            "request": pretty(row.request) if full else "",
            "response": pretty(row.response) if full else "",
            "hidden": not full,
        }
        for row in rows
    ]


def warnings_of(message: Message) -> list[str]:
    """What the gateway may do to this content; of a waiting one also why it would not go."""
    if message.direction != "outbound":
        return []
    waiting = message.status == Status.QUEUED
    to = message.conversation if waiting else None
    hold = outbox.HOLD_WINDOW if waiting else None
    try:
        found = outbox.check(message.value, to=to, sender=message.sender, hold=hold)
    except MessagingError as error:
        return [str(error)] if waiting else []
    return [*found.refusals, *found.warnings] if waiting else list(found.warnings)


def template_instead(message: Message) -> str:
    """Where a template is chosen for a message the closed window kept back; "" for all others."""
    if message.error_class != ErrorClass.WINDOW_CLOSED or message.status != Status.FAILED:
        return ""
    sender = message.sender
    if not adapters.is_known(sender.provider.adapter):
        return ""
    if "template" not in sender.provider.adapter_class.kinds.get(sender.channel, ()):
        return ""
    return f"?conversation={message.conversation_id}&kind=template"


def pretty(value: Any) -> str:
    """JSON as people read it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value[:_LONGEST]
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return text[:_LONGEST] + (" …" if len(text) > _LONGEST else "")
