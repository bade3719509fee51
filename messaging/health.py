"""Who is alive, and what is wrong, in plain words.

Leases and heartbeats are rows of our own: the queue's view of its workers is not trusted, because
it says "alive" of a cluster that will never run a task again.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from django.db.models import Q

from . import adapters, background, clock, conf, delivery
from .adapters.base import Balance
from .errors import ConfigurationError, ErrorClass, GatewayError
from .events import Status
from .i18n import gettext as _
from .i18n import ngettext
from .models import (
    Connection,
    DeliveryState,
    Heartbeat,
    LaneBase,
    Message,
    PauseReason,
    Provider,
    Sender,
    WebhookDelivery,
)

#: A worker that has not written its heartbeat for so long is not working.
SILENT_AFTER: Final = timedelta(seconds=60)

#: An inbox that was not read for so long is being missed: idle ones are read every few minutes.
UNREAD_AFTER: Final = timedelta(minutes=30)

#: A delivery that failed so often does not fail by chance.
_OFTEN: Final = 3

#: Counted no further: these are sentences, not statistics.
_ENOUGH: Final = 1000


class Lease:
    """The right to do a job alone, until it lapses. Two workers of one name never both hold it."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    def take(self) -> bool:
        """Take it where it is free or has lapsed."""
        now = clock.now()
        Heartbeat.objects.get_or_create(name=self.name)
        free = Q(holder="") | Q(expires_at=None) | Q(expires_at__lt=now)
        return bool(
            Heartbeat.objects.filter(free, name=self.name, stop=False).update(
                holder=self.holder, beat_at=now, expires_at=now + timedelta(seconds=self.seconds)
            )
        )

    def keep(self) -> bool:
        """Prolong it; False where it was lost or the holder is asked to stop."""
        now = clock.now()
        return bool(
            Heartbeat.objects.filter(name=self.name, holder=self.holder, stop=False).update(
                beat_at=now, expires_at=now + timedelta(seconds=self.seconds)
            )
        )

    def give_up(self) -> None:
        Heartbeat.objects.filter(name=self.name, holder=self.holder).update(
            holder="", expires_at=None
        )


def ask_to_stop(name: str) -> None:
    """Ask the holder of a lease to finish what it has begun; nobody takes it any more."""
    Heartbeat.objects.update_or_create(name=name, defaults={"stop": True})


def beat(name: str) -> None:
    """Write that this is alive."""
    now = clock.now()
    if not Heartbeat.objects.filter(name=name).update(beat_at=now):
        Heartbeat.objects.get_or_create(name=name, defaults={"beat_at": now})


def last_beat() -> datetime | None:
    """When any worker last proved that it runs tasks."""
    rows = Heartbeat.objects.filter(Q(name__startswith="worker:") | Q(name__startswith="tick:"))
    return rows.exclude(beat_at=None).order_by("-beat_at").values_list("beat_at", flat=True).first()


def worker_is_silent(now: datetime | None = None) -> bool:
    """True where no worker proved its life within a minute."""
    seen = last_beat()
    return seen is None or (now or clock.now()) - seen > SILENT_AFTER


# Accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTest:
    """How a test of credentials ended; `text` is a sentence for the person who asked."""

    ok: bool
    text: str
    balance: str = ""


def test_connection(row: Provider | Sender) -> ConnectionTest:
    """Prove a provider's or sender's credentials without sending anything."""
    try:
        adapter = row.connect()
        if type(adapter).supports("test") or type(adapter).supports("balance"):
            return _passed(row, adapter.test())
        senders = adapter.fetch_senders() if adapter.supports("fetch_senders") else None
    except GatewayError as error:
        return ConnectionTest(ok=False, text=explain(error))
    except ConfigurationError as error:
        return ConnectionTest(ok=False, text=str(error))
    if senders is None:
        return ConnectionTest(ok=True, text=_("This gateway has nothing to test."))
    return ConnectionTest(
        ok=True,
        text=ngettext(
            "The credentials work; the gateway lists %(count)d sender.",
            "The credentials work; the gateway lists %(count)d senders.",
            len(senders),
        )
        % {"count": len(senders)},
    )


def refresh_balance(row: Provider | Sender) -> ConnectionTest:
    """Ask for the balance and keep it."""
    provider = row.provider if isinstance(row, Sender) else row
    if adapters.is_known(provider.adapter) and not provider.adapter_class.supports("balance"):
        return ConnectionTest(ok=False, text=_("This gateway does not tell a balance."))
    return test_connection(row)


