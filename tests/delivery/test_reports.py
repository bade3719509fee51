"""Gateways' reports: any order and any repetition end alike, and ranks only rise."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging import delivery
from messaging.events import RANK, Source, Status, StatusUpdate
from messaging.models import Conversation, Message, MessageEvent, ParkedStatus
from tests.rows import (
    make_conversation,
    make_message,
    make_provider,
    make_sender,
    make_sending,
    status_of,
)

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(hours=24)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_frozen")]


@pytest.fixture
def _frozen() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def taken(status: str = "accepted", **values: Any) -> Message:
    fields = {"external_id": "a1", "accepted_at": NOW, "status": status, **values}
    return make_sending(fields.pop("conversation", None), **fields)


def report(status: Status | None, external_id: str = "a1", **values: Any) -> StatusUpdate:
    return StatusUpdate(external_id=external_id, status=status, **values)


def apply(message: Message, updates: Iterable[StatusUpdate], source: Source = Source.POLL) -> int:
    return delivery.apply(message.sender.provider, list(updates), source)


REPORTED = [Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED]
STATES = ["accepted", "sent", "delivered", "read", "failed", "unknown"]

MOVED = {
    # from: what each report of REPORTED makes of it
    "accepted": ["accepted", "sent", "delivered", "read", "failed"],
    "sent": ["sent", "sent", "delivered", "read", "failed"],
    "delivered": ["delivered", "delivered", "delivered", "read", "delivered"],
    "read": ["read"] * 5,
    "failed": ["failed", "failed", "delivered", "read", "failed"],
    "unknown": ["accepted", "sent", "delivered", "read", "failed"],
    # What never left, or is leaving, no report can be about.
    "queued": ["queued"] * 5,
    "sending": ["sending"] * 5,
    "cancelled": ["cancelled"] * 5,
    "expired": ["expired"] * 5,
}


@pytest.mark.parametrize("before", MOVED)
@pytest.mark.parametrize("reported", REPORTED)
def test_the_whole_table(before: str, reported: Status) -> None:
    message = taken(before)
    after = MOVED[before][REPORTED.index(reported)]
    changed = apply(message, [report(reported)])
    assert status_of(message) == after
    assert changed == (before != after)
    assert message.events.count() == (before != after)
    assert Conversation.objects.get().version == (before != after)


def end_state(message: Message) -> tuple[Any, ...]:
    message.refresh_from_db()
    columns = ("accepted_at", "sent_at", "delivered_at", "read_at", "failed_at")
    return (
        message.status,
        message.error_class,
        message.error_text,
        *(getattr(message, name) for name in columns),
    )


def told(status: Status) -> StatusUpdate:
    at = NOW + timedelta(seconds=REPORTED.index(status))
    error = {"error_class": "unknown_rejection", "error_text": "No."}
    return report(status, occurred_at=at, **(error if status is Status.FAILED else {}))


@pytest.mark.parametrize("start", ["accepted", "unknown"])
@pytest.mark.parametrize("size", [2, 3])
def test_every_order_ends_alike(start: str, size: int) -> None:
    for choice in itertools.combinations(REPORTED, size):
        ends = set()
        for order in itertools.permutations(choice):
            message = taken(start, external_id="a1")
            for status in order:
                apply(message, [told(status)])
            ends.add(end_state(message))
            MessageEvent.objects.all().delete()
            Message.objects.all().delete()
        assert len(ends) == 1, choice


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.sampled_from(REPORTED), min_size=1, max_size=8).flatmap(
        lambda reports: st.tuples(st.just(reports), st.permutations(reports + reports[:3]))
    ),
    st.sampled_from(["accepted", "unknown"]),
    st.booleans(),
)
def test_any_order_and_repetition_ends_alike(
    reports: tuple[list[Status], list[Status]], start: str, at_once: bool
) -> None:
    ends = []
    for order in reports:
        message = taken(start)
        ranks = []
        for batch in [order] if at_once else [[status] for status in order]:
            apply(message, [told(status) for status in batch], Source.WEBHOOK)
            ranks.append(RANK.get(Status(status_of(message)), -1))
        # `failed` aside, the rank never falls.
        risen = [rank for rank in ranks if rank >= RANK[Status.DELIVERED]]
        assert risen == sorted(risen)
        ends.append(end_state(message))
        MessageEvent.objects.all().delete()
        Message.objects.all().delete()
    assert ends[0] == ends[1]


def test_a_lower_report_fills_the_time_it_is_about() -> None:
    message = taken("accepted", accepted_at=None)
    at = NOW - timedelta(seconds=9)
    apply(message, [report(Status.READ, delivered_at=at, occurred_at=NOW)])
    apply(message, [report(Status.SENT, occurred_at=at)])
    message.refresh_from_db()
    assert (message.status, message.sent_at, message.delivered_at, message.read_at) == (
        "read",
        at,
        at,
        NOW,
    )
    apply(message, [report(Status.SENT, occurred_at=NOW)])
    message.refresh_from_db()
    assert message.sent_at == at


def test_a_failure_keeps_the_gateways_words_and_proof_of_delivery_removes_them() -> None:
    message = taken()
    apply(
        message,
        [
            report(
                Status.FAILED, error_class="invalid_recipient", error_code="5" * 80, raw_status="8"
            )
        ],
    )
    message.refresh_from_db()
    assert (message.error_class, len(message.error_code)) == ("invalid_recipient", 50)
    assert message.external_data["status"] == "8"
    apply(message, [report(Status.DELIVERED)])
    assert end_state(message)[:3] == ("delivered", "", "")


def test_a_value_nobody_knows_changes_nothing() -> None:
    message = taken()
    assert apply(message, [report(None, raw_status="Odd"), report(Status.SENT, "")]) == 0
    assert status_of(message) == "accepted"


def test_reports_touch_only_their_own_provider() -> None:
    mine = taken()
    other = taken(conversation=make_conversation(make_sender(make_provider())))
    inbound = make_message(
        mine.conversation, direction="inbound", status="received", external_id="a1", due_at=None
    )
    assert apply(mine, [report(Status.READ)]) == 1
    assert [status_of(item) for item in (mine, other, inbound)] == ["read", "accepted", "received"]


def test_one_id_for_several_numbers_is_told_apart_by_the_number() -> None:
    sender = make_sender()
    rows = [taken(conversation=make_conversation(sender, f"+44791100000{n}")) for n in (1, 2)]
    apply(rows[0], [report(Status.READ, address="447911000002")])
    assert [status_of(row) for row in rows] == ["accepted", "read"]
    # Without a number it could be either.
    assert apply(rows[0], [report(Status.DELIVERED)]) == 0
    assert [status_of(row) for row in rows] == ["accepted", "read"]


def test_a_report_of_thousands_takes_few_statements_whether_it_is_news_or_not() -> None:
    sender = make_sender()
    rows = [taken(conversation=make_conversation(sender), external_id=f"a{n}") for n in range(20)]
    updates = [report(Status.SENT, f"a{n}", occurred_at=NOW) for n in range(2500)]
    for changed in (20, 0):
        with CaptureQueriesContext(connection) as captured:
            assert apply(rows[0], updates) == changed
        spent = [item for item in captured.captured_queries if "SAVEPOINT" not in item["sql"]]
        # Moves, their history and their screens once; repetitions once.
        assert len(spent) <= 3 * 2 + 2


def test_one_pushed_report_is_found_by_its_id() -> None:
    """However many messages there are: the id's own index is used, on both databases."""
    message = taken()
    with CaptureQueriesContext(connection) as captured:
        assert apply(message, [report(Status.SENT)], Source.WEBHOOK) == 1
    sql = next(item["sql"] for item in captured.captured_queries if "UPDATE" in item["sql"])
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # With a handful of rows it would read the table.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = "\n".join(str(row) for row in cursor.fetchall())
    assert "message_unique_outbound" in plan, plan


