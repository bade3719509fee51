"""Taking work out of the table: claim, recheck, release.

A claim is a lease on queued rows: `claim` names its holder and `due_at` its end, so rows of a
worker that died come due again by themselves. `begin` turns claimed rows to `sending` and carries
every recheck in its WHERE; it is committed before the first byte leaves. All SQL here runs on
PostgreSQL and SQLite alike, but for SKIP LOCKED.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import connections, router, transaction

from .. import adapters, conf
from ..consent import IS_CONFIRMATION
from ..delivery import Attempt, one_statement
from ..events import Status
from ..models import (
    Contact,
    ContactAddress,
    Conversation,
    Message,
    Priority,
    Provider,
    Sender,
    Template,
)
from ..window import CONDITION, LENGTH

#: How long claimed rows that were not begun stay ours, in seconds.
LEASE: Final = 30.0

#: The count of attempts stays here: a column has its limit, and patience with a gateway has none.
_MOST_ATTEMPTS: Final = 32_000

_MESSAGE = Message._meta.db_table
_CONVERSATION = Conversation._meta.db_table
_SENDER = Sender._meta.db_table
_PROVIDER = Provider._meta.db_table
_ADDRESS = ContactAddress._meta.db_table
_CONTACT = Contact._meta.db_table
_TEMPLATE = Template._meta.db_table

#: An earlier message of the same conversation that must go first: one being sent, or one that
#: has begun (claimed, or tried before and waiting for its next try). What is held or scheduled
#: ahead does not block, nor does what a person's reply overtakes.
_AHEAD = f"""
SELECT 1 FROM {_MESSAGE} e
WHERE e.conversation_id = m.conversation_id AND e.id <> m.id
  AND (e.status = 'sending'
       OR (e.status = 'queued' AND e.id < m.id AND e.priority <= m.priority
           AND {{begun}}))
