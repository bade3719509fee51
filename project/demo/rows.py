"""One line of the table: a message held against what was to become of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from messaging.models import Message, Sender
from messaging.sandbox import SandboxClient

from .arrivals import wire_of
from .cases import Case


@dataclass(slots=True)
class Row:
    """What the table shows, and what is wrong with it."""

    gateway: str
    kind: str
    wire: str
    external_id: str
    status: str
    problem: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.gateway, self.kind, self.wire, self.external_id or "–", self.status)


@dataclass(slots=True)
class Planned:
    """A case with the numbers it goes to and the messages it became."""

    case: Case
    sender: Sender
    numbers: tuple[str, ...]
    ids: tuple[int, ...] = ()

    def expected(self, index: int) -> str:
        return "failed" if index == self.case.bad else self.case.final

    def kind(self, index: int) -> str:
        if len(self.numbers) == 1:
            return self.case.kind
        return f"{self.case.kind} {index + 1}/{len(self.numbers)}"


def gateway_name(sender: Sender) -> str:
    label = str(sender.provider.adapter_class.label).partition(" (")[0]
    return f"{label} SMS" if sender.channel == "sms" else label


def row_of(planned: Planned, index: int, sandbox: SandboxClient) -> Row:
    """A message's line, with what is not as it should be."""
    message = Message.objects.get(pk=planned.ids[index])
    sent = sandbox.arrivals(operation="send*", phone=planned.numbers[index])
    status = message.status
    if message.error_class:
        status += f" ({message.error_class})"
    row = Row(
        gateway_name(planned.sender),
        planned.kind(index),
        wire_of(sent[0]) if sent else "–",
        message.external_id,
        status,
    )
    row.problem = "; ".join(_problems(planned, index, message, sent, sandbox))
    return row


def _problems(
    planned: Planned,
    index: int,
    message: Message,
    sent: Sequence[dict[str, Any]],
    sandbox: SandboxClient,
) -> Iterator[str]:
    case, expected = planned.case, planned.expected(index)
    if message.status != expected:
        yield f"{message.status} instead of {expected} {message.error_text}".strip()
    passed = set(message.events.values_list("status", flat=True))
    if case.through and case.through not in passed:
        yield f"was never {case.through}"
    if case.sender == "dummy":
        return
    if len(sent) != 1:
        yield f"{len(sent)} calls arrived"
        return
    yield from _wire_problems(planned, message, sent[0])
    taken = len(sandbox.deliveries(phone=planned.numbers[index]))
    if taken != (0 if expected == "failed" else 1):
        yield f"the gateway took it {taken} times"


def _wire_problems(planned: Planned, message: Message, arrival: dict[str, Any]) -> Iterator[str]:
    wire = wire_of(arrival)
    if wire != planned.case.wire:
        yield f"arrived as {wire}, not {planned.case.wire}"
    numbers = {phone.lstrip("+") for phone in arrival["phones"]}
    if numbers != {number.lstrip("+") for number in planned.numbers}:
        yield f"arrived for {', '.join(sorted(numbers))}"
    if message.external_id and message.external_id not in arrival["ids"]:
        yield "its id is not the gateway's"
    event = message.events.exclude(call=None).select_related("call").first()
    page = event.call.url.partition("?")[0].rpartition("/")[2] if event and event.call else ""
    if page.partition(".")[0] != arrival["operation"]:
        yield f"our history says “{page}”"
