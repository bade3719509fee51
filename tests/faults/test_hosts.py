"""Several hosts on one database, bells that ring twice or never, a database that goes away."""

from __future__ import annotations

import random
import time
from functools import partial

import pytest
from django.db import close_old_connections

from messaging import background, polling
from messaging.models import Message
from messaging.sandbox import SandboxClient

from . import checker, history, nemesis
from .databases import POSTGRESQL
from .processes import Host, wait_for
from .stage import Outcome, Play
from .test_processes import wait_for_arrivals
from .workload import Workload
from .world import IN_DOUBT, REST, World

pytestmark = pytest.mark.faults


def two_hosts(world: World) -> None:
    """Two process trees, every bell twice; the campaign meets every misbehaviour."""
    work = Workload(seed=21)
    hosts = [world.start(hooks={"double": True}) for _number in range(2)]
    work.troubled(world.control, world.senders.whatsapp_http, also=300)
    work.plain(world.senders.whatsapp_http, 200, conversations=40)
    settle(world, work, in_doubt=0)
    assert [host.starts() for host in hosts] == [1, 1]


def two_hosts_one_dies(world: World) -> None:
    """The other takes over what the dead one held."""
    work = Workload(seed=22)
    world.start(hooks=world.crash_at("after_response", skip=30))
    world.start(hooks=world.crash_at("after_sending", skip=3) | {"double": True})
    work.troubled(world.control, world.senders.whatsapp_http, also=200)
    settle(world, work, in_doubt=IN_DOUBT)


def idle_hosts_share_a_queue(world: World) -> None:
    """They take each other's heartbeats; none may be thought dead for that.

    A busy machine can only make them later, so one clean run out of three is proof.
    """
    for _run in range(3):
        hosts = [world.start(patience=8.0) for _number in range(3)]
        for host in hosts:
            wait_for(partial(_has_beaten, host, 6), 2 * REST, "heartbeats go round", host.output)
        starts = [host.starts() for host in hosts]
        for host in hosts:
            host.end()
        if starts == [1, 1, 1]:
            return
    pytest.fail(f"the clusters were started {starts} times")


def _has_beaten(host: Host, times: int) -> bool:
    return host.output().count("Processed 'messaging.tasks.beat'") >= times


def bells_ring_twice(world: World) -> None:
    work = Workload(seed=23)
    world.start(hooks={"double": True})
    for _round in range(20):
        work.plain(world.senders.whatsapp_http, 10, conversations=5)
        background.run("drain")
        background.run("drain")
    settle(world, work, in_doubt=0)


def queue_wiped(world: World) -> None:
    """Bells, results and the tick's own row vanish all the time; nothing is lost with them."""
    work = Workload(seed=24)
    world.start()
    with nemesis.troubling(world, nemesis.wipe_queue, every=0.7) as wiping:
        for _round in range(10):
            work.plain(world.senders.whatsapp_http, 20, conversations=10)
            world.rest()
    assert wiping.times
    seen = settle(world, work, in_doubt=0)
    assert checker.left_in_doubt(seen) == 0


def the_worker_settles_by_itself(world: World) -> None:
    """Unknown messages that the gateway took find their report without anybody's help."""
    work = Workload(seed=25)
    world.start()
    world.control.settings(delivered_after=0.0, read_after=None)
    nemesis.wipe_queue()
    work.troubled(world.control, world.senders.whatsapp_http, each=1)
    world.rest()
    taken = Message.objects.filter(status="unknown", text__in=_texts(world.control))
    wait_for(lambda: not taken.exists(), 2 * REST, "the report settles them", world.describe)
    seen = history.read(world)
    assert checker.problems(seen) == []


def connections_cut(world: World) -> None:
    """Every connection to PostgreSQL is cut again and again; no result may be lost."""
    work, chance = Workload(seed=26), random.Random(26)
    world.start()
    world.control.fault("latency", gateway="whatsapp_http", operation="send*", seconds=0.05)
    work.plain(world.senders.whatsapp_http, 1500, conversations=700)

    def cut() -> None:
        if chance.random() < 0.7:
            world.database.terminate_backends()

    with nemesis.troubling(world, cut, every=0.7) as cutting:
        wait_for(lambda: cutting.times >= 12, REST, "connections are cut")
    seen = settle(world, work, in_doubt=0)
    assert checker.left_in_doubt(seen) == 0


def database_away(world: World) -> None:
    """PostgreSQL is down for some seconds, calls in the air: their results are kept and written."""
    work = Workload(seed=27)
    world.start()
    world.control.fault("latency", gateway="whatsapp_http", operation="send*", seconds=0.5)
    work.plain(world.senders.whatsapp_http, 200, conversations=100)
    for goal in (30, 90):
        wait_for_arrivals(world, goal)
        with world.database.away():
            time.sleep(4)
        close_old_connections()
    seen = settle(world, work, in_doubt=0)
    assert checker.left_in_doubt(seen) == 0


def settle(world: World, work: Workload, *, in_doubt: int) -> history.History:
    """All at rest, reports read, all invariants kept."""
    world.rest()
    polling.poll_reports(world.senders.whatsapp_http)
    seen = history.read(world)
    assert checker.problems(seen) == []
    assert checker.surprises(seen, work.expected, in_doubt) == []
    assert checker.unsettled(seen) == []
    return seen


def _texts(control: SandboxClient) -> list[str]:
    return [row["text"] for row in control.deliveries()]


PLAYS = {
    "every bell rings twice": Play(bells_ring_twice),
    "the queue is wiped": Play(queue_wiped),
    "the worker settles by itself": Play(the_worker_settles_by_itself),
    "two hosts": Play(two_hosts, POSTGRESQL),
    "two hosts, one dies": Play(two_hosts_one_dies, POSTGRESQL),
    "idle hosts share a queue": Play(idle_hosts_share_a_queue, POSTGRESQL),
    "the database is away": Play(database_away, POSTGRESQL),
    "connections are cut": Play(connections_cut, POSTGRESQL),
}


@pytest.mark.parametrize("name", PLAYS)
def test_hosts(outcome: Outcome, name: str) -> None:
    outcome.result()
