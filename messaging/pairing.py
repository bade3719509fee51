"""Pairing a phone: the code to scan, asked for while somebody looks, by one asker per sender.

Whoever scans the code controls the sender, so it is kept encrypted, shown only by our own view and
forgotten as soon as it is of no use. Nothing here waits: a page, or the command, looks every two
seconds, and the first to look asks the gateway for all.
"""

from __future__ import annotations

import base64
import logging
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import F, Q

from . import clock, delivery, health, inbox
from .adapters.base import Connection as Answer
from .errors import ConfigurationError, ErrorClass, GatewayError, NotPossible
from .i18n import gettext as _
from .models import Connection, Pairing, PairingState, Sender

logger = logging.getLogger("messaging")

#: How long codes are asked for before somebody has to ask again.
LASTS: Final = timedelta(minutes=5)

#: The gateway is asked at most this often, however many people look.
ASK_EVERY: Final = timedelta(seconds=2)

#: An answer that takes longer than this, in seconds, is looked for again.
_LONGEST: Final = 10.0


def start(sender: Sender) -> Pairing:
    """Ask for codes from now on. The row, with the first code where the gateway gave one.

    Repeating it goes on with the pairing under way. Raises NotPossible for gateways without
    phones to pair.
    """
    if not sender.provider.adapter_class.needs_pairing:
        raise NotPossible(
            _("%(gateway)s has no phones to pair.")
            % {"gateway": sender.provider.adapter_class.label}
        )
    now = clock.now()
    fresh: dict[str, Any] = {
        "state": PairingState.WAITING,
        "code": "",
        "error": "",
        "details": {},
        "started_at": now,
        "expires_at": now + LASTS,
        "asked_at": None,
    }
    row, made = Pairing.objects.get_or_create(sender=sender, defaults=fresh)
    if not made:
        under_way = Q(state=PairingState.WAITING, expires_at__gt=now)
        Pairing.objects.filter(~under_way, pk=row.pk).update(**fresh, serial=F("serial") + 1)
    found = look(sender)
    assert found is not None
    return found


def look(sender: Sender) -> Pairing | None:
    """How the pairing stands now; None where none was ever begun.

    While it is under way the gateway is asked, unless somebody has just done so.
    """
    row = Pairing.objects.filter(sender=sender).first()
    if row is None or row.state != PairingState.WAITING:
        return row
    now = clock.now()
    if row.expires_at <= now:
        _settle(row, state=PairingState.EXPIRED, code="")
        Sender.objects.filter(pk=sender.pk, connection=Connection.PAIRING).update(
            connection=Connection.DISCONNECTED
        )
    elif _is_my_turn(row, now):
        _ask(sender, row)
    row.refresh_from_db()
    return row


def stop(sender: Sender) -> None:
    """Forget the code: nobody is going to scan it."""
    Pairing.objects.filter(sender=sender, state=PairingState.WAITING).update(
        state=PairingState.EXPIRED, code=""
    )
    Sender.objects.filter(pk=sender.pk, connection=Connection.PAIRING).update(
        connection=Connection.DISCONNECTED
    )


def code_of(row: Pairing) -> bytes:
    """The picture to scan, as a PNG file; empty where there is none now."""
    if row.state != PairingState.WAITING or row.expires_at <= clock.now() or not row.code:
        return b""
    return base64.b64decode(row.code)


def _is_my_turn(row: Pairing, now: datetime) -> bool:
    """One asker per sender: who moves the time on asks."""
    free = Q(asked_at=None) | Q(asked_at__lte=now - ASK_EVERY)
    waiting = Pairing.objects.filter(free, pk=row.pk, state=PairingState.WAITING)
    return bool(waiting.update(asked_at=now))


def _ask(sender: Sender, row: Pairing) -> None:
    try:
        adapter = sender.connect()
        with adapter.http.within(_LONGEST):
            answer = adapter.connection()
    except GatewayError as error:
        lost = error.failure.error_class in (ErrorClass.AUTHENTICATION, ErrorClass.CONFIGURATION)
        _settle(
            row,
            error=health.explain(error)[:255],
            **({"state": PairingState.FAILED, "code": ""} if lost else {}),
        )
    except ConfigurationError as error:
        _settle(row, error=str(error)[:255], state=PairingState.FAILED, code="")
    else:
        if answer.connected:
            keep(sender, answer)
            _settle(
                row,
                state=PairingState.CONNECTED,
                code="",
                error="",
                details=_shown(sender, answer),
            )
        else:
            _show_code(sender, row, answer)


def _show_code(sender: Sender, row: Pairing, answer: Answer) -> None:
    Sender.objects.filter(pk=sender.pk).update(connection=Connection.PAIRING)
    code = base64.b64encode(answer.code).decode()
    if code == row.code:
        _settle(row, error="")
    else:
        _settle(row, code=code, error="", serial=F("serial") + 1)


def _settle(row: Pairing, **values: Any) -> None:
    """Only while it waits: who ended it meanwhile has the last word."""
    Pairing.objects.filter(pk=row.pk, state=PairingState.WAITING).update(**values)


def keep(sender: Sender, answer: Answer) -> None:
    """Keep what a phone says of itself: id, number, balance; its lane pauses or sends again."""
    values: dict[str, Any] = {"connection_checked_at": clock.now()}
    if answer.instance_id:
        values["instance_id"] = answer.instance_id
    if answer.address and not sender.address and not _is_taken(sender, answer.address):
        values["address"] = answer.address
    Sender.objects.filter(pk=sender.pk).update(**values)
    for name, value in values.items():
        setattr(sender, name, value)
    if answer.balance is not None:
        health.keep_balance(sender.lane, answer.balance)
    delivery.mark_connected(sender, answer.connected)


def _is_taken(sender: Sender, address: str) -> bool:
    others = Sender.objects.filter(
        provider=sender.provider_id, channel=sender.channel, address=address
    )
    return others.exclude(pk=sender.pk).exists()


def _shown(sender: Sender, answer: Answer) -> dict[str, Any]:
    return {
        "name": answer.name,
        "address": answer.address,
        "platform": answer.platform,
        "battery": answer.battery,
        "webhook": webhook_state(sender, answer),
        "other_number": bool(answer.address and answer.address != sender.address),
    }


def webhook_state(sender: Sender, answer: Answer) -> str:
    """Whether the gateway posts to us: "ours", "other" or "none". The address is not kept."""
    if not answer.webhook:
        return "none"
    token = answer.webhook.rstrip("/").rpartition("/")[2]
    provider = inbox.provider_of(token)
    return "ours" if provider is not None and provider.pk == sender.provider_id else "other"
