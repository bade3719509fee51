"""Everything the sandbox remembers: accounts, messages, arrivals, clock. All of it resettable."""

from __future__ import annotations

import mimetypes
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from .accounts import (
    WH_NEW_NUMBER,
    WH_NEW_TOKEN,
    Account,
    IntelliSoftwareAccount,
    IntellixentAccount,
    OptionError,
    WhatsAppHttpAccount,
)
from .faults import FaultTable
from .settings import Settings

if TYPE_CHECKING:
    from .whatsapp_inbox import Inbound

WH = "whatsapp_http"
IS = "intellisoftware"
IX = "intellixent"
GATEWAYS = (WH, IS, IX)
MEDIA_PATH = "/media/"

STATUSES = ("accepted", "sent", "delivered", "read", "failed")

ACCOUNT_TYPES: dict[str, tuple[type[Account], str]] = {
    WH: (WhatsAppHttpAccount, "token"),
    IS: (IntelliSoftwareAccount, "accesskey"),
    IX: (IntellixentAccount, "api_key"),
}
"""Gateway -> the account's class and the field that signs a call."""


class Message:
    """One message to one recipient that a gateway took: a customer would receive it."""

    __slots__ = (
        "account",
        "arrival",
        "at",
        "forced",
        "gateway",
        "id",
        "kind",
        "link",
        "phone",
        "sender",
        "text",
    )

    def __init__(
        self, gateway: str, account: str, phone: str, kind: str, text: str, id_: str, at: float
    ) -> None:
        self.gateway = gateway
        self.account = account
        self.phone = phone
        self.kind = kind
        self.text = text
        self.id = id_
        self.at = at
        self.link = ""
        self.sender = ""
        self.arrival = 0
        self.forced: dict[str, float] | None = None


class Arrival(NamedTuple):
    """One request that was completely read, with what became of it."""

    n: int
    time: float
    clock: float
    method: str
    gateway: str
    operation: str
    account: str
    phones: tuple[str, ...]
    text: str
    content: Any
    status: int
    code: str
    accepted: int
    ids: tuple[str, ...]
    fault: str


class Steps(NamedTuple):
    """Where a message is on its way, with the time of each step reached."""

    status: str
    sent: float | None
    delivered: float | None
    read: float | None


