"""IntelliSoftware: WhatsApp and SMS over its JSON interface (`/api/json/sendmsg.aspx`).

WhatsApp is the document's contract; SMS and the balance come from the vendor's public pages. The
gateway has no idempotency key and no report to poll: what it does not confirm stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from ..content import MEDIA_KINDS, Content, Text
from ..errors import ErrorClass, Failure, GatewayError, Scope
from ..events import Inbound, Status, StatusUpdate
from ..i18n import gettext as _
from ..i18n import gettext_lazy
from . import intellisoftware_inbox as inbox
from . import message_object
from .base import (
    INBOUND_ONLY,
    SMS,
    WHATSAPP,
    Adapter,
    Balance,
    CredentialField,
    OptionField,
    Outbound,
    Parsed,
    Recipient,
    SendOutcome,
    SendResult,
    Validation,
    WebhookRequest,
)
from .gateway_codes import everyone, message_id, never_left, refusal, secrets, unclear
from .http import Answer, TransportError, read_failure, redact_json, send_failure

#: Code, name and class of every documented error.
ERRORS: Final = (
    (1, "gateway_error", ErrorClass.TRANSIENT),
    (2, "invalid_number", ErrorClass.INVALID_RECIPIENT),
    (3, "invalid_request", ErrorClass.INVALID_CONTENT),
    (5, "no_to", ErrorClass.INVALID_CONTENT),
    (10, "insufficient_credit", ErrorClass.QUOTA),
    (11, "login_invalid", ErrorClass.AUTHENTICATION),
    (12, "internal_error", ErrorClass.TRANSIENT),
    (18, "daily_allowance_exceeded", ErrorClass.QUOTA),
    (19, "monthly_allowance_exceeded", ErrorClass.QUOTA),
    (20, "auth_parameter_missing", ErrorClass.AUTHENTICATION),
    (21, "auth_parameter_invalid", ErrorClass.AUTHENTICATION),
    (22, "connection_not_secure", ErrorClass.CONFIGURATION),
    (26, "invalid_template", ErrorClass.TEMPLATE),
    (27, "invalid_from", ErrorClass.CONFIGURATION),
    (28, "number_not_supported", ErrorClass.INVALID_RECIPIENT),
    (29, "number_not_in_sandbox", ErrorClass.INVALID_RECIPIENT),
)
_BY_CODE: Final = {str(code): (name, error_class) for code, name, error_class in ERRORS}
_CODES: Final = {name: str(code) for code, name, _error_class in ERRORS}
#: The allowances of a key come back with the gateway's next day or month.
_UNTIL: Final = {"18": "day", "19": "month"}

#: How many last digits tell a number apart when the gateway has rewritten its beginning.
_TAIL: Final = 9

# One character of these takes one of an SMS's 160 places, of the second line two. Anything else
# makes the whole text UCS-2, with 70 places.
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED: Final = frozenset("^{}\\[~]|€\f")


def sms_parts(text: str) -> int:
    """How many SMS a text takes. Several hold a little less each than a single one."""
    if all(char in _GSM or char in _GSM_EXTENDED for char in text):
        places, single, each = [1 + (char in _GSM_EXTENDED) for char in text], 160, 153
    else:
        places, single, each = [1 + (char > "\uffff") for char in text], 70, 67
    if sum(places) <= single:
        return 1
    parts, used = 1, 0
    for needed in places:
        if used + needed > each:  # a character is never split between two parts
            parts, used = parts + 1, 0
        used += needed
    return parts


class IntelliSoftware(Adapter):
    """Speaks for one access key pair and one sender id."""

    slug = "intellisoftware"
    label = "IntelliSoftware"
    setup_help = gettext_lazy(
        "Create an AccessKey and SecretKey pair in your IntelliSoftware account and paste both"
        " here. To receive messages, enter this provider's webhook address there under"
        " Preferences, Forwarding."
    )
    default_base_url = "https://www.intellisoftware.co.uk"
    provider_credentials = (
        CredentialField(name="accesskey", label=gettext_lazy("Access key")),
        CredentialField(name="secretkey", label=gettext_lazy("Secret key")),
    )
    options = (
        OptionField(
            name="maxconcat",
            label=gettext_lazy("SMS parts"),
            default="1",
            help=gettext_lazy("How many SMS one long text may take at most. Each part is charged."),
        ),
    )
    channels = frozenset({WHATSAPP, SMS})
    kinds = {
        WHATSAPP: frozenset({"text", "template", "contacts", "location", "buttons", *MEDIA_KINDS}),
        SMS: frozenset({"text"}),
    }
    window_policy = INBOUND_ONLY
    upload_refusal = staticmethod(message_object.file_refusal)
    webhook_help = gettext_lazy(
        "In your IntelliSoftware account open Preferences, Forwarding, choose HTTP forwarding of"
        " received messages and paste this address; paste it for delivery reports too, where they"
        " are offered. The gateway repeats a message every five minutes until we have taken it."
    )
    secret_names = inbox.SECRET_KEYS
    max_recipients = 100
    # One unclear answer makes all recipients of a call unknown, so far fewer than allowed.
    default_recipients = 20

    def validate(self, content: Content) -> Validation:
        """The limits of SMS parts, or of WhatsApp's message object."""
        if content.kind not in self.kinds.get(self.account.channel, ()):
            return Validation(refusals=(_("This gateway cannot send this kind of message."),))
        if self.account.channel == SMS and isinstance(content, Text):
            return self._validate_sms(content)
        return message_object.validate(content)

    def _validate_sms(self, content: Text) -> Validation:
        parts, limit = sms_parts(content.body), self._maxconcat()
        if parts <= limit:
            return Validation()
        return Validation(
            refusals=(
                _("This text takes %(parts)d SMS, but at most %(limit)d are allowed per message.")
                % {"parts": parts, "limit": limit},
            )
        )

    def _maxconcat(self) -> int:
        try:
            return max(1, int(self.account.options.get("maxconcat") or 1))
        except (TypeError, ValueError):
            return 1

    def send(self, message: Outbound) -> SendOutcome:
        """One call for up to 100 recipients; equal numbers share a place and a result."""
        problem = self._problem(message)
        if problem:
            return everyone(message, problem)
        numbers = tuple(
            dict.fromkeys(to.digits for to in message.recipients if _is_number(to.digits))
        )
        if not numbers:
            return everyone(message, _no_number())
        payload = {"message": self._message(message.content, numbers)}
        results: Mapping[str, SendResult]
        try:
            answer = self._call("send", "sendmsg", payload)
            results, call = self._results(answer, numbers), answer.call
        except TransportError as error:
            results, call = dict.fromkeys(numbers, SendResult(failure=error.failure)), error.call
        return SendOutcome(results=_spread(message.recipients, results), calls=(call,))

    def _problem(self, message: Outbound) -> Failure | None:
        """Why nothing may leave: the same rules as before queueing, for rows that have aged."""
        if len(message.recipients) > self.max_recipients:
            return never_left(ErrorClass.INTERNAL, _("Too many recipients for one call."))
        if message.content.media and not message.content.media.link:
            return never_left(ErrorClass.INTERNAL, _("The file has no link."))
        refusals = self.validate(message.content).refusals
        return never_left(ErrorClass.INVALID_CONTENT, " ".join(refusals)) if refusals else None

    def _message(self, content: Content, numbers: Iterable[str]) -> dict[str, Any]:
        account = self.account
        source = (account.external_id or account.address).strip().removeprefix("+")
        body: dict[str, Any]
        if account.channel == SMS and isinstance(content, Text):
            body = {"msgtype": "text", "text": content.body, "maxconcat": self._maxconcat()}
        else:
            body = {
                "format": "wa_msgobject_v2",
                "msgobject": message_object.message_object(content),
            }
        return {
            **({"from": source} if source else {}),
            "to": ",".join(numbers),
            # Never left to its default, which is SMS.
            "channel": account.channel,
            "content": body,
        }

    def _call(self, operation: str, page: str, payload: Mapping[str, Any]) -> Answer:
        credentials = self.account.credentials
        body = {
            "auth": {
                "authtype": "accesskey",
                "accesskey": credentials.get("accesskey", ""),
                "secretkey": credentials.get("secretkey", ""),
            },
            "request_version": "1.0.0",
            "response_version": "1.0.3",
            **payload,
        }
        return self.http.call(
            operation,
            "POST",
            f"{self.account.base_url.rstrip('/')}/api/json/{page}.aspx",
            json=body,
            record=payload,
            redact=self._mask,
        )

    def _mask(self, data: Any) -> Any:
        """No document says that an answer repeats the keys; should one do so, nobody sees them."""
        return redact_json(data, ("accesskey", "secretkey"), secrets(self.account))

    def _results(self, answer: Answer, numbers: tuple[str, ...]) -> Mapping[str, SendResult]:
        """The body rules, whatever the HTTP status: the document names none."""
        data = self._mask(answer.data)
        word = _status_word(data)
        if word == "failure" and not data.get("messages"):
            return dict.fromkeys(numbers, SendResult(failure=_overall(data.get("errors"))))
        if word == "ok" and isinstance(data.get("messages"), list):
            return _match(data["messages"], numbers)
        failure = _unclear() if word in ("ok", "failure") else send_failure(answer)
        return dict.fromkeys(numbers, SendResult(failure=failure))

    def balance(self) -> Balance:
        """The credits left, as the gateway writes them. Costs nothing and sends nothing."""
        try:
            answer = self._call("balance", "getbalance", {})
        except TransportError as error:
            raise GatewayError(read_failure(error)) from None
        data = self._mask(answer.data)
        word = _status_word(data)
        if word == "failure":
            raise GatewayError(_overall(data.get("errors")))
        if word != "ok":
            raise GatewayError(read_failure(answer))
        amount = data.get("balance")
        return Balance(
            amount=None if amount is None else str(amount), raw=dict(data), call=answer.call
        )

    def parse_webhook(self, request: WebhookRequest) -> Parsed:
        """Forwarded messages and delivery reports; see `intellisoftware_inbox`."""
        return inbox.read_webhook(request, self.account)

    def owns(self, event: Inbound | StatusUpdate) -> bool:
        """By channel and number: one number on both channels is two senders."""
        return isinstance(event, Inbound) and inbox.owned(event, self.account)


