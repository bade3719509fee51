"""The reply window from end to end: each policy, whatever happens, around the moment it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.db import transaction

from messaging import inbox, outbox, sync
from messaging.adapters.base import SendOutcome, SendResult, SessionStatus
from messaging.adapters.dummy import Dummy
from messaging.content import TemplateMessage, Text
from messaging.delivery import Finished, finish
from messaging.errors import ErrorClass, Failure, Scope, Verdict, WindowClosed
from messaging.events import Inbound, Source, Status, StatusUpdate
from messaging.models import Conversation, Message, Template
from messaging.outbox import claims, ends
from tests.rows import (
    attempt_of,
    make_conversation,
    make_message,
    make_provider,
    make_sender,
    make_sending,
    make_template,
    status_of,
)

from .conftest import NOW, wrote

DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
MARGIN = timedelta(seconds=120)

ONLY, OR_TEMPLATE, NONE = "inbound_only", "inbound_or_template", "none"
PHONE = "+447911123456"

pytestmark = pytest.mark.django_db


@pytest.fixture
def time() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def _at_noon(time: Any) -> None:
    """Nothing here passes by itself."""


def conversation_under(policy: str, **values: Any) -> Conversation:
    channel = values.pop("channel", "whatsapp")
    sender = make_sender(make_provider(window_policy=policy), channel=channel)
    return make_conversation(sender, PHONE, **values)


# What happens


def take(conversation: Conversation, *events: Inbound | StatusUpdate, poll: bool = False) -> None:
    provider = conversation.sender.provider
    inbox.record(provider, events, Source.POLL if poll else Source.WEBHOOK)


def end(message: Message, result: SendResult) -> None:
    """The gateway has answered."""
    attempt = attempt_of(message)
    outcome = SendOutcome(results=(result,))
    now = datetime.now(NOW.tzinfo)
    finish([Finished(attempts=[attempt], outcome=outcome, started_at=now)], now)


def template_is_taken(conversation: Conversation, external_id: str = "t-1") -> Message:
    template = Template.objects.first() or make_template(conversation.sender.provider)
    content = TemplateMessage(template.ref(), {"1": "Friday"})
    message = make_sending(conversation, content=content, template=template)
    end(message, SendResult(status=Status.ACCEPTED, external_id=external_id))
    return message


def report(conversation: Conversation, status: Status, external_id: str = "t-1") -> None:
    take(conversation, StatusUpdate(external_id=external_id, status=status, occurred_at=NOW))


def refuse(conversation: Conversation) -> Message:
    """The gateway refuses free text: for it the window is closed."""
    message = make_sending(conversation)
    failure = Failure(
        verdict=Verdict.REFUSED,
        error_class=ErrorClass.WINDOW_CLOSED,
        scope=Scope.MESSAGE,
        text="Re-engagement message",
    )
    end(message, SendResult(failure=failure))
    return message


def session(conversation: Conversation, **answer: Any) -> None:
    """The gateway is asked about the window, and says this."""
    told = SessionStatus(**answer)
    with (
        mock.patch.object(Dummy, "session_status", return_value=told),
        mock.patch.object(Dummy, "supports", return_value=True),
    ):
        sync.ask_window(conversation)


def inbound(conversation: Conversation, ago: timedelta = timedelta(0), **values: Any) -> None:
    poll = values.pop("poll", False)
    take(conversation, wrote(occurred_at=NOW - ago, **values), poll=poll)


def inbound_after_refusal(conversation: Conversation, ago: timedelta) -> None:
    """Found now: a message from before (or after) the gateway's refusal an hour ago."""
    Conversation.objects.update(window_expires_at=NOW - HOUR, window_opened_by="closed")
    inbound(conversation, ago, poll=True)


def failed_template(conversation: Conversation) -> None:
    template_is_taken(conversation)
    report(conversation, Status.FAILED)


