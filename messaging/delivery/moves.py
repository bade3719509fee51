"""Raising the rank of messages by what reports say: set-based, compared in the UPDATE itself.

Nobody has to read rows first, so a whole report takes a handful of statements per thousand and a
pushed one a single statement on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connections, router

from ..events import Source, Status, StatusUpdate
from ..models import ContactAddress, Conversation, Message, MessageEvent, Provider, Sender
from .flush import TIME_COLUMNS, one_statement, to_json, touch

#: From which states a report may move a message to the new one.
MOVES: Final = {
    Status.ACCEPTED: {Status.UNKNOWN},
    Status.SENT: {Status.ACCEPTED, Status.UNKNOWN},
    Status.DELIVERED: {Status.ACCEPTED, Status.SENT, Status.FAILED, Status.UNKNOWN},
    Status.READ: {
        Status.ACCEPTED,
        Status.SENT,
        Status.DELIVERED,
        Status.FAILED,
        Status.UNKNOWN,
    },
    Status.FAILED: {Status.ACCEPTED, Status.SENT, Status.UNKNOWN},
}

#: Which of several reports in one batch counts, whatever their order: MOVES ends the same way.
STRENGTH: Final = {
    status: strength
    for strength, status in enumerate(
        (Status.ACCEPTED, Status.SENT, Status.FAILED, Status.DELIVERED, Status.READ)
    )
}

_MESSAGE = Message._meta.db_table
_EVENT = MessageEvent._meta.db_table
_CONVERSATION = Conversation._meta.db_table
_ADDRESS = ContactAddress._meta.db_table
_SENDER = Sender._meta.db_table

_TIMES: Final = tuple(TIME_COLUMNS[status] for status in STRENGTH)


@dataclass(slots=True)
class Report:
    """What one batch says of one id (and one number, where the gateway names it)."""

    external_id: str
    digits: str
    status: Status
    times: dict[str, datetime]
    update: StatusUpdate

    def merge(self, other: Report) -> None:
        """The stronger state counts; times both know are those of the first."""
        self.times = {**other.times, **self.times}
        if STRENGTH[other.status] > STRENGTH[self.status]:
            self.status, self.update = other.status, other.update

    @property
    def text(self) -> str:
        return self.update.error_text or self.update.raw_status


@dataclass(frozen=True, slots=True)
class Moved:
    message_id: int
    conversation_id: int
    kind: str
    status: Status
    report: Report


# Of this provider, sent by us, with an id: as the partial index is written, so that it is used.
_MINE = (
    "m.external_id = r.external_id AND m.direction = 'outbound' AND NOT (m.external_id = '') "
    f"AND m.sender_id IN (SELECT id FROM {_SENDER} WHERE provider_id = %s)"
)

# Where one id covers several recipients, the number decides; without one, nothing does.
_NARROW = f"""(
    (r.digits <> '' AND r.digits = (
        SELECT ltrim(a.value, '+') FROM {_CONVERSATION} c JOIN {_ADDRESS} a ON a.id = c.address_id
        WHERE c.id = m.conversation_id))
    OR NOT EXISTS (
        SELECT 1 FROM {_MESSAGE} o WHERE o.external_id = m.external_id AND o.id <> m.id
        AND o.direction = 'outbound' AND NOT (o.external_id = '')
        AND o.sender_id IN (SELECT id FROM {_SENDER} WHERE provider_id = %s))
)"""


def _words(states: Iterable[Status]) -> str:
    return ", ".join(f"'{status.value}'" for status in sorted(states))


_MOVES_IT = (
    "(CASE r.status "
    + " ".join(
        f"WHEN '{status.value}' THEN m.status IN ({_words(before)})"
        for status, before in MOVES.items()
    )
    + " END)"
)

_FILL = ", ".join(
    f"{column} = coalesce(m.{column}, r.{column})" for column in _TIMES if column != "failed_at"
)

# What was proven wrong leaves no time behind, whichever report came first.
_SET = f"""
    status = r.status, {_FILL},
    failed_at = CASE WHEN r.status = 'failed' THEN coalesce(m.failed_at, r.failed_at) END,
    error_class = r.error_class, error_code = r.error_code, error_text = r.error_text
