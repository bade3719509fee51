"""What is to happen later by the sandbox's own clock, which the control API can move."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

Task = Callable[[], None]


class Agenda:
    """Tasks by the time they are due; one timer of the event loop stands for all of them."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._tasks: list[tuple[float, int, Task]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def due(self) -> int:
        """How many tasks could already be done."""
        now = self._now()
        return sum(due <= now for due, _, _ in self._tasks)

    def add(self, due: float, task: Task) -> None:
        """Do `task` when the sandbox's clock reaches `due`."""
        heapq.heappush(self._tasks, (due, next(self._order), task))
        if self._tasks[0][0] == due:
            self.wake()

    def wake(self) -> None:
        """Look again: the clock was moved, or something earlier was added."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._tasks:
            delay = max(0.0, self._tasks[0][0] - self._now())
            # The loop's own clock stands still while the machine sleeps; ours does not.
            self._timer = asyncio.get_running_loop().call_later(min(delay, 60.0), self._run)

    def clear(self) -> None:
        """Forget every task."""
        self._tasks.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        now = self._now()
        try:
            while self._tasks and self._tasks[0][0] <= now:
                heapq.heappop(self._tasks)[2]()
        finally:
            # One task that fails must not stop the others.
            if self._timer is None:
                self.wake()
