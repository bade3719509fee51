"""One account's share of the work in this process's hands."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final

from ..delivery import Attempt
from ..models import LaneBase
from .calls import Job
from .pace import Slots

#: How many messages are claimed for a lane before its speed is known.
FIRST_CLAIM: Final = 100

#: A call that took so long, in seconds, makes its lane a slow one for this while: such a lane may
#: not fill all the places there are, or everybody else waits for its gateway too.
_SLOW_CALL: Final = 5.0
_SLOW_FOR: Final = 60.0
MOST_SLOW_CALLS: Final = 10
MOST_SLOW_MESSAGES: Final = 250

#: Until when lanes are slow (monotonic), over all drains of this process.
_slow_until: dict[str, float] = {}


def level(room: int, held: Sequence[int]) -> int:
    """What the first may take of the room, so that all could come to hold the same."""
    return min(room, max(0, -(-(room + sum(held)) // len(held)) - held[0]))


def in_order(attempts: list[Attempt]) -> list[Attempt]:
    """Oldest due first; of one conversation the earliest first, whatever time a retry gave it."""
    turns = sorted(attempts, key=lambda attempt: (attempt.due_at, attempt.message_id))
    waiting: dict[int, deque[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.message_id):
        waiting.setdefault(attempt.conversation_id, deque()).append(attempt)
    return [waiting[attempt.conversation_id].popleft() for attempt in turns]


class Lane:
    """One account: its senders, what is claimed for it, and its pace."""

    def __init__(self, row: LaneBase) -> None:
        self.row = row
        self.claimed: dict[int, deque[Attempt]] = {}
        self.begun: deque[Job] = deque()
        #: Calls in the air, by sender.
        self.flying: Counter[int] = Counter()
        #: Messages of all calls that are not settled.
        self.held_messages = 0
        self.moved_at = 0.0
        self.slots: Slots | None = None
        self.target = FIRST_CLAIM
        self.filled_at = 0.0
        self.more = False

    @property
    def in_air(self) -> int:
        return self.flying.total()

    @property
    def held(self) -> int:
        """Calls begun that are not settled."""
        return len(self.begun) + self.in_air

    @property
    def waiting(self) -> int:
        return sum(len(items) for items in self.claimed.values())

    def is_slow(self) -> bool:
        """Its gateway takes long to answer, or does not answer at all."""
        now = time.monotonic()
        if self.in_air and now - self.moved_at > _SLOW_CALL:
            return True
        return _slow_until.get(self.row.lane_key, 0.0) > now

    def note_call(self, seconds: float) -> None:
        """Remember that a call took so long."""
        if seconds > _SLOW_CALL:
            _slow_until[self.row.lane_key] = time.monotonic() + _SLOW_FOR

    def in_hand(self) -> Counter[int]:
        """Messages claimed and calls begun, by sender."""
        count = Counter(self.flying)
        count.update(item.sender.pk for items in self.claimed.values() for item in items)
        count.update(job.attempts[0].sender.pk for job in self.begun)
        return +count

    def on_trial(self) -> bool:
        """A pause has run out: one message at a time shows whether its cause is gone."""
        return bool(self.row.pause_reason)

    def add(self, attempts: Iterable[Attempt], *, priority: int) -> None:
        self.claimed.setdefault(priority, deque()).extend(attempts)

    def take(self, most: int, busy: set[int]) -> list[Attempt]:
        """The next messages, best first, one per conversation; followers keep their place."""
        taken: list[Attempt] = []
        for priority in sorted(self.claimed):
            items = self.claimed[priority]
            skipped: list[Attempt] = []
            while items and len(taken) < most:
                attempt = items.popleft()
                if attempt.conversation_id in busy:
                    skipped.append(attempt)
                else:
                    busy.add(attempt.conversation_id)
                    taken.append(attempt)
            items.extendleft(reversed(skipped))
        return taken

    def drop(self) -> list[Attempt]:
        """Everything claimed, given up."""
        attempts = [attempt for items in self.claimed.values() for attempt in items]
        self.claimed.clear()
        self.more = False
        return attempts
