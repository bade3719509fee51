"""The "Whatsapp HTTP API Specification 2.0.0": sends, reports, balance and the QR answer.

Section numbers in this file are those of that document. Whatever it leaves open is decided
strictly, so that an adapter which passes here sends nothing the document does not show.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from . import pairing
from . import whatsapp_inbox as inbox
from . import whatsapp_reports as reports
from .accounts import WhatsAppHttpAccount
from .call import Call, Outcome
from .faults import Fault
from .forms import CharactersError, Params, Upload, parse_multipart, parse_urlencoded
from .links import Download, on_loopback
from .state import WH, Message, State
from .whatsapp_rules import CODES, ECHOED, SENDS, RefusedError, Send, check_names, list_echo
from .wire import Request, dump

UNAUTHORISED = "invalid object id"
INSTANCE_ID_ONLY = ("sendContact", "qrCode", "qrCodeLink")
"""Where the document says "your instance id" and nothing else."""
READS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "campaignStatus": (("token", "msg_id"), ()),
    "campaignReport": (("token",), ("start_date", "end_date", "limit")),
    "checkBal": (("token",), ()),
    "qrCode": (("token",), ()),
    "qrCodeLink": (("token",), ()),
    "inboxReport": (("token",), ("start_date", "end_date", "limit")),
    "inboxReportOffset": (("token",), ("offset", "limit")),
    "groups": (("token",), ()),
    "contacts": (("token",), ()),
}
"""Operation -> (required, optional) parameters."""


class Fields:
    """A request's parameters and files."""

    __slots__ = ("download", "files", "host", "params")

    def __init__(self) -> None:
        self.params: Params = {}
        self.files: dict[str, list[Upload]] = {}
        self.download: Download | None = None
        self.host = ""
        """The sandbox as the caller names it; reads only."""

    def one(self, name: str) -> str:
        """The first value of a parameter, "" when it is absent."""
        values = self.params.get(name)
        return values[0] if values else ""


Read = Callable[[State, WhatsAppHttpAccount, Fields], Outcome]


