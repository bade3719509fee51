"""`messaging_sandbox`: how to use it is told, and what speaks to it is made once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project_settings

from messaging.management.commands import messaging_sandbox
from messaging.management.playground import make_accounts
from messaging.models import Provider, Sender, Template
from messaging.sandbox import SandboxClient, accounts

from .conftest import run

SANDBOX = "messaging_sandbox"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the sandbox would be started with."""
    calls: list[list[str]] = []
    monkeypatch.setattr(messaging_sandbox, "run", calls.append)
    return calls


def test_it_tells_how_to_point_a_provider_at_it(started: list[list[str]]) -> None:
    result = run(SANDBOX, "--port", "0", "--delivered-after", "-1")
    ((_host, host, _port, port, delay),) = started
    url = f"http://{host}:{port}"
    assert delay == "--delivered-after=-1.0"
    for word in (f"{url}/api", accounts.WH_TOKEN, accounts.IS_SECRET_KEY, accounts.IX_API_KEY):
        assert word in result.out
    assert result.err == ""


def test_a_site_that_refuses_private_hosts_is_told(started: Any, settings: Any) -> None:
    settings.MESSAGING = {}
    assert "ALLOWED_PRIVATE_HOSTS" in run(SANDBOX, "--port", "0").err


def test_a_port_in_use_is_told(started: list[list[str]]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = run(SANDBOX, "--port", str(other.getsockname()[1]))
    assert result.code == 1
    assert "Choose another with --port" in result.problem
    assert run(SANDBOX, "--port", "99999").code == 2
    assert not started


@pytest.mark.django_db
def test_make_providers_twice_is_once(started: list[list[str]]) -> None:
    for _again in range(2):
        assert run(SANDBOX, "--port", "0", "--make-providers").code == 0
    port = started[-1][3]
    addresses = set(Provider.objects.values_list("base_url", flat=True))
    assert addresses == {f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/api"}
    assert (Provider.objects.count(), Sender.objects.count()) == (3, 4)
    assert Template.objects.count() == 7


@pytest.mark.django_db
def test_accounts_keep_the_names_people_gave_them() -> None:
    senders = make_accounts("http://127.0.0.1:1")
    for row in (senders["intellixent.whatsapp"].provider, *senders.values()):
        type(row).objects.filter(pk=row.pk).update(name=f"Ours {row.pk}")
    again = make_accounts("http://127.0.0.1:2")
    assert {name: row.pk for name, row in again.items()} == {
        name: row.pk for name, row in senders.items()
    }
    provider = Provider.objects.get(adapter="intellixent")
    assert (provider.name, provider.base_url) == (f"Ours {provider.pk}", "http://127.0.0.1:2/api")


@pytest.mark.django_db
def test_templates_are_as_the_sandbox_knows_them() -> None:
    make_accounts("http://127.0.0.1:1")
    ready = Template.objects.get(name="order_ready")
    assert (ready.variables, ready.status) == (["customer", "order_no"], "approved")
    appointment = Template.objects.get(name="appointment")
    assert appointment.external_id == str(accounts.IX_TEMPLATE)
    assert appointment.variables == ["1", "2", "3"]
    assert set(Template.objects.filter(status="pending").values_list("name", flat=True)) == {
        "spring_sale"
    }


def test_it_answers_and_stops(tmp_path: Path) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "project.settings", "DEBUG": "1"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", SANDBOX, "--port", "0"],
        cwd=project_settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("sandbox listening on"))
        assert SandboxClient(line.rpartition(" ")[2].strip()).health()["ok"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()
