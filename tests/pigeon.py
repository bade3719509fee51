"""Pigeon Post: an example gateway, as CONTRIBUTING.md adds it."""

from __future__ import annotations

from typing import Any

from messaging.adapters.base import (
    SMS,
    Adapter,
    Balance,
    CredentialField,
    Outbound,
    SendOutcome,
    SendResult,
    Validation,
)
from messaging.adapters.gateway_codes import everyone, message_id, never_left, refusal, secrets
from messaging.adapters.http import (
    Answer,
    TransportError,
    read_failure,
    redact_json,
    send_failure,
)
from messaging.content import Content
from messaging.errors import ErrorClass, GatewayError
from messaging.events import Status
from messaging.i18n import gettext as _
from messaging.i18n import gettext_lazy

LONGEST = 480


class Pigeon(Adapter):
    """Speaks Pigeon Post's API: one text to one recipient in one call."""

    slug = "pigeon"
    label = "Pigeon Post"
    setup_help = gettext_lazy("Copy the API token from the account page of Pigeon Post.")
    default_base_url = "https://api.pigeon.example"
    provider_credentials = (CredentialField(name="token", label=gettext_lazy("API token")),)
    channels = frozenset({SMS})
    kinds = {SMS: frozenset({"text"})}
    rate = 10.0

    def validate(self, content: Content) -> Validation:
        """What only this gateway forbids, told to a clerk before anything is queued."""
        if len(content.preview()) <= LONGEST:
            return Validation()
        text = _("Pigeon Post carries at most %(most)d characters.") % {"most": LONGEST}
        return Validation(refusals=(text,))

    def send(self, message: Outbound) -> SendOutcome:
        """One call for one recipient."""
        if len(message.recipients) != 1:
            text = _("Too many recipients for one call.")
            return everyone(message, never_left(ErrorClass.INTERNAL, text))
        body = {"to": message.recipients[0].digits, "text": message.content.preview()}
        try:
            answer = self._call("send", "POST", "messages", json=body, record=body)
        except TransportError as error:
            # Whether a byte had left was judged where it happened; it is only passed on.
            return SendOutcome(results=(SendResult(failure=error.failure),), calls=(error.call,))
        return SendOutcome(results=(self._result(answer),), calls=(answer.call,))

    def _result(self, answer: Answer) -> SendResult:
        told = answer.data if isinstance(answer.data, dict) else {}
        if answer.status == 201 and (found := message_id(told.get("id"))):
            return SendResult(status=Status.ACCEPTED, external_id=found)
        if answer.status == 422:  # documented: nothing was taken
            return SendResult(failure=refusal(ErrorClass.INVALID_RECIPIENT, "422"))
        # Everything else is what HTTP itself makes of it: refused, or nobody can know.
        return SendResult(failure=send_failure(answer))

    def balance(self) -> Balance:
        """For the provider's page and its “Test connection”."""
        try:
            answer = self._call("balance", "GET", "account")
        except TransportError as error:
            raise GatewayError(read_failure(error)) from None
        if answer.status != 200 or not isinstance(answer.data, dict):
            raise GatewayError(read_failure(answer))
        return Balance(amount=str(answer.data.get("credits", "")), call=answer.call)

    def _call(self, operation: str, method: str, path: str, **request: Any) -> Answer:
        """`record` and `redact` make what is stored of a call: never the credentials."""
        return self.http.call(
            operation,
            method,
            f"{self.account.base_url}/{path}",
            headers={"Authorization": f"Bearer {self.account.credentials['token']}"},
            redact=lambda data: redact_json(data, (), secrets(self.account)),
            **request,
        )
