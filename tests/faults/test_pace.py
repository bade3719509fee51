"""Intellixent's limit of five calls in any second, over all hosts, read off its own record."""

from __future__ import annotations

import signal
import threading
import time
from itertools import pairwise

import pytest

from messaging.models import Provider
from messaging.outbox.pace import TOLERANCE

from . import checker, history
from .databases import KINDS, POSTGRESQL
from .processes import send
from .stage import Stage
from .test_processes import draining, wait_for_arrivals
from .workload import ACCEPTED, Workload
from .world import IN_DOUBT, World

pytestmark = pytest.mark.faults

_LIMIT = 5
_LEAST = 4.5
_CALLS = 64

#: A busy machine can only make the pace look worse, so one clean run out of these is proof.
_RUNS = 3

#: Beyond this share of late wake-ups nothing can be said about the pace.
_TOO_LATE = 0.02


def pace(world: World, seed: int, found: list[str]) -> None:
    """A campaign at the gateway's pace, two hosts where possible; a worker dies half-way."""
    hosts = 2 if world.database.kind == POSTGRESQL else 1
    work = Workload(seed=seed)
    _queue(world, work, _CALLS)
    for _number in range(hosts):
        host = world.start()
    wait_for_arrivals(world, _CALLS // 2)
    cut = len(world.control.arrivals())
    send(draining(host), signal.SIGKILL)
    world.rest()
    seen = history.read(world)
    # A throttled call is tried again, so the pace is the only thing that may be wrong here.
    assert checker.problems(seen) == []
    assert checker.surprises(seen, work.expected, IN_DOUBT) == []
    clocks = [arrival.clock for arrival in seen.arrivals]
    if (most := checker.most_in_any(1.0, clocks)) > _LIMIT:
        found.append(f"{most} arrivals in a second")
    stretches = {"before": clocks[:cut]}
    if hosts > 1:
        # The other host goes on; what the dead one had leased is at most a second of slots.
        stretches["after"] = clocks[cut:]
    found += [
        f"{rate:.2f} calls a second {label} a worker died"
        for label, stretch in stretches.items()
        if (rate := _rate(stretch)) < _LEAST
    ]


def _rate(clocks: list[float]) -> float:
    """Calls a second, the one longest gap left out."""
    gaps = sorted(later - earlier for earlier, later in pairwise(clocks))
    return (len(gaps) - 1) / sum(gaps[:-1])


def _queue(world: World, work: Workload, count: int) -> None:
    sender = world.senders.intellixent
    Provider.objects.filter(pk=sender.provider_id).update(window_policy="none")
    sender.provider.refresh_from_db()
    phones = [work.phone() for _number in range(count)]
    for phone in phones:
        world.control.session(phone)
    work.send(sender, [(phone, "paced", ACCEPTED) for phone in phones])


@pytest.mark.parametrize("kind", KINDS)
def test_pace(stage: Stage, kind: str) -> None:
    for run in range(_RUNS):
        found: list[str] = []
        with stage.world(f"pace-{kind}", kind) as world, Lateness() as lateness:
            pace(world, run, found)
        if not found:
            return
    if lateness.share > _TOO_LATE:
        pytest.skip(f"this machine is too busy to keep any pace: {'; '.join(found)}")
    pytest.fail("; ".join(found))


class Lateness:
    """How often this machine wakes a sleeper too late to keep a slot, as a share of all times."""

    def __init__(self) -> None:
        self._late = self._all = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lateness", daemon=True)

    @property
    def share(self) -> float:
        return self._late / max(1, self._all)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._done.wait(0.02):
            now = time.monotonic()
            self._late += now - before > 0.02 + TOLERANCE
            self._all += 1
            before = now
