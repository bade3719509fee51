"""The pace of a lane, shared by all processes and hosts: slices of time are leased, not tokens.

One row per lane holds the time up to which calls are spoken for. One UPDATE moves it on and
gives the caller a run of evenly spaced slots; each slot is good for one call, started within
`TOLERANCE` of its time. A slot that was missed is thrown away, so calls held up on the way never
bunch together. On PostgreSQL the database's own clock counts.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Final

from django.db import connections

from ..models import Pace

_TABLE: Final = Pace._meta.db_table

#: A call that starts later than this after its slot, in seconds, would bunch with the next ones.
TOLERANCE: Final = 0.03

#: Never lease more than this much time at once, in seconds: what a dead process held is lost.
_SLICE: Final = 1.0

_POSTGRESQL = f"""
INSERT INTO {_TABLE} AS pace (lane, tat)
VALUES (%s, extract(epoch FROM clock_timestamp()) + %s)
ON CONFLICT (lane) DO UPDATE
SET tat = greatest(pace.tat, extract(epoch FROM clock_timestamp())) + %s
RETURNING tat, tat - extract(epoch FROM clock_timestamp())
"""

_SQLITE = f"""
INSERT INTO {_TABLE} (lane, tat) VALUES (%s, %s + %s)
ON CONFLICT (lane) DO UPDATE SET tat = max(tat, %s) + %s
RETURNING tat, tat - %s
"""


def interval(rate: float) -> float:
    """Seconds between two calls at `rate` a second, with what keeps any second within it.

    Five calls a second, spaced exactly, would put a sixth into some second as soon as one is
    late; the margin is larger where few calls share a second.
    """
    return (1 + max(0.01, min(0.08, 0.4 / rate))) / rate


class Slots:
    """One lane's slots in this process."""

    def __init__(self, lane: str, rate: float) -> None:
        self.lane = lane
        self.rate = rate
        self.interval = interval(rate)
        self.most = max(1, math.floor(_SLICE / self.interval))
        self._slots: deque[float] = deque()
        #: The last lease: when it begins (monotonic), and the lane's time after it.
        self._begin = self._end = 0.0

    def __len__(self) -> int:
        self._drop_missed()
        return len(self._slots)

    @property
    def near(self) -> int:
        """Slots so near that their calls may begin: none is begun that would wait for long."""
        self._drop_missed()
        horizon = time.monotonic() + _SLICE
        return sum(slot < horizon for slot in self._slots)

    def lease(self, alias: str, wanted: int) -> None:
        """Have slots for `wanted` calls, a second's worth at most; leased in halves of that."""
        held = len(self)
        count = min(wanted, self.most) - held
        if count <= 0 or held > self.most // 2:
            return
        length = count * self.interval
        self._end, end, doubt = _advance(alias, self.lane, length)
        self._begin = end - length
        # Late rather than early; the last slots are left out where they could reach into the
        # next holder's.
        count -= math.ceil(max(0.0, doubt - TOLERANCE) / self.interval)
        self._slots.extend(self._begin + number * self.interval for number in range(count))

    def take(self) -> bool:
        """Use the slot that is due now; False where there is none."""
        self._drop_missed()
        if self._slots and self._slots[0] <= time.monotonic():
            self._slots.popleft()
            return True
        return False

    def wait(self) -> float | None:
        """Seconds until the next slot; None where there is none."""
        self._drop_missed()
        return max(0.0, self._slots[0] - time.monotonic()) if self._slots else None

    def give_up(self, alias: str) -> None:
        """Give the slots back that were not used, unless somebody leased behind them.

        Without it a lane of one call an hour would never get to its slot: each process that
        ends takes one with it.
        """
        self._drop_missed()
        unused = sum(slot >= self._begin for slot in self._slots) * self.interval
        self._slots.clear()
        Pace.objects.using(alias).filter(lane=self.lane, tat=self._end).update(
            tat=self._end - unused
        )

    def _drop_missed(self) -> None:
        earliest = time.monotonic() - TOLERANCE
        while self._slots and self._slots[0] < earliest:
            self._slots.popleft()


def _advance(alias: str, lane: str, length: float) -> tuple[float, float, float]:
    """Move the lane's time on by `length`.

    Where it stands then: by the database's clock, by ours (monotonic, the latest it can be), and
    how much earlier it may be in truth.
    """
    connection = connections[alias]
    before = time.monotonic()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL, [lane, length, length])
        else:
            now = time.time()
            cursor.execute(_SQLITE, [lane, now, length, now, length, now])
        end, ahead = (float(value) for value in cursor.fetchone())
    after = time.monotonic()
    if connection.vendor == "postgresql":
        return end, after + ahead, after - before
    # The time was ours, taken before the wait for the lock.
    return end, before + ahead, 0.0
