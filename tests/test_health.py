"""Who is alive, and what is wrong, in words a person can act on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from messaging import background, health
from messaging.adapters.base import Balance
from messaging.adapters.dummy import Dummy
from messaging.adapters.intellisoftware import IntelliSoftware
from messaging.adapters.intellixent import Intellixent
from messaging.errors import ErrorClass, Failure, GatewayError, Verdict
from messaging.models import Heartbeat, Provider, Sender
from tests.rows import make_conversation, make_message, make_provider, make_sender, make_sending

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


# Leases


def test_a_lease_is_one_holders_until_it_lapses(traveller: time_machine.Coordinates) -> None:
    first, second = health.Lease("job", seconds=10), health.Lease("job", seconds=10)
    assert first.take()
    assert not second.take()
    assert not first.take()
    traveller.shift(9)
    assert first.keep()
    traveller.shift(9)
    assert not second.take()
    traveller.shift(2)
    assert second.take()
    assert not first.keep()
    # Who lost it gives nothing up.
    first.give_up()
    assert second.keep()
    second.give_up()
    assert first.take()


def test_who_is_asked_to_stop_keeps_and_takes_nothing() -> None:
    lease = health.Lease("job", seconds=10)
    assert lease.take()
    Heartbeat.objects.update(stop=True)
    assert not lease.keep()
    lease.give_up()
    assert not lease.take()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_takes_it() -> None:
    start = threading.Barrier(6)
    taken: list[bool] = []

    def work() -> None:
        lease = health.Lease("job", seconds=10)
        start.wait()
        taken.append(lease.take())
        connection.close()

    threads = [threading.Thread(target=work) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == [False] * 5 + [True]


# Life


@pytest.mark.parametrize(
    ("name", "age", "silent"),
    [
        ("worker:a", 0, False),
        ("worker:a", 60, False),
        ("worker:a", 61, True),
        ("tick:a", 30, False),
        ("drain:a", 0, True),
        ("bell", 0, True),
    ],
)
def test_only_a_task_that_ran_is_proof_of_life(name: str, age: int, silent: bool) -> None:
    Heartbeat.objects.create(name=name, beat_at=NOW - age * SECOND)
    assert health.worker_is_silent() == silent


def test_nobody_ever_alive_is_silence() -> None:
    assert health.last_beat() is None
    assert health.worker_is_silent()
    health.beat("worker:a")
    health.beat("worker:a")
    assert Heartbeat.objects.count() == 1
    assert not health.worker_is_silent()


# Accounts


def failing(error_class: ErrorClass) -> GatewayError:
    return GatewayError(
        Failure(verdict=Verdict.REFUSED, error_class=error_class, code="11", text="Login invalid")
    )


@pytest.mark.parametrize(
    ("error_class", "word"),
    [
        (ErrorClass.AUTHENTICATION, "credentials"),
        (ErrorClass.QUOTA, "balance"),
        (ErrorClass.CONFIGURATION, "set up"),
        (ErrorClass.TRANSIENT, "reached"),
        (ErrorClass.UNKNOWN_REJECTION, "do not know"),
    ],
)
def test_a_test_that_fails_says_why(
    error_class: ErrorClass, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Any) -> Balance:
        raise failing(error_class)

    monkeypatch.setattr(IntelliSoftware, "balance", fail)
    provider = make_provider(adapter="intellisoftware", base_url="https://gateway.example")
    tested = health.test_connection(provider)
    assert not tested.ok
    assert word in tested.text
    assert "Login invalid" in tested.text


def test_a_test_that_passes_keeps_the_balance_and_ends_the_pause_it_disproves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = NOW + timedelta(days=30)
    balance = Balance(amount="1234.5", expires_at=ends, used_today=7)
    monkeypatch.setattr(IntelliSoftware, "balance", lambda _self: balance)
    provider = make_provider(
        adapter="intellisoftware",
        base_url="https://gateway.example",
        pause_reason="authentication",
        paused_until=NOW + timedelta(hours=1),
    )
    sender = make_sender(provider)
    # A sender's balance is its account's.
    assert health.refresh_balance(sender).balance == "1234.5"
    provider.refresh_from_db()
    assert (provider.balance, provider.used_today, provider.plan_expires_at) == ("1234.5", 7, ends)
    assert (provider.balance_checked_at, provider.pause_reason) == (NOW, "")


@pytest.mark.parametrize("reason", ["person", "quota"])
def test_a_test_that_passes_leaves_other_pauses(reason: str) -> None:
    provider = make_provider(pause_reason=reason)
    assert health.test_connection(provider).ok
    provider.refresh_from_db()
    assert provider.pause_reason == reason


def test_a_gateway_without_a_balance_is_tested_by_what_it_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Intellixent, "fetch_senders", lambda _self: [object(), object()])
    provider = make_provider(adapter="intellixent", credentials={"api_key": "k"})
    if not Intellixent.supports("test") and not Intellixent.supports("balance"):
        assert "2 senders" in health.test_connection(provider).text
    assert not health.refresh_balance(provider).ok


@pytest.mark.parametrize("make", [health.test_connection, health.refresh_balance])
def test_what_cannot_even_be_asked_is_said_in_words(make: Any) -> None:
    provider = make_provider(adapter="intellisoftware", base_url="https://gateway.example")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messaging_provider SET credentials = 'fernet:x'")
    tested = make(Provider.objects.get(pk=provider.pk))
    assert not tested.ok
    assert "ENCRYPTION_KEYS" in tested.text
    Provider.objects.update(adapter="carrier_pigeon", credentials={})
    tested = make(Provider.objects.get(pk=provider.pk))
    assert not tested.ok
    assert "carrier_pigeon" in tested.text


def test_the_dummy_is_always_well() -> None:
    assert Dummy.supports("test")
    assert health.test_connection(make_sender()).ok


# Findings


def texts(level: str) -> str:
    return "\n".join(item.text for item in health.findings() if item.level == level)


def test_a_sound_installation_has_nothing_wrong(settings: Any) -> None:
    settings.MESSAGING |= {"PUBLIC_BASE_URL": "https://desk.example.com"}
    background.ensure_schedule()
    health.beat("worker:a")
    make_sender()
    assert {item.level for item in health.findings()} == {"ok"}
    assert health.banners() == []


def test_a_worker_that_is_missing_or_silent_is_an_error() -> None:
    assert "never" in texts("error")
    background.ensure_schedule()
    health.beat("worker:a")
    assert texts("error") == ""
    Heartbeat.objects.update(beat_at=NOW - 61 * SECOND)
    assert "silent" in texts("error")
    assert any("silent" in text for text in health.banners())


def test_what_waits_is_lost_or_paused_is_said() -> None:
    background.ensure_schedule()
    health.beat("worker:a")
    provider = make_provider(name="Clinic", pause_reason="quota", paused_until=NOW)
    sender = make_sender(provider, name="Desk", pause_reason="person")
    conversation = make_conversation(sender)
    make_message(conversation, due_at=NOW - 301 * SECOND)
    make_sending(conversation, status="unknown")
    found = texts("warning")
    assert "Clinic" in found
    assert "Desk" in found
    assert "1 message may or may not have been sent." in found
    assert "1 message is waiting for more than five minutes." in found
    hints = {item.text: item.hint for item in health.findings()}
    assert any("by itself" in hint for text, hint in hints.items() if "Clinic" in text)
    assert any("Resume" in hint for text, hint in hints.items() if "Desk" in text)
    assert len(health.banners()) == 2


def test_accounts_that_cannot_be_used_are_errors_and_stop_no_page() -> None:
    broken, gone = make_sender(name="Broken"), make_sender(name="Gone")
    Provider.objects.filter(pk=gone.provider_id).update(adapter="carrier_pigeon")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_sender SET credentials = 'fernet:x' WHERE id = %s", [broken.pk]
        )
    found = texts("error")
    assert "Broken" in found
    assert "carrier_pigeon" in found
    Sender.objects.update(is_active=False)
    assert "no active sender" in texts("warning")


def test_the_worst_comes_first() -> None:
    order = ["error", "warning", "info", "ok"]
    levels = [item.level for item in health.findings()]
    assert levels == sorted(levels, key=order.index)
