"""Order within a conversation, fairness between accounts, and who goes first."""

from __future__ import annotations

import random
import socket
from datetime import timedelta
from functools import partial

import pytest

from messaging import clock
from messaging.models import Message, Priority, Provider, Sender

from . import checker, history
from .databases import POSTGRESQL, SQLITE
from .processes import wait_for
from .stage import Outcome, Play
from .test_processes import wait_for_arrivals
from .workload import ACCEPTED, FAILED, UNKNOWN, Workload
from .world import IN_DOUBT, REST, World, open_windows

pytestmark = pytest.mark.faults


def order_across_retries(world: World) -> None:
    """The first of a conversation is refused for now; its followers wait for its next try."""
    work, chance = Workload(seed=31), random.Random(31)
    sender = world.senders.whatsapp_http
    phones = [work.phone() for _number in range(30)]
    for phone in phones[:20]:
        # 08 and 10 may pass: the message waits, the account goes on.
        world.control.fault(
            "code",
            gateway="whatsapp_http",
            code=chance.choice(["08", "10"]),
            phone=phone.lstrip("+"),
            skip=chance.choice([0, 2]),
            times=chance.choice([1, 2]),
        )
    places = [(phone, "in order", ACCEPTED) for _turn in range(6) for phone in phones]
    work.send(sender, places)
    for _number in range(2 if world.database.kind == POSTGRESQL else 1):
        world.start()
    seen = all_well(world, work)
    assert len(seen.arrivals) > len(places)


def order_while_the_gateway_is_down(world: World) -> None:
    """Nothing listens there at first: heads are tried again, and no follower passes them."""
    work = Workload(seed=32)
    sender = world.senders.whatsapp_http
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        Provider.objects.filter(pk=sender.provider_id).update(
            base_url=f"http://127.0.0.1:{closed.getsockname()[1]}"
        )
        work.plain(sender, 60, conversations=12)
        world.start()
        tried = Message.objects.filter(attempts__gt=1)
        wait_for(lambda: tried.exists(), REST, "a head is tried again", world.describe)
    Provider.objects.filter(pk=sender.provider_id).update(base_url=world.sandbox.url)
    all_well(world, work)


def order_across_a_throttle(world: World) -> None:
    """429 stops the whole account for a second; then it goes on where it was."""
    work = Workload(seed=33)
    for skip in (5, 40, 90):
        world.control.fault(
            "status", http=429, retry_after="1", gateway="whatsapp_http", skip=skip, times=1
        )
    work.plain(world.senders.whatsapp_http, 150, conversations=25)
    world.start()
    seen = all_well(world, work)
    assert sum(arrival.status == 429 for arrival in seen.arrivals) == 3


def a_hanging_gateway_holds_up_nobody(world: World) -> None:
    """Every call of one account hangs to its timeout; another account's messages go ahead."""
    work = Workload(seed=34)
    world.control.fault("hang_before", gateway="whatsapp_http", operation="send*")
    phones = [work.phone() for _number in range(150)]
    work.send(world.senders.whatsapp_http, [(phone, "hangs", UNKNOWN) for phone in phones])
    _send_free_text(work, world.senders.intellisoftware, 60)
    world.start()
    world.rest()
    seen = history.read(world)
    assert checker.problems(seen) == []
    assert checker.surprises(seen, work.expected) == []
    numbers = {
        gateway: [arrival.n for arrival in seen.arrivals if arrival.gateway == gateway]
        for gateway in ("whatsapp_http", "intellisoftware")
    }
    behind = sum(n > max(numbers["intellisoftware"]) for n in numbers["whatsapp_http"])
    assert behind > len(phones) / 3


def poison_fails_alone(world: World) -> None:
    """A row that cannot be read and an account without a readable key stop nobody else."""
    work = Workload(seed=35)
    sender = world.senders.whatsapp_http
    good = work.plain(sender, 40)
    bad = work.send(sender, [(work.phone(), "poison", FAILED) for _number in range(3)])
    Message.objects.filter(pk__in=[row.pk for row in bad]).update(content={"kind": "text"})
    locked = Sender.objects.create(provider=sender.provider, name="Locked", address="+447700900111")
    stuck = work.plain(locked, 5)
    Sender.objects.filter(pk=locked.pk).update(credentials={"token": "of another key"})
    _spoil_credentials(locked)
    world.start()
    done = Message.objects.filter(pk__in=[row.pk for row in (*good, *bad)])
    moving = done.filter(status__in=["queued", "sending"])
    wait_for(lambda: not moving.exists(), REST, "the others are sent", world.describe)
    assert set(done.filter(pk__in=[row.pk for row in good]).values_list("status")) <= {
        (status,) for status in checker.TAKEN
    }
    assert all(row.error_class for row in done.filter(status="failed"))
    assert done.filter(status="failed").count() == len(bad)
    waiting = Message.objects.filter(pk__in=[row.pk for row in stuck])
    assert {row.status for row in waiting} == {"queued"}


