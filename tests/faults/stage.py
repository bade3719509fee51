"""Scenarios side by side: most of their time is waiting, so as many are played at once as fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from messaging.sandbox import Sandbox

from .databases import Databases, require, usual_kind
from .world import World, make_senders

#: Process trees at a time; more would only wait for each other.
_AT_ONCE = 8


Outcome = Future[None]


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario and the kind of database it is played on; "" is the usual one."""

    scenario: Callable[[World], None]
    kind: str = ""


@dataclass(slots=True)
class Stage:
    """Makes worlds, plays scenarios in them and ends all their processes."""

    databases: Databases
    folder: Path
    _numbers: Iterator[int] = field(default_factory=partial(count, 1))

    @contextmanager
    def world(
        self, name: str = "world", kind: str = "", credentials: Mapping[str, str] | None = None
    ) -> Iterator[World]:
        """A fresh database, a gateway and its senders; this thread is connected to them."""
        require(kind)
        label = f"{name}-{next(self._numbers)}"
        database = self.databases.make(kind or usual_kind())
        with Sandbox() as sandbox, database.connected():
            senders = make_senders(sandbox.url, credentials)
            world = World(label, self.folder, database, sandbox, senders)
            with closing(world):
                yield world

    @contextmanager
    def play(self, plays: Mapping[str, Play]) -> Iterator[Mapping[str, Outcome]]:
        """Start all; each outcome raises what went wrong in its scenario."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scenario") as pool:
            outcomes = {name: pool.submit(self._play, name, play) for name, play in plays.items()}
            try:
                yield outcomes
            finally:
                for outcome in outcomes.values():
                    outcome.cancel()

    def _play(self, name: str, play: Play) -> None:
        label = re.sub("[^a-z]+", "-", name.rpartition(".")[2].lower())
        with self.world(label, play.kind) as world:
            play.scenario(world)
