"""Intellixent: approved templates by its own document, free text by the vendor's wider pages.

A white label: the same interface answers under other hosts, so the base URL (up to and including
`/api`) is configuration. It reports no delivery: what it accepted stays accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from ..content import NAMED, Content, TemplateMessage, Text, placeholders
from ..errors import ErrorClass, Failure, GatewayError, Scope
from ..events import Status
from ..i18n import gettext as _
from ..i18n import gettext_lazy
from .base import (
    INBOUND_OR_TEMPLATE,
    WHATSAPP,
    Adapter,
    Balance,
    CredentialField,
    Outbound,
    SenderInfo,
    SendOutcome,
    SendResult,
    SessionStatus,
    TemplateInfo,
    Validation,
)
from .gateway_codes import (
    CODE_LENGTH,
    WORDS_LENGTH,
    class_of,
    everyone,
    message_id,
    never_left,
    refusal,
    secrets,
    unclear,
)
from .http import Answer, TransportError, read_failure, redact_json, send_failure
from .message_object import TEXT_LENGTH, too_long
from .times import parse_time, zone_of

NAME_LENGTH: Final = 255

#: Every documented word; the first three are the document's, the rest the vendor's other pages'.
ERRORS: Final[Mapping[str, ErrorClass]] = {
    "SENDER_NOT_FOUND": ErrorClass.CONFIGURATION,
    "TEMPLATE_NOT_APPROVED": ErrorClass.TEMPLATE,
    "INSUFFICIENT_BALANCE": ErrorClass.QUOTA,
    "TEMPLATE_NOT_FOUND": ErrorClass.TEMPLATE,
    "TEMPLATE_NOT_SYNCED": ErrorClass.TEMPLATE,
    "TEMPLATE_MISMATCH": ErrorClass.TEMPLATE,
    "SENDER_OFFLINE": ErrorClass.CONFIGURATION,
    "SESSION_EXPIRED": ErrorClass.WINDOW_CLOSED,
    "INVALID_PHONE": ErrorClass.INVALID_RECIPIENT,
    "MESSAGING_LIMIT_UNAVAILABLE": ErrorClass.RATE_LIMIT,
    "NO_ASSISTANT_CONFIGURED": ErrorClass.CONFIGURATION,
    "VOICE_CALL_LIMIT_NOT_MET": ErrorClass.CONFIGURATION,
    "UNKNOWN_ERROR": ErrorClass.AMBIGUOUS,
}
#: Seconds after which a sender's limit of recipients per day is worth another try.
_LIMIT_DELAY: Final = 3600.0

_STATUSES: Final[Mapping[str, Status]] = {"sent": Status.SENT}
_TEMPLATE_STATUSES: Final = ("approved", "pending", "rejected", "paused", "disabled")
_IDS: Final = ("conversation_id", "message_id", "whatsapp_message_id")


class Intellixent(Adapter):
    """Speaks for one API key and one of its senders."""

    slug = "intellixent"
    label = "Intellixent"
    setup_help = gettext_lazy(
        "Create an API key in your Intellixent account and paste it here. Each sender needs its"
        " number at Intellixent as its id; “Fetch senders” lists them."
    )
    default_base_url = "https://portal.intellixent.ai/api"
    provider_credentials = (CredentialField(name="api_key", label=gettext_lazy("API key")),)
    kinds = {WHATSAPP: frozenset({"text", "template"})}
    window_policy = INBOUND_OR_TEMPLATE
    rate = 5.0

    def validate(self, content: Content) -> Validation:
        """Free text up to 4096 characters; templates without a file, by their number."""
        return Validation(refusals=tuple(self._refusals(content)))

    def _refusals(self, content: Content) -> Iterator[str]:
        if not _is_id(self.account.external_id):
            yield _no_sender_id()
        if isinstance(content, Text):
            yield from too_long(_("Text"), content.body, TEXT_LENGTH)
        elif isinstance(content, TemplateMessage):
            yield from _template_refusals(content)
        else:
            yield _("Intellixent sends texts and templates only.")

    def send(self, message: Outbound) -> SendOutcome:
        """One call for one recipient."""
        problem = self._problem(message)
        if problem:
            return everyone(message, problem)
        recipient = message.recipients[0]
        payload: dict[str, Any] = {
            "sender_id": int(self.account.external_id),
            "recipient_phone": recipient.address,
        }
        path = "send-freeform"
        if isinstance(message.content, Text):
            payload["message"] = message.content.body
        elif isinstance(message.content, TemplateMessage):
            path = "send"
            payload["template_id"] = int(message.content.template.external_id)
            if recipient.name:
                payload["recipient_name"] = recipient.name[:NAME_LENGTH]
            if variables := _variables(message.content):
                payload["variables"] = variables
        try:
            answer = self._call("send", "POST", path, json=payload, record=payload)
        except TransportError as error:
            result = SendResult(failure=error.failure)
            return SendOutcome(results=(result,), calls=(error.call,))
        return SendOutcome(results=(self._result(answer),), calls=(answer.call,))

    def _problem(self, message: Outbound) -> Failure | None:
        """Why nothing may leave: the same rules as before queueing, for rows that have aged."""
        if len(message.recipients) != 1:
            return never_left(ErrorClass.INTERNAL, _("Too many recipients for one call."))
        if not re.fullmatch(r"\+[0-9]+", message.recipients[0].address):
            # Not an invalid recipient: the address is sound, other gateways reach it.
            text = _("Intellixent sends to phone numbers only.")
            return never_left(ErrorClass.INVALID_CONTENT, text)
        refusals = self.validate(message.content).refusals
        return never_left(ErrorClass.INVALID_CONTENT, " ".join(refusals)) if refusals else None

    def _call(self, operation: str, method: str, path: str, **request: Any) -> Answer:
        return self.http.call(
            operation,
            method,
            f"{self.account.base_url.rstrip('/')}/user/whatsapp/{path}",
            headers={
                "Authorization": f"Bearer {self.account.credentials.get('api_key', '')}",
                "Accept": "application/json",
            },
            redact=self._mask,
            **request,
        )

    def _mask(self, data: Any) -> Any:
        return redact_json(data, (), secrets(self.account))

    def _result(self, answer: Answer) -> SendResult:
        data = self._mask(answer.data)
        told = data if isinstance(data, Mapping) else {}
        if told.get("success") is True:
            return _accepted(answer, told)
        if told.get("success") is False or answer.status >= 400:
            return SendResult(failure=_failure(answer, told, send_failure(answer)))
        return SendResult(failure=send_failure(answer))

    def _read(self, operation: str, path: str, params: Mapping[str, Any]) -> _Reading:
        """A reading call's JSON object. Raises GatewayError for anything else."""
        try:
            answer = self._call(operation, "GET", path, params=params, record=params)
        except TransportError as error:
            raise GatewayError(read_failure(error)) from None
        data = self._mask(answer.data)
        told = data if isinstance(data, Mapping) else {}
        if answer.status >= 400 or told.get("success") is False:
            raise GatewayError(_failure(answer, told, read_failure(answer)))
        if answer.status != 200 or not told:
            raise GatewayError(read_failure(answer))
        return _Reading(told, answer)

    def _sender_id(self) -> int:
        if not _is_id(self.account.external_id):
            raise GatewayError(never_left(ErrorClass.CONFIGURATION, _no_sender_id()))
        return int(self.account.external_id)

    def test(self) -> Balance:
        """Prove the key by listing the senders; this gateway tells no balance."""
        reading = self._read("senders", "senders", {"status": "all"})
        reading.rows()
        return Balance(call=reading.answer.call)

    def session_status(self, address: str) -> SessionStatus:
        """The gateway's own word on the reply window of one customer (`+digits`)."""
        params = {"sender_id": self._sender_id(), "recipient_phone": address}
        data, answer = self._read("session_status", "session-status", params)
        session = data.get("session_status")
        is_open = session.get("is_open") if isinstance(session, Mapping) else None
        if not isinstance(session, Mapping) or not isinstance(is_open, bool):
            raise GatewayError(read_failure(answer))
        zone = zone_of(self.account.time_zone)
        return SessionStatus(
            is_open=is_open,
            expires_at=parse_time(session.get("expires_at"), zone),
            last_inbound_at=parse_time(data.get("last_customer_message_at"), zone),
        )

    def fetch_senders(self) -> Sequence[SenderInfo]:
        """All senders of the key, offline ones too."""
        rows = self._read("senders", "senders", {"status": "all"}).rows()
        return [
            SenderInfo(
                external_id=message_id(row["id"]),
                address=str(row.get("phone_number") or ""),
                name=str(row.get("display_name") or ""),
                online={"online": True, "offline": False}.get(str(row.get("status")).lower()),
                details=dict(row),
            )
            for row in rows
        ]

    def fetch_templates(self) -> Sequence[TemplateInfo]:
        """The sender's templates in every state; the gateway itself looks every four hours."""
        path = f"senders/{self._sender_id()}/templates"
        return [_template(row) for row in self._read("templates", path, {"status": "all"}).rows()]


