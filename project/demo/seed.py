"""Believable data: history is written as it would have happened; the rest is really sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import Group, User

from messaging import clock, outbox
from messaging.content import Buttons, Content, ListMenu, ListRow, TemplateMessage, Text
from messaging.models import (
    CannedReply,
    Contact,
    ContactAddress,
    Conversation,
    Message,
    MessageEvent,
    Provider,
    Sender,
    Tag,
    Template,
)
from messaging.sandbox import SandboxClient

from .people import APPOINTMENTS, FRONT_DESK, PEOPLE, SHOP, SHOP_SMS, TALKS, Person, Said, Talk

WINDOW: Final = timedelta(hours=24)

#: The steps a message has made when it is in a state, with the seconds each took.
_STEPS: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "accepted": (("accepted", 1),),
    "sent": (("accepted", 1), ("sent", 2)),
    "delivered": (("accepted", 1), ("sent", 2), ("delivered", 5)),
    "read": (("accepted", 1), ("sent", 2), ("delivered", 5), ("read", 90)),
    "failed": (("failed", 1),),
    "unknown": (("unknown", 20),),
}

_REPLIES: Final = {
    "hours": "We are open Monday to Friday, nine to five.",
    "address": "You find us at 1 Quay, next to the bridge.",
    "thanks": "Thank you, and have a good day!",
}


def make_users(passwords: Mapping[str, str]) -> dict[str, User]:
    """A superuser and somebody who may only answer customers, with these passwords."""
    users: dict[str, User] = {}
    names = {"demo": ("Dana", "Demo"), "agent": ("Alex", "Agent")}
    for username, password in passwords.items():
        first, last = names[username]
        values = {"first_name": first, "last_name": last, "is_staff": True}
        user, _made = User.objects.update_or_create(
            username=username, defaults=values | {"is_superuser": username == "demo"}
        )
        user.set_password(password)
        user.save()
        users[username] = user
    agents = Group.objects.filter(name__icontains="agent").first()
    if agents is not None:
        users["agent"].groups.add(agents)
    return users


def open_sessions(sandbox: SandboxClient) -> None:
    """Tell the sandbox of open reply windows: Intellixent keeps its own clock of them."""
    now = clock.now()
    rows = Conversation.objects.filter(
        sender__provider__adapter="intellixent", window_expires_at__gt=now
    )
    for row in rows.select_related("address", "sender"):
        assert row.window_expires_at is not None
        minutes = (row.window_expires_at - now).total_seconds() / 60
        sandbox.session(
            row.address.value, minutes=minutes, sender_id=int(row.sender.external_id or 0)
        )


class Seed:
    """One run over an empty database."""

    def __init__(self, senders: Mapping[str, Sender], agent: User) -> None:
        self.senders = senders
        self.agent = agent
        self.now = clock.now()
        self.addresses: dict[str, ContactAddress] = {}

    def run(self) -> None:
        front_desk = self.senders[FRONT_DESK]
        Sender.objects.filter(pk=front_desk.pk).update(is_default=True, connection="connected")
        practice = Provider.objects.create(name="Practice (sends nothing)", adapter="dummy")
        Sender.objects.create(provider=practice, name="Practice", address="+447700900390")
        for shortcut, text in _REPLIES.items():
            CannedReply.objects.create(shortcut=shortcut, text=text)
        for person in PEOPLE:
            self._meet(person)
        for talk in TALKS:
            self._talk(talk)

    def _meet(self, person: Person) -> None:
        contact = Contact.objects.create(
            name=person.name,
            language=person.language,
            notes=person.notes,
            consented_at=self.now - timedelta(days=90),
            consent_source="person",
        )
        contact.tags.set([Tag.objects.get_or_create(name=name)[0] for name in person.tags])
        address = ContactAddress(contact=contact, value=person.number)
        if person.opted_out:
            address.opted_out_at = self.now - timedelta(days=4)
            address.opt_out_source = "message"
        address.save()
        self.addresses[person.name] = address

    def _talk(self, talk: Talk) -> None:
        conversation = Conversation.objects.create(
            sender=self.senders[talk.sender],
            address=self.addresses[talk.person],
            status="done" if talk.done else "open",
        )
        for said in talk.said:
            at = self.now - timedelta(minutes=said.ago)
            if said.inbound:
                self._heard(conversation, said, at)
            else:
                self._sent(conversation, said, at)
        self._close(conversation, talk)

    def _heard(self, conversation: Conversation, said: Said, at: datetime) -> None:
        Message.objects.create(
            **self._row(conversation, said.value, at),
            direction="inbound",
            status="received",
            occurred_at=at,
            external_id=secrets.token_hex(12),
        )
        conversation.last_inbound_at = at
        conversation.window_expires_at = at + WINDOW
        conversation.window_opened_by = "inbound"

    def _sent(self, conversation: Conversation, said: Said, at: datetime) -> None:
        error_class, error_code, error_text = said.error
        steps = {name: at + timedelta(seconds=delay) for name, delay in _STEPS[said.status]}
        message = Message.objects.create(
            **self._row(conversation, said.value, at),
            direction="outbound",
            status=said.status,
            due_at=at,
            sending_at=at,
            attempts=1,
            external_id=secrets.token_hex(12) if "accepted" in steps else "",
            author=self.agent,
            author_name=self.agent.get_full_name(),
            priority=0,
            error_class=error_class,
            error_code=error_code,
            error_text=error_text,
            **{f"{name}_at": time for name, time in steps.items()},
        )
        MessageEvent.objects.bulk_create(
            MessageEvent(
                message=message,
                status=name,
                source="poll" if name in ("sent", "delivered", "read") else "send",
                at=time,
                text=error_text,
            )
            for name, time in steps.items()
        )

    def _row(self, conversation: Conversation, value: Content, at: datetime) -> dict[str, Any]:
        return {
            "conversation": conversation,
            "sender": conversation.sender,
            "kind": value.kind,
            "content": value.to_json(),
            "text": value.preview(),
            "created_at": at,
        }

    def _close(self, conversation: Conversation, talk: Talk) -> None:
        last = talk.said[-1]
        conversation.last_message_at = self.now - timedelta(minutes=last.ago)
        conversation.last_message_text = last.value.preview()[:100]
        conversation.unread_count = 1 if last.inbound and not talk.done else 0
        conversation.save()

    # What is really sent

    def send(self) -> None:
        """Some messages for the worker, and some that wait: scheduled and held."""
        self._now()
        morning = (self.now + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
        queue = outbox.queue
        queue(
            Text("A reminder: your appointment is the day after tomorrow at 10.30."),
            to=self._to("Asha Rao"),
            sender=self.senders[FRONT_DESK],
            send_at=morning,
            author=self.agent,
        )
        queue(
            Text("Good news, the second half has arrived too!"),
            to=self._to("Farah Haddad"),
            sender=self.senders[SHOP],
            hold=outbox.HOLD_WINDOW,
            author=self.agent,
        )

    def _now(self) -> None:
        """These leave as soon as the worker runs."""
        front_desk, shop = self.senders[FRONT_DESK], self.senders[SHOP]
        choice = Buttons("How was your visit?", replies=("Good", "Could be better"))  # type: ignore[arg-type]
        times = ListMenu(
            "When may we call you?",
            "Times",
            rows=(ListRow("10.30", "Tomorrow"), ListRow("14.00", "Tomorrow")),
        )
        order = Template.objects.get(name="order_ready")
        visit = Template.objects.get(name="appointment")
        now: tuple[tuple[Sender, str, Content], ...] = (
            (front_desk, "Isla Fraser", choice),
            (front_desk, "Ben Carter", Text("The letter is on its way to you.")),
            (front_desk, "Hiro Tanaka", times),
            (shop, "Liam O’Connor", Text("It came in this morning.")),
            (
                shop,
                "Chloé Dubois",
                TemplateMessage(order.ref(), {"customer": "Chloé", "order_no": "1007"}),
            ),
            (self.senders[SHOP_SMS], "Jamal Edwards", Text("Corner Shop: we close at four today.")),
            (
                self.senders[APPOINTMENTS],
                "Katya Petrova",
                TemplateMessage(visit.ref(), {"1": "Katya", "2": "Friday", "3": "11.00"}),
            ),
        )
        for sender, person, content in now:
            outbox.queue(content, to=self._to(person), sender=sender, author=self.agent)

    def _to(self, person: str) -> ContactAddress:
        return self.addresses[person]
