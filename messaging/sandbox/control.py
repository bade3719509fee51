"""The control API under `/_sandbox/`: what tests, benchmarks and the demo steer and read."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from .accounts import IntellixentAccount, OptionError, WhatsAppHttpAccount
from .call import Gateway
from .control_inbox import InboxControl
from .customers import Customers
from .faults import FaultError
from .forms import CharactersError, parse_urlencoded
from .state import IX, STATUSES, WH, Arrival, Message, State
from .webhooks import Webhooks
from .wire import Reply, Request, json_reply


class ControlError(Exception):
    """A control call that cannot be carried out, in words."""


class Control:
    """Answers the control calls; each is a method named `<verb>_<resource>`."""

    def __init__(
        self,
        state: State,
        gateways: Mapping[str, Gateway],
        customers: Customers,
        webhooks: Webhooks,
    ) -> None:
        self._state = state
        self._gateways = gateways
        self._customers = customers
        self._webhooks = webhooks
        self._calls: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "health"): self.get_health,
            ("GET", "arrivals"): self.get_arrivals,
            ("GET", "deliveries"): self.get_deliveries,
            ("GET", "stats"): self.get_stats,
            ("GET", "pace"): self.get_pace,
            ("POST", "reset"): self.post_reset,
            ("GET", "faults"): self.get_faults,
            ("POST", "faults"): self.post_faults,
            ("DELETE", "faults"): self.delete_faults,
            ("GET", "accounts"): self.get_accounts,
            ("POST", "accounts"): self.post_accounts,
            ("GET", "settings"): self.get_settings,
            ("POST", "settings"): self.post_settings,
            ("POST", "clock"): self.post_clock,
            ("GET", "messages"): self.get_messages,
            ("POST", "messages"): self.post_messages,
            ("POST", "status"): self.post_status,
            ("POST", "sessions"): self.post_sessions,
            **InboxControl(state, customers, webhooks).calls,
        }

    def handle(self, request: Request) -> Reply:
        """Carry out one control call: JSON in (or a query string), JSON out."""
        resource, _, item = request.path.removeprefix("/_sandbox/").strip("/").partition("/")
        call = self._calls.get((request.method, resource))
        if call is None:
            return json_reply({"error": f"no control call {request.method} {request.path}"}, 404)
        try:
            data = _data(request)
            if item:
                data["id"] = item
            return json_reply(call(data))
        except (ControlError, FaultError, OptionError, TypeError, ValueError, KeyError) as error:
            return json_reply({"error": f"{type(error).__name__}: {error}"}, 400)

    # What came in

    def get_health(self, data: dict[str, Any]) -> Any:
        """Proof of life."""
        return {"ok": True, "pid": os.getpid()}

    def get_arrivals(self, data: dict[str, Any]) -> Any:
        """Requests that were completely read, oldest first."""
        rows = [_arrival(item) for item in self._selected(self._state.arrivals, data)]
        return {"arrivals": rows, "last": self._state.next_arrival - 1}

    def get_deliveries(self, data: dict[str, Any]) -> Any:
        """Messages that were taken, one per recipient, oldest first."""
        since, gateway = int(data.get("since", 0)), data.get("gateway")
        phone = str(data.get("phone", "")).lstrip("+")
        found = (
            message
            for message in self._state.deliveries
            if message.arrival > since
            and (not gateway or message.gateway == gateway)
            and (not phone or message.phone == phone)
        )
        rows = [self._message(message) for message in _first(found, data)]
        return {"deliveries": rows, "last": self._state.next_arrival - 1}

    def get_stats(self, data: dict[str, Any]) -> Any:
        """Counts by gateway, operation and outcome."""
        operations: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        gateways: Counter[str] = Counter()
        for arrival in self._state.arrivals:
            gateways[arrival.gateway] += 1
            operations[f"{arrival.gateway}.{arrival.operation}"] += 1
            outcomes[f"{arrival.gateway} {arrival.status} {arrival.code}".strip()] += 1
        taken = Counter(message.gateway for message in self._state.deliveries)
        return {
            "arrivals": len(self._state.arrivals),
            "deliveries": len(self._state.deliveries),
            "dropped": self._state.dropped,
            "by_gateway": gateways,
            "by_operation": operations,
            "by_outcome": outcomes,
            "delivered_by_gateway": taken,
        }

    def get_pace(self, data: dict[str, Any]) -> Any:
        """The most arrivals in any window of `window` seconds, and the mean rate."""
        window = float(data.get("window", 1.0))
        clocks = [item.clock for item in self._selected(self._state.arrivals, data)]
        most, start = 0, 0
        for end, clock in enumerate(clocks):
            while clocks[start] <= clock - window:
                start += 1
            most = max(most, end - start + 1)
        span = clocks[-1] - clocks[0] if len(clocks) > 1 else 0.0
        mean = (len(clocks) - 1) / span if span else 0.0
        return {"count": len(clocks), "most": most, "seconds": span, "per_second": mean}

    # What is set

    def post_reset(self, data: dict[str, Any]) -> Any:
        """Forget everything: arrivals, messages, faults, accounts, settings, clock."""
        self._state.reset()
        self._customers.reset()
        return {"ok": True}

    def get_faults(self, data: dict[str, Any]) -> Any:
        """The faults in force, with how often each struck."""
        return {"faults": self._state.faults.list()}

    def post_faults(self, data: dict[str, Any]) -> Any:
        """Add a fault."""
        gateway = data.get("gateway")
        if gateway and gateway not in self._gateways:
            raise ControlError(f"no gateway {gateway!r}")
        if data.get("mode") == "code" and gateway:
            data["code"] = str(data.get("code", ""))
            if not self._gateways[gateway].knows_code(data["code"]):
                raise ControlError(f"{gateway} has no code {data['code']!r}")
        return self._state.faults.add(data).describe()

    def delete_faults(self, data: dict[str, Any]) -> Any:
        """Delete one fault (`/_sandbox/faults/<id>`) or all."""
        return {"deleted": self._state.faults.clear(int(data["id"]) if "id" in data else None)}

    def get_accounts(self, data: dict[str, Any]) -> Any:
        """Every account with its options, credentials included: they are all made up."""
        return {
            gateway: [account.describe() for account in accounts.values()]
            for gateway, accounts in self._state.accounts.items()
        }

    def post_accounts(self, data: dict[str, Any]) -> Any:
        """Add an account, or change the options of the one with this credential."""
        gateway = data.pop("gateway", "")
        account = self._state.account(gateway, data)
        self._customers.refresh()
        return account.describe()

    def get_settings(self, data: dict[str, Any]) -> Any:
        """Delays and sizes, and how webhooks go out."""
        return self._state.settings.as_dict()

    def post_settings(self, data: dict[str, Any]) -> Any:
        """Change settings; a delay of null = never by itself."""
        self._state.settings.change(data)
        self._customers.refresh()
        return self._state.settings.as_dict()

    def post_clock(self, data: dict[str, Any]) -> Any:
        """Move the sandbox's clock by `advance` seconds (ages messages, sessions, reports)."""
        self._state.clock_offset += float(data["advance"])
        self._webhooks.agenda.wake()
        return {"now": self._state.now(), "offset": self._state.clock_offset}

    # Messages

    def get_messages(self, data: dict[str, Any]) -> Any:
        """Messages by `id`, `phone` or `gateway`, with where each is on its way."""
        return {"messages": [self._message(item) for item in _first(self._chosen(data), data)]}

    def post_messages(self, data: dict[str, Any]) -> Any:
        """Put a message into the WhatsApp HTTP API's report that no request brought."""
        state = self._state
        account = state.accounts[WH].get(data.get("token", WhatsAppHttpAccount().token))
        if account is None:
            raise ControlError("no account with this token")
        at = state.now() - float(data.get("age", 0.0))
        text, kind = str(data.get("text", "")), str(data.get("kind", "text"))
        message = Message(WH, account.name, str(data["phone"]), kind, text, state.object_id(), at)
        state.messages[message.id] = message
        # Reports list by age, so an older message goes before the younger ones.
        place = next((i for i, item in enumerate(state.deliveries) if item.at > at), None)
        state.deliveries.insert(len(state.deliveries) if place is None else place, message)
        if data.get("status"):
            state.force(message, _status(data), at)
        return self._message(message)

    def post_status(self, data: dict[str, Any]) -> Any:
        """Put the messages chosen by `id`, `phone` or `gateway` (or `all`) into `status`."""
        if not any(data.get(name) for name in ("id", "phone", "gateway", "all")):
            raise ControlError("which messages? give id, phone, gateway or all")
        status, at = _status(data), data.get("at")
        chosen = list(self._chosen(data))
        for message in chosen:
            self._state.force(message, status, None if at is None else float(at))
        self._customers.followers.moved(chosen)
        return {"changed": len(chosen)}

    def post_sessions(self, data: dict[str, Any]) -> Any:
        """Open (or close) Intellixent's session window with a `phone`, as an inbound would."""
        key = data.get("api_key", IntellixentAccount().api_key)
        account = self._state.accounts[IX].get(key)
        if not isinstance(account, IntellixentAccount):
            raise ControlError("no account with this api_key")
        phone = "+" + str(data["phone"]).lstrip("+")
        sender = int(data.get("sender_id", account.senders[0]["id"]))
        minutes = float(data.get("minutes", 24 * 60)) if data.get("open", True) else 0.0
        account.sessions[(sender, phone)] = self._state.now() + minutes * 60
        return {"expires_at": account.sessions[(sender, phone)]}

    def _selected(self, arrivals: list[Arrival], data: dict[str, Any]) -> Iterable[Arrival]:
        since = int(data.get("since", 0))
        start = max(0, since - arrivals[0].n + 1) if arrivals else 0
        wanted = {name: data[name] for name in ("gateway", "account") if name in data}
        operation = str(data.get("operation", "*"))
        phone = str(data.get("phone", ""))
        found = (
            item
            for item in islice(arrivals, start, None)
            if all(getattr(item, name) == value for name, value in wanted.items())
            and fnmatchcase(item.operation, operation)
            and (not phone or phone.lstrip("+") in {p.lstrip("+") for p in item.phones})
        )
        return _first(found, data)

    def _chosen(self, data: dict[str, Any]) -> Iterable[Message]:
        if data.get("id"):
            return [item for item in self._state.deliveries if item.id == data["id"]]
        phone = str(data.get("phone", "")).lstrip("+")
        gateway = data.get("gateway")
        return (
            item
            for item in self._state.deliveries
            if (not phone or item.phone == phone) and (not gateway or item.gateway == gateway)
        )

    def _message(self, message: Message) -> dict[str, Any]:
        steps = self._state.steps(message)
        return {
            "gateway": message.gateway,
            "account": message.account,
            "phone": message.phone,
            "kind": message.kind,
            "text": message.text,
            "id": message.id,
            "at": message.at,
            "arrival": message.arrival,
            **steps._asdict(),
        }


def _status(data: dict[str, Any]) -> str:
    status = str(data.get("status", ""))
    if status not in STATUSES:
        raise ControlError(f"status is one of {', '.join(STATUSES)}")
    return status


def _first(items: Iterable[Any], data: dict[str, Any]) -> list[Any]:
    limit = int(data.get("limit", 0))
    return list(islice(items, limit or None))


def _arrival(arrival: Arrival) -> dict[str, Any]:
    row = arrival._asdict()
    row["monotonic"] = row.pop("clock")
    return row


def _data(request: Request) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if request.query:
        try:
            params = parse_urlencoded(request.query)
        except CharactersError:
            raise ControlError("the query string is not UTF-8") from None
        data = {name: values[-1] for name, values in params.items()}
    if request.body:
        body = json.loads(request.body)
        if not isinstance(body, dict):
            raise ControlError("the body must be a JSON object")
        data |= body
    return data