def failed_template_beside_inbound(conversation: Conversation) -> None:
    inbound(conversation, 5 * HOUR)
    failed_template(conversation)


def failed_then_delivered_template(conversation: Conversation) -> None:
    failed_template(conversation)
    report(conversation, Status.DELIVERED)


def refused_then_failed_template(conversation: Conversation) -> None:
    """A template that opened it anew and failed leaves what the refusal had closed."""
    inbound(conversation, 5 * HOUR)
    refuse(conversation)
    failed_template(conversation)


def second_template_fails_after_refusal(conversation: Conversation) -> None:
    template_is_taken(conversation)
    refuse(conversation)
    template_is_taken(conversation, "t-2")
    report(conversation, Status.FAILED, "t-2")


def another_message_in_a_group(conversation: Conversation) -> None:
    take(conversation, wrote(address="120363000000000001@g.us", occurred_at=NOW))


def receipts(conversation: Conversation) -> None:
    make_sending(conversation, status="accepted", external_id="t-1", accepted_at=NOW)
    for status in (Status.SENT, Status.DELIVERED, Status.READ):
        report(conversation, status)


def refused_although_open(conversation: Conversation) -> None:
    inbound(conversation, HOUR)
    refuse(conversation)


#: What happened, and when free text ends under each of the two rules (None: it may not be sent).
Ends = tuple[datetime | None, datetime | None]
EVENTS: dict[str, tuple[Callable[[Conversation], Any], Ends]] = {
    "nothing": (lambda c: None, (None, None)),
    "a message now": (inbound, (NOW + DAY, NOW + DAY)),
    "the same ten times": (
        lambda c: [inbound(c, poll=number % 2 == 0) for number in range(10)],
        (NOW + DAY, NOW + DAY),
    ),
    "a message without a time": (lambda c: take(c, wrote()), (NOW + DAY, NOW + DAY)),
    "a clock that goes ahead": (lambda c: inbound(c, -3 * DAY), (NOW + DAY, NOW + DAY)),
    "found late by a poll": (lambda c: inbound(c, 5 * HOUR, poll=True), (NOW + 19 * HOUR,) * 2),
    "found a day too late": (lambda c: inbound(c, DAY, poll=True), (NOW, NOW)),
    "an older one after a newer": (
        lambda c: [inbound(c), inbound(c, 5 * HOUR, external_id="in-0", poll=True)],
        (NOW + DAY, NOW + DAY),
    ),
    "older than a refusal": (lambda c: inbound_after_refusal(c, 2 * HOUR), (None, None)),
    "newer than a refusal": (
        lambda c: inbound_after_refusal(c, 30 * MINUTE),
        (NOW + DAY - 30 * MINUTE,) * 2,
    ),
    "a reaction": (
        lambda c: inbound(c, kind="reaction", content={"kind": "reaction", "emoji": "👍"}),
        (NOW + DAY, NOW + DAY),
    ),
    "a word of the gateway's own": (
        lambda c: inbound(c, kind="system", content={"kind": "system"}),
        (None, None),
    ),
    "a message in a group": (another_message_in_a_group, (None, None)),
    "receipts": (receipts, (None, None)),
    "a template is taken": (template_is_taken, (None, NOW + DAY)),
    "a template after a message": (
        lambda c: [inbound(c, 5 * HOUR), template_is_taken(c)],
        (NOW + 19 * HOUR, NOW + DAY),
    ),
    "a template that later fails": (failed_template, (None, None)),
    "a template that fails beside a message": (
        failed_template_beside_inbound,
        (NOW + 19 * HOUR, NOW + 19 * HOUR),
    ),
    "a template that fails and arrives": (failed_then_delivered_template, (None, NOW + DAY)),
    "the gateway says open": (
        lambda c: session(c, is_open=True, expires_at=NOW + 3 * HOUR),
        (NOW + 3 * HOUR, NOW + 3 * HOUR),
    ),
    "the gateway says shorter": (
        lambda c: [inbound(c), session(c, is_open=True, expires_at=NOW + 3 * HOUR)],
        (NOW + DAY, NOW + DAY),
    ),
    "the gateway says closed": (
        lambda c: [inbound(c), session(c, is_open=False, expires_at=None)],
        (NOW + DAY, NOW + DAY),
    ),
    "a refused send": (refused_although_open, (None, None)),
    "a template after a refused send": (
        lambda c: [refused_although_open(c), template_is_taken(c)],
        (None, NOW + DAY),
    ),
    "a refused send, and a template that fails": (refused_then_failed_template, (None, None)),
    "two templates around a refused send": (second_template_fails_after_refusal, (None, None)),
}


