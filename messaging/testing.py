"""Helpers for the tests of projects that use this app: nothing leaves the process.

    from messaging import testing

    def test_customers_hear_that_their_order_is_ready(db):
        testing.make_sender()
        with testing.capture() as sent:
            finish_order(number=1007)
        (message,) = sent
        assert message.to == "+447700900123"
        assert message.text == "Your order is ready."

What is queued passes the same door as ever: a message to somebody who opted out, or outside the
reply window, is refused in a test as it is in life. `sent.deliver()` goes on to send it, to the
dummy gateway, where the project wants to see what comes after. As a fixture:

    @pytest.fixture
    def sent(db):
        testing.make_sender()
        with testing.capture() as captured:
            yield captured
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, overload
from unittest import mock
from uuid import uuid4

from . import background, clock, inbox, outbox
from .adapters.dummy import ACCEPTED, Dummy, DummyMessage
from .content import Content, Text
from .events import Direction, Inbound, Source
from .models import (
    Contact,
    ContactAddress,
    Conversation,
    Message,
    Provider,
    Sender,
    WindowOpenedBy,
)
from .outbox.places import Places
from .outbox.rules import Rules
from .window import LENGTH

#: Seconds after which a delivery that finds no end is given up.
_PATIENCE: Final = 60.0

__all__ = ["Captured", "CapturedMessage", "capture", "make_sender", "open_window", "receive"]


def make_sender(
    *,
    name: str = "Test",
    address: str = "",
    channel: str = "whatsapp",
    window_policy: str = "none",
    outcome: str = ACCEPTED,
    default_region: str = "",
) -> Sender:
    """A sender of the dummy gateway, with an account of its own; the default one if there is none.

    `window_policy` is "none" (free text at any time), "inbound_only" or "inbound_or_template";
    see `open_window`. `outcome` is what becomes of messages that are delivered: "accepted",
    "failed" or "unknown". `default_region` reads numbers written without a country code.
    """
    count = Provider.objects.count()
    provider = Provider.objects.create(
        name=f"{name} {count + 1}",
        adapter=Dummy.slug,
        window_policy=window_policy,
        options={"outcome": outcome},
        default_region=default_region,
    )
    return Sender.objects.create(
        provider=provider,
        name=name,
        address=address,
        channel=channel,
        is_default=not Sender.objects.filter(is_default=True).exists(),
    )


def open_window(
    to: str | Contact | ContactAddress | Conversation,
    *,
    sender: Sender | None = None,
    wrote_at: datetime | None = None,
) -> Conversation:
    """As if the customer had written just now (or at `wrote_at`): free text may be sent to them."""
    draft = outbox.Draft(content=Text("-"), to=to, sender=sender)
    places = Places([draft], Rules())
    places.make([0])
    conversation = places.conversation(0)
    at = wrote_at or clock.now()
    conversation.last_inbound_at = at
    conversation.window_expires_at = at + LENGTH
    conversation.window_opened_by = WindowOpenedBy.INBOUND
    conversation.save(update_fields=["last_inbound_at", "window_expires_at", "window_opened_by"])
    return conversation


def receive(
    text: str,
    *,
    from_: str,
    sender: Sender | None = None,
    occurred_at: datetime | None = None,
    **values: Any,
) -> Message:
    """As if a customer had written `text` from `from_` (`+E164`): everything follows as in life.

    The window opens, held messages become due, STOP opts out, receivers of `message_received` are
    told after commit. `values` are further fields of `messaging.events.Inbound`, such as `kind`,
    `content` and `name`.
    """
    row = outbox.resolve_sender(sender)
    given = {"external_id": f"test-{uuid4().hex}", "content": Text(text).to_json(), **values}
    event = Inbound(address=from_, text=text, occurred_at=occurred_at, **given)
    (message,) = inbox.record(row.provider, [event], Source.WEBHOOK, sender=row).messages
    return message


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """One message that was queued: where it goes, what it says, and its row."""

    to: str
    text: str
    content: Content
    message: Message


class Captured(Sequence[CapturedMessage]):
    """What was queued since `capture` began, in order; it grows while the block lasts."""

    def __init__(self, after: int) -> None:
        self._after = after

    def _read(self) -> list[CapturedMessage]:
        rows = Message.objects.filter(pk__gt=self._after, direction=Direction.OUTBOUND)
        return [
            CapturedMessage(
                to=row.conversation.address.value, text=row.text, content=row.value, message=row
            )
            for row in rows.select_related("conversation__address", "sender").order_by("pk")
        ]

    def __len__(self) -> int:
        return len(self._read())

    @overload
    def __getitem__(self, place: int) -> CapturedMessage: ...

    @overload
    def __getitem__(self, place: slice) -> list[CapturedMessage]: ...

    def __getitem__(self, place: int | slice) -> CapturedMessage | list[CapturedMessage]:
        return self._read()[place]

    def __repr__(self) -> str:
        return f"<Captured: {[f'{item.to}: {item.text}' for item in self._read()]}>"

    @property
    def texts(self) -> list[str]:
        """What they say."""
        return [item.text for item in self._read()]

    def to(self, address: str) -> list[CapturedMessage]:
        """Those that go to this address, written as `+E164`."""
        return [item for item in self._read() if item.to == address]

    def deliver(self) -> list[DummyMessage]:
        """Send what is due, to the dummy gateway alone; what it took, in order.

        Runs where it is called, without a worker, in the test's own transaction. The rows have
        their outcome after it, and receivers of `message_status_changed` are told as usual.
        """
        Dummy.clear()
        senders = Sender.objects.filter(provider__adapter=Dummy.slug)
        outbox.Drain(seconds=_PATIENCE, sender_ids=set(senders.values_list("pk", flat=True))).run()
        return list(Dummy.sent)


@contextmanager
def capture() -> Iterator[Captured]:
    """Collect what is queued inside the block. No worker is asked to send it.

    It stays readable after the block. Messages of a transaction that was rolled back are not in
    it: they would not have been sent.
    """
    newest = Message.objects.order_by("-pk").values_list("pk", flat=True).first()
    with mock.patch.object(background, "run", _heard_by_nobody):
        yield Captured(newest or 0)


def _heard_by_nobody(job: str, *ids: Any) -> bool:
    return True
