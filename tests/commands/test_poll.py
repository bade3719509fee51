"""`messaging_poll`: who is asked for what, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging.adapters.base import InboxPage
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.errors import ErrorClass, Failure, GatewayError, Verdict
from messaging.events import Inbound
from messaging.models import Message, Provider, Sender
from tests.rows import make_sender

from .conftest import run

POLL = "messaging_poll"
NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def phones(db: None) -> list[Sender]:
    provider = Provider.objects.create(
        name="Phones", adapter="whatsapp_http", base_url="http://127.0.0.1:9"
    )
    return [
        make_sender(provider, name=name, credentials={"token": letter * 24})
        for name, letter in (("Front desk", "a"), ("Pharmacy", "b"))
    ]


class Inbox:
    """What the gateway has, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.events: tuple[Inbound, ...] = ()
        self.broken = ""

    def _events(self, adapter: Any) -> tuple[Inbound, ...]:
        if self.broken == adapter.account.name:
            failure = Failure(verdict=Verdict.REFUSED, error_class=ErrorClass.TRANSIENT)
            raise GatewayError(failure)
        return self.events

    def days(self, adapter: Any, start: datetime, end: datetime) -> InboxPage:
        self.asked.append(("inbox", (adapter.account.name, start, end)))
        return InboxPage(events=self._events(adapter))

    def after(self, adapter: Any, cursor: str) -> InboxPage:
        self.asked.append(("after", (adapter.account.name, cursor)))
        return InboxPage(events=self._events(adapter))

    def reports(self, adapter: Any, start: datetime, end: datetime) -> list[Any]:
        self.asked.append(("reports", (adapter.account.name, start, end)))
        return []

    def kinds(self) -> set[str]:
        return {kind for kind, _what in self.asked}


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Inbox:
    found = Inbox()
    monkeypatch.setattr(WhatsAppHttp, "fetch_inbox", lambda *args: found.days(*args))
    monkeypatch.setattr(WhatsAppHttp, "fetch_inbox_after", lambda *args: found.after(*args))
    monkeypatch.setattr(WhatsAppHttp, "fetch_statuses", lambda *args: found.reports(*args))
    return found


def message(number: int) -> Inbound:
    return Inbound(
        external_id=f"id{number}",
        address="+447700900123",
        text=f"Hello {number}",
        content={"body": f"Hello {number}"},
        occurred_at=NOW - timedelta(minutes=60 - number),
    )


def test_everybody_is_asked_for_everything(phones: list[Sender], gateway: Inbox) -> None:
    gateway.events = (message(1), message(2))
    result = run(POLL)
    assert result.code == 0, result
    assert result.out == "Front desk: new 2, changed 0\nPharmacy: new 2, changed 0\n"
    assert gateway.kinds() == {"inbox", "reports"}
    assert Message.objects.count() == 4
    again = run(POLL, "--json").json
    assert (again["received"], again["changed"]) == (0, 0)
    assert [row["name"] for row in again["senders"]] == ["Front desk", "Pharmacy"]


@pytest.mark.parametrize(("option", "kinds"), [("--inbox", {"inbox"}), ("--reports", {"reports"})])
def test_one_of_both(phones: list[Sender], gateway: Inbox, option: str, kinds: set[str]) -> None:
    assert run(POLL, option).code == 0
    assert gateway.kinds() == kinds


def test_named_senders_each_once(phones: list[Sender], gateway: Inbox) -> None:
    run(POLL, "--inbox", "--sender", "pharmacy", "--sender", str(phones[1].pk))
    assert {what[0] for _kind, what in gateway.asked} == {"Pharmacy"}
    assert len(gateway.asked) == len(set(gateway.asked))


def test_days_are_whole_and_leave_the_cursor_alone(phones: list[Sender], gateway: Inbox) -> None:
    Sender.objects.update(inbox_cursor="id7")
    gateway.events = (message(1), message(2), message(3))
    run(
        POLL, "--sender", "Front desk", "--inbox", "--from", "2027-02-20",
        "--to", "2027-02-21", "--limit", "2",
    )  # fmt: skip
    [(_kind, (_name, start, end))] = gateway.asked
    assert end - start == timedelta(days=2)
    assert set(Message.objects.values_list("external_id", flat=True)) == {"id2", "id3"}
    assert set(Sender.objects.values_list("inbox_cursor", flat=True)) == {"id7"}


def test_a_gateway_that_is_down_harms_no_other(phones: list[Sender], gateway: Inbox) -> None:
    gateway.events = (message(1),)
    gateway.broken = "Front desk"
    result = run(POLL)
    assert (result.code, result.problem) == (1, "1 sender could not be asked.")
    assert "Front desk: new 0, changed 0. The gateway could not be reached." in result.out
    assert "Pharmacy: new 1, changed 0" in result.out
    told = run(POLL, "--json", "--sender", "Front desk").json["senders"][0]
    assert told["error"].startswith("The gateway could not be reached.")


def test_gateways_that_cannot_tell(gateway: Inbox) -> None:
    provider = Provider.objects.create(name="Assistant", adapter="intellixent")
    make_sender(provider, name="Assistant", external_id="12")
    assert "There is no sender that could be asked." in run(POLL).out
    result = run(POLL, "--sender", "Assistant")
    assert result.code == 1
    assert "does not tell that." in result.out


def test_what_is_switched_off_is_asked_by_name_only(phones: list[Sender], gateway: Inbox) -> None:
    Sender.objects.filter(name="Pharmacy").update(is_active=False)
    run(POLL)
    assert {what[0] for _kind, what in gateway.asked} == {"Front desk"}
    assert run(POLL, "--sender", "Pharmacy").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", "2027-02-21"),
        ("--limit", "5"),
        ("--from", "2027-03-02"),
        ("--from", "2027-02-22", "--to", "2027-02-20"),
        ("--from", "2027-02-22", "--limit", "0"),
        ("--from", "2027-02-22", "--limit", "5", "--reports"),
        ("--from", "yesterday"),
        ("--sender", "Nobody"),
    ],
)
def test_what_makes_no_sense_asks_nobody(
    phones: list[Sender], gateway: Inbox, arguments: tuple[str, ...]
) -> None:
    result = run(POLL, *arguments)
    assert result.code in (1, 2)
    assert result.problem
    assert not gateway.asked
