"""Intellixent's session windows: who wrote when, and what session-status says about it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from .accounts import IntellixentAccount
from .state import State
from .writing import Writing

WINDOW = 86_400.0


def customer_wrote(state: State, account: IntellixentAccount, writing: Writing) -> str:
    """A customer's message opens the session; this vendor tells nobody of it."""
    at = state.now() if writing.at is None else float(writing.at)
    key = (sender_of(account, writing.sender), f"+{writing.phone}")
    account.sessions[key] = max(account.sessions.get(key, 0.0), at + WINDOW)
    account.heard[key] = max(account.heard.get(key, 0.0), at)
    account.conversations.setdefault(key, len(account.conversations) + 1)
    if writing.name:
        account.customers[key] = writing.name
    return iso(account.sessions[key])


def sender_of(account: IntellixentAccount, wanted: Any) -> int:
    """The id of the sender with this id or number; else the account's first."""
    wanted = str(wanted).lstrip("+")
    for sender in account.senders:
        if wanted in (str(sender["id"]), sender["phone_number"].lstrip("+")):
            return int(sender["id"])
    return int(account.senders[0]["id"])


def session(
    state: State, account: IntellixentAccount, sender_id: int, phone: str
) -> dict[str, Any]:
    """The `session_status` object."""
    expires = account.sessions.get((sender_id, phone), 0.0)
    left = expires - state.now()
    if left <= 0:
        return {
            "is_open": False,
            "can_send_freeform": False,
            "requires_template": True,
            "message": "Session expired.",
            "minutes_remaining": 0,
            "expires_at": None,
        }
    return {
        "is_open": True,
        "can_send_freeform": True,
        "requires_template": False,
        "message": "Session open",
        "minutes_remaining": math.floor(left / 60),
        "expires_at": iso(expires),
    }


def status(state: State, account: IntellixentAccount, sender_id: int, phone: str) -> dict[str, Any]:
    """The body of session-status."""
    key = (sender_id, phone)
    conversation = account.conversations.get(key)
    known = conversation is not None or key in account.sessions
    answer: dict[str, Any] = {"success": True, "has_conversation": known}
    if known:
        expires = account.sessions.get(key)
        heard = account.heard.get(key) or (expires - WINDOW if expires else None)
        answer["conversation_id"] = conversation or 0
        answer["customer_name"] = account.customers.get(key)
        answer["last_customer_message_at"] = iso(heard) if heard else None
    answer["session_status"] = session(state, account, *key)
    return answer


def iso(at: float) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
