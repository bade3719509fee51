"""Credentials stay where they are: no row, log line or exported value of a send shows one."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.apps import apps
from django.core import serializers

from messaging import health, outbox, polling
from messaging.content import Text
from messaging.models import Message, Provider, Sender
from messaging.sandbox import SandboxClient, accounts

pytestmark = pytest.mark.django_db(transaction=True)

SECRETS = (
    accounts.WH_TOKEN,
    accounts.IS_ACCESS_KEY,
    accounts.IS_SECRET_KEY,
    accounts.IX_API_KEY,
)

FAULTS: list[dict[str, Any]] = [
    {"mode": "status", "http": 401},
    {"mode": "status", "http": 500},
    {"mode": "html"},
    {"mode": "wrong_json"},
    {"mode": "cut_after"},
    {"mode": "hang_after", "seconds": 3},
]


def everything_stored() -> str:
    """All rows of our tables and the queue's, as the database gives them and as a fixture."""
    models = [
        model
        for label in ("messaging", "django_q")
        for model in apps.get_app_config(label).get_models()
    ]
    rows = [repr(list(model._default_manager.values())) for model in models]
    rows += [serializers.serialize("json", model._default_manager.all()) for model in models]
    rows += [repr(list(model._default_manager.all())) for model in models]
    return "\n".join(rows)


def spellings(secret: str) -> set[str]:
    return {secret, quote(secret), quote_plus(secret), repr(secret)[1:-1]}


def test_no_secret_is_stored_or_logged_whatever_a_gateway_does(
    wh: Sender,
    intellisoftware: Sender,
    intellixent: Sender,
    sandbox: SandboxClient,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.MESSAGING |= {"READ_TIMEOUT": 1, "TOTAL_TIMEOUT": 1}
    Provider.objects.update(window_policy="none")
    senders = (wh, intellisoftware, intellixent)
    for number, fault in enumerate([None, *FAULTS]):
        sandbox.clear_faults()
        if fault:
            sandbox.fault(**fault)
        Provider.objects.update(pause_reason="", paused_until=None)
        Sender.objects.update(pause_reason="", paused_until=None, poll_due_at=None)
        for sender in senders:
            outbox.queue(Text(f"Hello {number}"), to=f"+44791100000{number}", sender=sender)
        outbox.drain(seconds=10)
        polling.run_due()
        for sender in senders:
            health.test_connection(sender)
    assert Message.objects.exclude(status="queued").count() >= 12
    seen = everything_stored() + caplog.text
    for secret in SECRETS:
        assert not [text for text in spellings(secret) if text in seen]