class WhatsAppHttp:
    """The gateway `whatsapp_http`; paths are `/api/<operation>`."""

    slug = WH

    def __init__(self, state: State) -> None:
        self._state = state
        self._reads: dict[str, Read] = {
            "campaignStatus": reports.campaign_status,
            "campaignReport": reports.campaign_report,
            "checkBal": reports.check_balance,
            "qrCode": pairing.qr_code,
            "qrCodeLink": pairing.qr_code_link,
            "inboxReport": inbox.inbox_report,
            "inboxReportOffset": inbox.inbox_report_offset,
            "groups": pairing.groups,
            "contacts": pairing.contacts,
        }

    def route(self, path: str) -> str | None:
        """See `Gateway`."""
        name = path.removeprefix("/api/")
        return name if path.startswith("/api/") and (name in SENDS or name in READS) else None

    def read(self, operation: str, request: Request) -> Call:
        """See `Gateway`."""
        call = Call(WH, operation, request)
        fields = call.data = Fields()
        try:
            account = self._fill(fields, operation, request)
        except CharactersError:
            call.refusal = Outcome(500, code="500")
            return call
        call.account = account
        phone = fields.one("phone")
        if phone:
            call.phones = (phone,)
        send = SENDS.get(operation)
        call.text = fields.one(send.text) if send else ""
        call.content = _content(fields, send)
        if account is not None and account.fetch_links:
            link = fields.one("link")
            call.fetch = link if on_loopback(link) else ""
        return call

    def answer(self, call: Call) -> Outcome:
        """See `Gateway`."""
        if call.refusal is not None:
            return cast(Outcome, call.refusal)
        if call.request.method not in ("GET", "POST"):
            return Outcome(405, code="405", headers={"Allow": "GET, POST"})
        account = call.account
        if account is None:
            return _failure(call, 401, UNAUTHORISED, UNAUTHORISED)
        account = cast(WhatsAppHttpAccount, account)
        try:
            send = SENDS.get(call.operation)
            if send is None:
                return self._read_only(account, call)
            return self._send(account, send, call)
        except RefusedError as refusal:
            return _failure(call, 400, refusal.message, refusal.code)

    def refuse(self, call: Call, fault: Fault) -> Outcome:
        """See `Gateway`."""
        if fault.code == UNAUTHORISED:
            return _failure(call, fault.http or 401, UNAUTHORISED, UNAUTHORISED)
        code = fault.code[:2]
        return _failure(call, fault.http or 400, f"{code}-{CODES[code]}", code)

    def knows_code(self, code: str) -> bool:
        """See `Gateway`."""
        return code == UNAUTHORISED or code[:2] in CODES

    def without_id(self, call: Call, outcome: Outcome, fault: Fault) -> bytes:
        """See `Gateway`."""
        data: dict[str, Any] = {"connStatus": True}
        send = SENDS.get(call.operation)
        key = _ids_key(send, call.data) if send else "messageIDs"
        if fault.variant != "absent":
            data[key] = None if fault.variant == "null" else []
        return dump({"status": "success", "message": "00-Success", "data": data,
                     "responsetime": 0.0016})  # fmt: skip

    def wrong_types(self) -> bytes:
        """See `Gateway`."""
        return dump({"status": 7, "message": ["00"], "data": "yes", "responsetime": "slow"})

    def _fill(self, fields: Fields, operation: str, request: Request) -> WhatsAppHttpAccount | None:
        params = fields.params
        if request.query:
            parse_urlencoded(request.query, params)
        body_read = request.method == "POST" and bool(request.body)
        if body_read:
            known = self._account(operation, fields.one("token"))
            in_body: Params = {}
            self._read_body(fields, request, in_body)
            if not known:
                known = self._account(operation, (in_body.get("token") or [""])[0])
            if known is None or known.params == "both":
                for name, values in in_body.items():
                    params.setdefault(name, []).extend(values)
        return self._account(operation, fields.one("token"))

    def _read_body(self, fields: Fields, request: Request, into: Params) -> None:
        kind = request.content_type
        if kind == "application/x-www-form-urlencoded":
            parse_urlencoded(request.body.decode("latin-1"), into)
        elif kind == "multipart/form-data":
            header = request.headers["content-type"]
            fields.files = parse_multipart(request.body, header, into)[1]

    def _account(self, operation: str, token: str) -> WhatsAppHttpAccount | None:
        accounts = self._state.accounts[WH]
        account = cast("WhatsAppHttpAccount | None", accounts.get(token))
        if account is None:
            account = self._state.instance(token)
        if account is not None or not token or operation in INSTANCE_ID_ONLY:
            return account
        for other in accounts.values():
            if cast(WhatsAppHttpAccount, other).api_key == token:
                return cast(WhatsAppHttpAccount, other)
        return None

    def _read_only(self, account: WhatsAppHttpAccount, call: Call) -> Outcome:
        required, optional = READS[call.operation]
        check_names(call.data.params, required, required + optional)
        call.data.host = call.request.headers.get("host", "")
        return self._reads[call.operation](self._state, account, call.data)

    def _send(self, account: WhatsAppHttpAccount, send: Send, call: Call) -> Outcome:
        state, fields = self._state, call.data
        check_names(fields.params, send.required, send.allowed, send.refusal)
        send.check(fields)
        _check_credit(account)
        phone = call.phones[0]
        if phone in account.unregistered:
            raise RefusedError("04")
        if not account.connected and not account.accept_disconnected:
            raise RefusedError("04")
        account.usage += 1
        account.today_usage += 1
        message_id = state.object_id()
        message = Message(WH, account.name, phone, send.kind, call.text, message_id, state.now())
        message.link = fields.one("link")
        state.take(message)
        body = _SUCCESS % (
            b"true" if account.connected else b"false",
            _ids_key(send, fields).encode(),
            message_id.encode(),
            time.monotonic() - call.request.clock,
        )
        return Outcome(200, body, "00", (message_id,))


_SUCCESS = (
    b'{"status":"success","message":"00-Success","data":{"connStatus":%b,"%b":["%b"]},'
    b'"responsetime":%.9f}'
)


def _ids_key(send: Send, fields: Fields) -> str:
    # The document spells the key differently in the upload variants.
    return send.upload_ids_key if fields.files else send.ids_key


def _check_credit(account: WhatsAppHttpAccount) -> None:
    if account.remaining <= 0:
        raise RefusedError("05")
    if account.quota_limit and account.today_usage >= account.quota_limit:
        raise RefusedError("07")


def _content(fields: Fields, send: Send | None) -> dict[str, Any] | None:
    known = ("token", "phone", send.text if send else "")
    content: dict[str, Any] = {
        name: values[0] if len(values) == 1 else values
        for name, values in fields.params.items()
        if name not in known
    }
    for name, uploads in fields.files.items():
        content[name] = [upload._asdict() for upload in uploads]
    return content or None


def _failure(call: Call, status: int, message: str, code: str) -> Outcome:
    answer: dict[str, Any] = {"status": "error", "message": message}
    if status != 401 and code in ECHOED:
        params = call.data.params
        if call.operation == "sendList":
            params = list_echo(params)
        answer["request"] = dict(sorted(params.items()))
    answer["responsetime"] = round(time.monotonic() - call.request.clock, 9)
    return Outcome(status, dump(answer), code)
