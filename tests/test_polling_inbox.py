"""Inboxes that are asked for: whatever order a gateway gives, nothing is lost or taken twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging import inbox, polling, tasks
from messaging.adapters.base import Connection, InboxPage
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.content import Text
from messaging.errors import ErrorClass, Failure, GatewayError, Verdict
from messaging.events import Inbound
from messaging.models import Conversation, Message, Sender, WebhookDelivery
from tests.rows import make_conversation, make_provider, make_sender, make_sending

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture
def sender() -> Sender:
    provider = make_provider(adapter="whatsapp_http", base_url="https://gateway.example")
    return make_sender(provider, credentials={"token": "t" * 24})


class Inbox:
    """A gateway's inbox, its rows in the order it likes, some of them per page."""

    def __init__(self) -> None:
        self.rows: list[Inbound] = []
        self.page = 1000
        self.reversed = False
        self.asked: list[Any] = []
        self.error: Exception | None = None

    def receives(self, count: int = 1) -> None:
        for _number in range(count):
            number = len(self.rows) + 1
            text = f"text {number}"
            self.rows.append(
                Inbound(
                    external_id=f"wa-{number}",
                    external_ref=f"{number:024x}",
                    address="+447911123456",
                    text=text,
                    content=Text(text).to_json(),
                    occurred_at=datetime.now(UTC),
                )
            )

    def give(self, rows: list[Inbound]) -> InboxPage:
        if self.error:
            raise self.error
        shown = rows[: self.page]
        if self.reversed:
            shown = rows[::-1][: self.page]
        cursor = max((row.external_ref for row in shown), default="")
        return InboxPage(events=tuple(shown), cursor=cursor, complete=len(shown) == len(rows))

    def fetch(self, _adapter: Any, start: datetime, end: datetime) -> InboxPage:
        self.asked.append((start, end))
        return self.give([row for row in self.rows if start <= (row.occurred_at or end) <= end])

    def after(self, _adapter: Any, cursor: str) -> InboxPage:
        self.asked.append(cursor)
        return self.give([row for row in self.rows if row.external_ref > cursor])


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Inbox:
    one = Inbox()
    monkeypatch.setattr(WhatsAppHttp, "fetch_inbox", lambda *given: one.fetch(*given))
    monkeypatch.setattr(WhatsAppHttp, "fetch_inbox_after", lambda *given: one.after(*given))
    return one


def texts() -> list[str]:
    return list(Message.objects.order_by("id").values_list("text", flat=True))


def test_the_first_look_is_a_week_back_and_the_next_by_cursor(
    sender: Sender, gateway: Inbox
) -> None:
    gateway.receives(3)
    assert polling.poll_inbox(sender) == 3
    assert gateway.asked[0] == (NOW - timedelta(days=7), NOW)
    gateway.receives(2)
    gateway.asked.clear()
    assert polling.poll_inbox(Sender.objects.get()) == 2
    assert gateway.asked == [f"{3:024x}"]
    assert texts() == [f"text {number}" for number in range(1, 6)]
    stored = Sender.objects.get()
    assert (stored.inbox_cursor, stored.inbox_polled_at) == (f"{5:024x}", NOW)
    assert {message.source for message in Message.objects.all()} == {"poll"}


def test_it_asks_on_while_there_is_more(sender: Sender, gateway: Inbox) -> None:
    gateway.receives(1)
    polling.poll_inbox(sender)
    gateway.receives(95)
    gateway.page = 10
    assert polling.poll_inbox(sender) == 95
    assert len(texts()) == 96


def test_the_newest_first_and_not_all_of_them_loses_nothing_for_longer_than_a_day(
    sender: Sender, gateway: Inbox, traveller: time_machine.Coordinates
) -> None:
    """The worst a gateway can do: its page ends before the oldest. The day's whole report tells."""
    gateway.receives(1)
    polling.poll_inbox(sender)
    gateway.reversed, gateway.page = True, 4
    gateway.receives(9)
    polling.poll_inbox(sender)
    assert len(texts()) == 5
    gateway.page = 1000
    traveller.shift(12 * 3600 + 60)
    polling.poll_inbox(sender)
    assert len(texts()) == 10


def test_once_a_day_two_days_are_read_whole(
    sender: Sender, gateway: Inbox, traveller: time_machine.Coordinates
) -> None:
    gateway.receives()
    for _round in range(3):
        polling.poll_inbox(sender)
    # The first look was a whole one.
    assert sum(isinstance(asked, tuple) for asked in gateway.asked) == 1
    traveller.shift(DAY)
    gateway.asked.clear()
    polling.poll_inbox(sender)
    assert gateway.asked[-1] == (NOW, NOW + DAY)


def test_a_gateway_that_always_has_more_does_not_keep_us(sender: Sender, gateway: Inbox) -> None:
    gateway.receives()
    polling.poll_inbox(sender)
    gateway.give = lambda rows: InboxPage(cursor=sender.inbox_cursor, complete=False)  # type: ignore[method-assign]
    polling.poll_inbox(sender)
    assert len(gateway.asked) < 6


