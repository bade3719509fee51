"""A client for the control API, on the standard library alone."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit


class SandboxError(Exception):
    """The sandbox refused a control call."""


class SandboxClient:
    """Steers and reads a running sandbox. Not shared between threads."""

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._timeout = timeout

    # What came in

    def health(self) -> dict[str, Any]:
        """Proof of life: `{"ok": true, "pid": ...}`."""
        return self._call("GET", "health")

    def arrivals(self, **filters: Any) -> list[dict[str, Any]]:
        """Requests that were completely read; filters: since, gateway, operation, account,
        phone, limit."""
        return list(self._call("GET", "arrivals", filters)["arrivals"])

    def deliveries(self, **filters: Any) -> list[dict[str, Any]]:
        """Messages that were taken, one per recipient; filters: since, gateway, phone, limit."""
        return list(self._call("GET", "deliveries", filters)["deliveries"])

    def stats(self) -> dict[str, Any]:
        """Counts by gateway, operation and outcome."""
        return self._call("GET", "stats")

    def pace(self, **filters: Any) -> dict[str, Any]:
        """The most arrivals in any `window` of seconds; filters as for `arrivals`."""
        return self._call("GET", "pace", filters)

    # What is set

    def reset(self) -> None:
        """Forget everything: arrivals, messages, faults, accounts, settings, clock."""
        self._call("POST", "reset", body={})

    def fault(self, mode: str, **options: Any) -> int:
        """Add a fault (see `faults.Fault` for the options); returns its id."""
        return int(self._call("POST", "faults", body={"mode": mode, **options})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The faults, each with how often it struck (`hits`)."""
        return list(self._call("GET", "faults")["faults"])

    def clear_faults(self, fault_id: int | None = None) -> None:
        """Delete one fault, or all."""
        self._call("DELETE", "faults" if fault_id is None else f"faults/{fault_id}")

    def account(self, gateway: str, **options: Any) -> dict[str, Any]:
        """Add an account, or change options of the one with this credential (default: the
        built-in); see `accounts` for the options."""
        return self._call("POST", "accounts", body={"gateway": gateway, **options})

    def accounts(self) -> dict[str, Any]:
        """All accounts by gateway."""
        return self._call("GET", "accounts")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change sent_after, delivered_after, read_after (None = never) or keep."""
        return self._call("POST", "settings", body=changes)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock: messages, sessions and reports age by so much."""
        self._call("POST", "clock", body={"advance": seconds})

    # Messages

    def message(self, phone: str, **options: Any) -> dict[str, Any]:
        """Add a message to the WhatsApp HTTP report that no request brought; options: text,
        kind, age (seconds), status, token."""
        return self._call("POST", "messages", body={"phone": phone, **options})

    def messages(self, **filters: Any) -> list[dict[str, Any]]:
        """Messages by id, phone or gateway, with status and the time of each step."""
        return list(self._call("GET", "messages", filters)["messages"])

    def set_status(self, status: str, **choice: Any) -> int:
        """Put messages into a status; choice: id, phone, gateway or all=True (and at)."""
        return int(self._call("POST", "status", body={"status": status, **choice})["changed"])

    def session(self, phone: str, **options: Any) -> None:
        """Open Intellixent's window with a phone as an inbound message would, or close it
        (open=False); options: sender_id, minutes, api_key."""
        self._call("POST", "sessions", body={"phone": phone, **options})

    def _call(
        self,
        method: str,
        resource: str,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        path = f"/_sandbox/{resource}" + (f"?{urlencode(query)}" if query else "")
        payload = None if body is None else json.dumps(body)
        connection = http.client.HTTPConnection(*self._address, timeout=self._timeout)
        try:
            connection.request(method, path, payload, {"Connection": "close"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise SandboxError(answer.get("error", f"HTTP {response.status}"))
        return answer
