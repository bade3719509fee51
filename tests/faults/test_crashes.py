"""A worker is killed at each step a message passes, while the gateway misbehaves in every way."""

from __future__ import annotations

from functools import partial

import pytest

from messaging import polling

from . import checker, history
from .databases import KINDS
from .hooks import POINTS
from .processes import wait_for
from .stage import Outcome, Play
from .workload import Workload
from .world import IN_DOUBT, REST, World

pytestmark = pytest.mark.faults


def worker_killed(world: World, point: str) -> None:
    """One worker process dies; the supervisor stays and the work goes on."""
    work = Workload(seed=POINTS.index(point))
    work.troubled(world.control, world.senders.whatsapp_http, also=70)
    world.start(hooks=world.crash_at(point, skip=1))
    world.rest()
    assert world.crash_marker.exists()
    polling.poll_reports(world.senders.whatsapp_http)
    seen = history.read(world)
    assert checker.problems(seen) == []
    assert checker.surprises(seen, work.expected, IN_DOUBT) == []
    assert checker.unsettled(seen) == []


def connection_lost(world: World, point: str) -> None:
    """The worker lives but loses its database, perhaps within a commit: it still knows it all."""
    work = Workload(seed=POINTS.index(point))
    work.plain(world.senders.whatsapp_http, 200, conversations=80)
    world.start(hooks=world.crash_at(point, skip=1, signal="LOST"))
    world.rest()
    assert world.crash_marker.exists()
    seen = history.read(world)
    assert checker.problems(seen) == []
    assert checker.surprises(seen, work.expected) == []
    assert checker.left_in_doubt(seen) == 0


def at_rest_in_a_minute(world: World) -> None:
    """With the times of production: all settled within 60 seconds of the next worker's start."""
    work = Workload(seed=99)
    work.plain(world.senders.whatsapp_http, 120, conversations=40)
    host = world.start(hooks=world.crash_at("after_sending", skip=1), short=False)
    wait_for(world.crash_marker.exists, REST, "a worker is killed")
    wait_for(lambda: len(host.role("worker")) == 2, REST, "another takes its place")
    world.rest(REST)
    seen = history.read(world)
    assert checker.problems(seen) == []
    assert checker.surprises(seen, work.expected, IN_DOUBT) == []
    assert 0 < checker.left_in_doubt(seen) <= IN_DOUBT


PLAYS = {
    "at rest in a minute": Play(at_rest_in_a_minute),
    **{
        f"killed {point} on {kind}": Play(partial(worker_killed, point=point), kind)
        for kind in KINDS
        for point in POINTS
    },
    **{
        f"connection lost {point} on {kind}": Play(partial(connection_lost, point=point), kind)
        for kind in KINDS
        for point in ("after_sending", "in_flush")
    },
}


@pytest.mark.parametrize("name", PLAYS)
def test_crashes(outcome: Outcome, name: str) -> None:
    outcome.result()
