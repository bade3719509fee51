"""What happened, on both sides: the gateway's record, and our rows and their steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from messaging.models import Message, MessageEvent

from .world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request for one text that the gateway read completely."""

    n: int
    text: str
    phone: str
    at: float
    clock: float
    gateway: str
    status: int
    accepted: bool
    fault: str = ""

    @property
    def refused(self) -> bool:
        """The gateway proved that it did not take the message."""
        said_no = 400 <= self.status < 500 and self.status != 408
        return not self.accepted and (said_no or self.fault == "code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a message's history."""

    status: str
    source: str
    has_call: bool
    text: str = ""


@dataclass(slots=True, kw_only=True)
class Row:
    """A message as our table has it at the end."""

    id: int
    text: str
    phone: str
    conversation: int
    sender: int
    priority: int
    status: str
    external_id: str = ""
    error_class: str = ""
    error_code: str = ""
    held: bool = False
    attempts: int = 1
    windowed: bool = False
    window_ends: datetime | None = None
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class History:
    """Everything the checker reads."""

    rows: list[Row]
    arrivals: list[Arrival]
    #: Texts a customer received, with the gateway's id, oldest first.
    deliveries: list[tuple[str, str]]

    def arrivals_of(self) -> dict[str, list[Arrival]]:
        """The arrivals by text, in order."""
        return _grouped((item.text, item) for item in self.arrivals)

    def delivered(self) -> dict[str, list[str]]:
        """The gateway's ids by text."""
        return _grouped(self.deliveries)

    def with_status(self, *statuses: str) -> list[Row]:
        return [row for row in self.rows if row.status in statuses]


def read(world: World) -> History:
    """The history of a world so far."""
    deliveries = world.control.deliveries()
    taken = {(row["arrival"], row["phone"].lstrip("+")) for row in deliveries}
    return History(
        rows=list(_rows()),
        arrivals=[item for row in world.control.arrivals() for item in _arrivals(row, taken)],
        deliveries=[(f"{row['phone'].lstrip('+')} {row['text']}", row["id"]) for row in deliveries],
    )


def _arrivals(row: dict[str, Any], taken: set[tuple[int, str]]) -> Iterator[Arrival]:
    """An arrival for each recipient of a call that sends."""
    if not row["operation"].startswith("send"):
        return
    for phone in row["phones"]:
        digits = phone.lstrip("+")
        yield Arrival(
            n=row["n"],
            # Equal contents may go to several numbers; a message is a text to a number.
            text=f"{digits} {row['text']}",
            phone=digits,
            at=row["time"],
            clock=row["monotonic"],
            gateway=row["gateway"],
            status=row["status"],
            accepted=(row["n"], digits) in taken,
            fault=row["fault"],
        )


def _rows() -> Iterator[Row]:
    steps: dict[int, list[Step]] = defaultdict(list)
    for event in MessageEvent.objects.order_by("id"):
        steps[event.message_id].append(
            Step(
                status=event.status,
                source=event.source,
                has_call=event.call_id is not None,
                text=event.text,
            )
        )
    messages = Message.objects.filter(direction="outbound").order_by("id")
    for message in messages.select_related("conversation__address", "sender__provider"):
        conversation = message.conversation
        digits = conversation.address.value.lstrip("+")
        yield Row(
            id=message.pk,
            text=f"{digits} {message.text}",
            phone=digits,
            conversation=conversation.pk,
            sender=message.sender_id,
            priority=message.priority,
            status=message.status,
            external_id=message.external_id,
            error_class=message.error_class,
            error_code=message.error_code,
            held=message.held,
            attempts=message.attempts,
            windowed=message.sender.provider.window_policy != "none",
            window_ends=conversation.window_expires_at,
            steps=steps[message.pk],
        )


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups
