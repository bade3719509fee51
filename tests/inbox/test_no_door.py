"""Free text outside the reply window reaches the gateway by no door; inside it, by each of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import Client
from django.urls import reverse

from messaging import clock, outbox
from messaging.content import Buttons, Content, Location, Media, Reply, Text
from messaging.errors import WindowClosed
from messaging.management.playground import make_accounts
from messaging.models import Contact, ContactAddress, Conversation, Message, Provider, Sender
from messaging.outbox import Draft
from messaging.sandbox import Sandbox, SandboxClient
from tests.admin.test_send import look, page
from tests.rows import make_message

NUMBER = "+447700900123"
DAY = timedelta(hours=24)
TEXT = Text("Hello")
CLOSED = "The 24-hour reply window is closed."

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def sandbox_process() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> SandboxClient:
    sandbox_process.control.reset()
    return sandbox_process.control


@dataclass
class Desk:
    """One sender, one customer who wrote an hour ago, and a browser."""

    sender: Sender
    conversation: Conversation
    browser: Client
    sandbox: SandboxClient

    @property
    def contact(self) -> Contact:
        return self.conversation.address.contact

    def age(self, hours: int) -> None:
        """So many hours pass: everything stored is that much older."""
        ago = timedelta(hours=hours)
        Conversation.objects.update(
            last_inbound_at=F("last_inbound_at") - ago,
            window_expires_at=F("window_expires_at") - ago,
        )
        Message.objects.update(due_at=F("due_at") - ago)
        Message.objects.update(scheduled_at=F("scheduled_at") - ago)

    def drain(self) -> None:
        outbox.drain(seconds=20)

    @property
    def arrivals(self) -> int:
        return len(self.sandbox.arrivals(operation="send*"))


@pytest.fixture(params=["whatsapp_http", "intellisoftware", "intellixent"])
def desk(request: Any, db: None, client: Client, sandbox: SandboxClient, settings: Any) -> Desk:
    """Each gateway under a window rule. What arrives there would be taken."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    sender = make_accounts(sandbox.url)[f"{request.param}.whatsapp"]
    Sender.objects.filter(pk=sender.pk).update(is_default=True)
    rules = {"intellixent": "inbound_or_template"}
    Provider.objects.update(window_policy=rules.get(request.param, "inbound_only"))
    sandbox.session(NUMBER)
    now = clock.now()
    contact = Contact.objects.create(name="Asha")
    conversation = Conversation.objects.create(
        sender=sender,
        address=ContactAddress.objects.create(contact=contact, value=NUMBER),
        last_inbound_at=now - timedelta(hours=1),
        window_expires_at=now + timedelta(hours=23),
        window_opened_by="inbound",
    )
    client.force_login(get_user_model().objects.create_superuser("boss", password="x"))
    return Desk(Sender.objects.get(pk=sender.pk), conversation, client, sandbox)


# Every door. Each tries to send one text, `late` outside the window

Door = Callable[[Desk, bool], None]


def from_python(**more: Any) -> Door:
    def go(desk: Desk, late: bool) -> None:
        places = {
            "number": NUMBER,
            "contact": desk.contact,
            "address": desk.conversation.address,
            "conversation": desk.conversation,
        }
        values = {"to": "conversation", **more}
        values["to"] = places[values["to"]]
        if not late:
            outbox.queue(TEXT, **values)
            return
        desk.age(24)
        with pytest.raises(WindowClosed):
            outbox.queue(TEXT, **values)
        assert not Message.objects.exists()

    return go


def many(desk: Desk, late: bool) -> None:
    desk.age(24 if late else 0)
    done = outbox.queue_many([Draft(content=TEXT, to=NUMBER)])
    assert [type(error) for _number, error in done.refused] == ([WindowClosed] if late else [])


def admin_page(**query: Callable[[Desk], Any]) -> Door:
    def go(desk: Desk, late: bool) -> None:
        desk.age(24 if late else 0)
        found = {name: value(desk) for name, value in query.items()}
        url = page(**found)
        fields = {"c-body": "Hello"}
        if not {"conversation", "contacts"} & set(query):
            fields["to"] = NUMBER
        response, form = look(desk.browser, url, fields)
        assert (CLOSED.encode() in response.content) == late
        desk.browser.post(url, form)
        desk.browser.post(url, {**form, "checked": "forged"})
        assert Message.objects.count() == (0 if late else 1)

    return go


def looked_in_time_sent_too_late(desk: Desk, late: bool) -> None:
    url = page(conversation=desk.conversation.pk)
    _response, form = look(desk.browser, url, {"c-body": "Hello"})
    desk.age(24 if late else 0)
    response = desk.browser.post(url, form)
    assert (CLOSED.encode() in response.content) == late


def command(desk: Desk, late: bool) -> None:
    desk.age(24 if late else 0)
    out = io.StringIO()
    refused = pytest.raises(CommandError) if late else nullcontext()
    with refused:
        call_command(
            "messaging_send", "--to", NUMBER, "--text", "Hello", "--drain", stdout=out, stderr=out
        )
    assert (CLOSED in out.getvalue()) == late


def again(status: str) -> Door:
    def go(desk: Desk, late: bool) -> None:
        desk.age(24 if late else 0)
        message = make_message(desk.conversation, status=status, sending_at=clock.now())
        url = reverse("admin:messaging_message_again", args=[message.pk])
        desk.browser.post(url)
        if late:
            with pytest.raises(WindowClosed):
                outbox.send_again(message)

    return go


