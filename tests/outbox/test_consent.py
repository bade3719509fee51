"""Opting out and in: what it changes, the one answer, and what still may not leave."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import transaction

from messaging import consent, outbox
from messaging.content import Text
from messaging.errors import InvalidContent, OptedOut
from messaging.models import (
    AddressKind,
    Contact,
    ContactAddress,
    Conversation,
    Message,
    MessageEvent,
    Suppression,
)
from messaging.models.fields import keyed_digests
from messaging.outbox import claims, ends
from tests.rows import (
    make_address,
    make_conversation,
    make_message,
    make_provider,
    make_sender,
    status_of,
)

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture
def conversation() -> Conversation:
    return make_conversation()


def stop(conversation: Conversation, **values: Any) -> bool:
    fields = {"source": "message", "evidence": "STOP", "confirm_in": conversation, **values}
    return outbox.opt_out(conversation.address, **fields)


def start(conversation: Conversation, **values: Any) -> bool:
    fields = {"source": "message", "evidence": "START", "confirm_in": conversation, **values}
    return outbox.opt_in(conversation.address, **fields)


def send(message: Message) -> str:
    """Claim, begin and settle; the state it is in then."""
    attempts = claims.claim("default", message.sender, message.priority, 10, datetime.now(UTC))
    begun = claims.begin("default", attempts, datetime.now(UTC), 57)
    ends.settle_left("default", [a for a in attempts if a.message_id not in begun], NOW)
    return status_of(message)


# Out


def test_an_opt_out_is_recorded_once(
    conversation: Conversation, traveller: time_machine.Coordinates
) -> None:
    address = conversation.address
    assert stop(conversation) is True
    assert (address.opted_out_at, address.opt_out_source) == (NOW, "message")
    assert address.opt_out_evidence == "STOP"
    traveller.shift(HOUR)
    assert stop(conversation, source="person", evidence="again") is False
    assert outbox.opt_out(address, source="gateway") is False
    stored = ContactAddress.objects.get()
    assert (stored.opted_out_at, stored.opt_out_source, stored.opt_out_evidence) == (
        NOW,
        "message",
        "STOP",
    )
    assert Message.objects.count() == 1


def test_one_answer_goes_out_and_nothing_else(conversation: Conversation) -> None:
    queued = make_message(conversation)
    other = make_message()
    sending = make_message(status="sending", claim="0" * 32)
    stop(conversation)
    answer = Message.objects.get(key__startswith="messaging:")
    assert answer.conversation_id == conversation.pk
    assert answer.text == "You will get no more messages from us. To get them again, reply START."
    assert answer.key == f"messaging:opt-out:{conversation.address_id}:{int(NOW.timestamp())}"
    assert send(queued) == "failed"
    assert queued.error_class == "opted_out"
    assert send(answer) == "sending"
    assert send(other) == "sending"
    assert status_of(sending) == "sending"
    with pytest.raises(OptedOut):
        outbox.queue(Text("One more"), to=conversation)


@pytest.mark.parametrize("level", [ContactAddress, Contact])
@pytest.mark.parametrize(
    "key",
    [
        None,
        "order-7",
        "messaging:opt-in:{id}:1",
        "messaging:opt-out:1{id}:1",
        "messaging:opt-out:",
        "messaging:opt-out:{id}",
        "x messaging:opt-out:{id}:1",
    ],
)
def test_no_other_key_passes_the_recheck(
    level: Any, key: str | None, conversation: Conversation
) -> None:
    key = key and key.format(id=conversation.address_id)
    message = make_message(conversation, key=key)
    level.objects.update(opted_out_at=NOW)
    assert send(message) == "failed"
    assert message.error_class == "opted_out"


@pytest.mark.parametrize("level", [ContactAddress, Contact])
def test_the_answer_passes_the_recheck_at_both_levels(
    level: Any, conversation: Conversation
) -> None:
    key = consent.confirmation_key(conversation.address_id, NOW)
    message = make_message(conversation, key=key)
    level.objects.update(opted_out_at=NOW)
    assert ends._why_left(message, NOW) is None
    assert send(message) == "sending"


def test_the_answer_keeps_to_all_other_rules() -> None:
    sender = make_sender(make_provider(window_policy="inbound_only"))
    conversation = make_conversation(
        sender,
        last_inbound_at=NOW,
        window_expires_at=NOW + 9 * HOUR,
        window_opened_by="inbound",
    )
    stop(conversation)
    answer = Message.objects.get()
    Conversation.objects.update(window_expires_at=NOW)
    assert send(answer) == "failed"
    assert answer.error_class == "window_closed"


def test_where_nothing_may_be_sent_the_word_counts_all_the_same() -> None:
    closed = make_conversation(make_sender(make_provider(window_policy="inbound_only")))
    hidden = make_conversation(address=make_address("1@lid", kind=AddressKind.LID))
    for conversation in (closed, hidden):
        assert stop(conversation) is True
        assert conversation.address.opted_out_at == NOW
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    "kind", ["messaging:", "messaging:opt-out:{id}:1", "Messaging:Opt-Out:{id}:2"]
)
def test_nobody_else_has_such_keys(kind: str, conversation: Conversation) -> None:
    key = kind.format(id=conversation.address_id)
    with pytest.raises(InvalidContent, match="messaging:"):
        outbox.queue(Text("Hello"), to=conversation, key=key)
    queued = outbox.queue_many([outbox.Draft(content=Text("Hello"), to=conversation, key=key)])
    assert (queued.messages, len(queued.refused)) == ([None], 1)
    stop(conversation)
    # Not even the one there is.
    key = str(Message.objects.get().key)
    with pytest.raises(InvalidContent):
        outbox.queue(Text("Hello"), to=conversation, key=key)
    outbox.queue(Text("Hello"), to="+447911999999", sender=conversation.sender, key="my-messaging:")


def test_a_failed_answer_is_not_sent_again(conversation: Conversation) -> None:
    stop(conversation)
    Message.objects.update(status="failed")
    with pytest.raises(OptedOut):
        outbox.send_again(Message.objects.get())


@pytest.mark.parametrize("values", [{"CONFIRM_OPT_OUT": False}, None])
def test_it_is_not_said_where_it_is_not_wanted(
    values: dict[str, Any] | None, conversation: Conversation, settings: Any
) -> None:
    settings.MESSAGING |= values or {}
    where = {} if values else {"confirm_in": None}
    assert stop(conversation, **where) is True
    assert start(conversation, **where) is True
    assert not Message.objects.exists()


def test_the_words_are_the_hosts(conversation: Conversation, settings: Any) -> None:
    settings.MESSAGING |= {"OPT_OUT_TEXT": "Bye.", "OPT_IN_TEXT": "Hello again."}
    stop(conversation)
    start(conversation)
    assert list(Message.objects.order_by("id").values_list("text", flat=True)) == [
        "Bye.",
        "Hello again.",
    ]


@pytest.mark.parametrize("language", ["", "de", "pt_BR", "en-GB", "xx", "../x", "zh_Hans_CN"])
def test_any_language_on_file_will_do(language: str, conversation: Conversation) -> None:
    Contact.objects.update(language=language)
    conversation.refresh_from_db()
    stop(conversation)
    assert "START" in Message.objects.get().text


def test_a_person_who_is_out_is_not_told_again(conversation: Conversation) -> None:
    contact = conversation.address.contact
    assert outbox.opt_out(contact, source="person", evidence="by phone") is True
    assert (contact.opted_out_at, contact.opt_out_evidence) == (NOW, "by phone")
    assert stop(conversation) is True
    assert not Message.objects.exists()


def test_who_recorded_it_stays_whatever_is_cut(conversation: Conversation) -> None:
    user = get_user_model().objects.create_user("ada", first_name="Ada", last_name="Lovelace")
    address = conversation.address
    outbox.opt_out(address, source="person", evidence="told  me\non the phone", by=user)
    assert address.opt_out_evidence == "told me on the phone (Ada Lovelace)"
    outbox.opt_in(address, source="person", evidence="x" * 300, by=user)
    outbox.opt_out(address, source="person", evidence="x" * 300, by=user)
    assert len(address.opt_out_evidence) == 255
    assert address.opt_out_evidence.endswith("x (Ada Lovelace)")


@pytest.mark.parametrize("step", [outbox.opt_out, outbox.opt_in])
def test_a_source_is_one_we_know(step: Any, conversation: Conversation) -> None:
    with pytest.raises(ValueError, match="telepathy"):
        step(conversation.address, source="telepathy")


# In


def test_a_word_restores_all_there_is(
    conversation: Conversation, traveller: time_machine.Coordinates
) -> None:
    address = conversation.address
    second = make_address("+447911888888", contact=address.contact, opted_out_at=NOW)
    outbox.opt_out(address.contact, source="person", evidence="letter")
    stop(conversation, confirm_in=None)
    Suppression.objects.create(digest=keyed_digests("address", address.value)[0])
    Suppression.objects.create(digest=keyed_digests("address", second.value)[0])
    traveller.shift(HOUR)
    assert start(conversation) is True
    address = ContactAddress.objects.select_related("contact").get(pk=address.pk)
    contact = address.contact
    for row in (address, contact):
        assert (row.opted_out_at, row.opt_out_source, row.opt_out_evidence) == (None, "", "")
    assert (contact.consented_at, contact.consent_source) == (NOW + HOUR, "message")
    assert contact.notes == ""
    # Of this address alone.
    assert Suppression.objects.count() == 1
    second.refresh_from_db()
    assert second.opted_out_at == NOW
    answer = Message.objects.get()
    assert answer.text == "You will get our messages again. To stop them, reply STOP."
    assert send(answer) == "sending"
    # Again is nothing new.
    traveller.shift(HOUR)
    assert start(conversation) is False
    contact.refresh_from_db()
    assert contact.consented_at == NOW + HOUR
    assert Message.objects.count() == 1


def test_who_never_opted_out_agrees_by_it(conversation: Conversation) -> None:
    assert start(conversation) is False
    contact = Contact.objects.get()
    assert (contact.consented_at, contact.consent_source) == (NOW, "message")
    assert not Message.objects.exists()


def test_only_the_persons_own_word_lifts_what_was_kept_of_them(conversation: Conversation) -> None:
    address = conversation.address
    Suppression.objects.create(digest=keyed_digests("address", address.value)[0])
    outbox.opt_in(address, source="person", evidence="by phone")
    assert Suppression.objects.exists()
    with pytest.raises(OptedOut):
        outbox.queue(Text("Hello"), to=conversation)
    assert start(conversation) is True
    outbox.queue(Text("Hello"), to=conversation)


def test_consent_given_elsewhere_is_noted(conversation: Conversation) -> None:
    user = get_user_model().objects.create_user("ada")
    address, contact = conversation.address, conversation.address.contact
    Contact.objects.update(notes="Prefers mornings.")
    stop(conversation)
    outbox.opt_in(contact, source="person", evidence="signed a form", by=user)
    assert contact.notes == (
        "Prefers mornings.\n2027-03-01: agreed to messages. signed a form (ada)"
    )
    address.refresh_from_db()
    assert address.opted_out_at is None


def test_a_person_restored_is_so_at_all_addresses(conversation: Conversation) -> None:
    contact = conversation.address.contact
    make_address("+447911888888", contact=contact, opted_out_at=NOW)
    other = make_address("+447911777777", opted_out_at=NOW)
    stop(conversation)
    assert outbox.opt_in(contact, source="person", evidence="form") is True
    assert list(ContactAddress.objects.exclude(opted_out_at=None)) == [other]


def test_to_and_fro(conversation: Conversation, traveller: time_machine.Coordinates) -> None:
    for _round in range(2):
        assert stop(conversation) is True
        traveller.shift(HOUR)
        assert start(conversation) is True
        traveller.shift(HOUR)
    assert Message.objects.count() == 4
    assert send(Message.objects.order_by("id")[0]) == "sending"


def test_an_answer_to_start_fails_where_they_stopped_again(
    conversation: Conversation, traveller: time_machine.Coordinates
) -> None:
    ContactAddress.objects.update(opted_out_at=NOW)
    start(conversation)
    answer = Message.objects.get()
    traveller.shift(HOUR)
    stop(conversation)
    assert send(answer) == "failed"
    assert MessageEvent.objects.get(message=answer).text == "opted_out"


@pytest.mark.django_db(transaction=True)
def test_screens_see_it_after_the_commit(conversation: Conversation) -> None:
    other = make_conversation(address=conversation.address)
    stop(conversation, confirm_in=None)
    versions = Conversation.objects.order_by("pk").values_list("pk", "version")
    assert list(versions) == [(conversation.pk, 1), (other.pk, 1)]


def test_an_opt_out_joins_the_transaction_of_its_message(conversation: Conversation) -> None:
    with transaction.atomic():
        stop(conversation)
        transaction.set_rollback(True)
    assert ContactAddress.objects.get().opted_out_at is None
    assert not Message.objects.exists()
