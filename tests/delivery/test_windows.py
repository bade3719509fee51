"""The windows that templates opened follow what later becomes of those templates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging import delivery
from messaging.events import Source, Status, StatusUpdate
from messaging.models import Conversation, Message
from tests.rows import make_conversation, make_provider, make_sender, make_sending

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_frozen")]


@pytest.fixture
def _frozen() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def opened(policy: str = "inbound_or_template", **values: Any) -> Conversation:
    values = {"window_expires_at": NOW - HOUR + DAY, "window_opened_by": "template", **values}
    return make_conversation(make_sender(make_provider(window_policy=policy)), **values)


def template(conversation: Conversation, external_id: str, **values: Any) -> Message:
    values = {"status": "accepted", "accepted_at": NOW - HOUR, "kind": "template", **values}
    return make_sending(conversation, external_id=external_id, **values)


def report(message: Message, status: Status) -> tuple[datetime | None, str]:
    """The window after this report."""
    update = StatusUpdate(external_id=message.external_id, status=status)
    delivery.apply(message.sender.provider, [update], Source.WEBHOOK)
    conversation = Conversation.objects.get(pk=message.conversation_id)
    return conversation.window_expires_at, conversation.window_opened_by


def test_a_template_that_fails_closes_the_window_it_opened() -> None:
    assert report(template(opened(), "a"), Status.FAILED) == (None, "")


def test_what_the_customer_wrote_keeps_its_own_window() -> None:
    conversation = opened(last_inbound_at=NOW - 5 * HOUR)
    after = report(template(conversation, "a"), Status.FAILED)
    assert after == (NOW - 5 * HOUR + DAY, "inbound")


def test_an_older_template_that_was_taken_keeps_its_own_window() -> None:
    conversation = opened()
    template(conversation, "a", accepted_at=NOW - 9 * HOUR, status="delivered")
    after = report(template(conversation, "b"), Status.FAILED)
    assert after == (NOW - 9 * HOUR + DAY, "template")


def test_proof_of_delivery_opens_it_again() -> None:
    message = template(opened(), "a")
    report(message, Status.FAILED)
    assert report(message, Status.DELIVERED) == (NOW - HOUR + DAY, "template")


def test_an_unknown_template_that_was_taken_opens_it() -> None:
    conversation = opened(window_expires_at=None, window_opened_by="")
    message = template(conversation, "a", status="unknown", accepted_at=None)
    assert report(message, Status.ACCEPTED) == (NOW + DAY, "template")


@pytest.mark.parametrize(
    ("policy", "values"),
    [
        # Another kind, another policy, or a window that something else opened or shut.
        ("inbound_or_template", {"kind": "text"}),
        ("inbound_only", {}),
        ("none", {}),
    ],
)
def test_other_reports_leave_the_window(policy: str, values: dict[str, Any]) -> None:
    message = template(opened(policy), "a", **values)
    assert report(message, Status.FAILED) == (NOW - HOUR + DAY, "template")


@pytest.mark.parametrize("opened_by", ["inbound", "session", "closed"])
def test_only_what_a_template_opened_becomes_shorter(opened_by: str) -> None:
    until = NOW if opened_by == "closed" else NOW + 20 * HOUR
    conversation = opened(window_expires_at=until, window_opened_by=opened_by)
    assert report(template(conversation, "a"), Status.FAILED) == (until, opened_by)
