"""The end of an attempt: what one result means for accounts, templates, windows and numbers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError

from messaging import delivery, signals
from messaging.adapters.base import CallRecord, SendOutcome, SendResult
from messaging.content import TemplateMessage
from messaging.delivery import Finished, finish
from messaging.errors import ErrorClass, Failure, Scope, Verdict
from messaging.events import Status
from messaging.models import ContactAddress, Conversation, Message, ProviderCall, Template
from tests.rows import (
    attempt_of,
    make_conversation,
    make_provider,
    make_sender,
    make_sending,
    make_template,
    status_of,
)

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
ASKED = NOW - timedelta(seconds=2)
DAY = timedelta(hours=24)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_frozen")]


@pytest.fixture
def _frozen() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def end(*messages: Message, result: SendResult, **values: Any) -> set[int]:
    """One call for these messages that ended so for each of them."""
    outcome = SendOutcome(results=(result,) * len(messages), **values)
    attempts = [attempt_of(message) for message in messages]
    return finish([Finished(attempts=attempts, outcome=outcome, started_at=ASKED)], NOW)


def refused(error_class: ErrorClass, **values: Any) -> SendResult:
    return SendResult(
        failure=Failure(verdict=Verdict.REFUSED, error_class=error_class, text="No.", **values)
    )


TAKEN = SendResult(status=Status.ACCEPTED, external_id="a1")


def test_a_refused_number_is_marked() -> None:
    message = make_sending()
    end(message, result=refused(ErrorClass.INVALID_RECIPIENT))
    address = ContactAddress.objects.get()
    assert (address.invalid_at, address.invalid_reason) == (NOW, "No.")


def test_a_refused_template_is_blocked_for_all() -> None:
    sender = make_sender()
    row = make_template(sender.provider)
    content = TemplateMessage(row, {"1": "Monday"})
    message = make_sending(make_conversation(sender), content=content, template=row)
    end(message, result=refused(ErrorClass.TEMPLATE))
    row.refresh_from_db()
    assert (row.status, row.status_text) == ("blocked", "No.")
    # A person's later word on it is not overwritten by another failure.
    Template.objects.update(status="rejected")
    end(message, result=refused(ErrorClass.TEMPLATE))
    assert Template.objects.get().status == "rejected"


@pytest.mark.parametrize(
    ("last_inbound_at", "closed"),
    [(None, True), (ASKED - timedelta(hours=1), True), (ASKED + timedelta(seconds=1), False)],
)
def test_a_closed_window_is_closed_unless_the_customer_wrote_since(
    last_inbound_at: datetime | None, closed: bool
) -> None:
    until = NOW + timedelta(hours=20)
    conversation = make_conversation(
        window_expires_at=until, window_opened_by="inbound", last_inbound_at=last_inbound_at
    )
    message = make_sending(conversation)
    end(message, result=refused(ErrorClass.WINDOW_CLOSED))
    conversation.refresh_from_db()
    assert (conversation.window_expires_at, conversation.window_opened_by) == (
        (ASKED, "closed") if closed else (until, "inbound")
    )
    assert (status_of(message), message.error_class) == ("failed", "window_closed")


@pytest.mark.parametrize(
    ("policy", "kind", "before", "after"),
    [
        ("inbound_or_template", "template", None, (NOW + DAY, "template")),
        ("inbound_or_template", "template", NOW + timedelta(hours=5), (NOW + DAY, "template")),
        # Never shorter than it was.
        (
            "inbound_or_template",
            "template",
            NOW + timedelta(hours=25),
            (NOW + timedelta(hours=25), "inbound"),
        ),
        ("inbound_or_template", "text", None, (None, "inbound")),
        ("inbound_only", "template", None, (None, "inbound")),
        ("none", "template", None, (None, "inbound")),
    ],
)
def test_an_accepted_template_opens_the_window_where_the_policy_says_so(
    policy: str, kind: str, before: datetime | None, after: tuple[datetime | None, str]
) -> None:
    sender = make_sender(make_provider(window_policy=policy))
    conversation = make_conversation(sender, window_expires_at=before, window_opened_by="inbound")
    end(make_sending(conversation, kind=kind), result=TAKEN)
    conversation.refresh_from_db()
    assert (conversation.window_expires_at, conversation.window_opened_by) == after


def test_a_template_whose_fate_is_not_known_opens_nothing() -> None:
    sender = make_sender(make_provider(window_policy="inbound_or_template"))
    conversation = make_conversation(sender)
    for result in (
        SendResult(),
        SendResult(failure=Failure(verdict=Verdict.MAYBE_SENT, error_class=ErrorClass.AMBIGUOUS)),
    ):
        end(make_sending(conversation, kind="template"), result=result)
    conversation.refresh_from_db()
    assert conversation.window_expires_at is None


@pytest.mark.parametrize(
    ("error_class", "scope", "paused"),
    [
        (ErrorClass.AUTHENTICATION, Scope.LANE, "provider"),
        (ErrorClass.QUOTA, Scope.LANE, "provider"),
        (ErrorClass.RATE_LIMIT, Scope.LANE, "provider"),
        # A wrong sender id is no trouble of the account's other senders.
        (ErrorClass.CONFIGURATION, Scope.LANE, "sender"),
        (ErrorClass.MEDIA, Scope.MESSAGE, ""),
        (ErrorClass.UNKNOWN_REJECTION, Scope.MESSAGE, ""),
    ],
)
def test_the_accounts_trouble_pauses_it_and_keeps_the_message(
    error_class: ErrorClass, scope: Scope, paused: str
) -> None:
    message = make_sending()
    end(message, result=refused(error_class, scope=scope))
    message.sender.refresh_from_db()
    message.sender.provider.refresh_from_db()
    assert bool(message.sender.provider.pause_reason) == (paused == "provider")
    assert bool(message.sender.pause_reason) == (paused == "sender")
    assert status_of(message) == ("queued" if paused else "failed")


def test_a_gateway_out_of_reach_pauses_its_lane() -> None:
    message = make_sending()
    failure = Failure(
        verdict=Verdict.NEVER_LEFT, error_class=ErrorClass.TRANSIENT, text="No way.", retry=True
    )
    end(message, result=SendResult(failure=failure))
    message.sender.provider.refresh_from_db()
    assert message.sender.provider.pause_reason == "unreachable"
    assert status_of(message) == "queued"


@pytest.mark.parametrize("reason", ["quota", "person"])
def test_a_trial_that_is_taken_ends_the_pause(reason: str) -> None:
    provider = make_provider(pause_reason=reason, paused_until=NOW)
    end(make_sending(make_conversation(make_sender(provider))), result=TAKEN)
    provider.refresh_from_db()
    assert (provider.pause_reason, provider.paused_until) == ("", None)


def test_a_call_begun_before_the_pause_does_not_end_it() -> None:
    provider = make_provider()
    message = make_sending(make_conversation(make_sender(provider)))
    other = make_sending(make_conversation(message.sender))
    end(other, result=refused(ErrorClass.QUOTA, scope=Scope.LANE))
    end(message, result=TAKEN)
    provider.refresh_from_db()
    assert provider.pause_reason == "quota"


def test_what_an_answer_says_of_the_phone_is_kept() -> None:
    provider = make_provider(adapter="whatsapp_http", base_url="https://gateway.example")
    sender = make_sender(provider, credentials={"token": "t" * 24})
    end(make_sending(make_conversation(sender)), result=TAKEN, connected=False)
    sender.refresh_from_db()
    assert (sender.connection, sender.pause_reason) == ("disconnected", "disconnected")
    end(make_sending(make_conversation(sender)), result=TAKEN, connected=True)
    sender.refresh_from_db()
    assert (sender.connection, sender.pause_reason) == ("connected", "")


def test_a_text_that_fits_nowhere_costs_only_itself() -> None:
    message, other = make_sending(), make_sending()
    odd = "\x00\ud800" * 400
    failure = Failure(
        verdict=Verdict.REFUSED, error_class=ErrorClass.INVALID_RECIPIENT, code=odd, text=odd
    )
    end(message, result=SendResult(failure=failure))
    end(other, result=TAKEN)
    assert (status_of(message), status_of(other)) == ("failed", "accepted")
    assert ContactAddress.objects.exclude(invalid_at=None).count() == 1


def record(operation: str) -> CallRecord:
    return CallRecord(operation=operation, method="POST", url="https://gateway.example")


@pytest.mark.parametrize(
    ("keep", "result", "stored"),
    [
        (True, TAKEN, True),
        (False, TAKEN, False),
        (False, refused(ErrorClass.MEDIA), True),
    ],
)
def test_calls_are_kept_as_the_setting_says(
    keep: bool, result: SendResult, stored: bool, settings: Any
) -> None:
    settings.MESSAGING |= {"KEEP_CALLS": keep}
    message = make_sending()
    end(message, result=result, calls=(record("checkBal"), record("sendText")))
    assert ProviderCall.objects.count() == stored
    call = message.events.get().call
    assert (call.operation if call else None) == ("sendText" if stored else None)


def test_each_status_is_announced_once_and_only_for_what_changed() -> None:
    heard: list[tuple[str, list[int], str]] = []

    def hear(message_ids: list[int], status: str, source: str, **_values: Any) -> None:
        heard.append((status, sorted(message_ids), source))

    signals.message_status_changed.connect(hear)
    try:
        first, second, late = make_sending(), make_sending(), make_sending(status="delivered")
        end(first, second, late, result=TAKEN)
        end(first, result=TAKEN)
    finally:
        signals.message_status_changed.disconnect(hear)
    assert heard == [("accepted", sorted([first.pk, second.pk]), "send")]


def test_a_receiver_that_fails_loses_nothing() -> None:
    def fail(**_values: Any) -> None:
        raise RuntimeError

    signals.message_status_changed.connect(fail)
    try:
        message = make_sending()
        assert end(message, result=TAKEN) == {message.pk}
    finally:
        signals.message_status_changed.disconnect(fail)


def test_results_wait_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    message = make_sending()
    real, failures = delivery.flush.write, [OperationalError("away"), OperationalError("away")]

    def write(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(*arguments)

    monkeypatch.setattr(delivery.flush, "write", write)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    assert end(message, result=TAKEN) == {message.pk}
    assert status_of(message) == "accepted"


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 60.0, 119.0, 121.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)

    def work() -> None:
        raise OperationalError("away")

    with pytest.raises(OperationalError):
        delivery.patiently(work)


def test_putting_back_keeps_the_place_in_the_queue() -> None:
    due = NOW - timedelta(minutes=3)
    message = make_sending(retries=1)
    delivery.put_back([attempt_of(message, due_at=due)], NOW)
    assert (status_of(message), message.due_at, message.claim) == ("queued", due, None)
    assert (message.retries, message.attempts) == (1, 1)
    assert Conversation.objects.get()
