"""The generator: what is sent, and which trouble waits for it at the gateway."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from messaging import outbox
from messaging.content import Text
from messaging.models import Message, Sender
from messaging.sandbox import SandboxClient

#: What may become of a message.
ACCEPTED = "accepted"
FAILED = "failed"
#: Its answer proves nothing; `settled` where the gateway's report will tell that it was taken.
UNKNOWN = "unknown"
SETTLED = "settled"

Options = dict[str, Any]

#: Every misbehaviour, and what must become of a message that meets it while no worker dies.
TROUBLES: dict[str, tuple[Options, str]] = {
    "latency": ({"mode": "latency", "seconds": 0.3}, ACCEPTED),
    "accepts, then hangs": ({"mode": "hang_after"}, SETTLED),
    "hangs": ({"mode": "hang_before"}, UNKNOWN),
    "cut before accepting": ({"mode": "cut_before"}, UNKNOWN),
    "cut after accepting": ({"mode": "cut_after"}, SETTLED),
    "cut within the answer": ({"mode": "cut_midbody"}, SETTLED),
    "500 before": ({"mode": "status", "http": 500, "accept": False}, UNKNOWN),
    "500 after": ({"mode": "status", "http": 500, "accept": True}, SETTLED),
    "502 before": ({"mode": "status", "http": 502, "accept": False}, UNKNOWN),
    "502 after": ({"mode": "status", "http": 502, "accept": True}, SETTLED),
    "503 before": ({"mode": "status", "http": 503, "accept": False}, UNKNOWN),
    "503 after": ({"mode": "status", "http": 503, "accept": True}, SETTLED),
    "429 once": ({"mode": "status", "http": 429, "retry_after": "1", "times": 1}, ACCEPTED),
    "an HTML page before": ({"mode": "html", "accept": False}, UNKNOWN),
    "an HTML page after": ({"mode": "html", "accept": True}, SETTLED),
    "truncated JSON": ({"mode": "truncated_json"}, SETTLED),
    "wrong types": ({"mode": "wrong_json", "shape": "types"}, SETTLED),
    "a list": ({"mode": "wrong_json", "shape": "list"}, SETTLED),
    "null": ({"mode": "wrong_json", "shape": "null"}, SETTLED),
    "too deep": ({"mode": "wrong_json", "shape": "deep"}, SETTLED),
    "no id": ({"mode": "no_id"}, SETTLED),
    "nothing": ({"mode": "empty"}, SETTLED),
    "drips": ({"mode": "drip", "bytes_per_second": 20}, SETTLED),
    "too much": ({"mode": "huge", "megabytes": 2}, SETTLED),
    "refused": ({"mode": "code", "code": "12"}, FAILED),
}


@dataclass(slots=True)
class Workload:
    """Messages made from one seed; every text is unlike every other."""

    seed: int
    #: Expected end of each message by its text, where no worker dies.
    expected: dict[str, str] = field(default_factory=dict)
    _random: random.Random = field(init=False)
    _phones: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._phones = _numbers()

    def phone(self) -> str:
        return next(self._phones)

    def text(self, label: str) -> str:
        return f"{label} {len(self.expected) + 1} {self._random.getrandbits(32):08x}"

    def plain(
        self, sender: Sender, count: int, *, conversations: int = 0, priority: int | None = None
    ) -> list[Message]:
        """Messages without trouble; to `conversations` numbers in turn, else to one each."""
        phones = [self.phone() for _number in range(conversations or count)]
        return self.send(
            sender,
            [(phones[n % len(phones)], "plain", ACCEPTED) for n in range(count)],
            priority=priority,
        )

    def troubled(
        self, control: SandboxClient, sender: Sender, *, each: int = 2, also: int = 0
    ) -> list[Message]:
        """`each` messages for every misbehaviour and `also` plain ones, shuffled."""
        places = [(self.phone(), "plain", ACCEPTED) for _number in range(also)]
        for label, (options, end) in TROUBLES.items():
            for _number in range(each):
                phone = self.phone()
                control.fault(
                    gateway="whatsapp_http", operation="send*", phone=phone.lstrip("+"), **options
                )
                places.append((phone, label, end))
        self._random.shuffle(places)
        return self.send(sender, places)

    def send(
        self,
        sender: Sender,
        places: Sequence[tuple[str, str, str]],
        *,
        priority: int | None = None,
    ) -> list[Message]:
        """Queue a message for each (phone, label, expected end)."""
        drafts = []
        for phone, label, end in places:
            text = self.text(label)
            self.expected[text] = end
            drafts.append(
                outbox.Draft(content=Text(text), to=phone, sender=sender, priority=priority)
            )
        queued = outbox.queue_many(drafts)
        assert not queued.refused, queued.refused
        return [message for message in queued.messages if message is not None]


def _numbers() -> Iterator[str]:
    """Well-formed mobile numbers. The range kept free for fiction has too few; none is dialled."""
    for number in range(1_000_000):
        yield f"+4477{number + 10_000_000:08d}"
