"""The adapters of MESSAGING["ADAPTERS"], ready to be put to the contract."""

from __future__ import annotations

import importlib
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.adapters.base import Account, Adapter, Outbound, Recipient, SendOutcome
from messaging.adapters.http import Http
from messaging.conf import DEFAULTS
from messaging.content import Text
from messaging.errors import ErrorClass, Verdict


def load(path: str) -> type[Adapter]:
    module, _, name = path.rpartition(".")
    cls: type[Adapter] = getattr(importlib.import_module(module), name)
    return cls


ADAPTERS = {path: load(path) for path in DEFAULTS["ADAPTERS"]}
CALLING = [cls for cls in ADAPTERS.values() if cls.provider_credentials or cls.sender_credentials]
#: Options without which an adapter makes more calls than the one that is looked at.
OPTIONS: dict[str, dict[str, str]] = {"whatsapp_http": {"parameters": "body"}}
HELLO = Text("Hello")

every = pytest.mark.parametrize("cls", ADAPTERS.values(), ids=lambda cls: cls.slug)
calling = pytest.mark.parametrize("cls", CALLING, ids=lambda cls: cls.slug)


def canaries(cls: type[Adapter]) -> dict[str, str]:
    """One recognisable secret for each credential, with characters that some encodings change."""
    fields = (*cls.provider_credentials, *cls.sender_credentials)
    return {field.name: f"canary-{index}+%&/{field.name}" for index, field in enumerate(fields)}


def adapter(cls: type[Adapter], http: Http, url: str = "", channel: str = "") -> Adapter:
    account = Account(
        base_url=url,
        credentials=canaries(cls),
        options=OPTIONS.get(cls.slug, {}),
        channel=channel or sorted(cls.channels)[-1],
        name="Shop",
        address="+447700900100",
        external_id="12",
    )
    return cls(account, http)


def outbound(count: int = 1) -> Outbound:
    phones = (f"+4477009001{number:02}" for number in range(count))
    return Outbound(content=HELLO, recipients=tuple(Recipient(phone) for phone in phones))


def judged(outcome: SendOutcome) -> set[tuple[Verdict, ErrorClass] | None]:
    return {
        (result.failure.verdict, result.failure.error_class) if result.failure else None
        for result in outcome.results
    }


def operations() -> dict[str, tuple[Any, ...]]:
    """Every optional operation with arguments for it."""
    end = datetime.now(UTC)  # reports reach back a few days only
    start = end - timedelta(days=1)
    return {
        "test": (),
        "balance": (),
        "connection": (),
        "fetch_statuses": (start, end),
        "fetch_status": ("65a1b2c3d4e5f60718293a4b",),
        "session_status": ("+447700900123",),
        "fetch_senders": (),
        "fetch_templates": (),
        "fetch_inbox": (start, end),
        "fetch_inbox_after": ("65a1b2c3d4e5f60718293a4b",),
        "fetch_contacts": (),
        "fetch_groups": (),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
