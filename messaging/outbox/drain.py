"""The drain: claim, send, flush, until there is nothing due.

One function for the queue's task, the rescue command and tests alike. A drain serves all lanes
fairly and never sleeps for one of them. Calls run in a small pool of threads; this module's own
thread does all database work, so results are written while other calls are in the air.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .. import clock, conf
from ..delivery import Finished, finish, touch, touches_itself
from . import claims, ends
from .bell import heard
from .calls import Callers
from .lanes import Lanes

logger = logging.getLogger("messaging")

#: How often new work is looked for while calls are in the air, in seconds.
_LOOK: Final = 0.25

#: How often rows of dead workers and expired ones are settled, in seconds.
_SWEEP: Final = 5.0

#: How often screens are told of results where that takes a statement of its own, in seconds.
_TOUCH: Final = 0.3

#: The longest this thread waits for a result before it looks around, in seconds.
_NAP: Final = 0.05


@dataclass(slots=True)
class Drained:
    """What one drain did: calls made, messages settled, and the senders they left from."""

    calls: int = 0
    messages: int = 0
    given_up: int = 0
    sender_ids: set[int] = field(default_factory=set)


class Drain:
    """One run. `beat` is called about once a second and may ask to stop by returning False."""

    def __init__(
        self,
        *,
        seconds: float = 60.0,
        linger: float = 0.0,
        threads: int | None = None,
        beat: Callable[[], bool] | None = None,
        sender_ids: set[int] | None = None,
    ) -> None:
        self.alias = claims.alias()
        self.seconds = seconds
        self.linger = linger
        self.threads = threads or int(conf.get("THREADS"))
        self.most_calls = max(50, 2 * self.threads)
        # A database in this process has no round trip to hide: whole sets make fewer statements.
        self._overlaps = touches_itself(self.alias)
        self._untouched: set[int] = set()
        self.lanes = Lanes(self.alias, sender_ids)
        self.callers = Callers(self.threads)
        self.done = Drained()
        self.stopping = threading.Event()
        self._beat = beat
        self._close_by = 0.0
        self._next = dict.fromkeys(("look", "sweep", "beat", "touch"), 0.0)

    def run(self) -> Drained:
        """Work until nothing is due (for `linger` seconds), the time is up, or asked to stop."""
        end = time.monotonic() + self.seconds
        idle_since: float | None = None
        try:
            heard()
            while True:
                self._housekeeping()
                if self.stopping.is_set() or time.monotonic() >= end:
                    break
                self._look()
                self._start_calls()
                self._collect()
                if self.lanes.idle and not self.callers.busy:
                    idle_since = idle_since or time.monotonic()
                    if time.monotonic() - idle_since >= self.linger and self._nothing_due():
                        break
                else:
                    idle_since = None
            self._wait_for_calls(beating=True)
        finally:
            self._close()
        return self.done

    def _housekeeping(self) -> None:
        if self._is_time("beat", 1.0) and self._beat is not None and not self._beat():
            self.stopping.set()
        if self._is_time("sweep", _SWEEP):
            self.done.given_up += ends.sweep(self.alias, clock.now())

    def _is_time(self, job: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._next[job]:
            return False
        self._next[job] = now + every
        return True

    def _look(self) -> None:
        """Look for due work: several times a second while there is any, so a reply overtakes."""
        if self._is_time("look", _LOOK) or self.lanes.starving:
            self._next["look"] = time.monotonic() + _LOOK
            self.lanes.claim(clock.now())

    def _nothing_due(self) -> bool:
        self._next["look"] = 0.0
        self.lanes.claim(clock.now())
        return self.lanes.idle

    def _start_calls(self) -> None:
        """Begin as many calls as may be in doubt at once, and hand over those whose time is now."""
        room = self.most_calls - self.callers.busy - self.lanes.begun_calls
        if room >= self._worthwhile or (room > 0 and self.callers.short):
            messages = self.callers.room_for_messages - self.lanes.begun_messages
            self.lanes.begin(room, messages)
        for job in self.lanes.ready():
            self.callers.start(job)

    @property
    def _worthwhile(self) -> int:
        """Begin in halves: one statement for many calls, while the other half is in the air."""
        if self.lanes.paced:
            return 1
        return self.most_calls // 2 if self._overlaps else self.most_calls

    def _collect(self) -> None:
        """Take what has come back, and write it when it is worth a transaction."""
        wait = self.lanes.wait()
        enough = self.most_calls // 2 if self._overlaps else self.most_calls
        finished = self.callers.collect(
            at_least=min(enough, self.callers.busy),
            patience=_NAP if wait is None else min(_NAP, wait),
        )
        self._settle(finished)

    def _settle(self, finished: list[Finished]) -> None:
        if finished:
            self._flush(finished)
        if self.callers.unmade:
            self.lanes.put_back(self.callers.unmade)
            self.callers.unmade = []

    def _flush(self, finished: list[Finished]) -> None:
        now = clock.now()
        changed = finish(finished, now)
        self.lanes.settled(finished)
        if not self._overlaps:
            self._untouched |= {a.conversation_id for item in finished for a in item.attempts}
            self._touch()
        self.done.calls += len(finished)
        self.done.messages += len(changed)
        self.done.sender_ids.update(item.attempts[0].sender.pk for item in finished)

    def _touch(self) -> None:
        """Tell screens of what was written, at once when nothing more is in the air."""
        last = not self.callers.busy and self.lanes.idle
        if last or self._is_time("touch", _TOUCH):
            touch(self._untouched)
            self._untouched.clear()

    def _wait_for_calls(self, *, beating: bool) -> None:
        """Write the calls in the air as they come back; those not yet made are put back.

        Past its lease a call is given up by everybody, so nobody need wait for it here.
        """
        self.callers.stop()
        self._close_by = self._close_by or time.monotonic() + self.lanes.lease
        while self.callers.busy and time.monotonic() < self._close_by:
            if beating:
                self._housekeeping()
            self._settle(self.callers.collect(at_least=self.callers.busy, patience=0.5))

    def _close(self) -> None:
        """Wait for calls in the air, write them, and give back what was only claimed."""
        self._wait_for_calls(beating=False)
        touch(self._untouched)
        self.callers.close()
        self.lanes.close()


def drain(
    *,
    seconds: float = 60.0,
    linger: float = 0.0,
    threads: int | None = None,
    beat: Callable[[], bool] | None = None,
) -> Drained:
    """Send everything that is due, for `seconds` at most. Safe to run anywhere, any number at once.

    Raises nothing for what gateways do. `linger` keeps looking that many seconds after the last
    message; `beat` is called each second, and ends the drain in good order by returning False.
    """
    return Drain(seconds=seconds, linger=linger, threads=threads, beat=beat).run()


def sweep() -> int:
    """Settle what time has run out for, drains aside; how many calls of dead workers there were.

    What is held, or belongs to a paused lane, gives a drain no work but expires all the same.
    """
    return ends.sweep(claims.alias(), clock.now())


def has_work() -> bool:
    """Whether a drain would find something to do now."""
    return claims.has_work(clock.now())
