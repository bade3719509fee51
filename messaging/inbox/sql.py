"""The statements every webhook runs, written out: building them by the ORM each time costs more
than the database takes to run them."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from django.db import connections, models, router

from ..addresses import variants
from ..models import (
    Contact,
    ContactAddress,
    Conversation,
    Message,
    Provider,
    Sender,
    WebhookDelivery,
    WebhookToken,
)
from ..models.fields import Secrets, decrypt
from ..window import LENGTH

_CONVERSATION: Final = Conversation._meta.db_table
_DELIVERY: Final = WebhookDelivery._meta.db_table

# What stands in the conversation's table, and what the way in needs to know beside it.
_FIND: Final = f"""
SELECT c.*, a.value AS address_value, k.id AS contact_id, k.name AS contact_name,
       EXISTS (SELECT 1 FROM {Message._meta.db_table} m WHERE m.conversation_id = c.id
               AND m.status = 'queued' AND m.due_at IS NULL) AS has_held
FROM {_CONVERSATION} c
JOIN {ContactAddress._meta.db_table} a ON a.id = c.address_id
JOIN {Contact._meta.db_table} k ON k.id = a.contact_id
WHERE c.sender_id = %s AND a.value IN ({{marks}})
"""

# A webhook needs its provider's senders too: they come along in one column.
_SENDER_COLUMNS: Final = ("id", "name", "channel", "address", "external_id", "credentials")
_PAIRS: Final = ", ".join(
    f"'{name}', s.{name}" for name in (*_SENDER_COLUMNS, "instance_id", "is_active")
)
_WITH_SENDERS: Final = {
    "postgresql": f"json_agg(json_build_object({_PAIRS}) ORDER BY s.id)::text",
    "sqlite": f"json_group_array(json_object({_PAIRS}))",
}
_PROVIDER: Final = f"""
SELECT p.*, (SELECT {{senders}} FROM {Sender._meta.db_table} s WHERE s.provider_id = p.id)
    AS sender_rows
FROM {Provider._meta.db_table} p
JOIN {WebhookToken._meta.db_table} t ON t.provider_id = p.id
WHERE t.digest IN ({{marks}}) AND (t.expires_at IS NULL OR t.expires_at > %s)
"""

_SENDERS: Final = f"SELECT * FROM {Sender._meta.db_table} WHERE provider_id = %s ORDER BY id"

_TOP: Final = f"""
UPDATE {_CONVERSATION} SET version = version + 1, unread_count = unread_count + 1,
    status = 'open', last_message_at = %s, last_message_text = %s
"""

# It only ever moves forward: an older message found late moves nothing back, and one that is older
# than the gateway's refusal does not open what the refusal closed.
_OPENS: Final = """
    (window_expires_at IS NULL OR window_expires_at < %s)
    AND NOT (window_opened_by = 'closed' AND window_expires_at >= %s)
"""
_WINDOW: Final = f""",
    last_inbound_at = CASE WHEN last_inbound_at IS NULL OR last_inbound_at < %s
        THEN %s ELSE last_inbound_at END,
    window_opened_by = CASE WHEN {_OPENS} THEN 'inbound' ELSE window_opened_by END,
    window_expires_at = CASE WHEN {_OPENS} THEN %s ELSE window_expires_at END
"""

_SETTLE: Final = f"""
UPDATE {_DELIVERY} SET state = %s, error = %s, attempts = %s, processed_at = %s, due_at = %s
WHERE id = %s
"""


@lru_cache(maxsize=8)
def _insert_sql(model: type[models.Model]) -> tuple[str, tuple[Any, ...]]:
    fields = tuple(field for field in model._meta.concrete_fields if not field.primary_key)
    columns = ", ".join(f'"{field.column}"' for field in fields)
    marks = ", ".join("%s" for _field in fields)
    sql = f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({marks})'
    return f"{sql} ON CONFLICT DO NOTHING RETURNING id", fields


def insert(row: models.Model) -> bool:
    """Insert a new row and give it its id; False where a unique value is there already.

    One statement, and no savepoint: a conflict leaves the transaction as it is.
    """
    alias = router.db_for_write(type(row))
    connection = connections[alias]
    sql, fields = _insert_sql(type(row))
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found = cursor.fetchone()
    if found is None:
        return False
    row.pk = found[0]
    row._state.adding, row._state.db = False, alias
    return True


def provider(digests: list[str], now: datetime) -> Provider | None:
    """The provider with a webhook token of one of these digests that is still good."""
    vendor = connections[router.db_for_write(Provider)].vendor
    sql = _PROVIDER.format(marks=_marks(digests), senders=_WITH_SENDERS[vendor])
    at = _adapt(Provider, now)
    return next(iter(Provider.objects.raw(sql, [*digests, at])), None)


def senders(row: Provider) -> list[Sender]:
    """All senders of a provider, with what tells whose a message is."""
    if not hasattr(row, "sender_rows"):
        return list(Sender.objects.raw(_SENDERS, [row.pk]))
    return [_sender(row, values) for values in json.loads(row.sender_rows or "[]")]


def _sender(row: Provider, values: dict[str, Any]) -> Sender:
    """A sender to ask whose a message is; not all of its columns are filled: never to be saved."""
    given = {name: values[name] for name in _SENDER_COLUMNS if name != "credentials"}
    sender = Sender(
        **given,
        provider=row,
        credentials=Secrets(token=values["credentials"] or ""),
        instance_id=decrypt(values["instance_id"]) if values["instance_id"] else "",
        is_active=bool(values["is_active"]),
    )
    sender._state.adding, sender._state.db = False, row._state.db
    return sender


def conversations(sender: Sender, address: str) -> list[Any]:
    """This sender's conversations with an address under any of its spellings.

    Beside their own columns they have address_value, contact_id, contact_name and has_held.
    """
    values = variants(address)
    sql = _FIND.format(marks=_marks(values))
    return list(Conversation.objects.raw(sql, [sender.pk, *values]))


def move_up(conversation_id: int, text: str, now: datetime, wrote_at: datetime | None) -> None:
    """A message came: unread, on top, open again; `wrote_at` moves the reply window."""
    values = [_adapt(Conversation, now), text]
    sql = _TOP
    if wrote_at is not None:
        at = _adapt(Conversation, wrote_at)
        end = _adapt(Conversation, wrote_at + LENGTH)
        sql += _WINDOW
        values += [at, at, end, at, end, at, end]
    _run(Conversation, f"{sql} WHERE id = %s", [*values, conversation_id])


def settle(row: WebhookDelivery) -> None:
    """Write what became of a delivery."""
    times = [
        None if at is None else _adapt(WebhookDelivery, at) for at in (row.processed_at, row.due_at)
    ]
    _run(WebhookDelivery, _SETTLE, [str(row.state), row.error, row.attempts, *times, row.pk])


def _run(model: type[models.Model], sql: str, values: list[Any]) -> None:
    with connections[router.db_for_write(model)].cursor() as cursor:
        cursor.execute(sql, values)


def _adapt(model: type[models.Model], at: datetime) -> Any:
    return connections[router.db_for_write(model)].ops.adapt_datetimefield_value(at)


def _marks(values: Any) -> str:
    return ", ".join("%s" for _value in values)
