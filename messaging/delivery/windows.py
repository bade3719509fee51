"""What results and reports do to reply windows. Inbound messages open them elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import router, transaction
from django.db.models import F, Max, Q

from ..adapters.base import INBOUND_OR_TEMPLATE
from ..errors import ErrorClass
from ..events import Status
from ..models import Conversation, Message, WindowOpenedBy
from ..window import LENGTH

#: A template in one of these was taken by the gateway and has not failed since.
_TAKEN: Final = (Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.READ)


def open_by_template(conversation_ids: Iterable[int], now: datetime) -> None:
    """A template was accepted: the window is open for 24 hours, never shorter than it was."""
    expires_at = now + LENGTH
    Conversation.objects.filter(
        Q(window_expires_at=None) | Q(window_expires_at__lt=expires_at),
        pk__in=list(conversation_ids),
    ).update(window_expires_at=expires_at, window_opened_by=WindowOpenedBy.TEMPLATE)


def close_window(conversation_id: int, asked_at: datetime) -> None:
    """The gateway refused free-form text: its clock is the truth.

    What the customer wrote after we asked, the refusal knew nothing of, whichever of the two we
    hear of first.
    """
    Conversation.objects.filter(
        Q(last_inbound_at=None) | Q(last_inbound_at__lt=asked_at), pk=conversation_id
    ).update(
        window_expires_at=asked_at,
        window_opened_by=WindowOpenedBy.CLOSED,
        version=F("version") + 1,
    )


def extend_window(
    conversation_id: int, expires_at: datetime | None, wrote_at: datetime | None, now: datetime
) -> None:
    """The gateway's word on a window, which informs and may extend; it never closes."""
    rows = Conversation.objects.filter(pk=conversation_id)
    if expires_at is not None:
        rows.filter(Q(window_expires_at=None) | Q(window_expires_at__lt=expires_at)).update(
            window_expires_at=expires_at,
            window_opened_by=WindowOpenedBy.SESSION,
            version=F("version") + 1,
        )
    if wrote_at is not None:
        at = min(wrote_at, now)
        rows.filter(Q(last_inbound_at=None) | Q(last_inbound_at__lt=at)).update(last_inbound_at=at)


def follow_templates(conversation_ids: set[int]) -> None:
    """A report changed what became of templates there: the windows they opened follow."""
    if not conversation_ids:
        return
    conversations = Conversation.objects.filter(
        pk__in=conversation_ids, sender__provider__window_policy=INBOUND_OR_TEMPLATE
    )
    with transaction.atomic(using=router.db_for_write(Conversation)):
        for conversation in conversations.order_by("pk").select_for_update(
            of=("self",), no_key=True
        ):
            _follow(conversation)


def _follow(conversation: Conversation) -> None:
    """Work a window out anew. Only one that a template opened may become shorter.

    What was before a refusal of the gateway no longer counts.
    """
    sent = Message.objects.filter(conversation=conversation, direction="outbound")
    taken = sent.filter(kind="template", status__in=_TAKEN).aggregate(at=Max("accepted_at"))
    # What our own recheck kept back was never asked, and has no such time.
    shut = sent.filter(error_class=ErrorClass.WINDOW_CLOSED.value).aggregate(at=Max("sending_at"))
    accepted, refused = taken["at"], shut["at"]
    known = [
        (at + LENGTH, opened_by)
        for at, opened_by in (
            (conversation.last_inbound_at, WindowOpenedBy.INBOUND),
            (accepted, WindowOpenedBy.TEMPLATE),
        )
        if at is not None and (refused is None or at > refused)
    ]
    if conversation.window_opened_by != WindowOpenedBy.TEMPLATE and conversation.window_expires_at:
        known = [item for item in known if item[0] > conversation.window_expires_at]
        if not known or conversation.window_opened_by == WindowOpenedBy.CLOSED:
            return
    closed = (refused, WindowOpenedBy.CLOSED) if refused else (None, "")
    conversation.window_expires_at, conversation.window_opened_by = max(known, default=closed)
    conversation.save(update_fields=["window_expires_at", "window_opened_by"])
