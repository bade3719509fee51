"""WhatsApp HTTP API 2.0.0: QR-paired WhatsApp accounts, as many resellers offer them.

Any operation is GET or POST with parameters in the query; many servers read them from a POST body
too, which keeps the token out of addresses. There is no idempotency key: what the gateway does not
confirm is unknown until its report settles it. The code at the beginning of `message` decides, the
HTTP status only where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final
from urllib.parse import urlencode

from ..content import MEDIA_KINDS, Content
from ..errors import ErrorClass, Failure, GatewayError, Verdict
from ..events import StatusUpdate
from ..i18n import gettext as _
from ..i18n import gettext_lazy
from . import whatsapp_parameters as wire
from .base import (
    NO_WINDOW,
    WHATSAPP,
    Adapter,
    Balance,
    CallRecord,
    Connection,
    CredentialField,
    OptionField,
    Outbound,
    SendOutcome,
    SendResult,
    Upload,
    Validation,
)
from .gateway_codes import everyone, message_id, never_left, refusal, secrets, unclear
from .http import MASK, Answer, TransportError, read_failure, redact_json, send_failure
from .times import parse_time, zone_of
from .whatsapp_answers import (
    NO_DATA,
    QR_FAILED,
    SUCCESS,
    code_of,
    confirmation,
    documented_refusal,
    ids_of,
    in_trouble,
    is_connected,
    knows_token,
    reading_failure,
    redacted,
    refuses,
    service_hangs,
    word_of,
)
from .whatsapp_rows import lower_keys, rows_of, status_update

#: Longest query that servers with usual settings read (8 KB for the whole line).
_QUERY_BYTES: Final = 7800
#: Bytes of a report: a row takes up to 800, a busy sender has thousands a day.
_REPORT_CAP: Final = 32_000_000
_REPORT_DAYS: Final = 7


class _NotSentError(Exception):
    """Finding out how this host reads parameters failed, so the message never left."""

    def __init__(self, failure: Failure, call: CallRecord) -> None:
        self.failure = replace(failure, verdict=Verdict.NEVER_LEFT)
        self.call = call
        super().__init__()


class WhatsAppHttp(Adapter):
    """Speaks for one instance: one paired phone."""

    slug = "whatsapp_http"
    label = "WhatsApp HTTP API"
    setup_help = gettext_lazy(
        "Enter the web address of your gateway's panel, for example https://wa.example.com. Each"
        " sender has an instance id; copy it from the panel. Then pair the phone here by QR code,"
        " and enter this provider's webhook address in the panel."
    )
    sender_credentials = (
        CredentialField(
            name="token",
            label=gettext_lazy("Instance id"),
            help=gettext_lazy("24 letters and digits, from the gateway's panel."),
        ),
    )
    options = (
        OptionField(
            name="parameters",
            label=gettext_lazy("Parameters"),
            default="auto",
            help=gettext_lazy(
                "Where the gateway reads them. In the body, the instance id stays out of logs."
            ),
            choices=(
                ("auto", gettext_lazy("Find out")),
                ("body", gettext_lazy("In the body")),
                ("query", gettext_lazy("In the address")),
            ),
        ),
    )
    channels = frozenset({WHATSAPP})
    kinds = {WHATSAPP: frozenset({"text", "location", "contacts", "buttons", "list", *MEDIA_KINDS})}
    window_policy = NO_WINDOW
    takes_uploads = True
    needs_pairing = True

    upload_refusal = staticmethod(wire.upload_refusal)

    # --- Sending --------------------------------------------------------------------------------

    def validate(self, content: Content) -> Validation:
        """The document's limits; see `whatsapp_parameters`."""
        validation = wire.validate(content)
        if not validation.refusals and not content.problems() and self._mode() == "query":
            parameters = wire.request(content).parameters
            if self._too_long((("phone", "0" * 15), *parameters)):
                return replace(validation, refusals=(wire.too_long_for_address(),))
        return validation

    def send(self, message: Outbound) -> SendOutcome:
        """One call, for one recipient."""
        problem = self._problem(message)
        if problem:
            return everyone(message, problem)
        request = wire.request(message.content)
        media = message.content.media
        upload = message.upload if media and not media.link else None
        parameters = (("phone", message.recipients[0].digits), *request.parameters)
        calls: list[CallRecord] = []
        try:
            body = self._reads_body(calls)
            if not body and self._too_long(parameters):
                failure = never_left(ErrorClass.INVALID_CONTENT, wire.too_long_for_address())
                return replace(everyone(message, failure), calls=tuple(calls))
            answer = self._call(request.operation, parameters, body, upload=upload)
        except (TransportError, _NotSentError) as error:
            calls.append(error.call)
            return replace(everyone(message, error.failure), calls=tuple(calls))
        calls.append(answer.call)
        result, connected = self._result(answer, calls)
        return SendOutcome(results=(result,), calls=tuple(calls), connected=connected)

    def _problem(self, message: Outbound) -> Failure | None:
        """Why nothing may leave: the same rules as before queueing, for rows that have aged."""
        content, upload = message.content, message.upload
        if len(message.recipients) != 1:
            return never_left(ErrorClass.INTERNAL, "This gateway takes one recipient per call.")
        digits = message.recipients[0].digits
        if not (digits.isascii() and digits.isdigit()):
            text = _("This gateway sends to phone numbers only.")
            return never_left(ErrorClass.INVALID_RECIPIENT, text)
        refusals = wire.validate(content).refusals
        if refusals:
            return never_left(ErrorClass.INVALID_CONTENT, " ".join(refusals))
        if content.media and not content.media.link:
            if upload is None:
                return never_left(ErrorClass.INTERNAL, "There is neither a link nor a file.")
            text = self.upload_refusal(content, upload)
            return never_left(ErrorClass.MEDIA, text) if text else None
        return None

    def _result(self, answer: Answer, calls: list[CallRecord]) -> tuple[SendResult, bool | None]:
        """What became of the message, and of the phone's connection where the answer says."""
        body = lower_keys(answer.data)
        code, text = code_of(body), self._clean(body.get("message"))
        if code == SUCCESS or ids_of(body) or (not code and word_of(body) == "success"):
            return confirmation(answer, body)
        if code == "04":
            return self._not_reached(text, calls)
        failure = documented_refusal(code, text)
        if failure is None and answer.status == 403:
            failure = unclear(service_hangs(), "403")
        if failure is None and refuses(answer, body):
            failure = refusal(ErrorClass.UNKNOWN_REJECTION, code, text)
        return SendResult(failure=failure or send_failure(answer)), None

    def _not_reached(self, text: str, calls: list[CallRecord]) -> tuple[SendResult, bool | None]:
        """04: either no such person on WhatsApp, or our phone is not connected. Ask which."""
        connected = None
        with suppress(GatewayError, TransportError):
            answer = self._read("qrCode")
            calls.append(answer.call)
            connected = is_connected(answer.data)
        if connected:
            return SendResult(failure=refusal(ErrorClass.INVALID_RECIPIENT, "04", text)), True
        # When in doubt the message waits with its lane: 04 itself is proof that nothing was sent.
        failure = replace(refusal(ErrorClass.CONFIGURATION, "04", text), retry=True)
        return SendResult(failure=failure), connected

    def _clean(self, value: Any) -> str:
        """The gateway's words without our token, which it likes to quote."""
        text = value if isinstance(value, str) else ""
        return str(redact_json(text, (), secrets(self.account)))

    # --- Calls ----------------------------------------------------------------------------------

    def _mode(self) -> str:
        """body, query, or auto while this process has not found out."""
        mode = self.account.options.get("parameters") or "auto"
        if mode == "auto":
            mode = self.http.memo.get(self._memo_key, "auto")
        return str(mode)

    @property
    def _memo_key(self) -> tuple[str, str]:
        return (self.slug, self.account.base_url)

    def _reads_body(self, calls: list[CallRecord]) -> bool:
        """True where parameters go into the body. Asks the host once, by a call that only reads.

        An answer that can only be given to a known token proves that the token was read. Where
        neither way proves it, the documented one is used and the question stays open.
        """
        mode = self._mode()
        for candidate in ("body", "query") if mode == "auto" else ():
            try:
                answer = self._call("checkBal", (), candidate == "body")
            except TransportError as error:
                raise _NotSentError(read_failure(error), error.call) from None
            body = lower_keys(answer.data)
            if knows_token(body):
                self.http.memo[self._memo_key] = mode = candidate
                calls.append(answer.call)
                break
            if in_trouble(answer, body):
                raise _NotSentError(reading_failure(answer), answer.call)
            calls.append(answer.call)
        return mode == "body"

    def _call(
        self,
        operation: str,
        parameters: wire.Parameters,
        body: bool,
        *,
        upload: Upload | None = None,
        cap: int | None = None,
    ) -> Answer:
        pairs = (("token", self.account.credentials.get("token", "")), *parameters)
        record: dict[str, Any] = {"token": MASK}
        for name, value in parameters:
            record[name] = (
                [*record[name], value] if name in record else ([value] if name == "rows" else value)
            )
        if upload:
            record["file"] = {"name": upload.filename, "bytes": upload.size}
        return self.http.call(
            operation,
            # Proxies may repeat a GET by themselves; a POST they leave alone.
            "POST",
            f"{self.account.base_url.rstrip('/')}/api/{operation}",
            params=None if body else pairs,
            form=pairs if body else None,
            files={"file": upload} if upload else None,
            record=record,
            redact=self._redact_report if cap else self._redact,
            cap=cap,
        )

    def _too_long(self, parameters: wire.Parameters) -> bool:
        """True where the parameters fit into no address."""
        token = self.account.credentials.get("token", "")
        return len(urlencode((("token", token), *parameters))) > _QUERY_BYTES

    def _redact(self, data: Any) -> Any:
        return redacted(data, secrets(self.account))

    def _redact_report(self, data: Any) -> Any:
        """Rows become events; of a report, which may be long, the frame is kept."""
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if name != "data"}
        return self._redact(data)

    def _read(
        self, operation: str, parameters: wire.Parameters = (), cap: int | None = None
    ) -> Answer:
        """A call that only reads. Raises TransportError, and GatewayError where it cannot ask."""
        try:
            body = self._reads_body([])
        except _NotSentError as error:
            raise GatewayError(error.failure) from None
        return self._call(operation, parameters, body, cap=cap)

    def _ask(
        self, operation: str, parameters: wire.Parameters = (), cap: int | None = None
    ) -> tuple[Answer, dict[str, Any]]:
        """A call that only reads, and its body. Raises GatewayError for anything but success."""
        try:
            answer = self._read(operation, parameters, cap)
        except TransportError as error:
            raise GatewayError(read_failure(error)) from None
        body = lower_keys(answer.data)
        code = code_of(body)
        if answer.status == 200 and (code == SUCCESS or word_of(body) in ("success", "qrcode")):
            return answer, body
        text = self._clean(body.get("message"))
        failure = documented_refusal(code, text)
        if code == QR_FAILED:
            failure = refusal(ErrorClass.TRANSIENT, code, text)
        elif failure is None and refuses(answer, body):
            failure = refusal(ErrorClass.UNKNOWN_REJECTION, code, text)
        raise GatewayError(failure or reading_failure(answer))

    # --- Reading --------------------------------------------------------------------------------

    def balance(self) -> Balance:
        """Credits left and the plan's end. Costs nothing and sends nothing."""
        try:
            answer, body = self._ask("checkBal")
        except GatewayError as error:
            if error.failure.code != "500":
                raise
            # So the document: an instance that was never charged.
            text = _("The gateway's account has no credit yet.")
            raise GatewayError(refusal(ErrorClass.QUOTA, "500", text)) from None
        data = lower_keys(body.get("data"))
        quota = data.get("quota")
        return Balance(
            amount=str(quota) if isinstance(quota, int | float | str) else None,
            expires_at=parse_time(data.get("expirydate"), self._zone),
            raw=self._redact(body.get("data")) if data else {},
            call=answer.call,
        )

    def connection(self) -> Connection:
        """Whether the phone is connected, and as which number. The QR picture is not kept."""
        answer, body = self._ask("qrCode")
        connected = is_connected(answer.data)
        if connected is None:
            raise GatewayError(read_failure(answer))
        data = lower_keys(body.get("data"))
        info = lower_keys(data.get("info"))
        number = message_id(info.get("wid")).partition("@")[0].partition(":")[0]
        name = info.get("pushname") or data.get("name") or ""
        return Connection(
            connected=connected,
            name=self._clean(name),
            address=f"+{number}" if number.isdigit() else "",
            details=self._redact(body["data"]) if data else {},
        )

    def fetch_statuses(self, start: datetime, end: datetime) -> Sequence[StatusUpdate]:
        """The rows of the days from `start` to `end`, each message once.

        The days are the gateway's and widened by one at both ends, because the document names no
        time zone; nothing older than seven days is given. Order and limits are undefined, so a
        report that is not whole is asked for day by day.
        """
        today = datetime.now(self._zone).date()
        oldest, latest = today - timedelta(days=_REPORT_DAYS), today + timedelta(days=1)
        first = max(start.astimezone(self._zone).date() - timedelta(days=1), oldest)
        last = min(end.astimezone(self._zone).date() + timedelta(days=1), latest)
        found: dict[str, StatusUpdate] = {}
        for row in self._report(first, last) if first <= last else ():
            update = status_update(row, self._zone)
            if update.external_id:
                found[update.external_id] = update
        return list(found.values())

    def _report(self, first: date, last: date) -> Iterator[dict[str, Any]]:
        dates = (("start_date", f"{first:%d-%m-%Y}"), ("end_date", f"{last:%d-%m-%Y}"))
        try:
            body = self._ask("campaignReport", dates, _REPORT_CAP)[1]
        except GatewayError as error:
            if error.failure.code == NO_DATA:
                return
            if error.failure.code != "too_large" or first == last:
                raise
            body = {"total": 1}
        rows = list(rows_of(body.get("data")))
        yield from rows
        total = body.get("total")
        if isinstance(total, int) and total > len(rows):
            for days in range((last - first).days + 1) if first < last else ():
                day = first + timedelta(days=days)
                yield from self._report(day, day)

    def fetch_status(self, external_id: str) -> StatusUpdate | None:
        """One message's state; None where the gateway does not know it (HTTP 500, or 14)."""
        try:
            body = self._ask("campaignStatus", (("msg_id", external_id),))[1]
        except GatewayError as error:
            if error.failure.code in ("500", NO_DATA):
                return None
            raise
        row = next(rows_of(body.get("data")), None)
        if row is None:
            return None
        return replace(status_update(row, self._zone), external_id=external_id)

    @property
    def _zone(self) -> tzinfo:
        return zone_of(self.account.time_zone)
