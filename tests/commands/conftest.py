"""The sandbox, the senders of `messaging_sandbox --make-providers`, and a way to run commands."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from messaging import clock
from messaging.management.playground import make_accounts
from messaging.models import Contact, ContactAddress, Conversation, Sender
from messaging.sandbox import Sandbox, SandboxClient

PHONE = "+447700900123"
OTHER = "+447700900124"


@pytest.fixture(autouse=True)
def media_folder(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    with Sandbox("--delivered-after", "0", "--read-after", "0") as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> SandboxClient:
    sandbox_process.control.reset()
    return sandbox_process.control


@pytest.fixture
def senders(db: None, sandbox: SandboxClient, sandbox_process: Sandbox) -> dict[str, Sender]:
    return make_accounts(sandbox_process.url)


@pytest.fixture
def wh(senders: dict[str, Sender]) -> Sender:
    sender = senders["whatsapp_http.whatsapp"]
    sender.is_default = True
    sender.save()
    return sender


@dataclass
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str
    problem: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(command: str, *arguments: str) -> Result:
    """Run a command as a terminal would, with its exit code."""
    out, err = io.StringIO(), io.StringIO()
    code, problem = 0, ""
    try:
        call_command(command, *arguments, stdout=out, stderr=err, no_color=True)
    except CommandError as error:
        code, problem = error.returncode, str(error)
    return Result(code, out.getvalue(), err.getvalue(), problem)


def customer_wrote(sender: Sender, number: str) -> Conversation:
    """A conversation with an open reply window."""
    now = clock.now()
    address = ContactAddress.objects.create(contact=Contact.objects.create(), value=number)
    return Conversation.objects.create(
        sender=sender,
        address=address,
        last_inbound_at=now,
        window_expires_at=now + timedelta(hours=24),
        window_opened_by="inbound",
    )
