"""Secrets show up in no log, no row and no exception of real workers in real trouble."""

from __future__ import annotations

import base64
import pickle
import zlib

import pytest
from django.conf import settings
from django_q.models import OrmQ

from messaging import clock, polling
from messaging.models import LaneBase, Provider, ProviderCall, Sender
from tests.conftest import KEY

from . import secrets
from .databases import KINDS
from .processes import wait_for
from .stage import Stage
from .workload import FAILED, Workload
from .world import REST, World

pytestmark = pytest.mark.faults

#: As long and as odd as the real ones.
CANARIES = {
    "token": "ca9a57c0ffee57c0ffee0001",
    "accesskey": "Canary$ER%Uhs+UU[MzwEYe2",
    "secretkey": "Canary{kQ^s`wVpm!EU~Bx8yB^A$N$[3",
    "api_key": "ix-canary-7f3e9d1b5a2c4e60",
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_shows(stage: Stage, kind: str) -> None:
    with stage.world("secrets", kind, CANARIES) as world:
        _make_accounts(world)
        work = Workload(seed=41)
        work.troubled(world.control, world.senders.whatsapp_http, each=1, also=20)
        _say_no(world, work)
        host = world.start(hooks={"explode": 11})
        world.rest()
        polling.poll_reports(world.senders.whatsapp_http)
        _lose_the_accounts(world, work)
        # A row that is no task: what the queue itself prints.
        OrmQ.objects.create(key="messaging", payload="none", lock=clock.now())
        wait_for(lambda: "Failed to push" in host.output(), REST, "the queue fails", host.output)
        assert host.stop() == 0
        hidden = [*CANARIES.values(), KEY, settings.SECRET_KEY]
        assert secrets.in_text(host.output(), hidden) == []
        assert secrets.in_database(hidden) == []
        # There were places enough to look at.
        assert "RuntimeError" in host.output()
        assert ProviderCall.objects.count() > 50
        assert {row.pause_reason for row in _lanes(world)} == {"authentication"}


def _make_accounts(world: World) -> None:
    """The gateway knows the canaries, and them only."""
    control = world.control
    control.account("whatsapp_http", token=CANARIES["token"])
    control.account(
        "intellisoftware", accesskey=CANARIES["accesskey"], secretkey=CANARIES["secretkey"]
    )
    control.account("intellixent", api_key=CANARIES["api_key"])


def _say_no(world: World, work: Workload) -> None:
    """Refusals by every gateway; some of them quote the request with the token in it."""
    for code in ("05", "08", "09", "12", "13"):
        phone = work.phone()
        world.control.fault(
            "code", gateway="whatsapp_http", code=code, phone=phone.lstrip("+"), times=1
        )
        work.send(world.senders.whatsapp_http, [(phone, "quoted", FAILED)])
    for sender in (world.senders.intellisoftware, world.senders.intellixent):
        Provider.objects.filter(pk=sender.provider_id).update(window_policy="none")
        sender.provider.refresh_from_db()
        work.plain(sender, 4)


def _lose_the_accounts(world: World, work: Workload) -> None:
    """The gateway forgets the credentials: every account is refused and pauses."""
    world.control.reset()
    for sender in (
        world.senders.whatsapp_http,
        world.senders.intellisoftware,
        world.senders.intellixent,
    ):
        work.plain(sender, 2)
    wait_for(
        lambda: all(lane.pause_reason == "authentication" for lane in _lanes(world)),
        REST,
        "the accounts pause",
        world.describe,
    )


def _lanes(world: World) -> list[LaneBase]:
    senders = Sender.objects.select_related("provider")
    return [sender.lane for sender in senders]


def test_the_search_finds_what_is_packed() -> None:
    secret = CANARIES["token"]
    packed = pickle.dumps({"result": secret})
    for value in (
        f"a {secret} b".encode(),
        base64.b64encode(packed),
        b"." + base64.urlsafe_b64encode(zlib.compress(packed)) + b":1tx:sig",
    ):
        assert secrets.holds(value, secret.encode())
    assert not secrets.holds(b"nothing", secret.encode())
