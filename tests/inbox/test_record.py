"""What comes in ends in the same rows, whatever brought it, how often and in which order."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging import inbox, outbox, signals
from messaging.content import Text
from messaging.events import Inbound, InboundMedia, Source, Status, StatusUpdate
from messaging.models import (
    Attachment,
    Contact,
    ContactAddress,
    Conversation,
    Message,
    ParkedStatus,
    Sender,
)
from tests.rows import make_address, make_conversation, make_provider, make_sender, make_sending

from .conftest import NOW, wrote

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

DAY = timedelta(hours=24)


def take(sender: Sender, *events: Any, source: Source = Source.WEBHOOK, **options: Any) -> Any:
    return inbox.record(sender.provider, events, source, **options)


def rows() -> set[tuple[Any, ...]]:
    """Everything that must not depend on how often and in which order events came."""
    return {
        (
            message.external_id,
            message.text,
            message.status,
            message.conversation.address.value,
            message.conversation.unread_count,
            message.conversation.window_expires_at,
            message.conversation.last_inbound_at,
            message.source,
        )
        for message in Message.objects.select_related("conversation__address")
    }


# One message


def test_a_message_of_somebody_new_makes_everything_it_needs(sender: Sender) -> None:
    (message,) = take(sender, wrote(name="Asha", occurred_at=NOW - timedelta(minutes=1))).messages
    conversation = message.conversation
    assert (message.direction, message.status, message.text) == ("inbound", "received", "Hello")
    assert message.occurred_at == NOW - timedelta(minutes=1)
    assert (conversation.sender, conversation.kind) == (sender, "person")
    conversation.refresh_from_db()
    assert (conversation.unread_count, conversation.status) == (1, "open")
    assert conversation.last_message_text == "Hello"
    assert conversation.window_expires_at == NOW - timedelta(minutes=1) + DAY
    assert conversation.window_opened_by == "inbound"
    contact = conversation.address.contact
    assert (contact.name, contact.phone) == ("Asha", "+447911123456")


def test_it_joins_the_conversation_there_is(sender: Sender) -> None:
    contact = Contact.objects.create(name="Mrs Rao")
    address = make_address("+447911123456", contact=contact)
    conversation = make_conversation(sender, address=address, status="done", version=7)
    take(sender, wrote(name="asha 🌸"))
    conversation.refresh_from_db()
    assert (conversation.status, conversation.version) == ("open", 8)
    contact.refresh_from_db()
    assert contact.name == "Mrs Rao"
    assert (Conversation.objects.count(), ContactAddress.objects.count()) == (1, 1)


def test_a_nameless_contact_takes_the_name_people_gave_themselves(sender: Sender) -> None:
    address = make_address("+447911123456")
    take(sender, wrote(name="Asha"))
    address.contact.refresh_from_db()
    assert address.contact.name == "Asha"


def test_the_same_message_ten_times_is_one(sender: Sender) -> None:
    for number in range(10):
        source = Source.POLL if number % 2 else Source.WEBHOOK
        take(sender, wrote(occurred_at=NOW), source=source)
    conversation = Conversation.objects.get()
    assert (Message.objects.count(), conversation.unread_count, conversation.version) == (1, 1, 1)


def test_one_id_of_two_senders_is_two_messages(sender: Sender) -> None:
    other = make_sender(sender.provider, address="+447700900101")
    take(sender, wrote(to="+447700900100"), wrote(to="+447700900101"))
    assert {message.sender for message in Message.objects.all()} == {sender, other}


def test_messages_without_an_id_are_told_apart_by_their_time_or_request(sender: Sender) -> None:
    at = wrote(external_id="", occurred_at=NOW)
    later = wrote(external_id="", occurred_at=NOW + timedelta(seconds=1))
    timeless = wrote(external_id="")
    for _repetition in range(2):
        take(sender, at, later)
        take(sender, timeless, timeless, origin="d1")
        take(sender, timeless, origin="d2")
    assert Message.objects.count() == 5


@pytest.mark.parametrize(
    ("stored", "came"),
    [
        ("+5511987654321", "+551187654321"),
        ("+551187654321", "+5511987654321"),
        ("+525512345678", "+5215512345678"),
        ("+5215512345678", "+525512345678"),
        ("+541123456789", "+5491123456789"),
        ("+5491123456789", "+541123456789"),
    ],
)
def test_numbers_with_two_spellings_are_matched_and_never_rewritten(
    sender: Sender, stored: str, came: str
) -> None:
    address = make_address(stored)
    (message,) = take(sender, wrote(address=came)).messages
    assert message.conversation.address == address
    assert message.external_data["from"] == came
    take(sender, wrote(address=came, external_id="in-2"))
    assert list(ContactAddress.objects.values_list("value", flat=True)) == [stored]
    assert Conversation.objects.count() == 1


def test_the_very_number_comes_before_its_other_spelling(sender: Sender) -> None:
    for value in ("+551187654321", "+5511987654321"):
        make_conversation(sender, value)
    (message,) = take(sender, wrote(address="+5511987654321")).messages
    assert message.conversation.address.value == "+5511987654321"


# Whose it is


def test_a_message_for_an_unknown_number_waits_for_a_person(sender: Sender) -> None:
    done = take(sender, wrote(to="+447700900999"), wrote(external_id="in-2", to="+447700900100"))
    assert [message.external_id for message in done.messages] == ["in-2"]
    assert len(done.problems) == 1


def test_a_message_without_its_author_waits_for_a_person(sender: Sender) -> None:
    done = take(sender, wrote(address=""))
    assert (done.messages, len(done.problems)) == ([], 1)
    assert not Message.objects.exists()


def test_a_message_that_names_no_sender_is_the_only_ones(sender: Sender) -> None:
    assert take(sender, wrote()).messages
    make_sender(sender.provider, address="+447700900101")
    assert take(sender, wrote(external_id="in-2")).problems


def test_another_providers_rows_are_never_touched(sender: Sender) -> None:
    other = make_sender(make_provider(), address="+447700900100")
    make_conversation(other, "+447911123456")
    take(sender, wrote(), StatusUpdate(external_id="x", status=Status.READ))
    assert Message.objects.get().sender == sender
    assert other.conversations.get().unread_count == 0


# Groups, hidden ids, posts


def test_a_group_is_no_person_and_has_no_window(sender: Sender) -> None:
    (message,) = take(sender, wrote("STOP", address="120363000000000001@g.us")).messages
    conversation = Conversation.objects.get()
    assert (conversation.kind, conversation.address.kind) == ("group", "group")
    assert (conversation.window_expires_at, conversation.last_inbound_at) == (None, None)
    assert (conversation.unread_count, message.conversation.address.opted_out_at) == (1, None)


def test_a_hidden_id_can_be_read_but_not_written_to(sender: Sender) -> None:
    take(sender, wrote(address="123456789012345@lid"))
    conversation = Conversation.objects.get()
    assert (conversation.kind, conversation.address.kind) == ("person", "lid")
    with pytest.raises(Exception, match="hidden by WhatsApp"):
        outbox.queue(Text("Hello"), to=conversation)


def test_status_posts_are_dropped_unless_they_are_wanted(sender: Sender, settings: Any) -> None:
    post = wrote("STOP", address="status@broadcast", external_data={"ignored": "status"})
    done = take(sender, post)
    assert (done.messages, done.problems) == ([], [])
    settings.MESSAGING["KEEP_STATUS_POSTS"] = True
    assert take(sender, post).messages
    # Nobody can be written to there, so it is no window and no word to us.
    row = Conversation.objects.get()
    assert (row.kind, row.window_expires_at, row.address.opted_out_at) == ("group", None, None)


# The window


def window(sender: Sender) -> tuple[Any, ...]:
    row = Conversation.objects.get(sender=sender)
    return row.last_inbound_at, row.window_expires_at, row.window_opened_by


def test_a_clock_that_goes_ahead_does_not_lengthen_the_window(sender: Sender) -> None:
    take(sender, wrote(occurred_at=NOW + timedelta(days=3)))
    assert window(sender) == (NOW, NOW + DAY, "inbound")


def test_an_older_message_found_late_moves_nothing_back(sender: Sender) -> None:
    take(sender, wrote(occurred_at=NOW))
    take(sender, wrote(external_id="in-0", occurred_at=NOW - timedelta(hours=5)))
    assert window(sender) == (NOW, NOW + DAY, "inbound")


def test_a_message_from_before_a_refusal_does_not_open_what_it_closed(sender: Sender) -> None:
    closed_at = NOW - timedelta(minutes=10)
    make_conversation(
        sender, "+447911123456", window_expires_at=closed_at, window_opened_by="closed"
    )
    take(sender, wrote(occurred_at=closed_at - timedelta(minutes=1)))
    assert window(sender)[1:] == (closed_at, "closed")
    take(sender, wrote(external_id="in-2", occurred_at=closed_at + timedelta(minutes=1)))
    assert window(sender)[1:] == (closed_at + timedelta(minutes=1) + DAY, "inbound")


def test_a_longer_window_stays_as_it_is(sender: Sender) -> None:
    make_conversation(
        sender,
        "+447911123456",
        window_expires_at=NOW + timedelta(hours=72),
        window_opened_by="session",
    )
    take(sender, wrote(occurred_at=NOW))
    assert window(sender) == (NOW, NOW + timedelta(hours=72), "session")


@pytest.mark.parametrize("kind", ["text", "button_reply", "reaction", "image", "unsupported"])
def test_whatever_a_customer_does_opens_the_window(sender: Sender, kind: str) -> None:
    take(sender, wrote(kind=kind, content={"kind": kind}))
    assert window(sender)[1] == NOW + DAY


def test_what_the_gateway_itself_says_does_not(sender: Sender) -> None:
    take(sender, wrote(kind="system", content={"kind": "system"}))
    assert window(sender) == (None, None, "")


def test_held_messages_leave_when_the_customer_writes(sender: Sender) -> None:
    held = outbox.queue(Text("Now?"), to="+447911123456", sender=sender, hold="window")
    assert held.due_at is None
    take(sender, wrote())
    held.refresh_from_db()
    assert held.due_at == NOW


# Words that end and begin consent


def said(sender: Sender, text: str, at: datetime, name: str) -> None:
    take(sender, wrote(text, external_id=name, occurred_at=at))


def is_out() -> bool:
    return ContactAddress.objects.get().opted_out_at is not None


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(minutes=2)])
def test_the_last_word_counts_whatever_the_gateways_clock_shows(
    sender: Sender, frozen: Any, behind: timedelta
) -> None:
    """Gateways tell whole seconds, and their clocks are not ours."""
    for number, word in enumerate(["STOP", "START", "STOP", "START", "STOP"]):
        frozen.move_to(NOW + timedelta(seconds=0.1 * (number + 1)))
        said(sender, word, NOW - behind, f"in-{number}")
        assert is_out() == (word == "STOP")


@pytest.mark.parametrize("ago", [timedelta(minutes=1), timedelta(hours=1)])
def test_a_word_found_late_does_not_undo_a_later_one(sender: Sender, ago: timedelta) -> None:
    said(sender, "STOP", NOW, "in-2")
    said(sender, "START", NOW - ago, "in-1")
    assert is_out()


# By webhook and by report


def test_a_webhook_that_comes_after_the_report_is_noted(sender: Sender) -> None:
    take(sender, wrote(external_ref="0" * 24), source=Source.POLL)
    assert Message.objects.get().source == "poll"
    take(sender, wrote())
    message = Message.objects.get()
    assert (message.source, message.external_ref) == ("webhook", "0" * 24)


def test_a_report_adds_the_id_the_webhook_did_not_know(sender: Sender) -> None:
    take(sender, wrote())
    assert inbox.record_page(sender, [wrote(external_ref="f" * 24)]) == 0
    message = Message.objects.get()
    assert (message.source, message.external_ref) == ("webhook", "f" * 24)


def test_a_webhook_brings_the_file_a_report_could_not(sender: Sender) -> None:
    file = Attachment.objects.create(filename="a.jpg", size=3)
    inbox.record_page(sender, [wrote(kind="image", media=InboundMedia(missing=True))])
    take(sender, wrote(kind="image", media=InboundMedia(file=str(file.key))))
    assert Message.objects.get().attachments.get() == file


def test_a_page_tells_nothing_twice_and_takes_few_statements(sender: Sender) -> None:
    page = [wrote(external_id=f"in-{number}", external_ref=f"{number}") for number in range(100)]
    assert inbox.record_page(sender, page) == 100
    with CaptureQueriesContext(connection) as captured:
        assert inbox.record_page(sender, page) == 0
    assert len(captured) <= 2


# Any order, any repetition

EVENTS: list[Inbound | StatusUpdate] = [
    wrote("One", external_id="in-1", occurred_at=NOW - timedelta(hours=3)),
    wrote("Two", external_id="in-2", occurred_at=NOW - timedelta(hours=2)),
    wrote("Three", external_id="in-3", address="+447911000003", occurred_at=NOW),
    StatusUpdate(external_id="out-1", status=Status.SENT, occurred_at=NOW),
    StatusUpdate(external_id="out-1", status=Status.READ, occurred_at=NOW),
]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.permutations(EVENTS + EVENTS[1:4]), st.lists(st.booleans(), min_size=8, max_size=8))
def test_any_order_and_repetition_ends_alike(
    sender: Sender, events: list[Any], by_webhook: list[bool]
) -> None:
    ends = []
    for order, sources in ((EVENTS, [True] * 8), (events, by_webhook)):
        with transaction.atomic():
            message = make_sending(
                make_conversation(sender, "+447911000009"),
                status="accepted",
                external_id="out-1",
                accepted_at=NOW,
            )
            for event, pushed in zip(order, sources, strict=False):
                take(sender, event, source=Source.WEBHOOK if pushed else Source.POLL)
            for event in EVENTS:
                take(sender, event)
            message.refresh_from_db()
            ends.append((rows(), message.sent_at, message.read_at))
            transaction.set_rollback(True)
    assert ends[0] == ends[1]


def test_a_report_before_our_own_answer_is_kept_for_it(sender: Sender) -> None:
    for _repetition in range(10):
        take(sender, StatusUpdate(external_id="out-1", status=Status.DELIVERED, occurred_at=NOW))
    assert ParkedStatus.objects.count() == 1


# Bad company


def test_one_bad_item_harms_no_other(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    real = inbox.record.__globals__["people"].conversation_for

    def conversation_for(row: Sender, event: Inbound) -> Conversation:
        if event.text == "bad":
            raise RuntimeError
        found: Conversation = real(row, event)
        return found

    monkeypatch.setattr(inbox.record.__globals__["people"], "conversation_for", conversation_for)
    texts = ["one", "bad", "two"]
    done = take(sender, *(wrote(text, external_id=text) for text in texts))
    assert [message.text for message in done.messages] == ["one", "two"]
    assert [event.text for event in done.failed] == ["bad"]


def test_a_failing_receiver_loses_no_message(
    sender: Sender, django_capture_on_commit_callbacks: Any
) -> None:
    seen: list[str] = []

    def bad(**_values: Any) -> None:
        raise RuntimeError

    def good(message: Message, **_values: Any) -> None:
        seen.append(message.text)

    signals.message_received.connect(bad)
    signals.message_received.connect(good)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            take(sender, wrote())
    finally:
        signals.message_received.disconnect(bad)
        signals.message_received.disconnect(good)
    assert seen == ["Hello"]
    assert Message.objects.count() == 1


def test_a_known_persons_message_takes_four_statements(sender: Sender) -> None:
    make_conversation(sender, "+447911123456").address.contact.save()
    with CaptureQueriesContext(connection) as captured:
        take(sender, wrote())
    spent = [item["sql"] for item in captured if "SAVEPOINT" not in item["sql"]]
    # Senders, conversation, message, conversation: the request's own three make seven.
    assert len(spent) == 4, spent


def test_permutations_of_statuses_and_messages_in_one_batch(sender: Sender) -> None:
    ends = set()
    for order in itertools.permutations(EVENTS[:3]):
        take(sender, *order)
        ends.add(frozenset((row[0], row[1], row[3], row[5], row[6]) for row in rows()))
        Message.objects.all().delete()
        Conversation.objects.all().delete()
    assert len(ends) == 1


def test_times_without_a_zone_are_not_needed(sender: Sender) -> None:
    (message,) = take(sender, wrote(occurred_at=datetime(2027, 3, 1, 11, tzinfo=UTC))).messages
    assert message.created_at == NOW