def _unclear() -> Failure:
    return unclear(_("The gateway's answer does not say what became of this recipient."))


def _is_number(digits: str) -> bool:
    return digits.isascii() and digits.isdigit()


def _no_number() -> Failure:
    # Not an invalid recipient: the address is sound, other gateways reach it.
    text = _("IntelliSoftware sends to phone numbers only.")
    return never_left(ErrorClass.INVALID_CONTENT, text)


def _spread(
    recipients: Iterable[Recipient], results: Mapping[str, SendResult]
) -> tuple[SendResult, ...]:
    """One result per recipient; those left out of the call are the ones without a number."""
    return tuple(
        results.get(recipient.digits) or SendResult(failure=_no_number())
        for recipient in recipients
    )


def _status_word(data: Any) -> str:
    word = data.get("response_status") if isinstance(data, Mapping) else None
    return word.lower() if isinstance(word, str) else ""


def _overall(errors: Any) -> Failure:
    """The error that decides: one of the whole account, then one we know, then the rest."""
    entries = errors if isinstance(errors, list) else []
    failures = [_failure(entry) for entry in entries if isinstance(entry, Mapping)]
    if not failures:
        return refusal(ErrorClass.UNKNOWN_REJECTION)
    return min(
        failures,
        key=lambda failure: (
            failure.scope is not Scope.LANE,
            failure.error_class is ErrorClass.UNKNOWN_REJECTION,
            failure.retry,
        ),
    )