def keep_balance(lane: LaneBase, balance: Balance) -> None:
    """Keep what the gateway said of an account's balance and plan."""
    values = {
        "balance": (balance.amount or "")[:50],
        "balance_checked_at": clock.now(),
        "plan_expires_at": balance.expires_at,
        "used_today": balance.used_today,
    }
    type(lane)._default_manager.filter(pk=lane.pk).update(**values)
    for name, value in values.items():
        setattr(lane, name, value)


def _passed(row: Provider | Sender, balance: Balance) -> ConnectionTest:
    lane = row.lane if isinstance(row, Sender) else row
    keep_balance(lane, balance)
    if lane.pause_reason == PauseReason.AUTHENTICATION:
        delivery.resume(lane)
    text = _("The connection works.")
    if balance.amount is not None:
        text = _("The connection works. Balance: %(balance)s.") % {"balance": balance.amount}
    return ConnectionTest(ok=True, text=text, balance=balance.amount or "")


def explain(error: GatewayError) -> str:
    """What a gateway's failure means for whoever reads it, in a sentence."""
    failure = error.failure
    reason = {
        ErrorClass.AUTHENTICATION: _("The gateway refused the credentials."),
        ErrorClass.QUOTA: _("The account has no balance or no plan."),
        ErrorClass.CONFIGURATION: _("The account or its address is not set up correctly."),
        ErrorClass.TRANSIENT: _("The gateway could not be reached. Try again in a moment."),
    }.get(failure.error_class, _("The gateway gave an answer we do not know."))
    detail = failure.text or failure.code
    return f"{reason} ({detail})" if detail and detail not in reason else reason


# Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about the set-up: `level` ok, info, warning or error; `hint` says what to do."""

    level: str
    text: str
    hint: str = ""


def findings() -> list[Finding]:
    """What a person should know about this installation, worst first."""
    now = clock.now()
    found = [
        *_worker_findings(now),
        *_sender_findings(now),
        *_delivery_findings(),
        *_phone_findings(),
        *_inbox_findings(now),
        *_message_findings(now),
        *_setting_findings(),
    ]
    order = {"error": 0, "warning": 1, "info": 2, "ok": 3}
    return sorted(found, key=lambda finding: order[finding.level])


def banners() -> list[str]:
    """What staff should see on top of our pages: silent worker, paused accounts, what came in
    and waits, phones that are away."""
    now = clock.now()
    found = [item for item in _worker_findings(now) if item.level == "error"]
    # Without a worker no inbox is read; that is said once.
    unread = [] if found else _inbox_findings(now)
    found += [*_pause_findings(now), *_delivery_findings(), *_phone_findings(), *unread]
    return [item.text for item in found]


def _worker_findings(now: datetime) -> list[Finding]:
    if not background.has_schedule():
        yet = _("The worker has never been started here.")
        return [Finding(level="error", text=yet, hint="manage.py messaging_worker")]
    if worker_is_silent(now):
        return [
            Finding(
                level="error",
                text=_("The worker is silent. Messages wait until it runs again."),
                hint="manage.py messaging_worker",
            )
        ]
    return [Finding(level="ok", text=_("The worker is alive."))]


def _sender_findings(now: datetime) -> list[Finding]:
    found = _pause_findings(now)
    if not Sender.objects.filter(is_active=True).exists():
        found.append(
            Finding(
                level="warning",
                text=_("There is no active sender."),
                hint=_("Add a provider and a sender in the admin."),
            )
        )
    for sender in Sender.objects.select_related("provider"):
        try:
            sender.connect()
        except ConfigurationError as error:
            found.append(Finding(level="error", text=f"{sender}: {error}"))
    return found


def _pause_findings(now: datetime) -> list[Finding]:
    lanes: list[LaneBase] = [
        *Provider.objects.exclude(pause_reason=""),
        *Sender.objects.exclude(pause_reason="").select_related("provider"),
    ]
    return [
        Finding(
            level="warning",
            text=_("%(name)s sends nothing: %(reason)s. Its messages wait.")
            % {"name": lane, "reason": lane.get_pause_reason_display()},
            hint=_until(lane),
        )
        for lane in lanes
    ]


