"""A client for the control API, on the standard library alone."""

from __future__ import annotations

import base64
import http.client
import json
import time
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
        """Change sent_after, delivered_after, read_after (None = never), keep, or how webhooks
        go out and customers answer; see `settings.Settings`."""
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

    # Customers

    def customer_writes(
        self,
        gateway: str,
        *,
        phone: str = "",
        text: str = "",
        kind: str = "text",
        file: bytes | None = None,
        messages: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """A customer writes to us; see `writing.Writing` for all that may be said.

        Posts the webhook unless `webhook=False`. `messages` are writings that come in one body
        (intellisoftware). Returns `ids` (messageID or messageid), for whatsapp_http `wa_ids`
        (waMessageID) too, and for intellixent `expires_at` of the session this opened."""
        body: dict[str, Any] = {"gateway": gateway, "phone": phone, "text": text, "kind": kind}
        if file is not None:
            body["file"] = base64.b64encode(file).decode()
        if messages is not None:
            body["messages"] = messages
        return self._call("POST", "inbound", body=body | more)

    def answers(self, text: str | list[str] = "Thank you", **options: Any) -> None:
        """Customers answer what they get; options: after (seconds), share (0 to 1)."""
        self.settings(answers={"text": text, **options} if text else None)

    # Webhooks

    def webhook(
        self,
        account: str,
        url: str | None = None,
        *,
        status_url: str | None = None,
        status_format: str | None = None,
    ) -> None:
        """Where an account posts to ("" = nowhere); `account` is a gateway (its built-in
        account), a token, an access key or a number. The last two are intellisoftware's status
        reports: `form`, `json` or `words`."""
        options = {"url": url, "status_webhook": status_url, "status_format": status_format}
        given = {name: value for name, value in options.items() if value is not None}
        self._call("POST", "webhooks", body={"account": account, **given})

    def webhook_log(self, **filters: Any) -> list[dict[str, Any]]:
        """Posts that have ended: url, kind (inbox, delivery, forward, status), body, file,
        attempt, status (0 = no answer), error, time; filters: since, gateway, account, kind,
        limit."""
        return list(self._call("GET", "webhooks", filters)["webhooks"])

    def pending(self) -> dict[str, int]:
        """How much is still to be posted or done: `waiting` and `later`."""
        return self._call("GET", "pending")

    def settle(self, seconds: float = 10.0) -> None:
        """Wait until everything that is due by the sandbox's clock was posted."""
        end = time.monotonic() + seconds
        while self.pending()["waiting"]:
            if time.monotonic() > end:
                raise SandboxError(f"webhooks were still to be posted after {seconds} s")
            time.sleep(0.01)

    # Pairing

    def pairing(self, token: str) -> dict[str, Any]:
        """Whether a phone is `connected`, the `code` shown now, and when it `expires_at`."""
        return self._call("GET", "pairing", {"token": token})

    def scan(self, token: str, code: str = "") -> None:
        """A phone scans the code that is shown now, or one that was shown before."""
        self._call("POST", "pairing", body={"token": token, "action": "scan", "code": code})

    def disconnect(self, token: str) -> None:
        """The phone logs the instance out."""
        self._call("POST", "pairing", body={"token": token, "action": "disconnect"})

    def contacts(self, rows: list[dict[str, Any]], token: str | None = None) -> None:
        """Set the phone's contacts: `id` and `name` of each."""
        self.account("whatsapp_http", contacts=rows, **({"token": token} if token else {}))

    def groups(self, rows: list[dict[str, Any]], token: str | None = None) -> None:
        """Set the phone's groups: `id`, `name` and `participants` of each."""
        self.account("whatsapp_http", groups=rows, **({"token": token} if token else {}))

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
