"""Everything that comes in, once: written by the sandbox's customers, brought by webhook and poll.

Every webhook is posted twice, as gateways do: what is kept must be there once.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from messaging import clock, polling
from messaging.models import Message, Sender, WebhookDelivery
from messaging.sandbox import SandboxClient

from .cases import PHONE
from .desk import PATIENCE, Desk, Line, play
from .formats import POLL, Format, formats
from .scenes import NEW, Scenes
from .wiring import make_new_phone, set_webhooks

_COPIES: Final = 2


class Receiving:
    """One round of what comes in. The web server and the worker must be running."""

    def __init__(self, sandbox: SandboxClient, senders: Mapping[str, Sender], web_url: str) -> None:
        self.sandbox = sandbox
        self.desk = Desk(sandbox, {**senders, NEW: make_new_phone(senders)})
        self.scenes = Scenes(self.desk)
        self.received: list[Line] = []
        self.counts: dict[str, int] = {}
        self._web_url = web_url
        self._begun = clock.now()

    def run(self) -> Receiving:
        wait_for_web(self._web_url)
        set_webhooks(self.sandbox, self.desk.senders)
        self.sandbox.settings(webhook_copies=_COPIES)
        written = [(item, self._write(item)) for item in formats()]
        unfinished = play(self.scenes.all())
        self.sandbox.settle(PATIENCE)
        polling.poll_now(self.desk.senders[PHONE])
        self._wait_for_files(written)
        self.received += [self._line(item, ids) for item, ids in written]
        self.received += self.scenes.receipts
        self.counts = self._count()
        self.received += self._wrong_counts(written)
        self.received += [
            Line("all", name, "–", "something it waited for never happened", more=("–", "–"))
            for name in unfinished
        ]
        return self

    @property
    def lines(self) -> list[Line]:
        """What was received, then what was played."""
        return [*self.received, *self.scenes.lines]

    # What customers write

    def _write(self, item: Format) -> list[str]:
        return self.desk.write(item.sender, self.desk.number(), **item.writing)

    def _wait_for_files(self, written: Sequence[tuple[Format, list[str]]]) -> None:
        """The worker fetches what came as a link."""
        ids = [pk for item, some in written for pk in some if item.files]
        fetching = Message.objects.filter(
            external_id__in=ids, attachments__fetch_due_at__isnull=False
        )
        end = time.monotonic() + PATIENCE
        while fetching.exists() and time.monotonic() < end:
            time.sleep(0.1)

    def _line(self, item: Format, ids: Sequence[str]) -> Line:
        gateway = self.desk.gateway(item.sender)
        if item.is_unplaced:
            return self._quarantined(item, gateway)
        found = self.desk.heard(ids)
        kinds = ", ".join(dict.fromkeys(row.kind for row in found)) or "–"
        brought = ", ".join(dict.fromkeys(row.source for row in found)) or "–"
        became = f"received as “{found[0].text}”" if found else "lost"
        if len(found) > 1:
            became = f"received as {len(found)} messages"
        if any(file.file for row in found for file in row.attachments.all()):
            became += ", file kept"
        if item.kind == "group":
            became += ", in the group’s conversation"
        problem = "; ".join(_problems(item, found))
        return Line(gateway, item.name, became, problem, more=(brought, kinds))

    def _quarantined(self, item: Format, gateway: str) -> Line:
        """Nobody can say whom it is from: kept as it came, for a person to look at."""
        rows = self._deliveries().filter(state="quarantined")
        reasons = {" ".join(row.error.split()) for row in rows}
        became = f"in quarantine: {' '.join(reasons)}" if rows else "not in quarantine"
        provider = self.desk.senders[item.sender].provider_id
        good = len(rows) == _COPIES and {row.provider_id for row in rows} == {provider}
        problem = "" if good else f"{len(rows)} in quarantine instead of {_COPIES}"
        return Line(gateway, item.name, became, problem, more=("webhook", "–"))

    def _deliveries(self) -> Any:
        return WebhookDelivery.objects.filter(received_at__gte=self._begun)

    # The counts

    def _count(self) -> dict[str, int]:
        inbound = Message.objects.filter(direction="inbound", created_at__gte=self._begun)
        quarantined = self._deliveries().filter(state="quarantined").count()
        posted = sum(map(_messages_in, self.sandbox.webhook_log()))
        return {
            "received": inbound.count(),
            "duplicates": posted - inbound.filter(source="webhook").count() - quarantined,
            "quarantined": quarantined,
            "polled": inbound.filter(source="poll").count(),
            "failed": self._deliveries().exclude(state__in=["processed", "quarantined"]).count(),
        }

    def _wrong_counts(self, written: Sequence[tuple[Format, list[str]]]) -> Iterator[Line]:
        """Each message once, whatever was posted how often."""
        unplaced = sum(len(ids) for item, ids in written if item.is_unplaced)
        polled = sum(len(ids) for item, ids in written if item.brought == POLL)
        expected = {
            "received": self.desk.written - unplaced,
            "duplicates": (self.desk.written - polled - unplaced) * (_COPIES - 1),
            "quarantined": unplaced * _COPIES,
            "polled": polled,
            "failed": 0,
        }
        for name, number in expected.items():
            if self.counts[name] != number:
                yield Line(
                    "all", f"count of {name}", str(self.counts[name]),
                    f"{self.counts[name]} instead of {number}", more=("–", "–"),
                )  # fmt: skip


def _problems(item: Format, found: Sequence[Message]) -> Iterator[str]:
    ends = tuple((row.kind, row.text) for row in found)
    if ends != item.ends:
        yield f"{ends} instead of {item.ends}"
    for row in found:
        if row.source != item.brought:
            yield f"brought by {row.source} instead of {item.brought}"
        address = row.conversation.address.value
        if row.conversation.kind != item.kind or not address.endswith(item.ending):
            yield f"in the conversation with {address}"
        if sum(bool(file.file) for file in row.attachments.all()) != item.files:
            yield "its file is not there"
        if not item.data.items() <= row.external_data.items():
            yield f"keeps {row.external_data}"


def _messages_in(post: Mapping[str, Any]) -> int:
    """How many customers' messages one post carried."""
    if post["status"] != 200 or post["kind"] not in ("inbox", "forward"):
        return 0
    if post["kind"] == "forward" and post["body"].startswith("{"):
        return len(json.loads(post["body"])["messages"])
    return 1


def wait_for_web(url: str) -> None:
    """Until the web server takes connections."""
    parts = urlsplit(url)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