# Whether free text may be sent


def admitted(conversation: Conversation) -> bool:
    """Whether the door lets free text pass now. Nothing is left behind."""
    try:
        with transaction.atomic():
            outbox.queue(Text("Hello"), to=conversation)
            transaction.set_rollback(True)
    except WindowClosed:
        return False
    return True


def leaves(conversation: Conversation) -> bool:
    """Whether a message that waits would leave now; what may not is settled and says why."""
    now = datetime.now(NOW.tzinfo)
    message = make_message(conversation, due_at=now)
    attempts = claims.claim("default", conversation.sender, message.priority, 10, now)
    begun = claims.begin("default", attempts, now, 57)
    if not begun:
        assert ends.settle_left("default", attempts, now) == []
        assert (status_of(message), message.error_class) == ("failed", "window_closed")
        assert message.sending_at is None
    message.delete()
    return bool(begun)


@pytest.mark.parametrize("policy", [ONLY, OR_TEMPLATE, NONE])
@pytest.mark.parametrize("event", EVENTS)
def test_the_table(event: str, policy: str, time: Any) -> None:
    happen, ends_at = EVENTS[event]
    conversation = conversation_under(policy)
    happen(conversation)
    if policy == NONE:
        for moment in (NOW, NOW + 3 * DAY):
            time.move_to(moment)
            assert admitted(conversation)
            assert leaves(conversation)
        return
    closes_at = ends_at[policy == OR_TEMPLATE]
    if closes_at is None:
        assert not admitted(conversation)
        assert not leaves(conversation)
        return
    for moment, is_open in (
        (closes_at - TICK, True),
        (closes_at, False),
        (closes_at + TICK, False),
    ):
        time.move_to(moment)
        assert admitted(conversation) == is_open, moment
        # What waits leaves only with time to spare: the call takes some.
        time.move_to(moment - MARGIN)
        assert leaves(conversation) == is_open, moment


@pytest.mark.parametrize("event", EVENTS)
def test_sms_knows_no_window(event: str) -> None:
    conversation = conversation_under(ONLY, channel="sms")
    EVENTS[event][0](conversation)
    assert admitted(conversation)
    assert leaves(conversation)


def test_another_policy_reads_the_same_rows(time: Any) -> None:
    """What is stored are facts; who changes the policy changes what they mean."""
    conversation = conversation_under(OR_TEMPLATE)
    inbound(conversation, 5 * HOUR)
    template_is_taken(conversation)
    time.move_to(NOW + 20 * HOUR)
    provider = conversation.sender.provider
    for policy, is_open in ((OR_TEMPLATE, True), (ONLY, False), (NONE, True), (OR_TEMPLATE, True)):
        provider.window_policy = policy
        provider.save()
        assert (admitted(conversation), leaves(conversation)) == (is_open, is_open)


def test_a_group_has_no_window_and_opens_nobodys(time: Any) -> None:
    conversation = conversation_under(ONLY)
    another_message_in_a_group(conversation)
    group = Conversation.objects.get(kind="group")
    assert (group.window_expires_at, group.last_inbound_at, group.unread_count) == (None, None, 1)
    # No rule about time keeps anything from it: another one does.
    assert leaves(group)
    (refusal,) = outbox.check(Text("Hello"), to=group).refusals
    assert "groups" in refusal


