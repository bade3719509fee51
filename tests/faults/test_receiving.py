"""What comes in under trouble: from many threads, while the database goes, when processes die."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from django.db import connection
from django.test import Client

from messaging import inbox, polling
from messaging.adapters.base import WebhookRequest
from messaging.models import Attachment, Conversation, Message, Provider, Sender, WebhookDelivery
from tests.inbox.desk import open_desk, rows, send, states
from tests.inbox.posts import IS, OUR_WHATSAPP, PHONE, posts

from . import nemesis
from .databases import KINDS, POSTGRESQL, Database
from .processes import wait_for
from .stage import Outcome, Play
from .world import REST, World

pytestmark = pytest.mark.faults


def on_threads(database: Database, count: int, job: Callable[[int], None]) -> None:
    """Run it in so many threads, each with a connection of its own; the first error is raised."""

    def work(number: int) -> None:
        with database.connected():
            job(number)

    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(work, number) for number in range(count)]:
            future.result()


def desk_alone() -> dict[str, str]:
    """Accounts of the documents' bodies, and none of the world's own."""
    Sender.objects.all().delete()
    Provider.objects.all().delete()
    return open_desk()


def forget() -> None:
    """As if nothing of it had been recorded yet."""
    Attachment.objects.update(message=None)
    Message.objects.filter(direction="inbound").delete()
    Message.objects.update(status="accepted")
    Conversation.objects.update(unread_count=0)


def from_eight_threads(world: World) -> None:
    """Every body ten times, shuffled, from eight threads, while its report is read too."""
    paths = desk_alone()
    for post in posts():
        send(Client(), paths, post)
    once = rows()
    forget()
    desk = Sender.objects.get(name="Desk")
    polled = [
        event
        for row in WebhookDelivery.objects.filter(provider=desk.provider)
        for event in desk.connect().parse_webhook(inbox.request_of(row)).events
        if hasattr(event, "content") and desk.connect().owns(event)
    ]
    WebhookDelivery.objects.all().delete()

    def work(number: int) -> None:
        chance = random.Random(number)
        mine = [post for index, post in enumerate(posts() * 10) if index % 8 == number]
        chance.shuffle(mine)
        for turn, post in enumerate(mine):
            assert send(Client(), paths, post) == 200
            if turn % 5 == 0:
                inbox.record_page(Sender.objects.select_related("provider").get(pk=desk.pk), polled)

    on_threads(world.database, 8, work)
    # A database that was too busy leaves work to the sweep; nothing is lost.
    for _round in range(3):
        inbox.replay(WebhookDelivery.objects.filter(state__in=["failed", "stored"]))
    assert rows() == once
    assert set(states()) == {"processed", "quarantined"}


def while_the_database_goes(world: World) -> None:
    """What was answered 200 is there; what was not is posted again, as gateways do."""
    paths = desk_alone()
    with ExitStack() as troubles:
        cut = lambda: world.database.terminate_backends()  # noqa: E731
        troubles.enter_context(nemesis.troubling(world, cut, every=0.3))
        wanted = post_all(world.database, paths, 240)
    connection.close()
    assert WebhookDelivery.objects.count() >= len(wanted)
    inbox.replay(WebhookDelivery.objects.exclude(state="processed"))
    found = Message.objects.filter(direction="inbound").values_list("external_id", flat=True)
    assert sorted(found) == wanted


def post_all(database: Database, paths: dict[str, str], count: int) -> list[str]:
    """Post so many messages from eight threads, each until it is answered 200; their ids."""
    wanted = [f"{number:034x}" for number in range(1000, 1000 + count)]
    answered: set[str] = set()
    lock = threading.Lock()

    def work(number: int) -> None:
        for messageid in wanted[number::8]:
            item = {
                "messageid": messageid,
                "from": PHONE,
                "to": OUR_WHATSAPP,
                "channel": "whatsapp",
                "content": {
                    "format": "wa_msgobject_v2",
                    "msgobject": {"type": "text", "text": {"body": messageid}},
                },
            }
            for _try in range(400):
                if post_one(paths[IS], {"messages": [item]}) == 200:
                    with lock:
                        answered.add(messageid)
                    break

    on_threads(database, 8, work)
    assert answered == set(wanted)
    return wanted


def post_one(path: str, body: object) -> int:
    """One post by a client that has no transaction of its own; 0 where even that broke."""
    status = 0
    with suppress(Exception):
        gateway = Client(raise_request_exception=False)
        answer = gateway.post(path, json.dumps(body), content_type="application/json")
        status = answer.status_code
    if status != 200:
        # As every web process does between two requests; Django's test client does not.
        connection.close()
        time.sleep(0.05)
    return status


def killed_between_storing_and_processing(world: World) -> None:
    """What a dead web process stored, a worker takes up."""
    paths = desk_alone()
    provider = Sender.objects.get(name="Desk").provider
    body = json.dumps({"nonsense": True})
    inbox.store(provider, WebhookRequest(content_type="application/json", body=body))
    for post in posts():
        send(Client(), paths, post)
    once = rows()
    # As if each process had died right after its first commit.
    forget()
    due = WebhookDelivery.objects.order_by("received_at").values_list("received_at", flat=True)[0]
    WebhookDelivery.objects.update(state="stored", attempts=0, due_at=due)
    world.start()
    wait_for(
        lambda: not WebhookDelivery.objects.filter(state="stored").exists(),
        REST + 30,
        "the sweep takes up what was stored",
        world.describe,
    )
    assert rows() == once


def poller_killed_in_mid_page(world: World) -> None:
    """The cursor moves only with its rows: what a dead poller had read is read again."""
    sender = world.senders.whatsapp_http
    for number in range(40):
        world.control.customer_writes(
            "whatsapp_http", phone=PHONE, text=f"text {number}", webhook=False
        )
    hooks = world.crash_at("in_page", skip=0)
    world.start(hooks=hooks)
    wait_for(world.crash_marker.exists, REST, "the poller dies", world.describe)
    Sender.objects.update(poll_due_at=None)
    wait_for(
        lambda: Message.objects.filter(direction="inbound").count() >= 40,
        REST + 60,
        "another poller reads on",
        world.describe,
    )
    texts = list(
        Message.objects.filter(direction="inbound", sender=sender)
        .order_by("id")
        .values_list("text", flat=True)
    )
    assert sorted(texts) == sorted(f"text {number}" for number in range(40))
    assert Sender.objects.get(pk=sender.pk).inbox_cursor
    assert polling.poll_inbox(Sender.objects.get(pk=sender.pk)) == 0


PLAYS = (
    {f"from eight threads on {kind}": Play(from_eight_threads, kind) for kind in KINDS}
    | {"while the database goes": Play(while_the_database_goes, POSTGRESQL)}
    | {
        f"killed between storing and processing on {kind}": Play(
            killed_between_storing_and_processing, kind
        )
        for kind in KINDS
    }
    | {"a poller is killed in mid-page": Play(poller_killed_in_mid_page)}
)


@pytest.mark.parametrize("name", PLAYS)
def test_receiving(outcome: Outcome, name: str) -> None:
    outcome.result()