"""


def due(alias: str, now: datetime) -> list[tuple[int, int]]:
    """(sender id, priority) of everything that has work now."""
    priorities = " UNION ALL ".join(f"SELECT {value.value} AS priority" for value in Priority)
    sql = f"""
        SELECT s.id, p.priority FROM {_SENDER} s CROSS JOIN ({priorities}) p
        WHERE (
            SELECT m.id FROM {_MESSAGE} m WHERE m.status = 'queued' AND m.sender_id = s.id
            AND m.priority = p.priority AND m.due_at <= %s LIMIT 1) IS NOT NULL
        ORDER BY p.priority, s.id
    """
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, [_time(alias, now)])
        return [(int(row[0]), int(row[1])) for row in cursor.fetchall()]


def has_work(now: datetime) -> bool:
    """Whether anything may leave now: due, of an active sender whose lane is not paused.

    Rows of dead workers count: settling them is work too.
    """
    name = alias()
    if Message.objects.using(name).filter(status=Status.SENDING, due_at__lt=now).exists():
        return True
    ids = {sender_id for sender_id, _priority in due(name, now)}
    if not ids:
        return False
    rows = Sender.objects.using(name).select_related("provider")
    return any(
        not (sender.lane.is_paused(now) or sender.is_paused(now))
        for sender in rows.filter(pk__in=ids, is_active=True, provider__is_active=True)
        # Of a gateway that is not installed nothing can leave.
        if adapters.is_known(sender.provider.adapter)
    )


def claim(alias: str, sender: Sender, priority: int, limit: int, now: datetime) -> list[Attempt]:
    """Lease up to `limit` due messages of one sender and priority, oldest due first."""
    token = uuid4()
    waiting = "(e.claim IS NOT NULL OR e.attempts > 0) AND e.due_at > %s"
    pick = f"""
        SELECT m.id, m.due_at FROM {_MESSAGE} m
        WHERE m.status = 'queued' AND m.sender_id = %s AND m.priority = %s AND m.due_at <= %s
          AND NOT EXISTS ({_AHEAD.format(begun=waiting)})
        ORDER BY m.due_at, m.id LIMIT %s
    """
    at = _time(alias, now)
    held = [_uuid(alias, token), _time(alias, now + timedelta(seconds=LEASE))]
    wanted = [sender.pk, priority, at, at, limit]
    with one_statement(alias), connections[alias].cursor() as cursor:
        if _is_postgresql(alias):
            cursor.execute(
                f"WITH picked AS ({pick} FOR UPDATE OF m SKIP LOCKED) "
                f"UPDATE {_MESSAGE} AS m SET claim = %s, due_at = %s FROM picked "
                "WHERE m.id = picked.id RETURNING m.id, picked.due_at",
                [*wanted, *held],
            )
            picked = {int(row[0]): row[1] for row in cursor.fetchall()}
        else:
            cursor.execute(pick, wanted)
            picked = {int(row[0]): _read_time(alias, row[1]) for row in cursor.fetchall()}
            if picked:
                cursor.execute(
                    f"UPDATE {_MESSAGE} SET claim = %s, due_at = %s WHERE id IN ({_marks(picked)})",
                    [*held, *picked],
                )
    if not picked:
        return []
    return _load(alias, sender, token, picked)


def _load(alias: str, sender: Sender, token: UUID, picked: dict[int, datetime]) -> list[Attempt]:
    sql = f"""
        SELECT m.id, m.conversation_id, m.kind, m.content, m.priority, m.retries, m.template_id,
               a.id, a.value, k.name
        FROM {_MESSAGE} m
        JOIN {_CONVERSATION} c ON c.id = m.conversation_id
        JOIN {_ADDRESS} a ON a.id = c.address_id
        JOIN {_CONTACT} k ON k.id = a.contact_id
        WHERE m.id IN ({_marks(picked)}) ORDER BY m.id
    """
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, list(picked))
        rows = cursor.fetchall()
    attempts = [
        Attempt(
            message_id=row[0],
            conversation_id=row[1],
            sender=sender,
            claim=token,
            kind=row[2],
            content=json.loads(row[3]) if isinstance(row[3], str) else row[3],
            priority=row[4],
            due_at=picked[row[0]],
            retries=row[5],
            template_id=row[6],
            address_id=row[7],
            address=row[8],
            name=row[9],
        )
        for row in rows
    ]
    return sorted(attempts, key=lambda attempt: (attempt.due_at, attempt.message_id))


def begin(alias: str, attempts: Sequence[Attempt], now: datetime, lease: float) -> set[int]:
    """Turn claimed messages to `sending` and commit; the ids that may leave now.

    `lease` is how long their calls may take, in seconds: after that they are `unknown`. The
    WHERE rechecks all that may have changed since they were queued.
    """
    margin = now + timedelta(seconds=float(conf.get("WINDOW_MARGIN")))
    others = "(e.due_at <= %s OR e.claim IS NOT NULL OR e.attempts > 0)"
    held, held_parameters = _held(alias, attempts)
    sql = f"""
        UPDATE {_MESSAGE} AS m
        SET status = 'sending', due_at = %s, sending_at = %s,
            attempts = CASE WHEN attempts < {_MOST_ATTEMPTS} THEN attempts + 1 ELSE attempts END
        WHERE {_unindexed("m")} = 'queued' AND m.id IN ({_marks(attempts)}) AND ({held})
          AND (m.expires_at IS NULL OR m.expires_at > %s)
          AND (
            SELECT s.is_active AND p.is_active AND {_running("s")} AND {_running("p")}
              AND (m.kind = 'template' OR {CONDITION})
              AND (SELECT {IS_CONFIRMATION} OR a.opted_out_at IS NULL AND
                     (SELECT k.opted_out_at IS NULL FROM {_CONTACT} k WHERE k.id = a.contact_id)
                   FROM {_ADDRESS} a WHERE a.id = c.address_id)
            FROM {_CONVERSATION} c, {_SENDER} s, {_PROVIDER} p
            WHERE c.id = m.conversation_id AND s.id = m.sender_id AND p.id = s.provider_id)
          AND (m.kind <> 'template' OR EXISTS (
            SELECT 1 FROM {_TEMPLATE} t WHERE t.id = m.template_id AND t.status = 'approved'))
          AND NOT EXISTS ({_AHEAD.format(begun=others)})
        RETURNING id
    """
    at = _time(alias, now)
    parameters = [
        _time(alias, now + timedelta(seconds=lease)),
        at,
        *(attempt.message_id for attempt in attempts),
        *held_parameters,
        at,
        at,
        at,
        _time(alias, margin),
        _time(alias, margin - LENGTH),
        at,
    ]
    with one_statement(alias), connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters)
        return {int(row[0]) for row in cursor.fetchall()}


def _unindexed(table: str) -> str:
    """The status, as no partial index knows it.

    The rows are named by their ids. Before its first ANALYZE PostgreSQL believes that there are
    few queued rows and would read all of them instead; for the same reason what is rechecked is
    written as single-row subqueries, which it cannot turn into a scan of all contacts.
    """
    return f"({table}.status || '')"


def _held(alias: str, attempts: Sequence[Attempt]) -> tuple[str, list[Any]]:
    """That each row is still held by the very claim its attempt is of, with the parameters.

    A lease that lapsed may have been taken again by this same process: its older attempt must not
    begin under the newer claim, or its result would not be known as the row's own.
    """
    by_claim: dict[UUID, list[int]] = {}
    for attempt in attempts:
        by_claim.setdefault(attempt.claim, []).append(attempt.message_id)
    parts = [f"m.claim = %s AND m.id IN ({_marks(ids)})" for ids in by_claim.values()]
    values = [[_uuid(alias, claim), *ids] for claim, ids in by_claim.items()]
    return " OR ".join(parts), [value for part in values for value in part]


def _running(table: str) -> str:
    """Not paused; a pause that has run out lets a trial through."""
    return f"({table}.pause_reason = '' OR {table}.paused_until <= %s)"


def release(alias: str, attempts: Sequence[Attempt]) -> None:
    """Give claimed messages back, due when they were before."""
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.executemany(
            f"UPDATE {_MESSAGE} SET claim = NULL, due_at = %s "
            "WHERE id = %s AND claim = %s AND status = 'queued'",
            [
                (_time(alias, item.due_at), item.message_id, _uuid(alias, item.claim))
                for item in attempts
            ],
        )


def postpone(alias: str, attempts: Sequence[Attempt], until: datetime) -> None:
    """Let claimed messages that may not leave yet wait until then.

    Their claim stays: without it a follower, still due, would pass its head in the meantime.
    """
    held, parameters = _held(alias, attempts)
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute(
            f"UPDATE {_MESSAGE} AS m SET due_at = %s "
            f"WHERE {_unindexed('m')} = 'queued' AND ({held})",
            [_time(alias, until), *parameters],
        )


def _marks(items: Iterable[Any]) -> str:
    return ", ".join("%s" for _item in items)


def _is_postgresql(alias: str) -> bool:
    return connections[alias].vendor == "postgresql"


def _time(alias: str, value: datetime) -> Any:
    return connections[alias].ops.adapt_datetimefield_value(value)


def _read_time(alias: str, value: Any) -> datetime:
    """A time read past the ORM: SQLite keeps no zone, and gives a text where it has no type."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=connections[alias].timezone)


def _uuid(alias: str, value: UUID) -> Any:
    return value if _is_postgresql(alias) else value.hex


def alias() -> str:
    """The database all messages live in; decisions are read from its writer."""
    return router.db_for_write(Message)
