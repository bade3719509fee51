"""Both sides of a conversation for the scenes: customers who write, and staff who answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, Final

from django.db.models import F

from messaging import clock, outbox
from messaging.content import Content
from messaging.errors import Refused
from messaging.models import Conversation, Message, Sender
from messaging.sandbox import SandboxClient
from messaging.window import Window

from .rows import gateway_name

#: Seconds until we stop waiting: for a machine far slower than any of ours.
PATIENCE: Final = 300.0

#: A scene says what it waits for; it goes on when that is true.
Scene = Generator[Callable[[], object], None, None]


@dataclass(slots=True)
class Line:
    """One line of a table: what happened, what became of it, and what is wrong with that."""

    gateway: str
    kind: str
    became: str
    problem: str = ""
    #: What stands between, where a table has more columns.
    more: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.gateway, self.kind, *self.more, self.became)


class Desk:
    """Senders and the sandbox's customers. Each conversation has a number of its own."""

    def __init__(self, sandbox: SandboxClient, senders: Mapping[str, Sender]) -> None:
        self.sandbox = sandbox
        self.senders = senders
        self.written = 0
        self._numbers = (f"+44770090{number:04d}" for number in count(700))

    def number(self) -> str:
        return next(self._numbers)

    def gateway(self, sender: str) -> str:
        return gateway_name(self.senders[sender])

    def write(self, sender: str, number: str, text: str = "", **more: Any) -> list[str]:
        """A customer writes; the ids by which we shall know the messages."""
        row = self.senders[sender]
        gateway = row.provider.adapter
        token = row.credentials.get("token", "")
        told = self.sandbox.customer_writes(
            gateway, phone=number, text=text, sender=token or row.address, **more
        )
        ids = list(told.get("wa_ids") or told["ids"])
        self.written += len(ids)
        return ids

    def heard(self, ids: Sequence[str]) -> list[Message]:
        """What of these has come in, in their order."""
        rows = Message.objects.filter(direction="inbound", external_id__in=ids)
        found = {row.external_id: row for row in rows.select_related("conversation__address")}
        return [found[pk] for pk in ids if pk in found]

    def queue(self, sender: str, number: str, content: Content, **more: Any) -> Message:
        return outbox.queue(content, to=number, sender=self.senders[sender], **more)

    def refusal(self, sender: str, number: str, content: Content) -> tuple[str, str]:
        """The error's name and its words; empty where it is not refused."""
        try:
            self.queue(sender, number, content)
        except Refused as error:
            return type(error).__name__, " ".join(str(error).split())
        return "", "was not refused"

    def conversation(self, sender: str, number: str) -> Conversation:
        return Conversation.objects.select_related("sender__provider", "address").get(
            sender=self.senders[sender], address__value=number
        )

    def window_is_open(self, sender: str, number: str) -> bool:
        row = self.conversation(sender, number)
        window = Window(
            policy=row.sender.provider.window_policy,
            channel=row.sender.channel,
            last_inbound_at=row.last_inbound_at,
            expires_at=row.window_expires_at,
            opened_by=row.window_opened_by,
        )
        return window.is_open(clock.now())

    def age(self, sender: str, number: str, hours: int = 24) -> None:
        """So many hours pass for this conversation: what is stored is made that much older."""
        ago = timedelta(hours=hours)
        row = self.conversation(sender, number)
        Conversation.objects.filter(pk=row.pk).update(
            last_inbound_at=F("last_inbound_at") - ago,
            window_expires_at=F("window_expires_at") - ago,
        )
        row.messages.filter(status="queued").update(due_at=F("due_at") - ago)

    def arrived(self, number: str) -> list[str]:
        """The texts of all calls that reached the gateway for this number."""
        rows = self.sandbox.arrivals(operation="send*", phone=number)
        return [str(row["text"]) for row in rows]


def state_of(message: Message) -> str:
    message.refresh_from_db()
    error = f" ({message.error_class})" if message.error_class else ""
    return f"{message.status}{error}"


def settled(message: Message) -> Callable[[], bool]:
    """Until it has left, or never will."""
    return lambda: state_of(message) not in ("queued", "sending")


def play(scenes: Sequence[Scene], patience: float = PATIENCE) -> list[str]:
    """Play all at once, each going on when what it waits for is true.

    The names of those that were still waiting at the end of our patience.
    """
    waiting: list[tuple[Scene, Callable[[], object]]] = []
    for scene in scenes:
        waiting += _next(scene)
    end = time.monotonic() + patience
    while waiting and time.monotonic() < end:
        still: list[tuple[Scene, Callable[[], object]]] = []
        for scene, condition in waiting:
            still += _next(scene) if condition() else [(scene, condition)]
        waiting = still
        time.sleep(0.1)
    return [str(getattr(scene, "__name__", scene)) for scene, _condition in waiting]


def _next(scene: Scene) -> list[tuple[Scene, Callable[[], object]]]:
    for condition in scene:
        return [(scene, condition)]
    return []