def _failure(entry: Mapping[str, Any]) -> Failure:
    """By code, else by name; descriptions change without notice and are only shown."""
    name, number = str(entry.get("error") or ""), str(entry.get("error_code") or "")
    code = number if number in _BY_CODE else _CODES.get(name, "")
    known_name, error_class = _BY_CODE.get(code, ("", ErrorClass.UNKNOWN_REJECTION))
    texts = (name or known_name, str(entry.get("error_description") or ""))
    failure = refusal(error_class, number or name, ": ".join(text for text in texts if text))
    return replace(failure, until=_UNTIL.get(code, ""))


def _match(entries: Iterable[Any], numbers: tuple[str, ...]) -> dict[str, SendResult]:
    """Each number's own result: by its digits, else by the last nine where only one has them.

    The gateway may rewrite and reorder numbers and drop repetitions. A number it does not answer
    for may have been served all the same.
    """
    answers = [entry for entry in entries if isinstance(entry, Mapping)]
    found = dict.fromkeys(numbers, SendResult(failure=_unclear()))
    exact: set[str] = set()
    loose: dict[str, list[Mapping[str, Any]]] = {}
    for entry in answers:
        to = re.sub("[^0-9]", "", str(entry.get("to") or ""))
        if len(answers) == len(numbers) == 1 and not to:
            to = numbers[0]
        if to in found:
            if to not in exact or found[to].failure:
                found[to] = _settle(entry)
            exact.add(to)
        elif len(to) >= _TAIL:
            loose.setdefault(to[-_TAIL:], []).append(entry)
    for tail, same in loose.items():
        fitting = [number for number in numbers if number.endswith(tail)]
        if len(fitting) == len(same) == 1 and fitting[0] not in exact:
            found[fitting[0]] = _settle(same[0])
    return found


def _settle(entry: Mapping[str, Any]) -> SendResult:
    """An entry has either an id or an error; with both or neither it proves nothing."""
    refused = bool(entry.get("error") or entry.get("error_code"))
    external_id = message_id(entry.get("id"))
    if refused and not external_id:
        return SendResult(failure=_failure(entry))
    if refused or not external_id:
        return SendResult(failure=_unclear())
    kept = ("to", "id", "msgparts", "creditsused")
    return SendResult(
        status=Status.ACCEPTED,
        external_id=external_id,
        external_data={name: entry[name] for name in kept if entry.get(name) is not None},
    )
