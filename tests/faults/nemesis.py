"""The nemesis: trouble that goes on in the background of a scenario until it is called off."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, close_old_connections
from django_q.models import OrmQ, Schedule, Task

from .processes import Host, send
from .world import World


@contextmanager
def troubling(world: World, act: Callable[[], object], every: float) -> Iterator[Trouble]:
    """Do something again and again, with a connection of its own."""
    trouble = Trouble(world, act, every)
    trouble.start()
    try:
        yield trouble
    finally:
        trouble.stop()


class Trouble:
    """One act, repeated. `times` counts; whatever it raises fails the test that stops it."""

    def __init__(self, world: World, act: Callable[[], object], every: float) -> None:
        self.times = 0
        self._world = world
        self._act = act
        self._every = every
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="nemesis", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join(30)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._world.database.connected():
                while not self._done.wait(self._every):
                    self._once()
        except BaseException as error:  # reported by `stop`
            self._error = error

    def _once(self) -> None:
        try:
            self._act()
            self.times += 1
        except (DatabaseError, InterfaceError):
            # Another trouble has cut this connection, too.
            close_old_connections()


def wipe_queue() -> None:
    """Empty all tables of the queue, the tick's row included."""
    for model in (OrmQ, Task, Schedule):
        model.objects.all().delete()


def kill_one(host: Host, role: str, chance: random.Random) -> bool:
    """Kill one process of a role at random; False where there is none now."""
    pids = host.role(role)
    return bool(pids) and send(chance.choice(pids), signal.SIGKILL)