"""

_POSTGRESQL_COLUMNS = (
    "external_id text, digits text, status text, text text, error_class text, error_code text, "
    "error_text text, data jsonb, " + ", ".join(f"{column} timestamptz" for column in _TIMES)
)

# Locked in one order by everybody who locks many; a conversation somebody holds is passed over,
# because who holds it is about to tell the screens of a change anyway.
_POSTGRESQL_MOVE = f"""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r({_POSTGRESQL_COLUMNS})
), found AS (
    SELECT m.id, r.* FROM r JOIN {_MESSAGE} m ON {_MINE}
    WHERE {_MOVES_IT} AND {_NARROW} ORDER BY m.id FOR NO KEY UPDATE OF m
), changed AS (
    UPDATE {_MESSAGE} m SET {_SET}, external_data = m.external_data || r.data
    FROM found r WHERE m.id = r.id AND {_MOVES_IT}
    RETURNING m.id, m.conversation_id, m.kind, r.external_id, r.status, r.text
), new_events AS (
    INSERT INTO {_EVENT} (message_id, status, source, at, text, actor_name)
    SELECT id, status, %s, %s, text, '' FROM changed
), touched AS (
    UPDATE {_CONVERSATION} SET version = version + 1 WHERE id IN (
        SELECT id FROM {_CONVERSATION} WHERE id IN (SELECT conversation_id FROM changed)
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
)
SELECT id, conversation_id, kind, external_id FROM changed
"""

_POSTGRESQL_FILL = f"""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r({_POSTGRESQL_COLUMNS})
), found AS (
    SELECT m.id, r.* FROM r JOIN {_MESSAGE} m ON {_MINE}
    WHERE __FILLS__ AND {_NARROW} ORDER BY m.id FOR NO KEY UPDATE OF m
)
UPDATE {_MESSAGE} m SET {_FILL} FROM found r WHERE m.id = r.id
RETURNING m.external_id
"""

_SQLITE_ROWS = (
    "(SELECT "
    + ", ".join(
        f"json_extract(value, '$.{name}') AS {name}"
        for name in (
            "external_id",
            "digits",
            "status",
            "error_class",
            "error_code",
            "error_text",
            "data",
            *_TIMES,
        )
    )
    + " FROM json_each(%s)) AS r"
)

_SQLITE_MOVE = f"""
UPDATE {_MESSAGE} AS m SET {_SET}, external_data = json_patch(m.external_data, r.data)
FROM {_SQLITE_ROWS} WHERE {_MINE} AND {_MOVES_IT} AND {_NARROW}
RETURNING id, conversation_id, kind, external_id
"""

_SQLITE_FILL = f"""
UPDATE {_MESSAGE} AS m SET {_FILL}
FROM {_SQLITE_ROWS} WHERE {_MINE} AND __FILLS__ AND {_NARROW}
RETURNING external_id
"""

# A lower or repeated report changes nothing but the times that were not known.
_FILLS = (
    "m.status IN ('accepted', 'sent', 'delivered', 'read', 'failed', 'unknown') AND ("
    + " OR ".join(
        f"(m.{column} IS NULL AND r.{column} IS NOT NULL)"
        for column in _TIMES
        if column != "failed_at"
    )
    + ")"
)


def move(
    provider: Provider, reports: Sequence[Report], source: Source, now: datetime
) -> list[Moved]:
    alias = router.db_for_write(Message)
    by_id = {report.external_id: report for report in reports}
    with one_statement(alias), connections[alias].cursor() as cursor:
        rows = _json_rows(alias, reports)
        mine = [provider.pk, provider.pk]
        if connections[alias].vendor == "postgresql":
            cursor.execute(_POSTGRESQL_MOVE, [rows, *mine, source.value, now])
        else:
            cursor.execute(_SQLITE_MOVE, [rows, *mine])
        moved = [
            Moved(pk, conversation, kind, by_id[external_id].status, by_id[external_id])
            for pk, conversation, kind, external_id in cursor.fetchall()
        ]
    if moved and connections[alias].vendor != "postgresql":
        _record(alias, moved, source, now)
    return moved


_SQLITE_EVENT = f"""
INSERT INTO {_EVENT} (message_id, status, source, at, text, actor_name)
VALUES (%s, %s, %s, %s, %s, '')
"""


def _record(alias: str, moved: Sequence[Moved], source: Source, now: datetime) -> None:
    at = connections[alias].ops.adapt_datetimefield_value(now)
    with connections[alias].cursor() as cursor:
        cursor.executemany(
            _SQLITE_EVENT,
            [
                (item.message_id, item.status.value, source.value, at, item.report.text)
                for item in moved
            ],
        )
    touch(item.conversation_id for item in moved)


def fill_times(provider: Provider, reports: Sequence[Report]) -> None:
    alias = router.db_for_write(Message)
    postgresql = connections[alias].vendor == "postgresql"
    sql = (_POSTGRESQL_FILL if postgresql else _SQLITE_FILL).replace("__FILLS__", _FILLS)
    with one_statement(alias), connections[alias].cursor() as cursor:
        cursor.execute(sql, [_json_rows(alias, reports), provider.pk, provider.pk])


def _json_rows(alias: str, reports: Iterable[Report]) -> str:
    adapt = connections[alias].ops.adapt_datetimefield_value
    postgresql = connections[alias].vendor == "postgresql"
    rows = []
    for report in reports:
        update, failed = report.update, report.status is Status.FAILED
        data = {
            **update.external_data,
            **({"status": update.raw_status} if update.raw_status else {}),
        }
        times = {
            column: at.isoformat() if postgresql else adapt(at)
            for column, at in report.times.items()
        }
        rows.append(
            {
                "external_id": report.external_id,
                "digits": report.digits,
                "status": report.status.value,
                "text": report.text,
                "error_class": update.error_class if failed else "",
                "error_code": update.error_code[:50] if failed else "",
                "error_text": update.error_text if failed else "",
                # Within JSON both databases take it as it is.
                "data": data,
                **times,
            }
        )
    return to_json(rows)
