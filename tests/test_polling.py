"""Reports that are asked for: when, and what they prove about `unknown` messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from messaging import outbox, polling
from messaging.adapters.base import InboxPage
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.errors import ErrorClass, Failure, GatewayError, NotPossible, Verdict
from messaging.events import Status, StatusUpdate
from messaging.models import Conversation, Message, Provider, Sender
from tests.rows import (
    make_conversation,
    make_message,
    make_provider,
    make_sender,
    make_sending,
    status_of,
)

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
NUMBER = "+447911123456"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture
def sender() -> Sender:
    provider = make_provider(adapter="whatsapp_http", base_url="https://gateway.example")
    return make_sender(provider, credentials={"token": "t" * 24})


class Gateway:
    """Answers every report with `updates`, or with `error`; remembers what was asked."""

    def __init__(self) -> None:
        self.updates: list[StatusUpdate] = []
        self.error: Exception | None = None
        self.asked: list[tuple[datetime, datetime]] = []

    def fetch(self, _adapter: Any, start: datetime, end: datetime) -> Sequence[StatusUpdate]:
        self.asked.append((start, end))
        if self.error:
            raise self.error
        return self.updates


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    one = Gateway()
    monkeypatch.setattr(WhatsAppHttp, "fetch_statuses", lambda *arguments: one.fetch(*arguments))
    # Its inbox, which test_polling_inbox.py is about, is empty and never urgent.
    monkeypatch.setattr(WhatsAppHttp, "fetch_inbox", lambda *_arguments: InboxPage())
    monkeypatch.setattr(polling.rounds, "wait_for_inbox", lambda *_arguments: 600)
    return one


def unknown(sender: Sender, **values: Any) -> Message:
    """Sent at NOW, its call given up twenty seconds later."""
    fields = {
        "status": "unknown",
        "sending_at": NOW,
        "unknown_at": NOW + 20 * SECOND,
        "error_class": "ambiguous",
        **values,
    }
    conversation = Conversation.objects.filter(sender=sender).first()
    return make_sending(
        fields.pop("conversation", None) or conversation or make_conversation(sender, NUMBER),
        **fields,
    )


def row(external_id: str = "a1", **values: Any) -> StatusUpdate:
    fields = {
        "address": NUMBER,
        "text": "Hello",
        "submitted_at": NOW + 5 * SECOND,
        "status": Status.DELIVERED,
        **values,
    }
    return StatusUpdate(external_id=external_id, **fields)


# What proves what became of an unknown message


@pytest.mark.parametrize(
    ("values", "proves"),
    [
        ({}, True),
        ({"address": NUMBER.lstrip("+")}, True),
        ({"text": " Hello\n"}, True),
        # Two minutes before the attempt began to ten after it ended, both included.
        ({"submitted_at": NOW - 2 * MINUTE}, True),
        ({"submitted_at": NOW - 2 * MINUTE - SECOND}, False),
        ({"submitted_at": NOW + 20 * SECOND + 10 * MINUTE}, True),
        ({"submitted_at": NOW + 21 * SECOND + 10 * MINUTE}, False),
        ({"submitted_at": None}, False),
        ({"text": "Hello!"}, False),
        ({"text": ""}, False),
        ({"address": "+447911000000"}, False),
        ({"external_id": ""}, False),
    ],
)
def test_which_row_is_a_proof(values: dict[str, Any], proves: bool, sender: Sender) -> None:
    message = unknown(sender)
    assert polling.settle_unknown(sender, [row(**values)]) == proves
    assert status_of(message) == ("delivered" if proves else "unknown")
    assert message.external_id == ("a1" if proves else "")


def test_absence_proves_nothing(sender: Sender) -> None:
    message = unknown(sender)
    assert polling.settle_unknown(sender, []) == 0
    assert status_of(message) == "unknown"


def test_two_rows_that_fit_prove_neither(sender: Sender) -> None:
    message = unknown(sender)
    assert polling.settle_unknown(sender, [row("a1"), row("a2")]) == 0
    assert status_of(message) == "unknown"


def test_a_row_that_two_messages_could_claim_is_neithers(sender: Sender) -> None:
    messages = [unknown(sender), unknown(sender)]
    assert polling.settle_unknown(sender, [row()]) == 0
    assert {status_of(message) for message in messages} == {"unknown"}


def test_a_row_that_is_linked_already_proves_nothing_more(sender: Sender) -> None:
    message = unknown(sender)
    taken = unknown(sender, status="accepted", external_id="a1")
    assert polling.settle_unknown(sender, [row()]) == 0
    assert (status_of(message), status_of(taken)) == ("unknown", "accepted")
    # With the other one's row aside, the one that is left is the first message's own.
    assert polling.settle_unknown(sender, [row("a1"), row("a2")]) == 1
    assert message.pk == Message.objects.get(external_id="a2").pk


def test_a_row_that_a_call_under_way_may_own_proves_nothing(sender: Sender) -> None:
    """Sent again with the same text, and the gateway has it although its answer is still out."""
    message = unknown(sender)
    again = unknown(sender, status="sending", sending_at=NOW + 30 * SECOND, unknown_at=None)
    update = row(submitted_at=NOW + 31 * SECOND)
    assert polling.settle_unknown(sender, [update]) == 0
    Message.objects.filter(pk=again.pk).update(status="accepted", external_id="a1")
    assert polling.settle_unknown(sender, [update]) == 0
    assert status_of(message) == "unknown"


def test_unknown_ones_with_an_id_need_no_guess(sender: Sender, gateway: Gateway) -> None:
    message = unknown(sender, external_id="a1")
    gateway.updates = [row("a1", status=Status.SENT), row("b2")]
    assert polling.poll_reports(sender) == 1
    assert status_of(message) == "sent"


def test_captions_and_bodies_are_what_a_report_shows(sender: Sender) -> None:
    for content, text in [
        ({"kind": "buttons", "body": "b", "footer": "c"}, "b"),
        ({"kind": "image", "link": "x", "caption": "c"}, "c"),
        ({"kind": "location"}, ""),
    ]:
        assert polling.sent_text(Message(content=content)) == text


def test_what_is_too_old_for_a_report_is_left_to_people(
    sender: Sender, traveller: time_machine.Coordinates
) -> None:
    message = unknown(sender)
    traveller.shift(timedelta(days=7, seconds=1))
    assert polling.settle_unknown(sender, [row()]) == 0
    assert status_of(message) == "unknown"


# When


@pytest.mark.parametrize(
    ("messages", "wait"),
    [
        ([], 600),
        ([{"status": "accepted", "age": 10}], 3),
        ([{"status": "accepted", "age": 119}], 3),
        ([{"status": "accepted", "age": 121}], 15),
        ([{"status": "sent", "age": 3599}], 15),
        ([{"status": "sent", "age": 3601}], 120),
        ([{"status": "unknown", "age": 10}], 3),
        # All have arrived: whether they are read may wait.
        ([{"status": "delivered", "age": 10}], 120),
        ([{"status": "delivered", "age": 10}, {"status": "accepted", "age": 300}], 15),
        ([{"status": "read", "age": 10}], 600),
        ([{"status": "failed", "age": 10}], 600),
        ([{"status": "accepted", "age": 8 * 24 * 3600}], 600),
    ],
)
def test_how_soon_it_is_asked_again(
    messages: list[dict[str, Any]], wait: int, sender: Sender, gateway: Gateway
) -> None:
    for values in messages:
        at = NOW - values["age"] * SECOND
        make_sending(
            make_conversation(sender),
            status=values["status"],
            sending_at=at,
            accepted_at=at,
            external_id=str(values),
        )
    polling.run_due()
    sender.refresh_from_db()
    assert sender.poll_due_at == NOW + wait * SECOND
    # Where nothing is outstanding, nobody is asked.
    assert bool(gateway.asked) == (wait != 600)


def test_one_question_per_sender_from_its_oldest_message_on(
    sender: Sender, gateway: Gateway
) -> None:
    for minutes in (5, 90):
        unknown(sender, sending_at=NOW - minutes * MINUTE)
    polling.run_due()
    assert gateway.asked == [(NOW - 92 * MINUTE, NOW)]


def test_it_reaches_back_seven_days_at_most(sender: Sender, gateway: Gateway) -> None:
    polling.poll_reports(sender, start=NOW - timedelta(days=30))
    assert gateway.asked == [(NOW - timedelta(days=7), NOW)]


def test_only_who_is_due_can_and_may_is_asked(sender: Sender, gateway: Gateway) -> None:
    unknown(sender)
    assert polling.is_due()
    Sender.objects.update(poll_due_at=NOW + SECOND)
    assert not polling.is_due()
    Sender.objects.update(poll_due_at=None, is_active=False)
    assert not polling.is_due()
    Sender.objects.update(is_active=True)
    for adapter in ("dummy", "carrier_pigeon"):
        Provider.objects.update(adapter=adapter)
        assert not polling.is_due()
        assert polling.run_due() == 0
    assert gateway.asked == []


def test_while_one_asks_nobody_else_does(sender: Sender, gateway: Gateway) -> None:
    unknown(sender)
    inner: list[int] = []

    def fetch(_adapter: Any, start: datetime, end: datetime) -> list[StatusUpdate]:
        inner.append(polling.run_due())
        return []

    gateway.fetch = fetch  # type: ignore[method-assign]
    polling.run_due()
    assert inner == [0]


def test_a_poll_that_died_is_taken_over(
    sender: Sender, gateway: Gateway, traveller: time_machine.Coordinates
) -> None:
    unknown(sender)
    assert polling.rounds._take_lease(sender, NOW)
    assert polling.run_due() == 0
    traveller.shift(121)
    polling.run_due()
    assert len(gateway.asked) == 1


def test_something_just_sent_does_not_wait_for_the_idle_poll(sender: Sender) -> None:
    other = make_sender()
    Sender.objects.update(poll_due_at=NOW + 600 * SECOND)
    polling.poll_soon([sender.pk])
    times = dict(Sender.objects.values_list("pk", "poll_due_at"))
    assert times == {sender.pk: NOW + 3 * SECOND, other.pk: NOW + 600 * SECOND}
    Sender.objects.update(poll_due_at=NOW + SECOND)
    polling.poll_soon({sender.pk})
    assert Sender.objects.get(pk=sender.pk).poll_due_at == NOW + SECOND


def refused(error_class: ErrorClass) -> GatewayError:
    return GatewayError(Failure(verdict=Verdict.REFUSED, error_class=error_class, text="No."))


@pytest.mark.parametrize(
    ("error", "paused"),
    [
        (refused(ErrorClass.AUTHENTICATION), "authentication"),
        (refused(ErrorClass.TRANSIENT), ""),
        (RuntimeError("secret words"), ""),
    ],
)
def test_trouble_with_one_report_stops_no_other(
    error: Exception, paused: str, sender: Sender, monkeypatch: pytest.MonkeyPatch, gateway: Gateway
) -> None:
    unknown(sender)
    other = make_sender(sender.provider, credentials={"token": "u" * 24})
    unknown(other, conversation=make_conversation(other, "+447911000001"))

    def fetch(adapter: Any, start: datetime, end: datetime) -> list[StatusUpdate]:
        if adapter.account.credentials["token"].startswith("t"):
            raise error
        return [row("b1", address="+447911000001")]

    gateway.fetch = fetch  # type: ignore[method-assign]
    assert polling.run_due() == 1
    sender.refresh_from_db()
    assert sender.pause_reason == paused
    assert sender.poll_due_at == NOW + 120 * SECOND


def test_credentials_of_one_that_cannot_be_read_stop_no_other(
    sender: Sender, gateway: Gateway
) -> None:
    unknown(sender)
    other = make_sender(sender.provider, credentials={"token": "u" * 24})
    unknown(other, conversation=make_conversation(other, "+447911000001"))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_sender SET credentials = 'fernet:x' WHERE id = %s", [sender.pk]
        )
    gateway.updates = [row("b1", address="+447911000001")]
    assert polling.run_due() == 1


def test_slow_gateways_leave_the_rest_for_the_next_time(
    sender: Sender, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _number in range(5):
        make_sender(sender.provider, credentials={"token": f"{_number}" * 24})
    for one in Sender.objects.all():
        unknown(one, conversation=make_conversation(one))
    moments = iter(range(0, 10_000, 4))
    monkeypatch.setattr(polling.rounds.time, "monotonic", lambda: float(next(moments)))
    polling.run_due()
    assert 0 < len(gateway.asked) < 6
    assert polling.is_due()


# One message, now


def test_one_message_is_asked_about(sender: Sender, gateway: Gateway) -> None:
    message = unknown(sender)
    gateway.updates = [row()]
    assert polling.check_message(message).status == "delivered"
    assert gateway.asked[0][0] == NOW


def test_one_message_whose_id_is_known(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    message = unknown(sender, status="accepted", external_id="a1")
    monkeypatch.setattr(
        WhatsAppHttp,
        "fetch_status",
        lambda _self, external_id: row(external_id, status=Status.READ),
    )
    assert polling.check_message(message).status == "read"
    monkeypatch.setattr(WhatsAppHttp, "fetch_status", lambda *_arguments: None)
    assert polling.check_message(message).status == "read"


def test_what_cannot_be_asked_is_said_in_words(sender: Sender) -> None:
    queued = make_message(make_conversation(sender))
    with pytest.raises(NotPossible):
        polling.check_message(queued)
    elsewhere = make_sending(make_conversation(make_sender()), status="unknown")
    with pytest.raises(NotPossible, match="does not tell"):
        polling.check_message(elsewhere)
    Provider.objects.filter(pk=elsewhere.sender.provider_id).update(adapter="carrier_pigeon")
    with pytest.raises(NotPossible, match="carrier_pigeon"):
        polling.check_message(Message.objects.get(pk=elsewhere.pk))


def test_a_report_after_it_was_sent_again_belongs_to_the_first(sender: Sender) -> None:
    Provider.objects.update(window_policy="none")
    message = unknown(sender)
    again = outbox.send_again(message)
    assert polling.settle_unknown(sender, [row()]) == 1
    assert (status_of(message), status_of(again)) == ("delivered", "queued")
