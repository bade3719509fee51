"""A gateway that is none: for developing a host project without an account or a network."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..content import KINDS, Content, Text
from ..errors import ErrorClass, Failure, Verdict
from ..events import Inbound, Status, StatusUpdate
from ..i18n import gettext as _
from ..i18n import gettext_lazy
from .answers import NOT_JSON, parse
from .base import (
    SMS,
    WHATSAPP,
    Adapter,
    Balance,
    OptionField,
    Outbound,
    Parsed,
    Recipient,
    SendOutcome,
    SendResult,
    WebhookRequest,
)
from .times import parse_time

ACCEPTED, FAILED, UNKNOWN = "accepted", "failed", "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class DummyMessage:
    """One message that was "sent": to one recipient, as `external_id`."""

    external_id: str
    recipient: Recipient
    content: Content
    channel: str
    sender: str
    outcome: str


class Dummy(Adapter):
    """Takes everything and remembers the last thousand messages in `Dummy.sent`.

    The option `outcome` shows the other ends a message can come to: "failed" (refused) and
    "unknown" (taken, but nobody can tell). What was refused is not remembered.
    """

    slug = "dummy"
    label = gettext_lazy("Dummy (sends nothing)")
    setup_help = gettext_lazy("For development: messages go nowhere and cost nothing.")
    options = (
        OptionField(
            name="outcome",
            label=gettext_lazy("Outcome"),
            default=ACCEPTED,
            help=gettext_lazy("What becomes of every message."),
            choices=(
                (ACCEPTED, gettext_lazy("accepted")),
                (FAILED, gettext_lazy("failed")),
                (UNKNOWN, gettext_lazy("unknown")),
            ),
        ),
    )
    channels = frozenset({WHATSAPP, SMS})
    kinds = {WHATSAPP: frozenset(KINDS), SMS: frozenset(KINDS)}
    takes_uploads = True
    webhook_help = gettext_lazy(
        'Post JSON to this address to play a customer: {"from": "+447700900123", "text": "Hello"}.'
    )

    #: Newest last, of all accounts in this process.
    sent: ClassVar[deque[DummyMessage]] = deque(maxlen=1000)

    @classmethod
    def clear(cls) -> None:
        """Forget what was sent; for the set-up of a test."""
        cls.sent.clear()

    def send(self, message: Outbound) -> SendOutcome:
        """No call is made, so none is recorded."""
        results = tuple(self._send(to, message.content) for to in message.recipients)
        return SendOutcome(results=results)

    def _send(self, recipient: Recipient, content: Content) -> SendResult:
        outcome = self.account.options.get("outcome") or ACCEPTED
        if outcome == FAILED:
            return SendResult(failure=_failure(Verdict.REFUSED, ErrorClass.UNKNOWN_REJECTION))
        sent = DummyMessage(
            external_id=f"dummy-{uuid.uuid4().hex}",
            recipient=recipient,
            content=content,
            channel=self.account.channel,
            sender=self.account.address or self.account.external_id,
            outcome=outcome,
        )
        self.sent.append(sent)
        if outcome == UNKNOWN:
            return SendResult(failure=_failure(Verdict.MAYBE_SENT, ErrorClass.AMBIGUOUS))
        return SendResult(status=Status.ACCEPTED, external_id=sent.external_id)

    def test(self) -> Balance:
        """Always well."""
        return Balance()

    def parse_webhook(self, request: WebhookRequest) -> Parsed:
        """One message or report, or a list of them.

        {"from": "+44…", "text": "Hello", "to": "+44…", "channel": "sms", "id": "…", "at": "…"}
        plays a customer; all but `from` and `text` may be left out.
        {"id": "dummy-…", "status": "delivered"} tells what became of a message that was sent.
        """
        data = parse(request.body.encode("utf-8", "replace"))
        items = data if isinstance(data, list) else [data]
        events: list[Inbound | StatusUpdate] = []
        problems: list[str] = []
        for item in items if data is not NOT_JSON else [None]:
            event = _event(item) if isinstance(item, Mapping) else None
            if event is None:
                problems.append(_("A message or report could not be read."))
            else:
                events.append(event)
        return Parsed(events=tuple(events), problems=tuple(problems))

    def owns(self, event: Inbound | StatusUpdate) -> bool:
        """By number and channel; a message that names neither is any sender's."""
        if isinstance(event, Inbound) and event.channel and event.channel != self.account.channel:
            return False
        return not event.to or event.to in (self.account.address, self.account.external_id)


def _event(item: Mapping[str, Any]) -> Inbound | StatusUpdate | None:
    word = item.get("status")
    if isinstance(word, str):
        known = word in {status.value for status in Status}
        return StatusUpdate(
            external_id=str(item.get("id") or ""),
            status=Status(word) if known else None,
            occurred_at=parse_time(item.get("at")),
            raw_status=word,
        )
    body = item.get("text")
    if not isinstance(body, str):
        return None
    return Inbound(
        external_id=str(item.get("id") or ""),
        to=str(item.get("to") or ""),
        channel=str(item.get("channel") or ""),
        address=str(item.get("from") or ""),
        name=str(item.get("name") or ""),
        content=Text(body).to_json(),
        text=body,
        occurred_at=parse_time(item.get("at")),
    )


def _failure(verdict: Verdict, error_class: ErrorClass) -> Failure:
    text = _("The dummy gateway was told to end like this.")
    return Failure(verdict=verdict, error_class=error_class, code="dummy", text=text)
