"""`messaging_doctor`: what is wrong is said in words, with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.db.migrations.executor import MigrationExecutor

from messaging import background, health
from messaging.models import Sender
from messaging.sandbox import SandboxClient

from .conftest import run

pytestmark = pytest.mark.django_db

DOCTOR = "messaging_doctor"


@pytest.fixture
def worker(db: None) -> None:
    background.ensure_schedule()
    health.beat("worker:test")


def levels(*arguments: str) -> dict[str, str]:
    return {
        item["text"]: item["level"] for item in run(DOCTOR, "--json", *arguments).json["findings"]
    }


def test_a_sound_installation(worker: None, wh: Sender) -> None:
    result = run(DOCTOR)
    assert result.code == 0, result
    assert "ok       The worker is alive." in result.out
    assert "ok       The database is there and up to date." in result.out
    assert "PUBLIC_BASE_URL is not set." in result.out


def test_a_missing_worker_is_an_error(wh: Sender) -> None:
    result = run(DOCTOR)
    assert (result.code, result.problem) == (1, "1 error.")
    assert "ERROR    The worker has never been started here." in result.out
    assert "manage.py messaging_worker" in result.out


def test_system_checks_are_among_the_findings(worker: None, wh: Sender, settings: Any) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "max_attempts": 5}
    found = run(DOCTOR, "--json").json["findings"]
    (finding,) = [item for item in found if "W014" in item["text"]]
    assert finding["level"] == "warning"
    assert "max_attempts" in finding["hint"]
    settings.SILENCED_SYSTEM_CHECKS = ["messaging.W014"]
    assert not any("W014" in text for text in levels())


def test_secrets_nobody_can_read_are_an_error(worker: None, wh: Sender, settings: Any) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": []}
    result = run(DOCTOR)
    assert result.code == 1
    assert "messaging.E002" in result.out


def test_a_database_that_lags_behind(worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_args: [1, 2])
    result = run(DOCTOR)
    assert result.code == 1
    assert "The database lacks 2 migrations." in result.out
    assert "manage.py migrate" in result.out


def test_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(MigrationExecutor, "__init__", fail)
    result = run(DOCTOR, "--json")
    assert result.code == 1
    texts = [item["text"] for item in result.json["findings"] if item["level"] == "error"]
    assert any("connection refused" in text for text in texts)


def test_online_asks_every_account(
    worker: None, senders: dict[str, Sender], sandbox: SandboxClient
) -> None:
    found = levels("--online")
    good = [text for text, level in found.items() if level == "ok"]
    assert sum("The connection works." in text for text in good) == 3
    assert "Sandbox phone (+447700900100): the phone is connected." in good
    assert set(sandbox.stats()["by_operation"]) >= {
        "whatsapp_http.checkBal",
        "whatsapp_http.qrCode",
        "intellisoftware.getbalance",
        "intellixent.senders",
    }
    assert not sandbox.deliveries()


def test_online_tells_refused_credentials_and_phones_that_are_away(
    worker: None, senders: dict[str, Sender], sandbox: SandboxClient
) -> None:
    provider = senders["intellixent.whatsapp"].provider
    provider.credentials = {"api_key": "wrong"}
    provider.save()
    sandbox.account("whatsapp_http", connected=False)
    found = levels("--online")
    problems = sorted(text for text, level in found.items() if level == "error")
    assert any("the phone is not connected" in text for text in problems)
    assert any("refused the credentials" in text for text in problems)
    assert not any("wrong" in text for text in found)
