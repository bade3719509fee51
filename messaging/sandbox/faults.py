"""Trouble on demand: which requests a fault strikes and what it does to the answer.

The modes are those of the project's fault list: what networks, proxies and overloaded gateways
really do to a client, before and after the gateway has taken the message.
"""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .call import Call, Gateway, Outcome
from .wire import HTML_TYPE, dump

HTML_PAGE = (
    b"<!DOCTYPE html><html><head><title>Just a moment</title></head>"
    b"<body><h1>Please wait</h1><p>Checking your connection.</p></body></html>"
)
DEEP_JSON = b"[" * 100_000
"""Deeper than any recursive JSON reader goes."""

ACCEPTS = {
    "latency": True,
    "code": False,
    "hang_before": False,
    "hang_after": True,
    "cut_before": False,
    "cut_after": True,
    "cut_midbody": True,
    "status": False,
    "html": False,
    "truncated_json": True,
    "wrong_json": True,
    "no_id": True,
    "empty": True,
    "drip": True,
    "huge": True,
    "omit": True,
    "reorder": True,
    "rewrite": True,
}
"""Every mode, and whether the gateway takes the message unless the fault says otherwise."""

FIXED_ACCEPT = ("latency", "hang_before", "hang_after", "cut_before", "cut_after")


class FaultError(Exception):
    """A fault that makes no sense."""


