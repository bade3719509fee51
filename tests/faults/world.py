"""One database, one gateway and any number of worker hosts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Count

from messaging import clock
from messaging.events import Status
from messaging.models import Conversation, Message, Provider, Sender
from messaging.sandbox import Sandbox, SandboxClient, accounts
from tests.conftest import KEY

from .databases import Database
from .processes import Host, wait_for

#: Times of the workers under test: what waits for seconds in production waits less here.
SHORT = {
    "CONNECT_TIMEOUT": 1,
    "READ_TIMEOUT": 1,
    "TOTAL_TIMEOUT": 2,
    "DRAIN_LEASE": 3,
    "DRAIN_LINGER": 1,
    "RETRY_DELAYS": [1, 1, 1, 1, 1, 1],
    "PAUSE_SECONDS": 1,
    "WINDOW_MARGIN": 2,
}

#: Leases that are no settings.
SHORT_TIMES = {
    "outbox.claims.LEASE": 5.0,
    "outbox.lanes._BEFORE_CALL": 4.0,
    "outbox.lanes._AFTER_CALL": 4.0,
}

#: All must be at rest this long after a worker's return, in seconds.
REST = 60.0

#: Of the settings above in THREADS: max(50, 2 × threads).
IN_DOUBT = 50


@dataclass(slots=True)
class Senders:
    """One sender per gateway."""

    whatsapp_http: Sender
    intellisoftware: Sender
    intellixent: Sender


@dataclass(slots=True)
class World:
    """What a scenario works with; its thread's default database is `database`."""

    name: str
    folder: Path
    database: Database
    sandbox: Sandbox
    senders: Senders
    hosts: list[Host] = field(default_factory=list)

    @property
    def control(self) -> SandboxClient:
        return self.sandbox.control

    def start(
        self,
        *,
        hooks: Mapping[str, Any] | None = None,
        messaging: Mapping[str, Any] | None = None,
        patience: float = 20.0,
        short: bool = True,
    ) -> Host:
        """Start a worker host. `messaging` changes its settings, `hooks` breaks it.

        Without `short` it keeps the times of production.
        """
        number = len(self.hosts) + 1
        hooks = {"times": SHORT_TIMES if short else {}, **(hooks or {})}
        settings_of_app = {**(SHORT if short else {}), **(messaging or {})}
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "DATABASE_URL": self.database.url,
            "FAULTS_SECRET_KEY": settings.SECRET_KEY,
            "MESSAGING_ENCRYPTION_KEYS": KEY,
            "MESSAGING_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "FAULTS_MESSAGING": json.dumps(settings_of_app),
            "FAULTS_HOOKS": json.dumps(hooks),
        }
        log = self.folder / f"{self.name}-{number}.log"
        host = Host(log, environment, "--patience", str(patience))
        self.hosts.append(host)
        wait_for(host.has_begun, REST, "a worker host runs", host.output)
        return host

    def crash_at(self, point: str, *, skip: int = 0, signal: str = "SIGKILL") -> dict[str, Any]:
        """The hooks for a worker that dies (or stops) at this point, once."""
        return {"crash": point, "skip": skip, "signal": signal, "marker": str(self.crash_marker)}

    @property
    def crash_marker(self) -> Path:
        """Holds the process id of the one that crashed, once it has."""
        return self.folder / f"{self.name}.crashed"

    def rest(self, seconds: float = REST) -> None:
        """Wait until every message is at rest; fails after `seconds`."""
        wait_for(lambda: not self.unrested(), seconds, f"{self.name}: all at rest", self.describe)

    def describe(self) -> str:
        """Where the messages are and what the hosts said last, for a failing test."""
        states = Message.objects.values_list("status").annotate(Count("id")).order_by("status")
        lanes = Sender.objects.exclude(pause_reason="").values_list("name", "pause_reason")
        said = "\n".join(host.output()[-3000:] for host in self.hosts)
        return f"{dict(states)} paused: {dict(lanes)}\n{said}"

    def unrested(self) -> int:
        """Messages that are still on their way. What is held or scheduled ahead is not."""
        far = clock.now() + timedelta(hours=1)
        moving = Message.objects.filter(status__in=[Status.QUEUED, Status.SENDING], due_at__lt=far)
        try:
            return moving.count()
        except (OperationalError, InterfaceError):
            connection.close()  # cut by a nemesis
            return 1

    def close(self) -> None:
        for host in self.hosts:
            host.end()


def make_senders(url: str, credentials: Mapping[str, str] | None = None) -> Senders:
    """Providers and senders that speak to the sandbox."""
    secret = {
        "token": accounts.WH_TOKEN,
        "accesskey": accounts.IS_ACCESS_KEY,
        "secretkey": accounts.IS_SECRET_KEY,
        "api_key": accounts.IX_API_KEY,
        **(credentials or {}),
    }
    phones = Provider.objects.create(
        name="Phones", adapter="whatsapp_http", base_url=url, options={"parameters": "body"}
    )
    official = Provider.objects.create(
        name="Official",
        adapter="intellisoftware",
        base_url=url,
        credentials={name: secret[name] for name in ("accesskey", "secretkey")},
    )
    assistant = Provider.objects.create(
        name="Assistant",
        adapter="intellixent",
        base_url=f"{url}/api",
        credentials={"api_key": secret["api_key"]},
    )
    return Senders(
        whatsapp_http=Sender.objects.create(
            provider=phones,
            name="Front desk",
            address="+447700900100",
            credentials={"token": secret["token"]},
            is_default=True,
        ),
        intellisoftware=Sender.objects.create(
            provider=official, name="Shop", address="+447700900200"
        ),
        intellixent=Sender.objects.create(
            provider=assistant, name="Clinic", address="+447700900300", external_id="12"
        ),
    )


def open_windows(sender: Sender, hours: float = 24.0) -> None:
    """All conversations of this sender: the customer has just written."""
    now = clock.now()
    Conversation.objects.filter(sender=sender).update(
        last_inbound_at=now,
        window_expires_at=now + timedelta(hours=hours),
        window_opened_by="inbound",
    )
