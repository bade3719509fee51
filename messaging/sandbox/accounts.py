"""The accounts the sandbox plays, their built-in defaults and their options.

Every credential below is made up and every number lies in the range Ofcom keeps free for
fiction (+44 7700 900000 to 900999).
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from typing import Any

WH_TOKEN = "65a1b2c3d4e5f60718293a40"  # noqa: S105
WH_NUMBER = "447700900100"
WH_QUOTA = 5_000_000
WH_NEW_TOKEN = "65a1b2c3d4e5f60718293a41"  # noqa: S105
"""An instance that no phone is connected to yet; it comes to be when it is first asked for."""
WH_NEW_NUMBER = "447700900101"

# Punctuation as in the document's own sample: it breaks whoever formats JSON by hand.
IS_ACCESS_KEY = "Yva$ER%Uhs+UU[MzwEYe"
IS_SECRET_KEY = "F{kQ^s`wVpm!EU~Bx8yB^A$N$[l{pxJA"  # noqa: S105
IS_NUMBER = "447700900200"

IX_API_KEY = "ix-sandbox-4f1d7a60c2e94b8f"
IX_ONLINE_SENDER = 12
IX_ONLINE_NUMBER = "+447700900300"
IX_OFFLINE_SENDER = 13
IX_OFFLINE_NUMBER = "+447700900301"
IX_TEMPLATE = 45
IX_PENDING_TEMPLATE = 46
IX_PLAIN_TEMPLATE = 47

_INNER = {"option": False}
"""Marks fields that are the account's memory, not options."""


class OptionError(Exception):
    """An option that the account does not know, or of the wrong kind."""


@dataclass
class Account:
    """What every account has; the options are the fields of the subclasses."""

    name: str = ""

    def update(self, options: dict[str, Any]) -> None:
        """Set options by name; lists become sets where the field is one."""
        for name, value in options.items():
            self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        known = {
            item.name for item in dataclasses.fields(self) if item.metadata.get("option", True)
        }
        if name not in known:
            raise OptionError(f"{type(self).__name__} has no option {name!r}")
        present = getattr(self, name)
        if isinstance(present, set):
            value = set(value)
        elif present is not None and not _same_kind(present, value):
            raise OptionError(f"{name} must be {type(present).__name__}")
        setattr(self, name, value)

    def describe(self) -> dict[str, Any]:
        """The options as JSON."""
        return {
            item.name: _plain(getattr(self, item.name))
            for item in dataclasses.fields(self)
            if item.metadata.get("option", True)
        }


def _same_kind(present: Any, value: Any) -> bool:
    if isinstance(present, bool) or isinstance(value, bool):
        return isinstance(present, bool) and isinstance(value, bool)
    if isinstance(present, int | float):
        return isinstance(value, int | float)
    return isinstance(value, type(present))


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else value


@dataclass
class WhatsAppHttpAccount(Account):
    """One instance of the WhatsApp HTTP API: a QR-paired phone and its plan."""

    token: str = WH_TOKEN
    """The instance id, which the document takes everywhere."""
    api_key: str = ""
    """A second token, taken everywhere but where the document says "your instance id"."""
    number: str = WH_NUMBER
    client_id: str = "5f00000000000000000000c8"
    quota: int = WH_QUOTA
    usage: int = 0
    quota_limit: int = 0
    """Daily cap; 0 = none. Beyond it: 07."""
    today_usage: int = 0
    recharged: bool = True
    """False: checkBal answers HTTP 500 without a body."""
    expiry_date: str = "2027-05-04 22:29:59 +0530 IST"
    connected: bool = True
    accept_disconnected: bool = False
    """Sends while disconnected: False = refused with 04, True = taken with connStatus false."""
    unregistered: set[str] = field(default_factory=set)
    params: str = "both"
    """`both` reads parameters from query and body, `query` from the query string only."""
    fetch_links: bool = False
    """Fetch links whose host is loopback, so signed media URLs are proven end to end."""
    report_order: str = "newest"
    """Order of report rows: `newest`, `oldest` or `shuffled`."""
    report_cap: int = 0
    """Most rows one report gives (total still counts all); 0 = no cap."""
    inbox_order: str = "newest"
    """Order of inbox rows: `newest`, `oldest` or `shuffled`."""
    inbox_cap: int = 0
    """Most rows one inbox report gives (total still counts all); 0 = no cap."""
    inbox_single: bool = True
    """A single inbox row comes as an object, as in the document's sample; False: as a list."""
    push_name: str = "Shop"
    contacts: list[dict[str, Any]] = field(default_factory=lambda: _wh_contacts())
    groups: list[dict[str, Any]] = field(default_factory=lambda: _wh_groups())
    webhook: str = ""
    """Where delivery and inbox webhooks are posted to."""
    pairings: int = field(default=0, metadata=_INNER)
    """How often the instance was logged out; every time makes new codes."""

    @property
    def remaining(self) -> int:
        """Credit left, the `quota` of checkBal."""
        return self.quota - self.usage


