"""Tells an account's webhook when a message moves: sent, delivered, read or failed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from . import intellisoftware_forward, whatsapp_inbox
from .accounts import Account, IntelliSoftwareAccount, WhatsAppHttpAccount
from .postman import Letter
from .state import Message, State
from .webhooks import Webhooks

FINAL = ("read", "failed")


class Followers:
    """The messages whose webhook has not been told the last of them yet."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks
        self.reset()

    def reset(self) -> None:
        """Follow nothing."""
        self._messages: dict[str, Message] = {}
        self._told: dict[str, set[str]] = {}

    def follow(self, message: Message) -> None:
        """A message was taken by an account that has a webhook."""
        self._messages[message.id] = message
        self._told[message.id] = set()
        if self._state.settings.webhook_early:
            self._check(message, before_answer=True)
        else:
            self._plan(message)

    def moved(self, messages: Iterable[Message]) -> None:
        """Messages were put into a status by hand."""
        for message in messages:
            if _address(self._state.named(message.gateway, message.account)):
                self._check(message)

    def delays_changed(self) -> None:
        """Messages may now move earlier than was planned."""
        for message in self._messages.values():
            self._plan(message)

    def _plan(self, message: Message) -> None:
        settings, told = self._state.settings, self._told[message.id]
        delays = {
            "sent": settings.sent_after,
            "delivered": settings.delivered_after,
            "read": settings.read_after,
        }
        for step, delay in delays.items():
            if step not in told:
                # A step that is never reached keeps the later ones from being reached, too.
                if delay is not None:
                    self._webhooks.agenda.add(message.at + delay, partial(self._look, message))
                return

    def _look(self, message: Message) -> None:
        if message.id in self._messages:
            self._check(message)

    def _check(self, message: Message, before_answer: bool = False) -> None:
        account = self._state.named(message.gateway, message.account)
        steps = self._state.steps(message)
        reached = {"sent": steps.sent, "delivered": steps.delivered, "read": steps.read}
        if steps.status == "failed":
            reached = {"failed": self._state.now()}
        known = message.id in self._messages
        told = self._told.get(message.id, set())
        before = len(told)
        for step, at in reached.items():
            # Of a message that was told to its end, only where it stands now is news.
            if at is not None and step not in told and (known or step == steps.status):
                told.add(step)
                letter = _letter(account, message, step, at)
                if letter is not None:
                    self._webhooks.send(letter, before_answer)
        if told.intersection(FINAL):
            self._messages.pop(message.id, None)
            self._told.pop(message.id, None)
        elif known and (before_answer or len(told) > before) and message.forced is None:
            self._plan(message)


def _address(account: Account | None) -> str:
    if isinstance(account, WhatsAppHttpAccount):
        return account.webhook
    return account.status_webhook if isinstance(account, IntelliSoftwareAccount) else ""


def listens(account: Account) -> bool:
    """Whether the account is told when its messages move."""
    return bool(_address(account))


def _letter(account: Account | None, message: Message, step: str, at: float) -> Letter | None:
    if not _address(account):
        return None
    if isinstance(account, WhatsAppHttpAccount):
        return whatsapp_inbox.delivery(account, message, step, at)
    if isinstance(account, IntelliSoftwareAccount):
        return intellisoftware_forward.status(account, message, step)
    return None
