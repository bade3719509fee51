"""The recheck in the moment of sending: each thing that may have changed since it was queued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging import outbox
from messaging.content import TemplateMessage
from messaging.models import (
    Contact,
    ContactAddress,
    Conversation,
    Message,
    Provider,
    Sender,
    Template,
)
from messaging.outbox import claims, ends
from tests.rows import (
    make_conversation,
    make_message,
    make_provider,
    make_sender,
    make_template,
    status_of,
)

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MARGIN = timedelta(seconds=120)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


def official(**values: Any) -> Conversation:
    """A conversation under the window rule, open for hours."""
    sender = make_sender(make_provider(window_policy="inbound_only"))
    values = {
        "last_inbound_at": NOW,
        "window_expires_at": NOW + timedelta(hours=9),
        "window_opened_by": "inbound",
        **values,
    }
    return make_conversation(sender, **values)


def begin(message: Message, change: Callable[[], Any] = lambda: None) -> str:
    """Claim, let `change` happen, begin and settle what is left; the state it is in then."""
    attempts = claims.claim("default", message.sender, message.priority, 10, NOW)
    assert [attempt.message_id for attempt in attempts] == [message.pk]
    change()
    begun = claims.begin("default", attempts, NOW, 57)
    if begun:
        assert begun == {message.pk}
        assert status_of(message) == "sending"
        return "sending"
    waiting = ends.settle_left("default", attempts, NOW)
    after = status_of(message)
    assert (after == "queued" and message.claim == attempts[0].claim) == bool(waiting)
    if after != "queued":
        assert waiting == []
    return after


def test_what_may_leave_is_sending_with_its_own_lease() -> None:
    message = make_message(official())
    assert begin(message) == "sending"
    assert (message.sending_at, message.due_at) == (NOW, NOW + 57 * SECOND)
    assert (message.attempts, message.status) == (1, "sending")
    # History begins with the result.
    assert not message.events.exists()


WAITS = [
    lambda: Sender.objects.update(is_active=False),
    lambda: Provider.objects.update(is_active=False),
    lambda: Sender.objects.update(pause_reason="disconnected"),
    lambda: Provider.objects.update(pause_reason="person"),
    lambda: Provider.objects.update(pause_reason="quota", paused_until=NOW + SECOND),
    lambda: Sender.objects.update(pause_reason="quota", paused_until=NOW + SECOND),
]


@pytest.mark.parametrize("change", WAITS)
def test_what_can_pass_leaves_the_message_queued(change: Callable[[], Any]) -> None:
    message = make_message(official())
    assert begin(message, change) == "queued"
    assert not message.events.exists()


@pytest.mark.parametrize("row", [Sender, Provider])
def test_a_pause_that_has_run_out_lets_a_trial_through(row: Any) -> None:
    message = make_message(official())
    change = lambda: row.objects.update(pause_reason="quota", paused_until=NOW)  # noqa: E731
    assert begin(message, change) == "sending"


ENDS = [
    (lambda: ContactAddress.objects.update(opted_out_at=NOW), "opted_out"),
    (lambda: Contact.objects.update(opted_out_at=NOW), "opted_out"),
    (lambda: Conversation.objects.update(window_expires_at=NOW), "window_closed"),
    (lambda: Conversation.objects.update(window_expires_at=None), "window_closed"),
    (lambda: Conversation.objects.update(window_expires_at=NOW + MARGIN), "window_closed"),
    (
        lambda: Conversation.objects.update(
            window_opened_by="template", last_inbound_at=NOW - timedelta(hours=25)
        ),
        "window_closed",
    ),
    (lambda: Message.objects.update(expires_at=NOW), "expired"),
]


@pytest.mark.parametrize(("change", "why"), ENDS)
def test_what_is_final_ends_the_message_with_its_reason(
    change: Callable[[], Any], why: str
) -> None:
    message = make_message(official())
    after = begin(message, change)
    assert after == ("expired" if why == "expired" else "failed")
    assert message.error_class == ("" if why == "expired" else why)
    assert (message.expired_at or message.failed_at) == NOW
    event = message.events.get()
    assert (event.status, event.source) == (after, "send")
    assert Conversation.objects.get().version == 1


def test_the_window_is_open_up_to_its_margin() -> None:
    message = make_message(official(window_expires_at=NOW + MARGIN + SECOND))
    assert begin(message) == "sending"


@pytest.mark.parametrize(
    ("policy", "channel", "kind"),
    [("none", "whatsapp", "person"), ("inbound_only", "sms", "person")],
)
def test_where_there_is_no_window_none_is_asked_for(policy: str, channel: str, kind: str) -> None:
    sender = make_sender(make_provider(window_policy=policy), channel=channel)
    assert begin(make_message(make_conversation(sender, kind=kind))) == "sending"


def template_message(**values: Any) -> Message:
    conversation = make_conversation(make_sender(make_provider(window_policy="inbound_only")))
    row = make_template(conversation.sender.provider)
    content = TemplateMessage(row, {"1": "Monday"})
    return make_message(conversation, content, template=row, **values)


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (lambda: None, "sending"),
        (lambda: Template.objects.update(status="paused"), "failed"),
        (lambda: Template.objects.update(status="blocked"), "failed"),
        (lambda: Template.objects.all().delete(), "failed"),
    ],
)
def test_a_template_needs_no_window_but_its_approval(change: Callable[[], Any], after: str) -> None:
    message = template_message()
    assert begin(message, change) == after
    assert message.error_class == ("template" if after == "failed" else "")


@pytest.mark.parametrize("status", ["cancelled", "expired", "failed", "sending", "accepted"])
def test_what_is_no_longer_queued_is_left_alone(status: str) -> None:
    message = make_message(official())
    assert begin(message, lambda: Message.objects.update(status=status)) == status
    assert not message.events.exists()


def test_a_cancel_between_claim_and_call_wins() -> None:
    message = make_message(official())
    assert begin(message, lambda: outbox.cancel([message])) == "cancelled"
    assert message.attempts == 0


@pytest.mark.parametrize(
    ("due_at", "work"),
    [(NOW, True), (NOW + SECOND, False), (None, False)],
)
def test_there_is_work_where_something_is_due(due_at: datetime | None, work: bool) -> None:
    make_message(official(), due_at=due_at)
    assert claims.has_work(NOW) == work


@pytest.mark.parametrize(
    "change", [*WAITS, lambda: Provider.objects.update(adapter="carrier_pigeon")]
)
def test_there_is_no_work_where_nothing_may_leave(change: Callable[[], Any]) -> None:
    make_message(official())
    change()
    assert not claims.has_work(NOW)
    # But what a dead worker left is work in any case.
    Message.objects.update(status="sending", claim="0" * 32, due_at=NOW - SECOND)
    assert claims.has_work(NOW)


def test_the_count_of_attempts_has_room_for_every_patience() -> None:
    message = make_message(official(), attempts=32_000)
    assert begin(message) == "sending"
    assert message.attempts == 32_000


def test_a_set_begins_in_one_statement_and_what_is_left_ends_in_few() -> None:
    sender = make_sender(make_provider(window_policy="inbound_only"))
    for number in range(60):
        open_until = NOW + timedelta(hours=9) if number % 2 else None
        conversation = make_conversation(
            sender, window_expires_at=open_until, window_opened_by="inbound"
        )
        make_message(conversation)
    attempts = claims.claim("default", sender, 10, 100, NOW)
    with CaptureQueriesContext(connection) as captured:
        begun = claims.begin("default", attempts, NOW, 57)
        left = [attempt for attempt in attempts if attempt.message_id not in begun]
        assert ends.settle_left("default", left, NOW) == []
    assert (len(begun), len(left)) == (30, 30)
    words = [query["sql"].split(maxsplit=1)[0] for query in captured.captured_queries]
    assert len([word for word in words if word in ("SELECT", "UPDATE", "INSERT")]) <= 10