def _until(lane: LaneBase) -> str:
    if lane.paused_until is None:
        return _("Resume it in the admin when the cause is gone.")
    return _("It is tried again by itself; or resume it in the admin.")


def _delivery_findings() -> list[Finding]:
    """What gateways posted and is not yet in the conversations."""
    found: list[Finding] = []
    rows = WebhookDelivery.objects.filter(state=DeliveryState.QUARANTINED)
    if count := rows[:_ENOUGH].count():
        text = ngettext(
            "%(count)d webhook delivery waits in quarantine: it could not be read or placed.",
            "%(count)d webhook deliveries wait in quarantine: they could not be read or placed.",
            count,
        )
        hint = _("Open “Webhook deliveries”: each says why. Then process them again.")
        found.append(Finding(level="warning", text=text % {"count": count}, hint=hint))
    rows = WebhookDelivery.objects.filter(state=DeliveryState.FAILED, attempts__gte=_OFTEN)
    if count := rows[:_ENOUGH].count():
        text = ngettext(
            "%(count)d webhook delivery keeps failing.",
            "%(count)d webhook deliveries keep failing.",
            count,
        )
        hint = _("Open “Webhook deliveries”, and look at the log of the web server or worker.")
        found.append(Finding(level="warning", text=text % {"count": count}, hint=hint))
    return found


def _phone_findings() -> list[Finding]:
    """Phones that are away and not named as paused already."""
    rows = Sender.objects.filter(
        is_active=True, provider__is_active=True, connection=Connection.DISCONNECTED
    ).exclude(pause_reason=PauseReason.DISCONNECTED)
    return [
        Finding(
            level="warning",
            text=_("%(sender)s: the phone is not connected.") % {"sender": sender},
            hint=_("Pair it on the sender's page, or with messaging_pair."),
        )
        for sender in rows.select_related("provider")
        if _declares(sender, "needs_pairing")
    ]


def _inbox_findings(now: datetime) -> list[Finding]:
    """Inboxes nobody has read for long, of senders that can be asked."""
    limit = now - UNREAD_AFTER
    old = Q(inbox_polled_at__lt=limit) | Q(inbox_polled_at=None, created_at__lt=limit)
    rows = Sender.objects.filter(old, is_active=True, provider__is_active=True)
    return [
        Finding(
            level="warning",
            text=_("%(sender)s: the inbox was not read for more than %(minutes)d minutes.")
            % {"sender": sender, "minutes": UNREAD_AFTER.total_seconds() // 60},
            hint=_("“Poll now” on the sender's page says what is the matter."),
        )
        for sender in rows.select_related("provider")
        if _declares(sender, "fetch_inbox") and not _is_away(sender)
    ]


def _declares(sender: Sender, what: str) -> bool:
    """Whether the sender's gateway pairs phones, or has an operation."""
    if not adapters.is_known(sender.provider.adapter):
        return False
    cls = sender.provider.adapter_class
    return cls.needs_pairing if what == "needs_pairing" else cls.supports(what)


def _is_away(sender: Sender) -> bool:
    """A phone that is not there: that is said instead."""
    return sender.provider.adapter_class.needs_pairing and sender.connection != Connection.CONNECTED


def _message_findings(now: datetime) -> list[Finding]:
    found: list[Finding] = []
    unknown = Message.objects.filter(status=Status.UNKNOWN).count()
    if unknown:
        text = ngettext(
            "%(count)d message may or may not have been sent.",
            "%(count)d messages may or may not have been sent.",
            unknown,
        )
        found.append(
            Finding(
                level="warning",
                text=text % {"count": unknown},
                hint=_("Look at them in the admin: check with the gateway, or decide."),
            )
        )
    late = Message.objects.filter(
        status=Status.QUEUED, due_at__lt=now - timedelta(minutes=5)
    ).count()
    if late:
        text = ngettext(
            "%(count)d message is waiting for more than five minutes.",
            "%(count)d messages are waiting for more than five minutes.",
            late,
        )
        found.append(Finding(level="warning", text=text % {"count": late}))
    return found


def _setting_findings() -> list[Finding]:
    if conf.get("PUBLIC_BASE_URL"):
        return []
    return [
        Finding(
            level="info",
            text=_("PUBLIC_BASE_URL is not set."),
            hint=_("Uploaded files can then not be sent by gateways that fetch them by link."),
        )
    ]
