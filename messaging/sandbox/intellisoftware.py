"""IntelliSoftware's JSON interface: sending to up to 100 recipients, and the balance.

From the IntelliSoftware send document; SMS content and the balance call come from the vendor's
public pages, since the document shows WhatsApp only.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from .accounts import IntelliSoftwareAccount
from .call import Call, Outcome
from .faults import Fault
from .msgobject import check_msgobject, check_template, summary
from .shape import ShapeError, obj, one_of, text, whole
from .state import IS, Message, State
from .wire import Request, dump

CODES = {
    1: "gateway_error",
    2: "invalid_number",
    3: "invalid_request",
    5: "no_to",
    10: "insufficient_credit",
    11: "login_invalid",
    12: "internal_error",
    18: "daily_allowance_exceeded",
    19: "monthly_allowance_exceeded",
    20: "auth_parameter_missing",
    21: "auth_parameter_invalid",
    22: "connection_not_secure",
    26: "invalid_template",
    27: "invalid_from",
    28: "number_not_supported",
    29: "number_not_in_sandbox",
}
MAX_RECIPIENTS = 100
REQUEST_VERSION = "1.0.0"
RESPONSE_VERSION = "1.0.3"
CREDENTIALS = ("authtype", "accesskey", "secretkey")

_ROUTES = {
    "/api/json/sendmsg.aspx": "sendmsg",
    "/api/json/getbalance.aspx": "getbalance",
}
_DIGITS = re.compile(r"[0-9]+")
_VERSIONS = {
    "request_version": one_of(REQUEST_VERSION),
    "response_version": one_of(RESPONSE_VERSION),
}


def _anything(value: Any, at: str) -> None:
    """Checked elsewhere."""


_ENVELOPES = {
    "sendmsg": obj({"auth": _anything, "message": _anything} | _VERSIONS),
    "getbalance": obj({"auth": _anything} | _VERSIONS),
}
_MESSAGE = obj(
    {"content": _anything},
    {"to": text(least=0), "from": text(), "channel": one_of("whatsapp", "sms")},
)
_SMS_CONTENT = obj(
    {"msgtype": one_of("text", "voice"), "text": text()}, {"maxconcat": whole(1, 255)}
)
_WHATSAPP_CONTENT = obj({"format": one_of("wa_msgobject_v2"), "msgobject": _anything})
_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED = set("^{}\\[~]|€")


class RefusedError(Exception):
    """The whole request is refused with this code."""

    def __init__(self, code: int, description: str = "") -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class IntelliSoftware:
    """The gateway `intellisoftware`."""

    slug = IS

    def __init__(self, state: State) -> None:
        self._state = state

    def route(self, path: str) -> str | None:
        """See `Gateway`."""
        return _ROUTES.get(path)

    def read(self, operation: str, request: Request) -> Call:
        """See `Gateway`."""
        call = Call(IS, operation, request)
        try:
            call.data = json.loads(request.body)
        except (ValueError, RecursionError):
            return call
        if not isinstance(call.data, dict):
            return call
        auth = call.data.get("auth")
        if isinstance(auth, dict) and isinstance(auth.get("accesskey"), str):
            call.account = self._state.accounts[IS].get(auth["accesskey"])
        message = call.data.get("message")
        if isinstance(message, dict):
            _describe(call, message)
        return call

    def answer(self, call: Call) -> Outcome:
        """See `Gateway`."""
        try:
            account = self._admit(call)
            if call.operation == "getbalance":
                balance = {"response_status": "ok", "balance": f"{account.credit:.1f}"}
                return Outcome(200, dump(balance), "ok")
            return self._send(account, call)
        except RefusedError as failure:
            status = getattr(call.account, "failure_status", 200)
            return _failure(failure.code, failure.description, status)

    def refuse(self, call: Call, fault: Fault) -> Outcome:
        """See `Gateway`."""
        return _failure(int(fault.code), fault.description, fault.http or 200)

    def knows_code(self, code: str) -> bool:
        """See `Gateway`."""
        return code.isdigit() and int(code) in CODES

    def without_id(self, call: Call, outcome: Outcome, fault: Fault) -> bytes:
        """See `Gateway`."""
        entries: list[dict[str, Any]] = [{"to": phone} for phone in call.phones]
        if fault.variant == "null":
            entries = [{"to": phone, "id": None} for phone in call.phones]
        if fault.variant == "absent":
            return dump({"response_status": "ok"})
        return dump({"response_status": "ok", "messages": entries})

    def wrong_types(self) -> bytes:
        """See `Gateway`."""
        return dump({"response_status": ["ok"], "messages": {"to": 447700900000, "id": 5}})

    def _admit(self, call: Call) -> IntelliSoftwareAccount:
        if call.request.method != "POST":
            raise RefusedError(3, "only POST is taken")
        if not isinstance(call.data, dict):
            raise RefusedError(3, "the body is not a JSON object")
        _check_auth(call.data.get("auth"))
        account = cast("IntelliSoftwareAccount | None", call.account)
        if account is None or account.secretkey != call.data["auth"]["secretkey"]:
            raise RefusedError(11)
        _valid(_ENVELOPES[call.operation], call.data, "request")
        return account

    def _send(self, account: IntelliSoftwareAccount, call: Call) -> Outcome:
        message = call.data["message"]
        recipients = _recipients(message)
        _valid(_MESSAGE, message, "message")
        kind, body = _check_content(account, message)
        sender = message.get("from")
        if sender is not None and account.senders and sender not in account.senders:
            raise RefusedError(27)
        if account.credit < 1:
            raise RefusedError(10)
        free_form = kind not in ("template", "sms")
        entries: list[dict[str, Any]] = []
        ids: list[str] = []
        for phone in recipients:
            code = self._trouble(account, phone, free_form, call.fault)
            if code:
                entries.append({"to": phone} | _error(code, _description(call.fault)))
                continue
            account.credit -= 1
            message_id = ids[0] if ids and account.one_id else self._state.hex_id()
            ids.append(message_id)
            taken = Message(IS, account.name, phone, kind, body, message_id, self._state.now())
            taken.sender = sender or ""
            self._state.take(taken)
            entries.append({"to": phone, "id": message_id} | _extras(account, body))
        entries = _arrange(account, entries, call.fault)
        answer = dump({"response_status": "ok", "messages": entries})
        return Outcome(200, answer, "ok", tuple(ids))

    def _trouble(
        self, account: IntelliSoftwareAccount, phone: str, free_form: bool, fault: Fault | None
    ) -> int:
        """The error code for one recipient, 0 when there is none."""
        if fault is not None and fault.mode == "code" and fault.concerns_phone(phone):
            return int(fault.code)
        if phone in account.errors:
            return account.errors[phone]
        if not 7 <= len(phone) <= 15:
            return 2
        if account.in_sandbox and phone not in account.in_sandbox:
            return 29
        if account.credit < 1:
            return 10
        if free_form and account.enforce_window and phone not in account.open_windows:
            return 3
        return 0


def _describe(call: Call, message: dict[str, Any]) -> None:
    to = message.get("to")
    if isinstance(to, str):
        call.phones = tuple(phone.strip() for phone in to.split(",") if phone.strip())
    content = message.get("content")
    call.content = {name: message.get(name) for name in ("from", "channel") if name in message}
    if isinstance(content, dict):
        call.content["content"] = content
        msgobject = content.get("msgobject")
        plain = content.get("text")
        call.text = summary(msgobject) if isinstance(msgobject, dict) else ""
        if isinstance(plain, str):
            call.text = plain


def _check_auth(auth: Any) -> None:
    if not isinstance(auth, dict):
        raise RefusedError(20)
    if any(not auth.get(name) for name in CREDENTIALS):
        raise RefusedError(20)
    if set(auth) != set(CREDENTIALS) or not all(isinstance(auth[n], str) for n in CREDENTIALS):
        raise RefusedError(21)
    if auth["authtype"] != "accesskey":
        raise RefusedError(21)


def _valid(check: Any, value: Any, at: str) -> None:
    try:
        check(value, at)
    except ShapeError as invalid:
        raise RefusedError(3, str(invalid)) from None


def _recipients(message: Any) -> list[str]:
    if not isinstance(message, dict):
        raise RefusedError(3, "message must be an object")
    to = message.get("to", "")
    if not isinstance(to, str):
        raise RefusedError(3, "to must be one string")
    if not to:
        raise RefusedError(5)
    phones = to.split(",")
    if len(phones) > MAX_RECIPIENTS:
        raise RefusedError(3, f"to has more than {MAX_RECIPIENTS} numbers")
    if not all(_DIGITS.fullmatch(phone) for phone in phones):
        raise RefusedError(3, "to must be digits separated by commas")
    # The gateway answers a repeated number once.
    return list(dict.fromkeys(phones))


def _check_content(account: IntelliSoftwareAccount, message: dict[str, Any]) -> tuple[str, str]:
    """The kind and the text of what is sent. Without a channel the gateway takes it as SMS."""
    content = message["content"]
    if message.get("channel", "sms") == "sms":
        _valid(_SMS_CONTENT, content, "content")
        if sms_parts(content["text"]) > content.get("maxconcat", 1):
            raise RefusedError(3, "text needs more parts than maxconcat")
        return "sms", content["text"]
    _valid(_WHATSAPP_CONTENT, content, "content")
    msgobject = content["msgobject"]
    _valid(lambda value, _: check_msgobject(value), msgobject, "msgobject")
    if msgobject["type"] != "template":
        return msgobject["type"], summary(msgobject)
    try:
        return "template", check_template(msgobject["template"], account.templates)
    except ShapeError as invalid:
        raise RefusedError(26, str(invalid)) from None


def sms_parts(body: str) -> int:
    """How many SMS a text takes: GSM 7-bit when every character is in it, else UCS-2."""
    if all(letter in _GSM or letter in _GSM_EXTENDED for letter in body):
        units = sum(2 if letter in _GSM_EXTENDED else 1 for letter in body)
        return 1 if units <= 160 else -(-units // 153)
    units = len(body.encode("utf-16-le", "surrogatepass")) // 2
    return 1 if units <= 70 else -(-units // 67)


def _error(code: int, description: str = "") -> dict[str, Any]:
    error: dict[str, Any] = {"error": CODES.get(code, f"error_{code}"), "error_code": code}
    if description:
        error["error_description"] = description
    return error


def _failure(code: int, description: str, status: int) -> Outcome:
    body = dump({"response_status": "failure", "errors": [_error(code, description)]})
    return Outcome(status, body, str(code))


def _description(fault: Fault | None) -> str:
    return "" if fault is None else fault.description


def _extras(account: IntelliSoftwareAccount, body: str) -> dict[str, Any]:
    return {"msgparts": sms_parts(body), "creditsused": "1.0"} if account.extras else {}


def _arrange(
    account: IntelliSoftwareAccount, entries: list[dict[str, Any]], fault: Fault | None
) -> list[dict[str, Any]]:
    """The answer's entries as the account or the fault wants them."""
    mode = "" if fault is None else fault.mode
    if account.omit:
        entries = [entry for entry in entries if entry["to"] not in account.omit]
    if fault is not None and mode == "omit":
        entries = [entry for entry in entries if not fault.concerns_phone(entry["to"])]
    if account.reorder or mode == "reorder":
        entries = entries[::-1]
    style = account.rewrite
    if fault is not None and mode == "rewrite":
        style = "plus" if fault.variant == "empty" else fault.variant
    for entry in entries:
        entry["to"] = _rewritten(entry["to"], style)
    return entries


def _rewritten(phone: str, style: str) -> str:
    if style == "plus":
        return f"+{phone}"
    if style == "zeros":
        return f"00{phone}"
    if style == "national" and phone.startswith("44"):
        return f"0{phone[2:]}"
    return phone