@dataclass
class Fault:
    """One rule: whom it strikes (the first five fields and the counters) and how."""

    mode: str
    gateway: str = ""
    operation: str = ""
    """An operation's name, or a pattern such as `send*`."""
    phone: str = ""
    contains: str = ""
    """Strikes only requests whose text contains this."""
    account: str = ""
    skip: int = 0
    """Let so many matching requests pass first."""
    times: int = 0
    """Strike so many times, then be spent; 0 = without end."""
    rate: float = 1.0
    seed: int = 0
    seconds: float = 0.0
    """Delay before the answer, in any mode."""
    accept: bool | None = None
    code: str = ""
    http: int = 0
    body: str | None = None
    level: str = "overall"
    """intellisoftware: `overall` or `recipient`."""
    description: str = ""
    retry_after: str = ""
    location: str = ""
    shape: str = "types"
    """wrong_json: `types`, `list`, `null`, `string`, `number` or `deep`."""
    variant: str = "empty"
    """no_id: `empty`, `null` or `absent`. rewrite: `plus`, `national` or `zeros`."""
    bytes_per_second: float = 200.0
    megabytes: float = 20.0
    id: int = 0
    hits: int = 0
    passed: int = 0
    _random: random.Random = field(default_factory=random.Random, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in ACCEPTS:
            raise FaultError(f"no mode {self.mode!r}; there are {', '.join(ACCEPTS)}")
        if self.accept is not None and self.mode in FIXED_ACCEPT:
            raise FaultError(f"{self.mode} says by its name whether the message is taken")
        if self.mode == "status" and not 200 <= self.http <= 599:
            raise FaultError("status needs http, 200 to 599")
        if self.mode == "code" and not (self.gateway and self.code):
            raise FaultError("code needs gateway and code")
        self._random = random.Random(self.seed)

    @property
    def accepts(self) -> bool:
        """Whether the gateway does its work although the answer is spoilt."""
        if self.level == "recipient":
            return True
        return ACCEPTS[self.mode] if self.accept is None else self.accept

    def strikes(self, call: Call) -> bool:
        """Whether this request is hit; counts it either way."""
        if not self._concerns(call):
            return False
        if self.passed < self.skip:
            self.passed += 1
            return False
        if self.times and self.hits >= self.times:
            return False
        if self.rate < 1.0 and self._random.random() >= self.rate:
            return False
        self.hits += 1
        return True

    def _concerns(self, call: Call) -> bool:
        if self.gateway and self.gateway != call.gateway:
            return False
        if self.operation and not fnmatch.fnmatchcase(call.operation, self.operation):
            return False
        if self.account and (call.account is None or self.account != call.account.name):
            return False
        if self.contains and self.contains not in call.text:
            return False
        return not self.phone or any(self.concerns_phone(phone) for phone in call.phones)

    def concerns_phone(self, phone: str) -> bool:
        """Whether a recipient is the one named, with or without a plus sign."""
        return not self.phone or self.phone.lstrip("+") == phone.lstrip("+")

    def describe(self) -> dict[str, Any]:
        """The fault as JSON."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class FaultTable:
    """The faults in force, in the order they were added; the first that strikes wins."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, options: dict[str, Any]) -> Fault:
        """Add a fault from its JSON form."""
        unknown = set(options) - set(Fault.__dataclass_fields__) | set(options) & _COUNTED
        if unknown:
            raise FaultError(f"no field {', '.join(sorted(unknown))}")
        if "mode" not in options:
            raise FaultError("mode is missing")
        fault = Fault(**options)
        self._last += 1
        fault.id = self._last
        self._faults.append(fault)
        return fault

    def list(self) -> list[dict[str, Any]]:
        """All faults as JSON, the spent ones too."""
        return [fault.describe() for fault in self._faults]

    def clear(self, fault_id: int | None = None) -> int:
        """Delete one fault, or all; returns how many."""
        kept = [] if fault_id is None else [f for f in self._faults if f.id != fault_id]
        gone = len(self._faults) - len(kept)
        self._faults = kept
        return gone

    def match(self, call: Call) -> Fault | None:
        """The first fault that strikes this request."""
        for fault in self._faults:
            if fault.strikes(call):
                return fault
        return None


_COUNTED = {"id", "hits", "passed", "_random"}


def answer_with(fault: Fault, gateway: Gateway, call: Call) -> Outcome:
    """The gateway's answer under a fault, the message taken or not as the fault says."""
    call.fault = fault
    outcome = gateway.answer(call) if fault.accepts else Outcome()
    spoilt = _SPOIL[fault.mode](fault, gateway, call, outcome)
    spoilt.ids, spoilt.accepted = outcome.ids, outcome.accepted
    spoilt.delay = fault.seconds
    return spoilt


def _as_is(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    return outcome


def _code(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    return outcome if fault.level == "recipient" else gateway.refuse(call, fault)


def _hang(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    outcome.manner = "hang"
    return outcome


def _cut(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    outcome.manner = "cut"
    return outcome


def _cut_midbody(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    outcome.body = outcome.body or dump({"status": "success", "message": "00-Success"})
    outcome.manner = "midbody"
    return outcome


def _status(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    headers = {}
    if fault.retry_after:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.location:
        headers["Location"] = fault.location
    body = (fault.body or "").encode()
    content_type = "application/json" if body[:1] in (b"{", b"[") else HTML_TYPE
    return Outcome(fault.http, body, content_type=content_type, headers=headers)


def _html(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    return Outcome(fault.http or 200, HTML_PAGE, content_type=HTML_TYPE)


def _truncated(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    outcome.body = outcome.body[: max(1, len(outcome.body) * 2 // 3)] or b'{"status":"succ'
    return outcome


def _wrong_json(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    shapes: dict[str, Callable[[], bytes]] = {
        "types": gateway.wrong_types,
        "list": lambda: b'[1,"two",null]',
        "null": lambda: b"null",
        "string": lambda: b'"ok"',
        "number": lambda: b"200",
        "deep": lambda: DEEP_JSON,
    }
    return Outcome(fault.http or 200, shapes.get(fault.shape, gateway.wrong_types)())


def _no_id(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    if outcome.ids or not fault.accepts:
        outcome.body = gateway.without_id(call, outcome, fault)
    return outcome


def _empty(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    return Outcome(fault.http or 200)


def _drip(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    outcome.manner = "drip"
    outcome.speed = max(1.0, fault.bytes_per_second)
    return outcome


def _huge(fault: Fault, gateway: Gateway, call: Call, outcome: Outcome) -> Outcome:
    padding = b" " * int(fault.megabytes * 1_000_000)
    start = outcome.body[:1] or b"{"
    outcome.body = start + padding + (outcome.body[1:] or b"}")
    return outcome


_SPOIL: dict[str, Callable[[Fault, Gateway, Call, Outcome], Outcome]] = {
    "latency": _as_is,
    "code": _code,
    "hang_before": _hang,
    "hang_after": _hang,
    "cut_before": _cut,
    "cut_after": _cut,
    "cut_midbody": _cut_midbody,
    "status": _status,
    "html": _html,
    "truncated_json": _truncated,
    "wrong_json": _wrong_json,
    "no_id": _no_id,
    "empty": _empty,
    "drip": _drip,
    "huge": _huge,
    "omit": _as_is,
    "reorder": _as_is,
    "rewrite": _as_is,
}
