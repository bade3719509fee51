"""The customers: they write by themselves, and they answer what they get."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from . import intellisoftware_forward, whatsapp_inbox
from .accounts import (
    Account,
    IntelliSoftwareAccount,
    IntellixentAccount,
    OptionError,
    WhatsAppHttpAccount,
)
from .followers import Followers, listens
from .intellixent_sessions import customer_wrote
from .state import ACCOUNT_TYPES, GATEWAYS, Message, State
from .webhooks import Webhooks
from .writing import Writing


class Customers:
    """Plays the other side of every conversation."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks
        self._random = random.Random(0)
        self.followers = Followers(state, webhooks)
        self.refresh()

    def reset(self) -> None:
        """Back to how it started."""
        self._random.seed(0)
        self._webhooks.reset()
        self.followers.reset()
        self.refresh()

    def refresh(self) -> None:
        """Accounts or settings were changed: is anything to be done when a message is taken?"""
        self._listening = {
            (gateway, account.name)
            for gateway in GATEWAYS
            for account in self._state.accounts[gateway].values()
            if listens(account)
        }
        # Without a webhook and without answers, a send costs nothing here.
        wanted = bool(self._listening or self._state.settings.answers)
        self._state.listener = self._took if wanted else None
        self.followers.delays_changed()

    def write(
        self, gateway: str, writings: list[dict[str, Any]], account: Account | None = None
    ) -> dict[str, Any]:
        """Customers write; several writings go into one body where the gateway does that."""
        items = [Writing(**writing) for writing in writings]
        if not items:
            raise OptionError("messages is empty")
        account = account or self._account(gateway, items[0].sender)
        if isinstance(account, WhatsAppHttpAccount):
            return self._write_whatsapp_http(account, items)
        if isinstance(account, IntelliSoftwareAccount):
            return self._write_intellisoftware(account, items)
        if isinstance(account, IntellixentAccount):
            expires = [customer_wrote(self._state, account, item) for item in items]
            return {"ids": [], "expires_at": expires[-1]}
        raise OptionError(f"nobody writes to {gateway}")

    def _write_whatsapp_http(
        self, account: WhatsAppHttpAccount, items: list[Writing]
    ) -> dict[str, Any]:
        rows = [whatsapp_inbox.take(self._state, account, item) for item in items]
        with_filename = self._state.settings.webhook_filename
        for item in rows:
            if account.webhook and item.writing.webhook:
                self._webhooks.send(whatsapp_inbox.inbox_letter(account, item, with_filename))
        return {"ids": [item.id for item in rows], "wa_ids": [item.wa_id for item in rows]}

    def _write_intellisoftware(
        self, account: IntelliSoftwareAccount, items: list[Writing]
    ) -> dict[str, Any]:
        ids, letter = intellisoftware_forward.received(self._state, account, items)
        for item in items:
            if item.channel != "sms" and not (item.ud or item.form):
                account.open_windows.add(item.phone)
        if account.webhook and items[0].webhook:
            self._webhooks.send(letter)
        return {"ids": ids}

    def _account(self, gateway: str, sender: Any) -> Account:
        if gateway not in ACCOUNT_TYPES:
            raise OptionError(f"no gateway {gateway!r}")
        if sender in (None, ""):
            return next(iter(self._state.accounts[gateway].values()))
        account = self._state.find(gateway, sender)
        if account is None:
            raise OptionError(f"{gateway} has no account with {sender!r}")
        return account

    # Messages that were taken

    def _took(self, message: Message) -> None:
        if (message.gateway, message.account) in self._listening:
            self.followers.follow(message)
        answers = self._state.settings.answers
        if answers and self._random.random() < answers["share"]:
            due = self._state.now() + answers["after"]
            text = self._random.choice(answers["text"])
            self._webhooks.agenda.add(due, partial(self._answer, message, text))

    def _answer(self, message: Message, text: str) -> None:
        account = self._state.named(message.gateway, message.account)
        if account is not None:
            writing: dict[str, Any] = {"phone": message.phone, "text": text}
            writing["sender"] = message.sender
            if message.kind == "sms":
                writing["channel"] = "sms"
            self.write(message.gateway, [writing], account)
