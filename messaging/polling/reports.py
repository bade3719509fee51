"""Asking gateways what became of messages: delivery reports, and what settles `unknown` sends.

One report per sender and poll, not one question per message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Min, Q, QuerySet

from .. import clock, delivery
from ..errors import ConfigurationError, NotPossible
from ..events import Source, Status, StatusUpdate
from ..i18n import gettext as _
from ..models import Message, Sender

#: Reports reach back this far; a message older than that gets no more of them.
REPORT_DAYS: Final = timedelta(days=7)

#: Seconds to the next poll: just sent, still outstanding, long outstanding, nothing outstanding.
JUST_NOW: Final = 3
SOON: Final = 15
LATER: Final = 120
IDLE: Final = 600

#: How long one sender's report may take, in seconds.
LONGEST_POLL: Final = 40.0

#: A row of the report belongs to an attempt when it was made within these of its start and end.
_BEFORE: Final = timedelta(minutes=2)
_AFTER: Final = timedelta(minutes=10)


def poll_reports(sender: Sender, start: datetime | None = None, end: datetime | None = None) -> int:
    """Fetch and apply this sender's delivery report; how many messages changed.

    Without dates: from its oldest outstanding message on, seven days back at most. Raises
    GatewayError.
    """
    now = clock.now()
    since = start or _oldestoutstanding(sender, now) or now
    adapter = sender.connect()
    with adapter.http.within(LONGEST_POLL):
        updates = adapter.fetch_statuses(max(since, now - REPORT_DAYS), end or now)
    changed = delivery.apply(sender.provider, updates, Source.POLL)
    return changed + settle_unknown(sender, updates)


def settle_unknown(sender: Sender, updates: Sequence[StatusUpdate]) -> int:
    """Adopt the report rows that prove what became of `unknown` messages; how many.

    A row is a proof where it is the only one with the message's number and text, made within the
    attempt's time span and not linked to any message; and no other message could claim it too:
    neither one that is unknown as well nor one whose call is under way. Absence proves nothing.
    """
    doubtful = list(
        Message.objects.filter(
            sender=sender,
            status__in=[Status.UNKNOWN, Status.SENDING],
            external_id="",
            sending_at__gte=clock.now() - REPORT_DAYS,
        ).select_related("conversation__address")
    )
    if not any(message.status == Status.UNKNOWN for message in doubtful):
        return 0
    linked = _linked(sender, updates)
    free = [update for update in updates if update.external_id not in linked]
    claims: dict[str, list[tuple[Message, StatusUpdate]]] = {}
    several: set[int] = set()
    for message in doubtful:
        fitting = [update for update in free if _fits(message, update)]
        if len({update.external_id for update in fitting}) > 1:
            several.add(message.pk)
        for update in fitting:
            claims.setdefault(update.external_id, []).append((message, update))
    return sum(
        delivery.adopt(message, update, Source.POLL)
        for (message, update), *others in claims.values()
        if not others and message.status == Status.UNKNOWN and message.pk not in several
    )


def check_message(message: Message, *, by: Any = None) -> Message:
    """Ask the gateway about one message now, and apply what it says. The message, read again.

    Raises NotPossible where the gateway has no report or the message has not left, GatewayError
    where it cannot be asked.
    """
    sender = message.sender
    if message.direction != "outbound" or message.sending_at is None:
        raise NotPossible(_("This message has not left yet."))
    try:
        sender.connect()
    except ConfigurationError as error:
        raise NotPossible(str(error)) from None
    adapter_class = sender.provider.adapter_class
    if message.external_id and adapter_class.supports("fetch_status"):
        update = sender.connect().fetch_status(message.external_id)
        if update is not None:
            delivery.apply(sender.provider, [update], Source.POLL)
    elif adapter_class.supports("fetch_statuses"):
        poll_reports(sender, start=message.sending_at)
    else:
        raise NotPossible(
            _("%(gateway)s does not tell what became of a message.")
            % {"gateway": adapter_class.label}
        )
    message.refresh_from_db()
    return message


def outstanding(sender: Sender, now: datetime) -> QuerySet[Message]:
    recent = now - REPORT_DAYS
    return Message.objects.filter(sender=sender, direction="outbound").filter(
        Q(status__in=[Status.ACCEPTED, Status.SENT, Status.DELIVERED], accepted_at__gte=recent)
        | Q(status=Status.UNKNOWN, sending_at__gte=recent)
    )


def _oldestoutstanding(sender: Sender, now: datetime) -> datetime | None:
    oldest: datetime | None = outstanding(sender, now).aggregate(at=Min("sending_at"))["at"]
    return oldest - _BEFORE if oldest else None


def wait_for_reports(sender: Sender, now: datetime) -> int:
    """Seconds to the next poll: by how long ago the newest outstanding message left."""
    newest = (
        outstanding(sender, now)
        .exclude(status=Status.DELIVERED)
        .order_by("-sending_at")
        .values_list("sending_at", flat=True)
        .first()
    )
    if newest is None:
        # All have arrived; whether they are read may wait.
        return LATER if outstanding(sender, now).exists() else IDLE
    age = now - newest
    if age < timedelta(minutes=2):
        return JUST_NOW
    return SOON if age < timedelta(hours=1) else LATER


def _linked(sender: Sender, updates: Sequence[StatusUpdate]) -> set[str]:
    ids = [update.external_id for update in updates]
    rows = Message.objects.filter(
        sender__provider=sender.provider, direction="outbound", external_id__in=ids
    )
    return set(rows.values_list("external_id", flat=True))


def _fits(message: Message, update: StatusUpdate) -> bool:
    started = message.sending_at
    if started is None or update.submitted_at is None or not update.external_id:
        return False
    ended = message.unknown_at or started
    in_time = started - _BEFORE <= update.submitted_at <= ended + _AFTER
    number = message.conversation.address.value.lstrip("+")
    same_place = update.address.lstrip("+") == number
    return in_time and same_place and update.text.strip() == sent_text(message).strip()


def sent_text(message: Message) -> str:
    """The text a report shows for this message: the body, without what we add in lists."""
    content = message.content
    return str(content.get("body") or content.get("caption") or "")