# Parked


def parked() -> list[str]:
    return sorted(ParkedStatus.objects.values_list("external_id", flat=True))


def test_only_what_was_pushed_to_us_is_parked() -> None:
    provider = make_provider()
    for source in (Source.POLL, Source.WEBHOOK):
        delivery.apply(provider, [report(Status.SENT, f"{source}-1")], source)
    assert parked() == ["webhook-1"]


def test_a_parked_report_is_applied_when_its_message_is_known() -> None:
    sender = make_sender()
    update = report(
        Status.READ,
        occurred_at=NOW,
        delivered_at=NOW - timedelta(seconds=3),
        external_data={"a": 1},
        address="+447911000001",
    )
    delivery.apply(sender.provider, [update], Source.WEBHOOK)
    assert delivery.match_parked() == 0
    message = taken(conversation=make_conversation(sender, "+447911000001"))
    assert delivery.match_parked() == 1
    assert status_of(message) == "read"
    assert message.delivered_at == NOW - timedelta(seconds=3)
    assert message.events.get().source == "webhook"
    assert (delivery.match_parked(), parked()) == (0, [])


def test_an_id_of_another_provider_is_no_match() -> None:
    delivery.apply(make_provider(), [report(Status.READ)], Source.WEBHOOK)
    first = ParkedStatus.objects.get().pk
    message = taken()
    assert delivery.match_parked() == 0
    assert (ParkedStatus.objects.get().pk, status_of(message)) == (first, "accepted")