def test_the_cursor_moves_only_with_its_rows(
    sender: Sender, gateway: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.receives(3)
    real = inbox.record_page

    def dies(*given: Any) -> int:
        real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(inbox, "record_page", dies)
    with pytest.raises(KeyboardInterrupt):
        polling.poll_inbox(sender)
    assert (texts(), Sender.objects.get().inbox_cursor) == ([], "")
    monkeypatch.setattr(inbox, "record_page", real)
    assert polling.poll_inbox(Sender.objects.get()) == 3


def test_a_row_that_cannot_be_recorded_stops_neither_the_others_nor_the_cursor(
    sender: Sender,
    gateway: Inbox,
    monkeypatch: pytest.MonkeyPatch,
    traveller: time_machine.Coordinates,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway.receives(3)
    people = inbox.record.__globals__["people"]
    real = people.conversation_for

    def picky(row: Sender, event: Inbound) -> Conversation:
        if event.text == "text 2":
            raise RuntimeError
        found: Conversation = real(row, event)
        return found

    monkeypatch.setattr(people, "conversation_for", picky)
    assert polling.poll_inbox(sender) == 2
    kept = WebhookDelivery.objects.get()
    assert (kept.state, Sender.objects.get().inbox_cursor) == ("failed", f"{3:024x}")
    assert "text 2" in str(inbox.redacted(kept))
    polling.poll_inbox(sender, NOW - DAY, NOW)
    assert WebhookDelivery.objects.count() == 1
    monkeypatch.setattr(people, "conversation_for", real)
    traveller.shift(31)
    assert inbox.sweep() == 1
    assert sorted(texts()) == ["text 1", "text 2", "text 3"]
    assert Message.objects.get(text="text 2").source == "poll"


def test_a_person_may_ask_for_days_beside_the_cursor(sender: Sender, gateway: Inbox) -> None:
    gateway.receives(5)
    start = NOW - timedelta(days=30)
    assert polling.poll_inbox(sender, start, NOW, limit=2) == 2
    assert (texts(), Sender.objects.get().inbox_cursor) == (["text 4", "text 5"], "")


# When, and with what consequences


@pytest.mark.parametrize(
    ("newest", "pushed", "wait"),
    [
        (None, False, 120),
        (5 * SECOND, False, 5),
        (599 * SECOND, False, 5),
        (601 * SECOND, False, 30),
        (3601 * SECOND, False, 120),
        (5 * SECOND, True, 60),
    ],
)
def test_how_soon_it_is_asked_again(
    sender: Sender, gateway: Inbox, newest: timedelta | None, pushed: bool, wait: int
) -> None:
    if newest is not None:
        make_sending(make_conversation(sender), status="read", created_at=NOW - newest)
    if pushed:
        WebhookDelivery.objects.create(
            provider=sender.provider, state="processed", received_at=NOW - 60 * SECOND
        )
    polling.run_due()
    sender.refresh_from_db()
    assert sender.poll_due_at == NOW + wait * SECOND


def test_what_only_polling_found_is_counted(sender: Sender, gateway: Inbox) -> None:
    gateway.receives(3)
    polling.poll_inbox(sender)
    inbox.record(sender.provider, gateway.rows[:1], inbox.record.__globals__["Source"].WEBHOOK)
    assert polling.only_polled(sender, NOW - DAY) == 2


def test_a_tick_polls(sender: Sender, gateway: Inbox) -> None:
    gateway.receives()
    tasks.tick()
    assert texts() == ["text 1"]


@pytest.mark.parametrize(
    ("connection", "age", "asked"),
    [
        ("unknown", None, False),
        ("pairing", None, False),
        ("connected", None, True),
        ("connected", 599, False),
        ("connected", 600, True),
        ("disconnected", 29, False),
        ("disconnected", 30, True),
    ],
)
def test_phones_are_asked_whether_they_are_there(
    sender: Sender,
    gateway: Inbox,
    monkeypatch: pytest.MonkeyPatch,
    connection: str,
    age: int | None,
    asked: bool,
) -> None:
    calls: list[int] = []

    def answer(_adapter: Any) -> Connection:
        calls.append(1)
        return Connection(connected=False)

    monkeypatch.setattr(WhatsAppHttp, "connection", answer)
    sender.connection = connection
    sender.connection_checked_at = None if age is None else NOW - age * SECOND
    sender.save()
    polling.run_due()
    assert bool(calls) == asked


def test_a_lost_phone_pauses_its_sender_and_a_found_one_resumes_it(
    sender: Sender, gateway: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [Connection(connected=False), Connection(connected=True, instance_id="i" * 24)]
    monkeypatch.setattr(WhatsAppHttp, "connection", lambda _adapter: answers.pop(0))
    assert not polling.check_connection(sender)
    sender.refresh_from_db()
    assert (sender.connection, sender.pause_reason) == ("disconnected", "disconnected")
    assert polling.check_connection(sender)
    sender.refresh_from_db()
    assert (sender.connection, sender.pause_reason) == ("connected", "")
    assert sender.instance_id == "i" * 24


def test_a_gateway_in_trouble_is_asked_later_and_a_wrong_token_pauses(
    sender: Sender, gateway: Inbox
) -> None:
    gateway.error = GatewayError(
        Failure(verdict=Verdict.REFUSED, error_class=ErrorClass.AUTHENTICATION, text="no")
    )
    polling.run_due()
    sender.refresh_from_db()
    assert (sender.poll_due_at, sender.pause_reason) == (NOW + 120 * SECOND, "authentication")
