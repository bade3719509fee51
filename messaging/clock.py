"""The only clock: this host's time plus its offset to the database's.

On PostgreSQL the offset is measured at first use and once a minute, so that hosts whose clocks
differ agree on leases, windows and due times; on SQLite it is 0. The time is passed to the
database as a parameter, so time-machine moves all of it in tests.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, Error, connections

from . import conf

_EVERY = 60.0


class _Offset:
    seconds = 0.0
    measured_at: float | None = None


def now() -> datetime:
    """The present time, aware, in UTC."""
    if conf.get("DATABASE_CLOCK") and _is_stale():
        # Who asks for the time may hold results that must be written once the database is back.
        with suppress(Error):
            measure()
    return datetime.now(UTC) + timedelta(seconds=_Offset.seconds)


def measure() -> float:
    """Measure the offset to the database's clock, in seconds, and use it from now on.

    The host's time half-way through the round trip is compared; a connection in a broken
    transaction is left alone until the next try.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor != "postgresql" or connection.needs_rollback:
        return _Offset.seconds
    _Offset.measured_at = time.monotonic()
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        database = float(cursor.fetchone()[0])
        after = time.time()
    offset = database - (before + after) / 2
    # A difference within the round trip is noise, and would make time step back and forth.
    _Offset.seconds = offset if abs(offset) > (after - before) + 0.05 else 0.0
    return _Offset.seconds


def _is_stale() -> bool:
    if connections[DEFAULT_DB_ALIAS].vendor != "postgresql":
        return False
    measured_at = _Offset.measured_at
    return measured_at is None or time.monotonic() - measured_at > _EVERY