def sent_now_instead(desk: Desk, late: bool) -> None:
    """A scheduled message is moved to now."""
    message = outbox.queue(TEXT, to=desk.conversation, send_at=clock.now() + 3 * DAY)
    desk.age(24 if late else 0)
    url = reverse("admin:messaging_message_edit", args=[message.pk])
    response = desk.browser.post(url, {"when": "now", "c-body": "Now"})
    assert (CLOSED.encode() in response.content) == late
    if late:
        with pytest.raises(WindowClosed):
            outbox.edit(message, send_at=None)
        with pytest.raises(WindowClosed):
            outbox.edit(message, content=Text("Other"))


def scheduled(desk: Desk, late: bool) -> None:
    """For a time beyond the window, or within it; the time comes."""
    hours = 24 if late else 20
    outbox.queue(TEXT, to=desk.conversation, send_at=clock.now() + timedelta(hours=hours))
    desk.age(hours)


def left_waiting(desk: Desk, late: bool) -> None:
    """Queued while it was open; the worker comes late."""
    outbox.queue(TEXT, to=desk.conversation)
    desk.age(24 if late else 0)


def left_waiting_almost_too_long(desk: Desk, late: bool) -> None:
    """A minute before the end there is no time left for a call; an hour before there is."""
    outbox.queue(TEXT, to=desk.conversation)
    ends_at = clock.now() + (timedelta(minutes=1) if late else timedelta(hours=1))
    Conversation.objects.update(window_expires_at=ends_at)


def tried_again(desk: Desk, late: bool) -> None:
    """The gateway was busy; the next try comes when the window has ended."""
    make_message(desk.conversation, attempts=1, retries=1)
    desk.age(24 if late else 0)


def behind_a_pause(desk: Desk, late: bool) -> None:
    message = outbox.queue(TEXT, to=desk.conversation)
    Sender.objects.filter(pk=desk.sender.pk).update(pause_reason="person")
    desk.drain()
    assert Message.objects.get(pk=message.pk).status == "queued"
    desk.age(24 if late else 0)
    Sender.objects.filter(pk=desk.sender.pk).update(pause_reason="")


DOORS: dict[str, Door] = {
    "queue to a number": from_python(to="number"),
    "queue to a contact": from_python(to="contact"),
    "queue to an address": from_python(to="address"),
    "queue to a conversation": from_python(to="conversation"),
    "queue under a key": from_python(key="order-1007"),
    "queue first of all": from_python(priority=0),
    "queue_many": many,
    "send page of a conversation": admin_page(conversation=lambda desk: desk.conversation.pk),
    "send page of a contact": admin_page(contacts=lambda desk: desk.contact.pk),
    "send page of a sender": admin_page(sender=lambda desk: desk.sender.pk),
    "send page, number typed": admin_page(),
    "looked in time, sent too late": looked_in_time_sent_too_late,
    "messaging_send": command,
    "send again what failed": again("failed"),
    "send again what is unknown": again("unknown"),
    "a scheduled message is sent now": sent_now_instead,
    "scheduled": scheduled,
    "left waiting": left_waiting,
    "left waiting almost too long": left_waiting_almost_too_long,
    "tried again": tried_again,
    "behind a pause": behind_a_pause,
}


@pytest.mark.parametrize("late", [True, False], ids=["closed", "open"])
@pytest.mark.parametrize("door", DOORS)
def test_no_door_is_open(desk: Desk, door: str, late: bool) -> None:
    DOORS[door](desk, late)
    desk.drain()
    assert desk.arrivals == (0 if late else 1)
    for message in Message.objects.filter(direction="outbound", sending_at=None):
        # What was stored in time says why it has not left; what is for later still waits.
        waits = message.status == "queued" and message.due_at is not None
        assert waits or (message.status, message.error_class) == ("failed", "window_closed")


@pytest.mark.parametrize(
    "content",
    [
        Media("image", link="https://files.example/a.jpg", caption="Look"),
        Location(51.5, -0.08, "Shop"),
        Buttons("Will you come?", replies=(Reply("Yes"), Reply("No"))),
    ],
    ids=lambda content: content.kind,
)
@pytest.mark.parametrize("desk", ["whatsapp_http", "intellisoftware"], indirect=True)
def test_whatever_is_no_template_is_free_form(desk: Desk, content: Content) -> None:
    outbox.queue(content, to=desk.conversation)
    desk.age(24)
    with pytest.raises(WindowClosed):
        outbox.queue(content, to=desk.conversation)
    desk.drain()
    assert desk.arrivals == 0
    assert Message.objects.get().error_class == "window_closed"


def test_held_messages_wait_and_leave_with_the_next_word(desk: Desk) -> None:
    """By Python and by the page, whatever else happens to them."""
    desk.age(24)
    message = outbox.queue(TEXT, to=desk.conversation, hold=outbox.HOLD_WINDOW)
    url = page(conversation=desk.conversation.pk)
    _response, form = look(desk.browser, url, {"c-body": "Held too", "hold": "on"})
    desk.browser.post(url, form)
    outbox.edit(message, content=Text("Held, changed"))
    with pytest.raises(WindowClosed):
        outbox.edit(message, send_at=None)
    assert outbox.release_held(desk.conversation) == 0
    desk.drain()
    assert desk.arrivals == 0
    assert [row.held for row in Message.objects.all()] == [True, True]

    desk.age(-24)
    assert outbox.release_held(desk.conversation) == 2
    desk.drain()
    arrived = {row["text"] for row in desk.sandbox.arrivals(operation="send*")}
    assert arrived == {"Held, changed", "Held too"}
    assert desk.arrivals == 2