class State:
    """One sandbox's memory. A delay of None means the step is never reached by itself."""

    def __init__(
        self, settings: Settings | None = None, webhooks: dict[str, str] | None = None
    ) -> None:
        self._initial = (settings or Settings()).as_dict()
        self._webhooks = webhooks or {}
        self.base_url = ""
        self.listener: Callable[[Message], None] | None = None
        """Called with every message taken, if anything is to follow from it."""
        self._n = 0
        self._sequence = 0
        self._salt = secrets.token_hex(5)
        self._last_second = 0
        self.reset()

    def reset(self) -> None:
        """Back to how it started; ids keep growing, so no two runs share one."""
        self.settings = Settings(**self._initial)
        self.clock_offset = 0.0
        self.arrivals: list[Arrival] = []
        self.deliveries: list[Message] = []
        self.messages: dict[str, Message] = {}
        self.dropped = 0
        self.faults = FaultTable()
        self.accounts: dict[str, dict[str, Account]] = {gateway: {} for gateway in GATEWAYS}
        self.inbox: list[Inbound] = []
        self.media: dict[str, tuple[bytes, str]] = {}
        for gateway in GATEWAYS:
            webhook = self._webhooks.get(gateway)
            self.account(gateway, {"webhook": webhook} if webhook else {})

    def now(self) -> float:
        """The sandbox's own time, which the control API can move."""
        return time.time() + self.clock_offset

    # Accounts

    def account(self, gateway: str, options: dict[str, Any]) -> Account:
        """Add an account, or change the one that has this credential (default: the built-in)."""
        if gateway not in ACCOUNT_TYPES:
            raise OptionError(f"no gateway {gateway!r}")
        kind, key_field = ACCOUNT_TYPES[gateway]
        fresh = kind()
        key = options.get(key_field, getattr(fresh, key_field))
        account = self.accounts[gateway].get(key, fresh)
        account.update(options)
        account.name = account.name or self._free_name(gateway, account)
        self.accounts[gateway][key] = account
        return account

    def instance(self, token: str) -> WhatsAppHttpAccount | None:
        """The WhatsApp HTTP API's account of this instance id."""
        account = self.accounts[WH].get(token)
        if account is None and token == WH_NEW_TOKEN:
            fresh = {"token": token, "number": WH_NEW_NUMBER, "connected": False}
            account = self.account(WH, fresh)
        return account if isinstance(account, WhatsAppHttpAccount) else None

    def named(self, gateway: str, name: str) -> Account | None:
        """The account of this name."""
        for account in self.accounts[gateway].values():
            if account.name == name:
                return account
        return None

    def find(self, gateway: str, wanted: Any) -> Account | None:
        """The account of this credential or name, or with this number or sender id."""
        text = str(wanted)
        account = self.instance(text) if gateway == WH else self.accounts[gateway].get(text)
        if account is not None:
            return account
        for account in self.accounts[gateway].values():
            if text in (account.name, f"+{account.name}") or text.lstrip("+") in _numbers(account):
                return account
        return None

    def serve(self, data: bytes, content_type: str, filename: str) -> str:
        """Put a file where a receiver can fetch it; returns the URL."""
        name = f"{secrets.token_hex(8)}{mimetypes.guess_extension(content_type) or '.bin'}"
        self.media[name] = (data, content_type)
        return f"{self.base_url}{MEDIA_PATH}{name}/{quote(filename)}"

    def _free_name(self, gateway: str, account: Account) -> str:
        name = _default_name(account)
        taken = sum(other.name.startswith(name) for other in self.accounts[gateway].values())
        return f"{name}-{taken + 1}" if taken else name

    # Ids

    def object_id(self) -> str:
        """24 hex digits that only grow, as the WhatsApp HTTP API's ids do."""
        self._sequence += 1
        self._last_second = max(self._last_second, int(time.time() + self.clock_offset))
        return f"{self._last_second:08x}{self._salt}{self._sequence & 0xFFFFFF:06x}"

    def hex_id(self) -> str:
        """34 hex digits, the shape of IntelliSoftware's ids."""
        self._sequence += 1
        return f"{secrets.token_hex(12)}{self._sequence:010x}"

    def sid(self) -> str:
        """`SM` and 32 hex digits, the shape of a Twilio message SID."""
        self._sequence += 1
        return f"SM{secrets.token_hex(11)}{self._sequence:010x}"

    def number(self) -> int:
        """A growing integer id."""
        self._sequence += 1
        return self._sequence

    # Messages

    def take(self, message: Message) -> None:
        """A gateway took the message."""
        message.arrival = self._n + 1
        self.messages[message.id] = message
        self.deliveries.append(message)
        if self.listener is not None:
            self.listener(message)

    def steps(self, message: Message) -> Steps:
        """Where the message is now, computed from its age unless a step was forced."""
        if message.forced is not None:
            return _forced_steps(message.forced)
        settings = self.settings
        now = self.now()
        sent = _reached(message.at, settings.sent_after, now)
        delivered = _reached(message.at, settings.delivered_after, now) if sent else None
        read = _reached(message.at, settings.read_after, now) if delivered else None
        status = "read" if read else "delivered" if delivered else "sent" if sent else "accepted"
        return Steps(status, sent, delivered, read)

    def force(self, message: Message, status: str, at: float | None = None) -> None:
        """Put the message into a status, whatever its age; later steps are taken back."""
        if status not in STATUSES:
            raise ValueError(status)
        when = self.now() if at is None else at
        before = self.steps(message)
        forced = {"accepted": message.at}
        if status == "failed":
            forced["failed"] = when
        else:
            known = {"sent": before.sent, "delivered": before.delivered}
            for step in STATUSES[1 : STATUSES.index(status) + 1]:
                forced[step] = known.get(step) or when
        message.forced = forced

    # Arrivals

    def record(self, arrival: Arrival) -> None:
        """Note a request; the oldest leave once more than `keep` are held."""
        self._n += 1
        self.arrivals.append(arrival._replace(n=self._n) if arrival.n == 0 else arrival)
        if len(self.arrivals) > self.settings.keep:
            self._trim()

    @property
    def next_arrival(self) -> int:
        """The number the request in hand will be recorded under."""
        return self._n + 1

    def _trim(self) -> None:
        spare = max(1, self.settings.keep // 10)
        self.dropped += spare
        del self.arrivals[:spare]
        if len(self.deliveries) > self.settings.keep:
            for message in self.deliveries[:spare]:
                self.messages.pop(message.id, None)
            del self.deliveries[:spare]


def _reached(start: float, delay: float | None, now: float) -> float | None:
    if delay is None or start + delay > now:
        return None
    return start + delay


def _forced_steps(forced: dict[str, float]) -> Steps:
    status = list(forced)[-1]
    return Steps(status, forced.get("sent"), forced.get("delivered"), forced.get("read"))


def _numbers(account: Account) -> set[str]:
    if isinstance(account, WhatsAppHttpAccount):
        return {account.number, account.api_key} - {""}
    if isinstance(account, IntelliSoftwareAccount):
        return account.senders
    numbers: set[str] = set()
    if isinstance(account, IntellixentAccount):
        for sender in account.senders:
            numbers |= {str(sender["id"]), str(sender["phone_number"]).lstrip("+")}
    return numbers


def _default_name(account: Account) -> str:
    if isinstance(account, WhatsAppHttpAccount):
        return account.number
    if isinstance(account, IntelliSoftwareAccount):
        return min(account.senders, default="intellisoftware")
    return "intellixent"
