"""`messaging_replay`: which requests are worked on again, and how that ends."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from messaging import clock, inbox
from messaging.adapters.base import WebhookRequest
from messaging.models import Message, Provider, Sender, WebhookDelivery
from tests.rows import make_provider

from .conftest import run

REPLAY = "messaging_replay"

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider(db: None) -> Provider:
    return make_provider(name="Clinic")


def delivery(provider: Provider, text: str = "Hello", **values: Any) -> WebhookDelivery:
    body = json.dumps({"from": "+447700900123", "text": text})
    row = inbox.store(provider, WebhookRequest(content_type="application/json", body=body))
    WebhookDelivery.objects.filter(pk=row.pk).update(**values)
    row.refresh_from_db()
    return row


def states() -> list[str]:
    return list(WebhookDelivery.objects.order_by("pk").values_list("state", flat=True))


def test_what_waits_is_worked_on_once_its_cause_is_gone(provider: Provider) -> None:
    inbox.process(delivery(provider))  # there is no sender yet
    assert states() == ["quarantined"]
    result = run(REPLAY)
    assert (result.code, result.problem) == (1, "1 still needs a look.")
    assert result.out == "1 quarantined\n"
    Sender.objects.create(provider=provider, name="Desk")
    result = run(REPLAY)
    assert (result.code, result.out) == (0, "1 processed\n")
    assert Message.objects.get().text == "Hello"
    assert run(REPLAY).out == "There is nothing to process again.\n"


def test_which_ones(provider: Provider) -> None:
    Sender.objects.create(provider=provider, name="Desk")
    other = make_provider(name="Shop")
    Sender.objects.create(provider=other, name="Till")
    now = clock.now()
    delivery(provider, "a", state="quarantined", received_at=now - timedelta(days=3))
    delivery(provider, "b", state="failed")
    delivery(other, "c", state="failed")
    delivery(provider, "d", state="stored")
    since = (now - timedelta(days=1)).isoformat()
    assert run(REPLAY, "--json", "--provider", "shop").json == {
        "total": 1,
        "states": {"processed": 1},
    }
    assert states() == ["quarantined", "failed", "processed", "stored"]
    assert run(REPLAY, "--json", "--since", since).json["total"] == 1
    assert states() == ["quarantined", "processed", "processed", "stored"]
    assert run(REPLAY, "--json", "--state", "stored").json["total"] == 1
    assert run(REPLAY, "--json").json["total"] == 1
    assert set(states()) == {"processed"}


def test_by_id_whatever_its_state_and_as_often_as_one_likes(provider: Provider) -> None:
    Sender.objects.create(provider=provider, name="Desk")
    row = inbox.process(delivery(provider))
    for _again in range(3):
        assert run(REPLAY, "--id", str(row.pk)).code == 0
    assert Message.objects.count() == 1


@pytest.mark.parametrize(
    "arguments",
    [("--id", "99"), ("--provider", "Nobody"), ("--id", "1", "--state", "failed")],
)
def test_what_makes_no_sense(provider: Provider, arguments: tuple[str, ...]) -> None:
    assert run(REPLAY, *arguments).code == 2
