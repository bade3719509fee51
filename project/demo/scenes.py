"""What `demo --once` plays: a phone is paired, windows open and close, people opt out and in.

Time is never slept away: what is stored is made older.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from messaging import clock, outbox, pairing
from messaging.content import Content, TemplateMessage, Text
from messaging.models import Message, Template

from .cases import ASSISTANT, OFFICIAL, PHONE, SMS
from .desk import Desk, Line, Scene, settled, state_of
from .wiring import NEW_PHONE

#: The name of the phone that is paired here, among the senders of the desk.
NEW: Final = "new phone"

Add = Callable[..., None]


class Scenes:
    """Each scene adds its lines where they happen."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.pairing: list[Line] = []
        self.official: list[Line] = []
        self.assistant: list[Line] = []
        self.late: list[Line] = []
        self.consent: list[Line] = []
        self.receipts: list[Line] = []

    @property
    def lines(self) -> list[Line]:
        return [*self.pairing, *self.official, *self.late, *self.assistant, *self.consent]

    def all(self) -> list[Scene]:
        return [
            self.pair(),
            self.inbound_window(),
            self.ends_while_waiting(),
            self.template_window(),
            self.opt_out(),
            self.receipt(PHONE, "delivery webhook", "read"),
            self.receipt(OFFICIAL, "status push", "delivered"),
            self.receipt(SMS, "status push", "delivered"),
        ]

    # Pairing

    def pair(self) -> Scene:
        desk, add = self.desk, _adder(self.pairing, self.desk.gateway(NEW))
        sender = desk.senders[NEW]
        row = pairing.start(sender)
        picture = pairing.code_of(row)
        add("a code to scan is shown", row.state, "waiting", picture.startswith(b"\x89PNG"))
        begun = time.monotonic()
        desk.sandbox.scan(NEW_PHONE)
        yield lambda: getattr(pairing.look(sender), "state", "") != "waiting"
        found = pairing.look(sender)
        assert found is not None
        sender.refresh_from_db()
        add(
            f"a phone scans it, noticed after {time.monotonic() - begun:.1f} s",
            f"{found.state}, webhook {found.details.get('webhook')}",
            "connected, webhook ours",
            sender.connection == "connected" and not pairing.code_of(found),
        )
        number = desk.number()
        ids = desk.write(NEW, number, "Is this your new number?")
        yield lambda: desk.heard(ids)
        (message,) = desk.heard(ids)
        is_its_own = message.conversation.sender_id == sender.pk
        add("a customer writes to it", message.status, "received", is_its_own)
        answer = desk.queue(NEW, number, Text("It is."))
        yield settled(answer)
        add("an answer", *_left(answer))

    # The reply window

    def inbound_window(self) -> Scene:
        """Only what the customer writes opens it."""
        desk, add = self.desk, _adder(self.official, self.desk.gateway(OFFICIAL))
        number, text = desk.number(), Text("It has come in.")
        add("free text to a stranger", *self._refused(OFFICIAL, number, text))
        ids = desk.write(OFFICIAL, number, "Is my order in?")
        yield lambda: desk.heard(ids)
        add("the customer writes", self._window(OFFICIAL, number), "open")
        first = desk.queue(OFFICIAL, number, text)
        yield settled(first)
        add("free text", *_left(first))
        desk.age(OFFICIAL, number)
        add("24 hours later", self._window(OFFICIAL, number), "closed")
        add("free text", *self._refused(OFFICIAL, number, text))
        held = desk.queue(OFFICIAL, number, Text("Held for you."), hold=outbox.HOLD_WINDOW)
        template = desk.queue(OFFICIAL, number, _template("shop_open"))
        yield settled(template)
        add("an approved template", *_left(template))
        add("the window after it", self._window(OFFICIAL, number), "closed")
        add("a held message", "waits" if _waits(held) else state_of(held), "waits")
        before = desk.arrived(number)
        ids = desk.write(OFFICIAL, number, "Hello again")
        yield settled(held)
        arrived = desk.arrived(number)[len(before) :]
        add(
            "the customer writes: the held message",
            *_left(held),
            len(before) == 2 and arrived == ["Held for you."],
        )

    def ends_while_waiting(self) -> Scene:
        """Queued in time, and too late when the worker comes: it looks again."""
        desk, add = self.desk, _adder(self.late, self.desk.gateway(OFFICIAL))
        number = desk.number()
        ids = desk.write(OFFICIAL, number, "Tell me tomorrow")
        yield lambda: desk.heard(ids)
        send_at = clock.now() + timedelta(hours=20)
        message = desk.queue(OFFICIAL, number, Text("As you wished."), send_at=send_at)
        desk.age(OFFICIAL, number)
        outbox.ring()
        yield settled(message)
        add(
            "it ends while a message waits",
            state_of(message),
            "failed (window_closed)",
            not desk.arrived(number),
        )

    def template_window(self) -> Scene:
        """Here a template opens it too, and the gateway has the last word."""
        desk, add = self.desk, _adder(self.assistant, self.desk.gateway(ASSISTANT))
        number, text = desk.number(), Text("See you then!")
        add("free text to a stranger", *self._refused(ASSISTANT, number, text))
        template = desk.queue(ASSISTANT, number, _template("thanks"))
        yield settled(template)
        add("an approved template", state_of(template), "accepted")
        add("the window after it", self._window(ASSISTANT, number), "open")
        first = desk.queue(ASSISTANT, number, text)
        yield settled(first)
        add("free text", state_of(first), "accepted")
        desk.sandbox.session(number, open=False)
        second = desk.queue(ASSISTANT, number, text)
        yield settled(second)
        add("the gateway closes it: free text", state_of(second), "failed (window_closed)")
        yield lambda: not desk.window_is_open(ASSISTANT, number)
        add("the next free text", *self._refused(ASSISTANT, number, text))
        instead = desk.queue(ASSISTANT, number, _template("thanks"))
        yield settled(instead)
        add("a template instead", state_of(instead), "accepted", len(desk.arrived(number)) == 4)

    def _window(self, sender: str, number: str) -> str:
        return "open" if self.desk.window_is_open(sender, number) else "closed"

    def _refused(self, sender: str, number: str, content: Content) -> tuple[str, str, bool]:
        name, words = self.desk.refusal(sender, number, content)
        return words, words, name == "WindowClosed"

    # Consent

    def opt_out(self) -> Scene:
        desk, add = self.desk, _adder(self.consent, self.desk.gateway(PHONE))
        number = desk.number()

        def confirmations(most: int) -> Callable[[], bool]:
            rows = Message.objects.filter(
                conversation__address__value=number, key__startswith="messaging:opt-"
            )
            return lambda: (
                rows.filter(status__in=["queued", "sending"]).count() == 0
                and (rows.count() >= most)
            )

        desk.write(PHONE, number, "STOP")
        yield confirmations(1)
        add("STOP", f"{len(desk.arrived(number))} confirmation", "1 confirmation")
        name, words = desk.refusal(PHONE, number, Text("News!"))
        add("a text after it", words, words, name == "OptedOut")
        ids = desk.write(PHONE, number, "Stop!")
        yield lambda: desk.heard(ids)
        add("STOP again", f"{len(desk.arrived(number)) - 1} confirmations", "0 confirmations")
        desk.write(PHONE, number, "START")
        yield confirmations(2)
        add("START", f"{len(desk.arrived(number)) - 1} confirmation", "1 confirmation")
        message = desk.queue(PHONE, number, Text("Welcome back."))
        yield settled(message)
        add("a text after it", *_left(message), len(desk.arrived(number)) == 3)

    # Receipts

    def receipt(self, sender: str, name: str, final: str) -> Scene:
        """What becomes of a message of ours, as the gateway's own posts tell it.

        Not every step needs an event of its own: a post may come before the answer to the send,
        or after the worker has asked for a report, and then there is nothing left to move.
        """
        desk = self.desk
        number = desk.number()
        ids = desk.write(sender, number, "Are you there?", **_channel(sender))
        yield lambda: desk.heard(ids)
        message = desk.queue(sender, number, Text("Yes, we are."))

        def answers() -> set[int]:
            """What the gateway's posts about this message were answered with."""
            log = desk.sandbox.webhook_log(gateway=desk.senders[sender].provider.adapter)
            about = (row for row in log if row["kind"] in ("delivery", "status"))
            return {row["status"] for row in about if message.external_id in row["body"]}

        yield lambda: state_of(message) == final and answers()
        events = message.events.exclude(source="send").order_by("pk")
        told = " → ".join(events.values_list("status", flat=True))
        brought = ", ".join(sorted(set(events.values_list("source", flat=True))))
        problem = "" if answers() == {200} else f"answered with {answers()}"
        more = (brought, "status")
        self.receipts.append(Line(desk.gateway(sender), name, told, problem, more=more))


def _adder(lines: list[Line], gateway: str) -> Add:
    """Adds a line, with what is wrong where something is."""

    def add(kind: str, became: str, expected: str, also: bool = True) -> None:
        problem = f"{became} instead of {expected}" if became != expected else ""
        if not (problem or also):
            problem = f"“{became}”, but not all of it is so"
        lines.append(Line(gateway, kind, became, problem))

    return add


def _left(message: Message) -> tuple[str, str]:
    """What became of it, and what should have: reports may already have come."""
    state = state_of(message)
    return state, state if state in ("accepted", "sent", "delivered", "read") else "accepted"


def _waits(message: Message) -> bool:
    message.refresh_from_db()
    return message.held


def _template(name: str) -> TemplateMessage:
    return TemplateMessage(Template.objects.get(name=name).ref())


def _channel(sender: str) -> dict[str, str]:
    return {"channel": "sms"} if sender == SMS else {}
