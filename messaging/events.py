"""Frozen values that cross the border between adapters and the rest: what happened, and what came.

The words are those of the gateways' documents, read into one vocabulary; see the section on
delivery states in the documentation. No models, no Django.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Status(StrEnum):
    """The state of a message. `queued` is ours; a gateway's own "queued" means `accepted`."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RECEIVED = "received"


#: How far a message has come. Reports only ever raise it.
RANK: Final[Mapping[Status, int]] = MappingProxyType(
    {
        Status.QUEUED: 0,
        Status.SENDING: 1,
        Status.ACCEPTED: 2,
        Status.SENT: 3,
        Status.DELIVERED: 4,
        Status.READ: 5,
    }
)

#: States nothing will move any more without a report or a person.
REST: Final = frozenset(
    {
        Status.ACCEPTED,
        Status.SENT,
        Status.DELIVERED,
        Status.READ,
        Status.FAILED,
        Status.UNKNOWN,
        Status.CANCELLED,
        Status.EXPIRED,
        Status.RECEIVED,
    }
)


class Source(StrEnum):
    """What told us of a step in a message's history."""

    SEND = "send"
    WEBHOOK = "webhook"
    POLL = "poll"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate:
    """A gateway's word on one outbound message, by webhook or by report.

    `status` is None where the gateway's value is not one we know: the raw value is kept and the
    message stays as it is. `text`, `address` and `submitted_at` let an `unknown` send be
    recognised in a report although we never learnt its id. `to` is what a webhook calls the
    sender it is of, as in `Inbound`.
    """

    external_id: str = ""
    to: str = field(default="", repr=False)
    address: str = ""
    status: Status | None = None
    occurred_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    submitted_at: datetime | None = None
    text: str = ""
    error_class: str = ""
    error_code: str = ""
    error_text: str = ""
    raw_status: str = ""
    external_data: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMedia:
    """The file of an inbound message: where to fetch it, or the key of the one that came with it.

    `file` is the key of an Attachment. `missing` says that there was one which nobody can get.
    """

    link: str = ""
    file: str = ""
    filename: str = ""
    content_type: str = ""
    missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A message a customer sent, by webhook or by report.

    `to` is what the gateway calls the sender it came to (a number, an id), empty where it does
    not say; it may be a secret and is never stored. `address` is canonical (`+E164`, `…@g.us`,
    `…@lid`), empty where the gateway does not tell whom it is from. `content` is what the message
    row keeps: for kinds that can be sent as `messaging.content` writes them, else the parts a
    gateway gave. `text` is its plain text. `occurred_at` is by the gateway's clock, None where it
    gave no time we can read; `external_data` then keeps its words.
    """

    external_id: str = ""
    external_ref: str = ""
    to: str = field(default="", repr=False)
    channel: str = ""
    address: str = ""
    name: str = ""
    kind: str = "text"
    content: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    text: str = ""
    occurred_at: datetime | None = None
    media: InboundMedia | None = None
    external_data: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
