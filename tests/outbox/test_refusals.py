"""What the door refuses before a row exists: every type, in words, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from messaging import errors, outbox
from messaging.content import ContactCards, Media, TemplateMessage, Text
from messaging.models import Contact, Conversation, Message, Provider, Sender, Suppression
from messaging.models.fields import keyed_digests
from tests.rows import make_address, make_conversation, make_provider, make_sender, make_template

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
NUMBER = "+447911123456"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_frozen")]


@pytest.fixture
def _frozen() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def sender() -> Sender:
    return make_sender(is_default=True)


def official(**values: Any) -> Sender:
    return make_sender(make_provider(window_policy="inbound_only"), **values)


# Refusals. Each case makes its world and gives the arguments of the call to be refused.


def _sender_switched_off(sender: Sender) -> dict[str, Any]:
    Sender.objects.update(is_active=False)
    return {"sender": sender}


def _provider_switched_off(sender: Sender) -> dict[str, Any]:
    Provider.objects.update(is_active=False)
    return {"sender": sender}


def _sender_deleted(sender: Sender) -> dict[str, Any]:
    Sender.objects.filter(pk=sender.pk).delete()
    return {"sender": sender}


def _no_default(sender: Sender) -> dict[str, Any]:
    Sender.objects.update(is_default=False)
    make_sender()
    return {}


def _no_sender(sender: Sender) -> dict[str, Any]:
    Sender.objects.all().delete()
    return {}


def _gateway_not_installed(sender: Sender) -> dict[str, Any]:
    Provider.objects.update(adapter="carrier_pigeon")
    return {"sender": sender}


def _credentials_unreadable(sender: Sender) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messaging_sender SET credentials = 'fernet:not ours'")
    return {"sender": sender}


def _opted_out_address(sender: Sender) -> dict[str, Any]:
    make_address(NUMBER, opted_out_at=NOW)
    return {}


def _opted_out_contact(sender: Sender) -> dict[str, Any]:
    make_address(NUMBER, contact=Contact.objects.create(opted_out_at=NOW))
    return {}


def _opted_out_since_it_was_read(sender: Sender) -> dict[str, Any]:
    conversation = make_conversation(sender, NUMBER)
    assert conversation.address.opted_out is None
    Contact.objects.update(opted_out_at=NOW)
    return {"to": conversation}


def _erased(sender: Sender) -> dict[str, Any]:
    Suppression.objects.create(digest=keyed_digests("address", NUMBER)[0])
    return {}


def _group(sender: Sender) -> dict[str, Any]:
    return {"to": make_address("123-456@g.us", kind="group")}


def _hidden_id(sender: Sender) -> dict[str, Any]:
    return {"to": make_conversation(sender, address=make_address("99@lid", kind="lid"))}


def _contact_without_number(sender: Sender) -> dict[str, Any]:
    return {"to": Contact.objects.create(name="Ada")}


def _conversation_deleted(sender: Sender) -> dict[str, Any]:
    conversation = make_conversation(sender)
    Conversation.objects.all().delete()
    return {"to": conversation}


def _window_never_opened(sender: Sender) -> dict[str, Any]:
    return {"sender": official()}


def _window_ended_this_moment(sender: Sender) -> dict[str, Any]:
    values = {"window_expires_at": NOW, "window_opened_by": "inbound"}
    return {"to": make_conversation(official(), **values)}


def _window_of_a_template_where_it_opens_none(sender: Sender) -> dict[str, Any]:
    values = {"window_expires_at": NOW + timedelta(hours=9), "window_opened_by": "template"}
    return {"to": make_conversation(official(), **values)}


def _template(status: str) -> Callable[[Sender], dict[str, Any]]:
    def case(sender: Sender) -> dict[str, Any]:
        row = make_template(sender.provider, status=status)
        return {"content": TemplateMessage(row, {"1": "Monday"})}

    return case


def _template_of_another_account(sender: Sender) -> dict[str, Any]:
    row = make_template(make_provider())
    return {"content": TemplateMessage(row, {"1": "Monday"})}


def _template_of_another_sender(sender: Sender) -> dict[str, Any]:
    row = make_template(sender.provider, sender=make_sender(sender.provider))
    return {"content": TemplateMessage(row, {"1": "Monday"})}


def _template_deleted(sender: Sender) -> dict[str, Any]:
    row = make_template(sender.provider)
    content = TemplateMessage(row, {"1": "Monday"})
    row.delete()
    return {"content": content}


def _template_lacks_a_value(sender: Sender) -> dict[str, Any]:
    return {"content": TemplateMessage(make_template(sender.provider), {})}


def _gateway_cannot(sender: Sender) -> dict[str, Any]:
    row = make_sender(make_provider(adapter="intellixent", credentials={"api_key": "k"}))
    return {"sender": row, "content": ContactCards(["Ada"])}


def _gateways_own_limit(sender: Sender) -> dict[str, Any]:
    row = make_sender(
        make_provider(adapter="intellixent", credentials={"api_key": "k"}, window_policy="none"),
        external_id="12",
    )
    return {"sender": row, "content": Text("x" * 5000)}


REFUSED = [
    (_sender_switched_off, errors.NoSender),
    (_provider_switched_off, errors.NoSender),
    (_sender_deleted, errors.NoSender),
    (_no_default, errors.NoSender),
    (_no_sender, errors.NoSender),
    (_gateway_not_installed, errors.NoSender),
    (_credentials_unreadable, errors.NoSender),
    (_opted_out_address, errors.OptedOut),
    (_opted_out_contact, errors.OptedOut),
    (_opted_out_since_it_was_read, errors.OptedOut),
    (_erased, errors.OptedOut),
    (_group, errors.InvalidAddress),
    (_hidden_id, errors.InvalidAddress),
    (_contact_without_number, errors.InvalidAddress),
    (_conversation_deleted, errors.InvalidAddress),
    (lambda _sender: {"to": "not a number"}, errors.InvalidAddress),
    (lambda _sender: {"to": ""}, errors.InvalidAddress),
    (_window_never_opened, errors.WindowClosed),
    (_window_ended_this_moment, errors.WindowClosed),
    (_window_of_a_template_where_it_opens_none, errors.WindowClosed),
    (_template("pending"), errors.TemplateNotApproved),
    (_template("blocked"), errors.TemplateNotApproved),
    (_template("unknown"), errors.TemplateNotApproved),
    (_template_of_another_account, errors.TemplateNotApproved),
    (_template_of_another_sender, errors.TemplateNotApproved),
    (_template_deleted, errors.TemplateNotApproved),
    (_template_lacks_a_value, errors.InvalidContent),
    (_gateway_cannot, errors.NotSupported),
    (_gateways_own_limit, errors.InvalidContent),
    (lambda _sender: {"content": Text(" ")}, errors.InvalidContent),
    (lambda _sender: {"content": Media("image", file="1")}, errors.InvalidContent),
]


@pytest.mark.parametrize(
    ("case", "error"), REFUSED, ids=[f"{case.__name__}-{error.__name__}" for case, error in REFUSED]
)
def test_refuses_before_a_row_exists(
    case: Callable[[Sender], dict[str, Any]], error: type[errors.Refused], sender: Sender
) -> None:
    arguments = {"content": Text("Hello"), "to": NUMBER, **case(sender)}
    before = (Message.objects.count(), Contact.objects.count(), Conversation.objects.count())
    with pytest.raises(errors.Refused) as refused:
        outbox.queue(arguments.pop("content"), **arguments)
    assert type(refused.value) is error
    assert str(refused.value)
    after = (Message.objects.count(), Contact.objects.count(), Conversation.objects.count())
    assert after == before


@pytest.mark.parametrize(("case", "error"), REFUSED[:3] + REFUSED[-3:])
def test_check_says_what_queue_would_refuse(case: Any, error: Any, sender: Sender) -> None:
    arguments = {"content": Text("Hello"), "to": NUMBER, **case(sender)}
    assert outbox.check(arguments.pop("content"), **arguments).refusals
    assert outbox.check(Text("Hello"), sender=make_sender()).refusals == ()


@pytest.mark.parametrize(
    "values",
    [
        {"hold": "weather"},
        {"priority": 5},
        {"key": "k" * 201},
        {"key": "a\x00b"},
        {"send_at": datetime(2027, 1, 1)},
        {"expires_at": datetime(2027, 1, 1)},
    ],
)
def test_a_programs_mistake_is_no_refusal(values: dict[str, Any], sender: Sender) -> None:
    with pytest.raises(ValueError):
        outbox.queue(Text("Hello"), to=NUMBER, **values)
    assert not Message.objects.exists()