# Refused by the gateway


def test_a_refusal_closes_at_once_and_names_the_way_that_is_left() -> None:
    conversation = conversation_under(ONLY)
    inbound(conversation, HOUR)
    message = refuse(conversation)
    assert (status_of(message), message.error_class) == ("failed", "window_closed")
    conversation.refresh_from_db()
    assert (conversation.window_opened_by, conversation.window_expires_at) == ("closed", NOW)
    with pytest.raises(WindowClosed, match="approved template"):
        outbox.queue(Text("Again"), to=conversation)
    with pytest.raises(WindowClosed):
        outbox.send_again(message)
    template = make_template(conversation.sender.provider)
    outbox.queue(TemplateMessage(template.ref(), {"1": "Friday"}), to=conversation)


def test_what_waited_behind_a_refused_message_does_not_leave_either() -> None:
    conversation = conversation_under(ONLY)
    inbound(conversation, HOUR)
    outbox.queue(Text("Second"), to=conversation)
    refuse(conversation)
    Message.objects.filter(status="queued").delete()
    assert not leaves(conversation)


@pytest.mark.parametrize("told_first", [True, False])
def test_a_customer_who_writes_while_we_are_refused_keeps_it_open(
    time: Any, told_first: bool
) -> None:
    """Whichever of the two we hear of first."""
    conversation = conversation_under(ONLY)
    message = make_sending(conversation)
    failure = Failure(verdict=Verdict.REFUSED, error_class=ErrorClass.WINDOW_CLOSED)
    outcome = SendOutcome(results=(SendResult(failure=failure),))
    answered = Finished(attempts=[attempt_of(message)], outcome=outcome, started_at=NOW)
    steps = [
        lambda: take(conversation, wrote(occurred_at=NOW + 5 * SECOND)),
        lambda: finish([answered], NOW + 9 * SECOND),
    ]
    time.move_to(NOW + 9 * SECOND)
    for step in steps if told_first else reversed(steps):
        step()
    assert admitted(conversation)


# Held messages


def held(conversation: Conversation) -> Message:
    return outbox.queue(Text("When you are back"), to=conversation, hold=outbox.HOLD_WINDOW)


@pytest.mark.parametrize("policy", [ONLY, OR_TEMPLATE])
@pytest.mark.parametrize("event", EVENTS)
def test_held_messages_leave_only_where_they_may(event: str, policy: str) -> None:
    """What came too late, or came from no customer, must not turn waiting into failing."""
    conversation = conversation_under(policy)
    message = held(conversation)
    EVENTS[event][0](conversation)
    message.refresh_from_db()
    if not message.held:
        assert message.due_at == NOW
        message.delete()
        assert leaves(conversation) or "refused" in event


def test_held_messages_leave_when_the_customer_writes() -> None:
    conversation = conversation_under(ONLY)
    message = held(conversation)
    inbound(conversation)
    message.refresh_from_db()
    assert message.due_at == NOW


@pytest.mark.parametrize("ago", [DAY, DAY + HOUR, DAY - MARGIN])
def test_a_message_found_too_late_leaves_held_ones_waiting(ago: timedelta) -> None:
    conversation = conversation_under(ONLY)
    message = held(conversation)
    inbound(conversation, ago, poll=True)
    message.refresh_from_db()
    assert message.held
    inbound(conversation, external_id="in-2")
    message.refresh_from_db()
    assert not message.held


def test_without_a_rule_held_messages_leave_with_the_next_word(settings: Any) -> None:
    conversation = conversation_under(ONLY)
    message = held(conversation)
    provider = conversation.sender.provider
    provider.window_policy = NONE
    provider.save()
    inbound(conversation, 3 * DAY, poll=True)
    message.refresh_from_db()
    assert not message.held
