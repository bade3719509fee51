"""Intellixent: template sends, free-form sends, session status, senders and templates.

`POST /user/whatsapp/send` is the wire document's; the other calls are those of the vendor's
public pages. Errors that no document shows take the forms of the framework the vendor's
pagination betrays: 401 and 429 with `message`, 422 with `message` and `errors`.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from . import intellixent_sessions as sessions
from .accounts import IntellixentAccount
from .call import Call, Outcome
from .faults import Fault
from .forms import CharactersError, parse_urlencoded
from .intellixent_rules import (
    ERRORS,
    TWILIO,
    RefusedError,
    UnprocessableError,
    check_phone,
    check_recipient,
    check_variables,
    find_sender,
    find_template,
    rendered,
    validate,
)
from .state import IX, Message, State
from .wire import Request, dump

ROOT = "/api/user/whatsapp"
PACE_WINDOW = 1.0

_SENDS = ("send", "send-freeform")
_TEMPLATES_PATH = re.compile(re.escape(ROOT) + r"/senders/([0-9]+)/templates")


class Intellixent:
    """The gateway `intellixent`; the base URL ends in `/api`."""

    slug = IX

    def __init__(self, state: State) -> None:
        self._state = state
        self._reads = {
            "session-status": self._session_status,
            "senders": self._senders,
            "templates": self._templates,
        }

    def route(self, path: str) -> str | None:
        """See `Gateway`."""
        name = path.removeprefix(f"{ROOT}/")
        if path.startswith(f"{ROOT}/") and name in (*_SENDS, "session-status", "senders"):
            return name
        return "templates" if _TEMPLATES_PATH.fullmatch(path) else None

    def read(self, operation: str, request: Request) -> Call:
        """See `Gateway`. Counts the arrival, because the pace is kept over all connections."""
        call = Call(IX, operation, request)
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            call.account = self._state.accounts[IX].get(key.strip())
        if operation in _SENDS:
            _read_send(call)
            account = cast("IntellixentAccount | None", call.account)
            if account is not None and _too_fast(account, request.clock):
                call.refusal = _throttled(account)
        return call

    def answer(self, call: Call) -> Outcome:
        """See `Gateway`."""
        account = cast("IntellixentAccount | None", call.account)
        if account is None:
            return Outcome(401, dump({"message": "Unauthenticated."}), "401")
        method = "POST" if call.operation in _SENDS else "GET"
        if call.request.method != method:
            return _wrong_method(call, method)
        if call.refusal is not None:
            return cast(Outcome, call.refusal)
        try:
            if call.operation in self._reads:
                return self._reads[call.operation](account, call)
            validate(call.data, call.operation)
            if call.operation == "send":
                return self._send(account, call)
            return self._send_freeform(account, call)
        except RefusedError as refusal:
            return _refused(refusal.code, refusal.words, refusal.status, refusal.more)
        except UnprocessableError as unprocessable:
            return _unprocessable(unprocessable.errors)

    def refuse(self, call: Call, fault: Fault) -> Outcome:
        """See `Gateway`."""
        return _refused(fault.code, fault.description, fault.http)

    def knows_code(self, code: str) -> bool:
        """See `Gateway`."""
        return code in ERRORS or (code.startswith(TWILIO) and code[len(TWILIO) :].isdigit())

    def without_id(self, call: Call, outcome: Outcome, fault: Fault) -> bytes:
        """See `Gateway`."""
        answer: dict[str, Any] = {"success": True, "conversation_id": 1, "status": "queued"}
        if fault.variant != "absent":
            answer["message_sid"] = None if fault.variant == "null" else ""
        return dump(answer)

    def wrong_types(self) -> bytes:
        """See `Gateway`."""
        return dump({"success": "yes", "message_id": "x", "message_sid": {"sid": 5}, "status": 2})

    def _send(self, account: IntellixentAccount, call: Call) -> Outcome:
        data = call.data
        sender = find_sender(account, data["sender_id"], 422)
        template = find_template(account, sender, data["template_id"])
        check_variables(template, data.get("variables") or {})
        answer = self._accept(account, call, "template", call.text)
        if account.template_opens_window:
            key = (sender["id"], data["recipient_phone"])
            until = self._state.now() + sessions.WINDOW
            account.sessions[key] = max(account.sessions.get(key, 0.0), until)
        return answer

    def _send_freeform(self, account: IntellixentAccount, call: Call) -> Outcome:
        data = call.data
        sender = find_sender(account, data["sender_id"], 503)
        phone = data["recipient_phone"]
        session = sessions.session(self._state, account, sender["id"], phone)
        if not session["is_open"]:
            raise RefusedError("SESSION_EXPIRED", session_status=session)
        return self._accept(account, call, "text", data["message"], session)

    def _accept(
        self,
        account: IntellixentAccount,
        call: Call,
        kind: str,
        text: str,
        session: dict[str, Any] | None = None,
    ) -> Outcome:
        state, data = self._state, call.data
        phone = data["recipient_phone"]
        check_recipient(account, phone)
        if account.balance < 1:
            raise RefusedError("INSUFFICIENT_BALANCE")
        account.balance -= 1
        sid = state.sid()
        message = Message(IX, account.name, phone.lstrip("+"), kind, text, sid, state.now())
        message.sender = str(data["sender_id"])
        state.take(message)
        conversation = account.conversations.setdefault(
            (data["sender_id"], phone), len(account.conversations) + 1
        )
        answer: dict[str, Any] = {
            "success": True,
            "conversation_id": conversation,
            "message_id": state.number(),
            "whatsapp_message_id": state.number(),
            "message_sid": sid,
        }
        if session is None:
            answer["status"] = account.initial_status
        else:
            answer["session_status"] = session
        return Outcome(200, dump(answer), "", (sid,))

    def _session_status(self, account: IntellixentAccount, call: Call) -> Outcome:
        query = _query(call)
        errors = {
            name: [f"The {name.replace('_', ' ')} field is required."]
            for name in ("sender_id", "recipient_phone")
            if not query.get(name)
        }
        if errors:
            raise UnprocessableError(errors)
        if not query["sender_id"].isdigit():
            raise UnprocessableError({"sender_id": ["The sender id field must be an integer."]})
        sender = find_sender(account, int(query["sender_id"]), 0)
        phone = query["recipient_phone"]
        check_phone(phone)
        return Outcome(200, dump(sessions.status(self._state, account, sender["id"], phone)))

    def _senders(self, account: IntellixentAccount, call: Call) -> Outcome:
        wanted = _query(call).get("status", "online")
        rows = [row for row in account.senders if wanted in ("all", row["status"])]
        return Outcome(200, dump({"data": rows}))

    def _templates(self, account: IntellixentAccount, call: Call) -> Outcome:
        match = _TEMPLATES_PATH.fullmatch(call.request.path)
        sender = find_sender(account, int(match.group(1)) if match else 0, 0)
        wanted = _query(call).get("status", "approved")
        rows = [
            {name: value for name, value in row.items() if name != "sender_id"}
            | {"has_variables": bool(row["variables"])}
            for row in account.templates
            if row["sender_id"] == sender["id"] and wanted in ("all", row["status"])
        ]
        return Outcome(200, dump({"data": rows}))


def _read_send(call: Call) -> None:
    if call.request.content_type != "application/json":
        return
    try:
        call.data = json.loads(call.request.body)
    except (ValueError, RecursionError):
        return
    if not isinstance(call.data, dict):
        return
    phone = call.data.get("recipient_phone")
    if isinstance(phone, str):
        call.phones = (phone,)
    call.text = _text(call)
    call.content = {
        name: value
        for name, value in call.data.items()
        if name not in ("recipient_phone", "message")
    }


def _text(call: Call) -> str:
    """The text the recipient would see, as far as an unchecked request tells it."""
    message, variables = call.data.get("message"), call.data.get("variables")
    if isinstance(message, str):
        return message
    values = {
        name: value
        for name, value in (variables.items() if isinstance(variables, dict) else ())
        if isinstance(value, str)
    }
    account = cast("IntellixentAccount | None", call.account)
    for template in account.templates if account is not None else ():
        if template["id"] == call.data.get("template_id"):
            return rendered(template, values)
    return " ".join(values.values())


def _too_fast(account: IntellixentAccount, clock: float) -> bool:
    arrivals = account.arrivals
    while arrivals and arrivals[0] <= clock - PACE_WINDOW:
        arrivals.popleft()
    arrivals.append(clock)
    return 0 < account.rate_limit < len(arrivals)


def _throttled(account: IntellixentAccount) -> Outcome:
    headers = {
        "Retry-After": "1",
        "X-RateLimit-Limit": str(account.rate_limit),
        "X-RateLimit-Remaining": "0",
    }
    return Outcome(429, dump({"message": "Too Many Attempts."}), "429", headers=headers)


def _wrong_method(call: Call, method: str) -> Outcome:
    route = call.request.path.removeprefix("/")
    words = (
        f"The {call.request.method} method is not supported for route {route}. "
        f"Supported methods: {method}."
    )
    return Outcome(405, dump({"message": words}), "405", headers={"Allow": method})


def _query(call: Call) -> dict[str, str]:
    try:
        params = parse_urlencoded(call.request.query)
    except CharactersError:
        return {}
    return {name: values[0] for name, values in params.items()}


def _refused(
    code: str, words: str = "", status: int = 0, more: dict[str, Any] | None = None
) -> Outcome:
    usual, usual_words = ERRORS.get(code, (422, f"Twilio error {code.removeprefix(TWILIO)}"))
    answer = {"success": False, "error": words or usual_words, "error_code": code}
    return Outcome(status or usual, dump(answer | (more or {})), code)


def _unprocessable(errors: dict[str, list[str]]) -> Outcome:
    first = next(iter(errors.values()))[0]
    others = len(errors) - 1
    if others:
        first += f" (and {others} more error{'s' if others > 1 else ''})"
    return Outcome(422, dump({"message": first, "errors": errors}), "422")