class _Reading(NamedTuple):
    data: Mapping[str, Any]
    answer: Answer

    def rows(self) -> list[Mapping[str, Any]]:
        """The entries of a list that have an id. Raises GatewayError where there is no list."""
        rows = self.data.get("data")
        if not isinstance(rows, list):
            raise GatewayError(read_failure(self.answer))
        return [row for row in rows if isinstance(row, Mapping) and message_id(row.get("id"))]


def _is_id(value: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,18}", value))


def _no_sender_id() -> str:
    return _("This sender has no id at Intellixent. It is a whole number, such as 12.")


def _template_refusals(content: TemplateMessage) -> Iterator[str]:
    template = content.template
    if not _is_id(template.external_id):
        yield _("This template has no id at Intellixent. Fetch the templates again.")
    if template.header_kind not in ("", "text") or content.header is not None:
        yield _("Intellixent cannot fill a file or a location into a template's header.")
    places = placeholders(template.body)
    if template.parameter_format == NAMED and template.header_kind == "text":
        places += placeholders(template.header)
    if not set(template.variables) <= set(places):
        yield _("Intellixent fills the places in a template's text, not those in its buttons.")


def _variables(content: TemplateMessage) -> dict[str, str]:
    """Values under the names the template declares.

    A positional template wants "1", "2", …: where only people's words for its places are known,
    their order decides.
    """
    names, values = placeholders(content.template.body), dict(content.variables)
    positional = bool(names) and all(name.isdecimal() for name in names)
    if positional and not set(names) & set(values):
        return dict(zip(names, values.values(), strict=False))
    return values