@dataclass
class IntelliSoftwareAccount(Account):
    """One access key of IntelliSoftware."""

    accesskey: str = IS_ACCESS_KEY
    secretkey: str = IS_SECRET_KEY
    senders: set[str] = field(default_factory=lambda: {IS_NUMBER})
    """Values taken as `from`; empty = any."""
    credit: float = 1_000_000.0
    failure_status: int = 200
    """HTTP status that carries `response_status: failure`; the document names none."""
    errors: dict[str, int] = field(default_factory=dict)
    """Recipient -> error code answered for it alone."""
    in_sandbox: set[str] = field(default_factory=set)
    """When not empty, every other recipient is answered 29."""
    rewrite: str = ""
    """How `to` comes back: "" as sent, `plus` (+44...), `national` (0...), `zeros` (0044...)."""
    reorder: bool = False
    omit: set[str] = field(default_factory=set)
    """Recipients that are taken but left out of the answer."""
    one_id: bool = False
    extras: bool = False
    """Adds msgparts and creditsused, which public documents show and the seed does not."""
    enforce_window: bool = False
    """Refuse free-form WhatsApp messages to recipients not in `open_windows`."""
    open_windows: set[str] = field(default_factory=set)
    templates: list[dict[str, Any]] = field(default_factory=lambda: _is_templates())
    webhook: str = ""
    """Where received messages are forwarded to."""
    status_webhook: str = ""
    """Where status reports go; the wire documents have none, so none are posted by default."""
    status_format: str = "form"
    """`form` (msgid, status, toaddr), `json` (the same) or `words` (JSON, the status a word)."""


@dataclass
class IntellixentAccount(Account):
    """One user of Intellixent: the API key, its senders and their templates."""

    api_key: str = IX_API_KEY
    balance: int = 1_000_000
    rate_limit: int = 5
    """Requests in any second, over all connections; 0 = unlimited."""
    template_opens_window: bool = True
    """What the document says; the vendor's other pages say only an inbound message opens it."""
    initial_status: str = "queued"
    errors: dict[str, str] = field(default_factory=dict)
    """Recipient digits -> error_code answered for it."""
    senders: list[dict[str, Any]] = field(default_factory=lambda: _ix_senders())
    templates: list[dict[str, Any]] = field(default_factory=lambda: _ix_templates())
    arrivals: deque[float] = field(default_factory=deque, metadata=_INNER)
    sessions: dict[tuple[int, str], float] = field(default_factory=dict, metadata=_INNER)
    conversations: dict[tuple[int, str], int] = field(default_factory=dict, metadata=_INNER)
    heard: dict[tuple[int, str], float] = field(default_factory=dict, metadata=_INNER)
    """When a customer wrote last; a session may also be open for other reasons."""
    customers: dict[tuple[int, str], str] = field(default_factory=dict, metadata=_INNER)


def _wh_contacts() -> list[dict[str, Any]]:
    return [
        {"id": "447700900123", "name": "Asha 👑"},
        {"id": "447700900124", "name": "😁😁😁"},
        {"id": "447700900125", "name": ""},
    ]


def _wh_groups() -> list[dict[str, Any]]:
    members = ["447700900123", "447700900124"]
    return [{"id": "120363000000000001", "name": "Team 🌷", "participants": members}]


def _is_templates() -> list[dict[str, Any]]:
    return [
        {"name": "order_ready", "language": "en_GB", "variables": ["customer", "order_no"],
         "named": True, "status": "APPROVED",
         "body": "Hello {{customer}}, your order {{order_no}} is ready."},
        {"name": "welcome", "language": "en", "variables": ["1"], "named": False,
         "status": "APPROVED", "body": "Welcome, {{1}}!"},
        {"name": "shop_open", "language": "en_GB", "variables": [], "named": False,
         "status": "APPROVED", "body": "We are open again."},
        {"name": "spring_sale", "language": "en_GB", "variables": [], "named": False,
         "status": "PENDING", "body": "Our spring sale starts."},
    ]  # fmt: skip


def _ix_senders() -> list[dict[str, Any]]:
    return [
        {"id": IX_ONLINE_SENDER, "phone_number": IX_ONLINE_NUMBER, "display_name": "Shop",
         "status": "online", "quality_rating": "GREEN", "messaging_limit": 1000,
         "messaging_limit_formatted": "1K"},
        {"id": IX_OFFLINE_SENDER, "phone_number": IX_OFFLINE_NUMBER, "display_name": "Workshop",
         "status": "offline", "quality_rating": "YELLOW", "messaging_limit": None,
         "messaging_limit_formatted": "Unlimited"},
    ]  # fmt: skip


def _ix_templates() -> list[dict[str, Any]]:
    return [
        {"id": IX_TEMPLATE, "sender_id": IX_ONLINE_SENDER, "name": "appointment",
         "language": "en_GB", "category": "utility", "status": "approved",
         "body_text": "Hello {{1}}, see you on {{2}} at {{3}}.", "variables": ["1", "2", "3"]},
        {"id": IX_PENDING_TEMPLATE, "sender_id": IX_ONLINE_SENDER, "name": "spring_sale",
         "language": "en_GB", "category": "marketing", "status": "pending",
         "body_text": "Our spring sale starts, {{1}}.", "variables": ["1"]},
        {"id": IX_PLAIN_TEMPLATE, "sender_id": IX_ONLINE_SENDER, "name": "thanks",
         "language": "en_GB", "category": "utility", "status": "approved",
         "body_text": "Thank you for your visit.", "variables": []},
    ]  # fmt: skip