def test_a_parked_report_that_fits_no_number_is_not_parked_for_ever() -> None:
    sender = make_sender()
    delivery.apply(sender.provider, [report(Status.READ, address="+447911000009")], Source.WEBHOOK)
    rows = [taken(conversation=make_conversation(sender)) for _number in range(2)]
    assert delivery.match_parked() == 1
    assert parked() == []
    assert {status_of(row) for row in rows} == {"accepted"}


@pytest.mark.parametrize(
    "poison",
    [{"status": "flying"}, {"colour": "blue"}, {"occurred_at": "soon"}, [], "x", 1],
)
def test_a_parked_report_that_cannot_be_read_stops_no_other(poison: Any) -> None:
    message = taken()
    provider = message.sender.provider
    ParkedStatus.objects.create(
        provider=provider, external_id="a1", update=poison, source="webhook", created_at=NOW
    )
    ParkedStatus.objects.create(
        provider=provider,
        external_id="a1",
        update={"external_id": "a1", "status": "read"},
        source="webhook",
        created_at=NOW,
    )
    delivery.match_parked()
    assert (status_of(message), parked()) == ("read", [])


# Adoption


def test_an_unknown_message_adopts_the_row_that_proves_it() -> None:
    message = make_sending(status="unknown", unknown_at=NOW, error_class="ambiguous")
    update = report(Status.DELIVERED, "b7", external_data={"ref": 1}, raw_status="Delivered")
    assert delivery.adopt(message, update, Source.POLL)
    assert (status_of(message), message.external_id) == ("delivered", "b7")
    assert (message.error_class, message.external_data["ref"]) == ("", 1)
    assert [event.status for event in message.events.all()] == ["accepted", "delivered"]
    assert not delivery.adopt(message, report(Status.READ, "b8"), Source.POLL)


def test_an_id_somebody_else_took_in_this_moment_is_not_adopted() -> None:
    conversation = make_conversation()
    taken(conversation=conversation, external_id="b7")
    message = make_sending(conversation, status="unknown", unknown_at=NOW)
    assert not delivery.adopt(message, report(Status.SENT, "b7"), Source.POLL)
    assert (status_of(message), message.external_id) == ("unknown", "")