def _accepted(answer: Answer, data: Mapping[str, Any]) -> SendResult:
    sid, raw = message_id(data.get("message_sid")), str(data.get("status") or "")
    if not (200 <= answer.status < 300 and sid):
        text = _("The gateway's answer says success but names no message.")
        return SendResult(failure=unclear(text, str(answer.status)))
    kept = {name: data[name] for name in _IDS if data.get(name) is not None}
    return SendResult(
        status=_STATUSES.get(raw.lower(), Status.ACCEPTED),
        external_id=sid,
        external_data={"message_sid": sid, **kept, **({"status": raw} if raw else {})},
    )


def _failure(answer: Answer, data: Mapping[str, Any], otherwise: Failure) -> Failure:
    """By the answer's own word, whatever the HTTP status; `otherwise` where it says none."""
    word = str(data.get("error_code") or "")
    text = _field_errors(data) or str(data.get("error") or data.get("message") or "")
    error_class = _class_of(word, answer.status)
    if error_class is ErrorClass.AMBIGUOUS:
        return unclear(text, word)
    if error_class is not None:
        return _adjusted(refusal(error_class, word or str(answer.status), text or otherwise.text))
    return replace(
        otherwise,
        code=word[:CODE_LENGTH] or otherwise.code,
        text=text[:WORDS_LENGTH] or otherwise.text,
    )


def _class_of(word: str, status: int) -> ErrorClass | None:
    if word.upper() in ERRORS:
        return ERRORS[word.upper()]
    if number := re.fullmatch("TWILIO_ERROR_([0-9]{1,9})", word.upper()):
        return class_of(int(number[1]))
    if status == 402:
        return ErrorClass.QUOTA
    if status == 422 and not word:
        return ErrorClass.INVALID_CONTENT
    return ErrorClass.UNKNOWN_REJECTION if 200 <= status < 300 else None


def _adjusted(failure: Failure) -> Failure:
    """Where a word differs from the rest of its class."""
    match failure.code.upper():
        case "SENDER_OFFLINE":
            return replace(failure, retry=True)
        case "VOICE_CALL_LIMIT_NOT_MET":  # only templates with a call button need it
            return replace(failure, scope=Scope.MESSAGE)
        case "MESSAGING_LIMIT_UNAVAILABLE":
            return replace(failure, retry_after=_LIMIT_DELAY)
    return failure


def _field_errors(data: Mapping[str, Any]) -> str:
    """The sentences of a validation answer: {"errors": {"field": ["…"]}}."""
    errors = data.get("errors")
    if not isinstance(errors, Mapping):
        return ""
    lists = [value if isinstance(value, list) else [value] for value in errors.values()]
    return " ".join(str(sentence) for sentences in lists for sentence in sentences)


def _template(row: Mapping[str, Any]) -> TemplateInfo:
    body, raw = str(row.get("body_text") or ""), str(row.get("status") or "")
    names = row.get("variables")
    declared = [str(name) for name in names] if isinstance(names, list) else []
    return TemplateInfo(
        external_id=message_id(row["id"]),
        name=str(row.get("name") or ""),
        language=str(row.get("language") or ""),
        category=str(row.get("category") or "").lower(),
        status=raw.lower() if raw.lower() in _TEMPLATE_STATUSES else "unknown",
        body=body,
        variables=tuple(placeholders(body) or declared),
        raw_status=raw,
    )
