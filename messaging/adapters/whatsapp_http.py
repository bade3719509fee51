"""WhatsApp HTTP API 2.0.0: QR-paired WhatsApp accounts, as many resellers offer them.

Any operation is GET or POST with parameters in the query; many servers read them from a POST body
too, which keeps the token out of addresses. There is no idempotency key: what the gateway does not
confirm is unknown until its report settles it. The code at the beginning of `message` decides, the
HTTP status only where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from ..content import MEDIA_KINDS, Content
from ..errors import ErrorClass, Failure, GatewayError
from ..events import Inbound, StatusUpdate
from ..i18n import gettext as _
from ..i18n import gettext_lazy
from . import whatsapp_inbox as inbox
from . import whatsapp_parameters as wire
from . import whatsapp_phone as phone
from .base import (
    NO_WINDOW,
    WHATSAPP,
    Balance,
    CallRecord,
    Connection,
    ContactInfo,
    CredentialField,
    GroupInfo,
    InboxPage,
    OptionField,
    Outbound,
    Parsed,
    SendOutcome,
    SendResult,
    Validation,
    WebhookRequest,
)
from .gateway_codes import everyone, never_left, refusal, unclear
from .http import Answer, TransportError, read_failure, send_failure
from .times import parse_time
from .whatsapp_answers import (
    NO_DATA,
    QR_FAILED,
    SECRET_KEYS,
    SUCCESS,
    code_of,
    confirmation,
    documented_refusal,
    ids_of,
    is_connected,
    refuses,
    service_hangs,
    word_of,
)
from .whatsapp_calls import NotSentError, WhatsAppCalls
from .whatsapp_inbox import is_own_file
from .whatsapp_rows import lower_keys, rows_of, status_update, whole

#: Bytes of a report: a row takes up to 800, a busy sender has thousands a day.
_REPORT_CAP: Final = 32_000_000
_REPORT_DAYS: Final = 7


class WhatsAppHttp(WhatsAppCalls):
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
    webhook_help = gettext_lazy(
        "In the gateway's panel, open the instance and paste this address where it asks for the"
        " webhook (callback) URL. It must be reachable from the internet over https. Then every"
        " delivery report and every message comes at once, and pictures and files come at all."
    )
    secret_names = SECRET_KEYS

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
        except (TransportError, NotSentError) as error:
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
        """Whether the phone is connected, and as which number; else the code to scan.

        The gateway's other way to give the code, as a file, is tried where the first brings none.
        """
        try:
            found = self._connection("qrCode")
        except GatewayError as error:
            linked = self._linked() if error.failure.code == QR_FAILED else None
            if linked is None:
                raise
            return linked
        has_said = found.connected or found.code or found.details
        return found if has_said else self._linked() or found

    def _linked(self) -> Connection | None:
        with suppress(GatewayError):
            return self._connection("qrCodeLink")
        return None

    def _connection(self, operation: str) -> Connection:
        answer, body = self._ask(operation)
        data = body.get("data")
        found = phone.connection_of(body, inbox.masked(data, self._secrets)[1])
        if found is None:
            raise GatewayError(read_failure(answer))
        if isinstance(data, str):
            return replace(found, code=phone.picture(data) or self._picture_at(data.strip()))
        return found

    def _picture_at(self, link: str) -> bytes:
        """The picture at an address of the gateway's own, whose name may hold the instance id."""
        if not is_own_file(link, self.account.base_url):
            return b""
        with suppress(TransportError):
            answer = self.http.call("qrCodeImage", "GET", link, cap=phone.CODE_CAP)
            return phone.checked(answer.body) if answer.status == 200 else b""
        return b""

    def fetch_contacts(self) -> Sequence[ContactInfo]:
        """The people the phone knows. Raises GatewayError where it is not connected."""
        return phone.contacts(self._ask_phone("contacts"))

    def fetch_groups(self) -> Sequence[GroupInfo]:
        """The groups the phone is in. Raises GatewayError where it is not connected."""
        return phone.groups(self._ask_phone("groups"))

    def _ask_phone(self, operation: str) -> Any:
        try:
            return self._ask(operation, cap=_REPORT_CAP)[1].get("data")
        except GatewayError as error:
            if error.failure.code != NO_DATA:
                raise
            # In reports the same code means that they are empty; here, that no phone answers.
            text = _("The phone is not connected. Pair it, then try again.")
            raise GatewayError(refusal(ErrorClass.CONFIGURATION, NO_DATA, text)) from None

    def fetch_statuses(self, start: datetime, end: datetime) -> Sequence[StatusUpdate]:
        """The rows of the days from `start` to `end`, each message once.

        The days are the gateway's and widened by one at both ends, because the document names no
        time zone; nothing older than seven days is given. Order and limits are undefined, so a
        report that is not whole is asked for day by day.
        """
        today = datetime.now(self._zone).date()
        first, last = self._days(start, end, today - timedelta(days=_REPORT_DAYS))
        rows = self._report("campaignReport", first, last)[0] if first <= last else []
        found: dict[str, StatusUpdate] = {}
        for row in rows:
            update = status_update(row, self._zone)
            if update.external_id:
                found[update.external_id] = update
        return list(found.values())

    def _days(self, start: datetime, end: datetime, oldest: date) -> tuple[date, date]:
        latest = datetime.now(self._zone).date() + timedelta(days=1)
        first = max(start.astimezone(self._zone).date() - timedelta(days=1), oldest)
        return first, min(end.astimezone(self._zone).date() + timedelta(days=1), latest)

    def _report(self, operation: str, first: date, last: date) -> tuple[list[dict[str, Any]], bool]:
        """The rows of these days, and whether the gateway says that they are all."""
        dates = (("start_date", f"{first:%d-%m-%Y}"), ("end_date", f"{last:%d-%m-%Y}"))
        try:
            body = self._ask(operation, dates, _REPORT_CAP)[1]
        except GatewayError as error:
            if error.failure.code == NO_DATA:
                return [], True
            if error.failure.code != "too_large" or first == last:
                raise
            body = {"total": 1}
        rows, complete = whole(body)
        if complete or first == last:
            return rows, complete
        complete = True
        for days in range((last - first).days + 1):
            day = first + timedelta(days=days)
            more, all_of_them = self._report(operation, day, day)
            rows += more
            complete = complete and all_of_them
        return rows, complete

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

    # --- Receiving ------------------------------------------------------------------------------

    def parse_webhook(self, request: WebhookRequest) -> Parsed:
        """Delivery reports and messages; see `whatsapp_inbox`."""
        return inbox.read_webhook(request, zone=self._zone, secrets=self._secrets)

    def owns(self, event: Inbound | StatusUpdate) -> bool:
        """By the instance id, which is the token itself where that is what was entered."""
        token = self.account.credentials.get("token", "")
        return inbox.owned(event.to, (token, self.account.instance_id))

    def fetch_inbox(self, start: datetime, end: datetime) -> InboxPage:
        """What came in on these days, the gateway's, widened by one at both ends."""
        first, last = self._days(start, end, date.min)
        if first > last:
            return InboxPage()
        return self._page(*self._report("inboxReport", first, last))

    def fetch_inbox_after(self, cursor: str) -> InboxPage:
        """What came in after a message. Never with a limit, whose meaning is not defined."""
        try:
            body = self._ask("inboxReportOffset", (("offset", cursor),), _REPORT_CAP)[1]
        except GatewayError as error:
            if error.failure.code == NO_DATA:
                return InboxPage()
            raise
        return self._page(*whole(body))

    def _page(self, rows: list[dict[str, Any]], complete: bool) -> InboxPage:
        return inbox.page(
            rows,
            complete,
            zone=self._zone,
            secrets=self._secrets,
            base_url=self.account.base_url,
        )