def windows_close_meanwhile(world: World) -> None:
    """Free text that is still waiting when its window ends is not sent, whoever dies."""
    work = Workload(seed=36)
    sender = world.senders.intellisoftware
    Provider.objects.filter(pk=sender.provider_id).update(rate=8, recipients_per_call=1)
    _send_free_text(work, sender, 120)
    world.start(hooks=world.crash_at("after_claim", skip=4))
    wait_for_arrivals(world, 15)
    open_windows(sender, hours=6 / 3600)
    world.rest()
    assert world.crash_marker.exists()
    seen = history.read(world)
    assert checker.problems(seen) == []
    closed = [row for row in seen.rows if row.error_class == "window_closed"]
    assert closed
    assert len(closed) < len(seen.rows)


def clocks_are_wrong(world: World) -> None:
    """Two hosts an hour off in both directions: leases and windows go by the database's clock."""
    work = Workload(seed=37)
    for skew in (3600, -3600):
        world.start(hooks={"skew": skew})
    work.plain(world.senders.whatsapp_http, 200, conversations=50)
    _send_free_text(work, world.senders.intellisoftware, 40)
    seen = all_well(world, work)
    assert checker.left_in_doubt(seen) == 0
    hour = timedelta(minutes=30)
    stamps = Message.objects.values_list("sending_at", "accepted_at")
    now = clock.now()
    assert all(abs(stamp - now) < hour for pair in stamps for stamp in pair)


def a_reply_overtakes(world: World) -> None:
    """A person's reply does not wait behind five thousand reminders."""
    work = Workload(seed=38)
    sender = world.senders.whatsapp_http
    world.control.fault("latency", gateway="whatsapp_http", operation="send*", seconds=0.05)
    work.plain(sender, 5000, priority=Priority.BROADCAST)
    world.start(messaging={"KEEP_CALLS": False})
    behind = []
    for goal in (200, 500, 800):
        wait_for_arrivals(world, goal)
        phone = work.phone()
        work.send(sender, [(phone, "reply", ACCEPTED)], priority=Priority.REPLY)
        before = world.control.stats()["arrivals"]
        find = partial(world.control.arrivals, phone=phone, operation="send*")
        (arrival,) = wait_for(find, REST, "the reply leaves", world.describe)
        behind.append(arrival["n"] - before)
    # A busy worker looks a little later, so that one in-doubt set is not the most there can be.
    assert min(behind) <= IN_DOUBT, behind
    assert max(behind) <= 500, behind


def all_well(world: World, work: Workload) -> history.History:
    world.rest()
    seen = history.read(world)
    assert checker.problems(seen) == []
    assert checker.surprises(seen, work.expected) == []
    return seen


def _send_free_text(work: Workload, sender: Sender, count: int) -> None:
    """Free text to customers who have just written; each in a conversation of its own."""
    phones = [work.phone() for _number in range(count)]
    policy = Provider.objects.filter(pk=sender.provider_id)
    before = policy.get().window_policy
    # Conversations come into being with their first message, which needs an open window.
    policy.update(window_policy="none")
    sender.provider.refresh_from_db()
    work.send(sender, [(phone, "free", ACCEPTED) for phone in phones])
    open_windows(sender)
    policy.update(window_policy=before)
    sender.provider.refresh_from_db()


def _spoil_credentials(sender: Sender) -> None:
    """As after the loss of a key: the column holds what nobody can read."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_sender SET credentials = %s WHERE id = %s",
            ["fernet:gAAAAAunreadable", sender.pk],
        )


PLAYS = {
    "order across retries": Play(order_across_retries),
    "order while the gateway is down": Play(order_while_the_gateway_is_down),
    "order across a throttle": Play(order_across_a_throttle),
    "a hanging gateway on sqlite": Play(a_hanging_gateway_holds_up_nobody, SQLITE),
    "a hanging gateway on postgresql": Play(a_hanging_gateway_holds_up_nobody, POSTGRESQL),
    "poison": Play(poison_fails_alone),
    "windows close": Play(windows_close_meanwhile),
    "clocks are wrong": Play(clocks_are_wrong, POSTGRESQL),
    "a reply overtakes on sqlite": Play(a_reply_overtakes, SQLITE),
    "a reply overtakes on postgresql": Play(a_reply_overtakes, POSTGRESQL),
}


@pytest.mark.parametrize("name", PLAYS)
def test_lanes(outcome: Outcome, name: str) -> None:
    outcome.result()
