"""The control calls for the receiving side: customers, webhooks and pairing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import pairing
from .accounts import IntelliSoftwareAccount, OptionError, WhatsAppHttpAccount
from .customers import Customers
from .state import IS, WH, State
from .webhooks import Webhooks

STATUS_OPTIONS = ("status_webhook", "status_format")
STATUS_FORMATS = ("form", "json", "words")


class InboxControl:
    """Answers these calls; each is a method named `<verb>_<resource>`."""

    def __init__(self, state: State, customers: Customers, webhooks: Webhooks) -> None:
        self._state = state
        self._customers = customers
        self._webhooks = webhooks
        self.calls: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("POST", "inbound"): self.post_inbound,
            ("GET", "webhooks"): self.get_webhooks,
            ("POST", "webhooks"): self.post_webhooks,
            ("GET", "pending"): self.get_pending,
            ("GET", "pairing"): self.get_pairing,
            ("POST", "pairing"): self.post_pairing,
        }

    def post_inbound(self, data: dict[str, Any]) -> Any:
        """A customer writes; `messages` is a list of writings that share the other fields."""
        gateway = str(data.pop("gateway", ""))
        writings = data.pop("messages", None)
        if writings is None:
            return self._customers.write(gateway, [data])
        return self._customers.write(gateway, [data | writing for writing in writings])

    def get_webhooks(self, data: dict[str, Any]) -> Any:
        """The log of posts, oldest first; filters: since, gateway, account, kind, limit."""
        since, limit = int(data.get("since", 0)), int(data.get("limit", 0))
        wanted = {name: data[name] for name in ("gateway", "account", "kind") if name in data}
        rows = [
            row
            for row in self._webhooks.log()
            if row["n"] > since and all(row[name] == value for name, value in wanted.items())
        ]
        return {"webhooks": rows[:limit] if limit else rows}

    def post_webhooks(self, data: dict[str, Any]) -> Any:
        """Set the URL of an account's webhook; "" ends it."""
        account = self._account(str(data["account"]))
        if data.get("status_format", "form") not in STATUS_FORMATS:
            raise OptionError(f"status_format is one of {', '.join(STATUS_FORMATS)}")
        options = {"webhook": data["url"]} if "url" in data else {}
        if isinstance(account, IntelliSoftwareAccount):
            options |= {name: data[name] for name in STATUS_OPTIONS if data.get(name) is not None}
        elif any(data.get(name) is not None for name in STATUS_OPTIONS):
            raise OptionError("only intellisoftware posts status reports of their own")
        account.update(options)
        self._customers.refresh()
        return {"webhook": account.webhook}

    def get_pending(self, data: dict[str, Any]) -> Any:
        """How much is still to be posted or done, at once and later."""
        return self._webhooks.pending()

    def get_pairing(self, data: dict[str, Any]) -> Any:
        """Whether a phone is connected, and the code that is shown now."""
        account = self._instance(data)
        number = pairing.serial(self._state)
        return {
            "connected": account.connected,
            "code": "" if account.connected else pairing.code(account, number),
            "expires_at": (number + 1) * pairing.QR_LIFE,
        }

    def post_pairing(self, data: dict[str, Any]) -> Any:
        """`action` scan (with the present code or a given one) or disconnect."""
        account, action = self._instance(data), data.get("action", "scan")
        if action == "scan":
            pairing.scan(self._state, account, str(data.get("code") or ""))
        elif action == "disconnect":
            pairing.disconnect(account)
        else:
            raise OptionError("action is scan or disconnect")
        return {"connected": account.connected}

    def _instance(self, data: dict[str, Any]) -> WhatsAppHttpAccount:
        account = self._state.find(WH, data["token"])
        if not isinstance(account, WhatsAppHttpAccount):
            raise OptionError("no account with this token")
        return account

    def _account(self, wanted: str) -> WhatsAppHttpAccount | IntelliSoftwareAccount:
        for gateway in (WH, IS):
            accounts = self._state.accounts[gateway]
            account = (
                next(iter(accounts.values()))
                if wanted == gateway
                else self._state.find(gateway, wanted)
            )
            if isinstance(account, WhatsAppHttpAccount | IntelliSoftwareAccount):
                return account
        raise OptionError(f"no gateway or account {wanted!r} that posts webhooks")
