"""What the tests of the WhatsApp HTTP API share."""

from __future__ import annotations

import io
from typing import Any

from messaging.adapters.base import Account, Outbound, Recipient, SendOutcome, Upload
from messaging.adapters.http import Http
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.content import Content
from messaging.errors import ErrorClass, Scope, Verdict
from messaging.events import Status

from .whatsapp_seed import BY_NUMBER

TOKEN = "62b32c76758e0afb0d390793"
ID = "62b32db5758e0afb0d3907e1"
OK: dict[str, Any] = {
    "status": "success",
    "message": "00-Success",
    "data": {"connStatus": True, "messageIDs": [ID]},
    "responsetime": 0.0016,
}
BALANCE = BY_NUMBER["5."].answers[0][1]
LINK = "https://media.example.com/price list.pdf?v=1&b=ä".replace(" ", "%20")


def upload(size: int = 5, filename: str = "Preis.jpg") -> Upload:
    return Upload(
        filename=filename,
        content_type="image/jpeg",
        size=size,
        open=lambda: io.BytesIO(b"\xff\xd8\xff\r\n"),
    )


def adapter(http: Http, url: str, mode: str = "body", **account: Any) -> WhatsAppHttp:
    values: dict[str, Any] = {
        "base_url": url,
        "credentials": {"token": TOKEN},
        "options": {"parameters": mode} if mode else {},
        "time_zone": "Asia/Kolkata",
    }
    return WhatsAppHttp(Account(**values | account), http)


def outbound(content: Content, to: str = "+447700900123", **options: Any) -> Outbound:
    return Outbound(content=content, recipients=(Recipient(to),), **options)


def sent(outcome: SendOutcome) -> tuple[Any, ...]:
    """Status and id, or verdict, class, scope and retry."""
    [result] = outcome.results
    if result.failure is None:
        return (result.status, result.external_id)
    failure = result.failure
    return (failure.verdict, failure.error_class, failure.scope, failure.retry)


REFUSED, MAYBE, NEVER = Verdict.REFUSED, Verdict.MAYBE_SENT, Verdict.NEVER_LEFT
MESSAGE_ONLY, LANE = Scope.MESSAGE, Scope.LANE
ACCEPTED = (Status.ACCEPTED, ID)
UNKNOWN = (MAYBE, ErrorClass.AMBIGUOUS, MESSAGE_ONLY, False)
