"""What people may do to a message after it was queued. Each step is safe to repeat."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.db import router, transaction
from django.db.models import Q

from .. import clock
from ..content import Content
from ..delivery import announce, touch
from ..errors import NotPossible
from ..events import Source, Status
from ..i18n import gettext as _
from ..models import Conversation, Message, MessageEvent, Priority
from .bell import ring_on_commit
from .door import Draft, author_name, default_expiry, queue_draft
from .ends import window_open
from .places import Places
from .rules import HOLD_WINDOW, Rules

_CHUNK: Final = 1000


class _Keep:
    """The type of KEEP."""

    def __repr__(self) -> str:
        return "KEEP"


#: "Leave it as it is", where None means something.
KEEP: Final = _Keep()


def cancel(messages: Iterable[Message] | Any, *, by: Any = None) -> int:
    """Cancel those that still wait; how many. What is being sent cannot be called back."""
    ids = sorted(message.pk for message in messages)
    now = clock.now()
    done = 0
    with transaction.atomic(using=router.db_for_write(Message)):
        for start in range(0, len(ids), _CHUNK):
            done += _cancel(ids[start : start + _CHUNK], now, by)
    return done


def _cancel(ids: list[int], now: datetime, by: Any) -> int:
    rows = list(
        Message.objects.select_for_update(of=("self",))
        .filter(pk__in=ids, status=Status.QUEUED, direction="outbound")
        .order_by("pk")
    )
    # The claim is left: its holder's recheck finds the row no longer queued.
    Message.objects.filter(pk__in=[row.pk for row in rows]).update(
        status=Status.CANCELLED, cancelled_at=now
    )
    _record(rows, Status.CANCELLED, now, by)
    return len(rows)


def edit(
    message: Message,
    *,
    content: Content | None = None,
    send_at: datetime | _Keep | None = KEEP,
    by: Any = None,
) -> Message:
    """Change a message that is scheduled or held. `send_at=None` sends it now.

    The door's rules hold again. Raises NotPossible once a worker has it.
    """
    now = clock.now()
    with transaction.atomic(using=router.db_for_write(Message)):
        row = (
            Message.objects.select_for_update(of=("self",))
            .select_related("conversation__address__contact", "sender__provider")
            .get(pk=message.pk)
        )
        if row.status != Status.QUEUED or not (row.due_at is None or row.due_at > now):
            raise NotPossible(_("This message is on its way or done; it cannot be changed."))
        if row.claim is not None or row.attempts:
            raise NotPossible(_("This message is on its way; it cannot be changed."))
        held = row.held
        when = row.scheduled_at if isinstance(send_at, _Keep) else send_at
        new = content if content is not None else row.value
        moved = not isinstance(send_at, _Keep)
        draft = Draft(
            content=new,
            to=row.conversation,
            send_at=when,
            hold=HOLD_WINDOW if held and not moved else None,
        )
        rules = Rules()
        place = Places([draft], rules).of(0)
        still_held = rules.admit(draft, place, now)
        row.kind, row.content, row.text = new.kind, new.to_json(), new.preview()
        row.template_id = getattr(getattr(new, "template", None), "pk", None)
        row.scheduled_at = when
        _set_due(row, None if still_held else max(when or now, now))
        row.save()
        _record([row], Status.QUEUED, now, by, text=_("changed"))
        ring_on_commit()
    return row


def _set_due(row: Message, due_at: datetime | None) -> None:
    """Move the time a message is due, and with it the time that is too late for it.

    An expiry that was chosen for a held message stays: it was a time, not a patience.
    """
    if row.expires_at is None:
        row.expires_at = default_expiry(due_at)
    elif row.due_at is not None and due_at is not None:
        row.expires_at += due_at - row.due_at
    row.due_at = due_at


def send_again(message: Message, *, by: Any = None) -> Message:
    """Send an unknown or failed message once more, as a new row; the person takes the risk.

    Repeating it gives the same new row. Raises what `queue` raises, and NotPossible for messages
    that are neither unknown nor failed.
    """
    with transaction.atomic(using=router.db_for_write(Message)):
        row = (
            Message.objects.select_for_update(of=("self",))
            .select_related("conversation__address__contact", "sender__provider")
            .get(pk=message.pk)
        )
        if (again := Message.objects.filter(resend_of=row).first()) is not None:
            return again
        if row.status not in (Status.UNKNOWN, Status.FAILED):
            raise NotPossible(_("Only messages that failed or may not have arrived are resent."))
        again = queue_draft(
            Draft(
                content=row.value,
                to=row.conversation,
                author=by,
                priority=Priority.REPLY,
                resend_of=row,
            )
        )
        _record([row], Status(row.status), clock.now(), by, text=_("sent again"))
    return again


def mark_arrived(message: Message, *, by: Any = None) -> Message:
    """A person knows that it arrived (the customer said so): `delivered`, source person."""
    now = clock.now()
    movable = (Status.UNKNOWN, Status.ACCEPTED, Status.SENT, Status.FAILED)
    with transaction.atomic(using=router.db_for_write(Message)):
        row = Message.objects.select_for_update(of=("self",)).get(pk=message.pk)
        if row.status in (Status.DELIVERED, Status.READ):
            return row
        if row.status not in movable:
            raise NotPossible(_("This message has not left yet."))
        if Message.objects.filter(resend_of=row).exclude(status=Status.CANCELLED).exists():
            raise NotPossible(_("This message was sent again; say so of the new one."))
        row.status = Status.DELIVERED
        row.delivered_at = now
        row.error_class = row.error_code = row.error_text = ""
        row.save(
            update_fields=["status", "delivered_at", "error_class", "error_code", "error_text"]
        )
        _record([row], Status.DELIVERED, now, by)
    return row


def release_held(conversation: Conversation) -> int:
    """Let messages go that waited for the customer to write; how many.

    None where the window is closed all the same: the customer's word was found too late, or was
    older than the gateway's refusal. Those that wait go on waiting, or they would fail.
    """
    now = clock.now()
    row = Conversation.objects.select_related("sender__provider").get(pk=conversation.pk)
    if not window_open(row, row.sender, now):
        return 0
    held = Message.objects.filter(conversation=conversation, status=Status.QUEUED, due_at=None)
    with transaction.atomic(using=router.db_for_write(Message)):
        rows = list(
            held.select_for_update(of=("self",))
            .filter(Q(expires_at=None) | Q(expires_at__gt=now))
            .order_by("pk")
        )
        for message in rows:
            _set_due(message, max(message.scheduled_at or now, now))
            message.save(update_fields=["due_at", "expires_at"])
        if rows:
            touch([conversation.pk])
            ring_on_commit()
    return len(rows)


def _record(rows: list[Message], status: Status, now: datetime, by: Any, *, text: str = "") -> None:
    MessageEvent.objects.bulk_create(
        MessageEvent(
            message=row,
            status=status.value,
            source=Source.PERSON.value,
            at=now,
            text=text,
            actor_name=author_name(by),
        )
        for row in rows
    )
    touch(row.conversation_id for row in rows)
    announce(((row.pk, status) for row in rows), Source.PERSON)
