"""Processes of a host die, stop and are stopped, in the middle of their work or idle."""

from __future__ import annotations

import random
import signal
from contextlib import ExitStack
from functools import partial

import pytest

from messaging import polling
from messaging.models import Heartbeat, Message

from . import checker, history, nemesis
from .databases import POSTGRESQL
from .processes import Host, send, wait_for
from .stage import Outcome, Play
from .workload import Workload
from .world import IN_DOUBT, REST, World

pytestmark = pytest.mark.faults

#: Seconds without a heartbeat after which these supervisors act.
_PATIENCE = 6.0


def check(world: World, work: Workload, *, in_doubt: int = IN_DOUBT) -> history.History:
    """All at rest, all invariants kept, and no more in doubt than a dead worker may leave."""
    world.rest()
    polling.poll_reports(world.senders.whatsapp_http)
    seen = history.read(world)
    assert checker.problems(seen) == []
    assert checker.surprises(seen, work.expected, in_doubt) == []
    assert checker.unsettled(seen) == []
    return seen


def slow_campaign(world: World, work: Workload, count: int = 300) -> None:
    """Messages that keep a worker busy for some seconds."""
    world.control.fault("latency", gateway="whatsapp_http", operation="send*", seconds=0.15)
    work.plain(world.senders.whatsapp_http, count)


def wait_for_arrivals(world: World, count: int) -> None:
    wait_for(
        lambda: world.control.stats()["arrivals"] >= count,
        REST,
        f"{count} arrivals",
        world.describe,
    )


def draining(host: Host) -> int:
    """The process that sends now, by the lease it holds."""

    def holder() -> int:
        row = Heartbeat.objects.filter(name__startswith="drain:").exclude(holder="").first()
        return int(row.holder.split(":")[1]) if row else 0

    return int(wait_for(holder, REST, "a drain runs"))


def idle_workers_killed(world: World) -> None:
    """Killing an idle worker wedges django-q2 in every other run; the heartbeat tells."""
    work, chance = Workload(seed=1), random.Random(1)
    host = world.start(patience=_PATIENCE)
    for _round in range(3):
        before = host.starts()
        for pid in host.role("worker"):
            send(pid, signal.SIGKILL)
        work.plain(world.senders.whatsapp_http, 5)
        world.rest()
        wait_for(lambda: host.role("worker"), REST, "workers are back")
        nemesis.kill_one(host, "worker", chance)
        assert host.starts() >= before
    check(world, work, in_doubt=0)


def busy_worker_killed(world: World) -> None:
    work = Workload(seed=2)
    host = world.start(patience=_PATIENCE)
    slow_campaign(world, work)
    wait_for_arrivals(world, 60)
    send(draining(host), signal.SIGKILL)
    check(world, work)


def sentinel_killed(world: World) -> None:
    """Nobody guards the rest then; the main process ends and the supervisor replaces all."""
    work = Workload(seed=3)
    host = world.start(patience=_PATIENCE)
    slow_campaign(world, work)
    wait_for_arrivals(world, 60)
    orphans = host.role("worker")
    for pid in host.role("sentinel"):
        send(pid, signal.SIGKILL)
    check(world, work)
    assert host.starts() > 1
    assert not set(orphans) & set(host.pids())


def main_killed(world: World) -> None:
    """Its children are orphans that would go on pulling tasks."""
    work = Workload(seed=4)
    host = world.start(patience=_PATIENCE)
    slow_campaign(world, work)
    wait_for_arrivals(world, 60)
    orphans = host.role("worker")
    for pid in host.role("main"):
        send(pid, signal.SIGKILL)
    check(world, work)
    assert host.starts() > 1
    assert not set(orphans) & set(host.pids())


def pusher_and_monitor_killed(world: World) -> None:
    work, chance = Workload(seed=5), random.Random(5)
    host = world.start(patience=_PATIENCE)
    slow_campaign(world, work)
    with ExitStack() as troubles:
        for role in ("pusher", "monitor"):
            act = lambda role=role: nemesis.kill_one(host, role, chance)  # noqa: E731
            troubles.enter_context(nemesis.troubling(world, act, every=1.5))
        world.rest()
    check(world, work, in_doubt=IN_DOUBT)


def supervisor_killed(world: World) -> None:
    """Its cluster is an orphan then: it finishes what it has begun, and ends."""
    work = Workload(seed=6)
    first = world.start(patience=_PATIENCE)
    slow_campaign(world, work)
    wait_for_arrivals(world, 60)
    first.kill()
    world.start(patience=_PATIENCE)
    work.plain(world.senders.whatsapp_http, 100)
    check(world, work, in_doubt=0)
    wait_for(lambda: not first.pids(), REST, "the orphans end", first.output)


def stopped_in_mid_campaign(world: World) -> None:
    """SIGTERM: what is in the air is finished, nothing is in doubt, the rest goes on later."""
    work = Workload(seed=7)
    slow_campaign(world, work, 400)
    for goal in (60, 160, 260):
        host = world.start(patience=_PATIENCE)
        wait_for_arrivals(world, goal)
        assert host.stop() == 0, host.output()
        assert not host.pids()
        assert not Message.objects.filter(status__in=["sending", "unknown"]).exists()
    world.start(patience=_PATIENCE)
    check(world, work, in_doubt=0)


def paused_past_its_lease(world: World, point: str) -> None:
    """A drain sleeps at a step of its work and its place is taken.

    When it wakes it may say what it knows, but must not send what was given up meanwhile.
    """
    work = Workload(seed=8)
    hooks = world.crash_at(point, skip=1, signal="SIGSTOP")
    host = world.start(hooks=hooks, patience=_PATIENCE)
    slow_campaign(world, work, 150)
    wait_for(world.crash_marker.exists, REST, "a drain falls asleep", world.describe)
    world.rest()
    given_up = set(Message.objects.filter(status="unknown").values_list("text", flat=True))
    assert len(given_up) <= IN_DOUBT
    before = world.control.stats()["arrivals"]
    sleeper = int(world.crash_marker.read_text())
    send(sleeper, signal.SIGCONT)
    wait_for(lambda: host.has_ended_its_task(sleeper), REST, "it wakes", world.describe)
    seen = check(world, work)
    late = {arrival.text.partition(" ")[2] for arrival in seen.arrivals if arrival.n > before}
    assert not late & given_up


PLAYS = {
    "idle workers are killed": Play(idle_workers_killed),
    "a busy worker is killed": Play(busy_worker_killed),
    "the sentinel is killed": Play(sentinel_killed),
    "the main process is killed": Play(main_killed),
    "pusher and monitor are killed": Play(pusher_and_monitor_killed),
    "the supervisor is killed": Play(supervisor_killed),
    "stopped in mid-campaign": Play(stopped_in_mid_campaign),
} | {
    # A process that sleeps within a transaction keeps all of SQLite locked.
    f"paused {point}": Play(partial(paused_past_its_lease, point=point), POSTGRESQL)
    for point in ("after_claim", "after_sending", "mid_request", "after_response", "in_flush")
}


@pytest.mark.parametrize("name", PLAYS)
def test_processes(outcome: Outcome, name: str) -> None:
    outcome.result()
