"""Writing results: guarded by the claim, safe to repeat, alike on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from messaging.adapters.base import CallRecord
from messaging.delivery import flush
from messaging.delivery.results import Decision, FlushedCall
from messaging.events import Status
from messaging.models import Conversation, Message, MessageEvent, ProviderCall
from tests.rows import make_conversation, make_sender, make_sending, status_of

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def decision(message: Message, status: Status = Status.ACCEPTED, **values: Any) -> Decision:
    if status in (Status.ACCEPTED, Status.SENT):
        values.setdefault("external_id", f"id-{message.pk}")
    if status is Status.QUEUED:
        values.setdefault("due_at", NOW + timedelta(seconds=5))
    fields = {"claim": message.claim or uuid4(), **values}
    return Decision(
        message_id=message.pk, conversation_id=message.conversation_id, status=status, **fields
    )


def call(message: Message, operation: str = "send", **values: Any) -> FlushedCall:
    record = CallRecord(
        operation=operation, method="POST", url="https://gateway.example/send", **values
    )
    return FlushedCall(provider_id=message.sender.provider_id, at=NOW, record=record)


def write(decisions: Sequence[Decision], calls: Sequence[FlushedCall] = ()) -> set[int]:
    return flush.write(decisions, calls, NOW)


@pytest.mark.parametrize(
    ("status", "values", "expected"),
    [
        (Status.ACCEPTED, {}, {"accepted_at": NOW}),
        (Status.SENT, {}, {"sent_at": NOW, "accepted_at": None}),
        (
            Status.FAILED,
            {"error_class": "media", "error_code": "09", "error_text": "No link."},
            {"failed_at": NOW, "error_class": "media", "error_code": "09", "external_id": ""},
        ),
        (Status.UNKNOWN, {"error_class": "ambiguous"}, {"unknown_at": NOW}),
        (
            Status.QUEUED,
            {"retries": 2, "error_class": "transient"},
            {"retries": 2, "claim": None, "due_at": NOW + timedelta(seconds=5)},
        ),
    ],
)
def test_a_result_fills_its_columns(
    status: Status, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    message = make_sending(external_data={"a": 1})
    one = decision(message, status, external_data={"b": 2}, call=0, **values)
    assert write([one], [call(message, status_code=200, response={"ok": True})]) == {message.pk}
    assert status_of(message) == status
    for name, value in expected.items():
        assert getattr(message, name) == value, name
    assert message.external_data == {"a": 1, "b": 2}
    event = message.events.get()
    assert (event.status, event.source, event.at) == (status, "send", NOW)
    assert event.call == ProviderCall.objects.get()
    assert event.call.response == {"ok": True}


@pytest.mark.parametrize("late", [Status.ACCEPTED, Status.SENT, Status.FAILED])
def test_a_late_result_settles_an_unknown_one(late: Status) -> None:
    message = make_sending(status="unknown", unknown_at=NOW)
    assert write([decision(message, late)]) == {message.pk}
    assert status_of(message) == late


@pytest.mark.parametrize("late", [Status.QUEUED, Status.UNKNOWN])
def test_an_unknown_one_never_returns_to_the_queue(late: Status) -> None:
    message = make_sending(status="unknown", unknown_at=NOW)
    assert write([decision(message, late)]) == set()
    assert status_of(message) == "unknown"
    assert not message.events.exists()


@pytest.mark.parametrize(
    "status", ["queued", "accepted", "sent", "delivered", "read", "failed", "cancelled", "expired"]
)
def test_a_late_result_changes_nothing_that_was_settled_otherwise(status: str) -> None:
    message = make_sending(status=status)
    for late in (Status.ACCEPTED, Status.FAILED, Status.UNKNOWN, Status.QUEUED):
        assert write([decision(message, late, call=0)], [call(message)]) == set()
    assert status_of(message) == status
    assert not MessageEvent.objects.exists()
    assert not ProviderCall.objects.exists()


def test_a_result_of_another_claim_changes_nothing() -> None:
    message = make_sending()
    assert write([decision(message, claim=uuid4())]) == set()
    assert status_of(message) == "sending"


def test_a_flush_repeated_writes_nothing_twice() -> None:
    messages = [make_sending() for _number in range(3)]
    decisions = [decision(item, call=number) for number, item in enumerate(messages)]
    calls = [call(item) for item in messages]
    assert write(decisions, calls) == {item.pk for item in messages}
    assert write(decisions, calls) == set()
    assert MessageEvent.objects.count() == ProviderCall.objects.count() == 3


def test_one_row_that_was_settled_meanwhile_leaves_the_others() -> None:
    first, second, third = (make_sending() for _number in range(3))
    Message.objects.filter(pk=second.pk).update(status="delivered")
    decisions = [decision(item, call=n) for n, item in enumerate((first, second, third))]
    changed = write(decisions, [call(item) for item in (first, second, third)])
    assert changed == {first.pk, third.pk}
    assert [status_of(item) for item in (first, second, third)] == [
        "accepted",
        "delivered",
        "accepted",
    ]
    assert {event.message_id for event in MessageEvent.objects.all()} == changed
    assert all(event.call for event in MessageEvent.objects.all())
    assert ProviderCall.objects.count() == 2


def test_an_id_given_twice_in_a_conversation_costs_no_result() -> None:
    conversation = make_conversation()
    first, second = make_sending(conversation), make_sending(conversation)
    other = make_sending()
    decisions = [decision(item, external_id="same") for item in (first, second, other)]
    assert write(decisions) == {first.pk, second.pk, other.pk}
    for item in (first, second, other):
        assert status_of(item) == "accepted"
    assert (first.external_id, second.external_id) == ("same", "")
    assert second.external_ref == "same"
    # The same id in another conversation is another recipient of one call.
    assert other.external_id == "same"


def test_one_call_for_many_is_stored_once() -> None:
    messages = [make_sending() for _number in range(4)]
    write([decision(item, call=0) for item in messages], [call(messages[0])])
    assert ProviderCall.objects.count() == 1
    assert {event.call_id for event in MessageEvent.objects.all()} == {
        ProviderCall.objects.get().pk
    }


def test_each_step_points_to_its_own_call() -> None:
    ProviderCall.objects.create(
        provider=make_sender().provider, operation="old", method="GET", url="x", at=NOW
    )
    messages = [make_sending() for _number in range(3)]
    calls = [call(item, f"send{number}") for number, item in enumerate(messages)]
    decisions = [decision(item, call=number) for number, item in enumerate(messages)]
    write([decisions[2], decisions[0], decisions[1]], calls)
    for number, item in enumerate(messages):
        event = item.events.get()
        assert event.call
        assert event.call.operation == f"send{number}"


def test_a_result_without_a_call_has_a_step_all_the_same() -> None:
    message = make_sending()
    write([decision(message, Status.FAILED, error_class="internal", error_text="Ours.")])
    event = message.events.get()
    assert (event.call, event.text) == (None, "Ours.")


@pytest.mark.parametrize(
    "value",
    [
        {"a": "nul \x00"},
        {"a": "half \ud800 a pair"},
        {"a": float("nan"), "b": [float("inf")]},
        {"a": datetime(2027, 1, 1, tzinfo=UTC)},
        {"a": "literal \\u0000"},
        {"a\x00": {"b": ["☃", None]}},
    ],
)
def test_odd_values_cost_no_result(value: dict[str, Any]) -> None:
    message = make_sending()
    one = decision(message, external_data=value, call=0)
    assert write([one], [call(message, request=value, response=value)]) == {message.pk}
    assert status_of(message) == "accepted"
    assert message.external_id


@pytest.mark.parametrize("external_id", ["x" * 500, "a\x00b"])
def test_an_id_no_column_takes_costs_no_result(external_id: str) -> None:
    messages = [make_sending() for _number in range(3)]
    odd = decision(messages[1], external_id=external_id)
    assert len(write([decision(messages[0]), odd, decision(messages[2])])) == 3
    assert [status_of(item) for item in messages] == ["accepted"] * 3


def test_screens_are_told_once_per_flush() -> None:
    conversation = make_conversation()
    messages = [make_sending(conversation) for _number in range(2)]
    write([decision(item) for item in messages])
    if not flush.touches_itself("default"):
        flush.touch([conversation.pk, conversation.pk])
    assert Conversation.objects.get().version == 1
    flush.touch([])


def test_a_flush_in_a_transaction_that_rolls_back_leaves_nothing() -> None:
    message = make_sending()
    with transaction.atomic():
        write([decision(message, call=0)], [call(message)])
        transaction.set_rollback(True)
    assert status_of(message) == "sending"
    assert not ProviderCall.objects.exists()


def test_nothing_to_write_is_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert write([]) == set()


def test_a_set_takes_few_statements(django_assert_max_num_queries: Any) -> None:
    messages = [make_sending() for _number in range(60)]
    decisions = [decision(item, call=number) for number, item in enumerate(messages)]
    calls = [call(item) for item in messages]
    most = 3 if connection.vendor == "postgresql" else 6
    with django_assert_max_num_queries(most):
        assert len(write(decisions, calls)) == 60
