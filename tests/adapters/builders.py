"""What the adapters' tests are made of: adapters that speak to a test server, contents, results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from messaging.adapters.base import Account, Outbound, Recipient, SendOutcome
from messaging.adapters.http import Http
from messaging.adapters.intellisoftware import IntelliSoftware
from messaging.adapters.intellixent import Intellixent
from messaging.content import Buttons, Content, TemplateMessage, TemplateRef, Text
from messaging.errors import ErrorClass, Failure, Verdict

from .recorder import Recorder

PHONE, OTHER, ABROAD = "+447700900123", "+447700900124", "+919812345678"
LINK = "https://media.example.com/a"
HELLO = Text("Hello")
AMBIGUOUS = (Verdict.MAYBE_SENT, ErrorClass.AMBIGUOUS)
API_KEY = "ix-key-0f1e2d3c4b5a"


def intellisoftware(http: Http, url: str, **changes: Any) -> IntelliSoftware:
    """An adapter whose keys hold the punctuation that breaks JSON made by hand."""
    values: dict[str, Any] = {
        "base_url": url,
        "credentials": {"accesskey": "Yva$ER%Uhs+U", "secretkey": 'F{kQ^s`wVp"m\\!EU~'},
        "address": "+447700900100",
        **changes,
    }
    return IntelliSoftware(Account(**values), http)


def intellixent(http: Http, url: str, **changes: Any) -> Intellixent:
    values: dict[str, Any] = {
        "base_url": f"{url}/api",
        "credentials": {"api_key": API_KEY},
        "external_id": "12",
        **changes,
    }
    return Intellixent(Account(**values), http)


def template(
    body: str = "Hello {{1}}, see you on {{2}} at {{3}}.",
    values: dict[str, str] | None = None,
    file: Content | None = None,
    **fields: Any,
) -> TemplateMessage:
    """The document's template and values, or others."""
    ref = TemplateRef(**{"name": "appointment", "external_id": "45", "body": body, **fields})
    if values is None:
        values = {"1": "John", "2": "January 15, 2026", "3": "2:00 PM"}
    return TemplateMessage(ref, values, file)


def ref(**values: Any) -> TemplateRef:
    """A template known by name and language."""
    return TemplateRef(**{"name": "order_ready", "language": "en_GB", **values})


def buttons(**values: Any) -> Buttons:
    return Buttons(**{"body": "Body", "replies": ["Yes"], **values})


def outbound(content: Content = HELLO, *to: str, name: str = "") -> Outbound:
    recipients = tuple(Recipient(phone, name) for phone in to or [PHONE])
    return Outbound(content=content, recipients=recipients)


def failed(outcome: SendOutcome) -> Iterator[Failure]:
    """The failures, in order. A failed result carries nothing else."""
    for result in outcome.results:
        if result.failure:
            assert (result.status, result.external_id) == (None, "")
            yield result.failure


def failures(outcome: SendOutcome) -> list[tuple[Verdict, ErrorClass]]:
    return [(failure.verdict, failure.error_class) for failure in failed(outcome)]


def failure_of(outcome: SendOutcome) -> Failure:
    """The only recipient's failure."""
    [failure] = failed(outcome)
    return failure


def ids(outcome: SendOutcome) -> list[str | None]:
    """The ids given, None for every recipient without one."""
    return [None if result.failure else result.external_id for result in outcome.results]


def ok(*entries: dict[str, Any]) -> dict[str, Any]:
    """IntelliSoftware's answer to a call it took."""
    return {"response_status": "ok", "messages": list(entries)}


def message_of(server: Recorder) -> Any:
    """The `message` of the only request IntelliSoftware got."""
    [request] = server.requests
    return request.json()["message"]
