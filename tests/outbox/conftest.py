"""The sandbox, and one sender per gateway that speaks to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from messaging import clock
from messaging.models import Conversation, Provider, Sender
from messaging.sandbox import Sandbox, accounts


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Any:
    sandbox_process.control.reset()
    return sandbox_process.control


@pytest.fixture
def wh(db: None, sandbox: Any, sandbox_process: Sandbox) -> Sender:
    provider = Provider.objects.create(
        name="QR phones", adapter="whatsapp_http", base_url=sandbox_process.url
    )
    return Sender.objects.create(
        provider=provider,
        name="Front desk",
        address="+447700900100",
        credentials={"token": accounts.WH_TOKEN},
    )


@pytest.fixture
def intellisoftware(db: None, sandbox: Any, sandbox_process: Sandbox) -> Sender:
    provider = Provider.objects.create(
        name="Official",
        adapter="intellisoftware",
        base_url=sandbox_process.url,
        credentials={"accesskey": accounts.IS_ACCESS_KEY, "secretkey": accounts.IS_SECRET_KEY},
        recipients_per_call=100,
    )
    return Sender.objects.create(provider=provider, name="Shop", address="+447700900200")


@pytest.fixture
def intellixent(db: None, sandbox: Any, sandbox_process: Sandbox) -> Sender:
    provider = Provider.objects.create(
        name="Assistant",
        adapter="intellixent",
        base_url=f"{sandbox_process.url}/api",
        credentials={"api_key": accounts.IX_API_KEY},
    )
    return Sender.objects.create(
        provider=provider, name="Clinic", address="+447700900300", external_id="12"
    )


def open_window(sender: Sender) -> None:
    """All conversations of this sender: the customer has just written."""
    now = clock.now()
    Conversation.objects.filter(sender=sender).update(
        last_inbound_at=now,
        window_expires_at=now + timedelta(hours=24),
        window_opened_by="inbound",
    )
