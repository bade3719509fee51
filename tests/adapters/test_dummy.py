"""The gateway that is none: everything is taken, remembered, and ends as it is told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from messaging.adapters.base import SMS, WHATSAPP, Account, Outbound, Recipient
from messaging.adapters.dummy import Dummy
from messaging.adapters.http import Http
from messaging.content import KINDS, Content, Media, Text
from messaging.errors import ErrorClass, Verdict
from messaging.events import Status


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    Dummy.clear()
    yield
    Dummy.clear()


def adapter(outcome: str = "", channel: str = WHATSAPP) -> Dummy:
    options = {"outcome": outcome} if outcome else {}
    account = Account(base_url="", address="+447700900100", channel=channel, options=options)
    return Dummy(account, Http())


def outbound(content: Content, *phones: str) -> Outbound:
    return Outbound(content=content, recipients=tuple(Recipient(phone) for phone in phones))


@pytest.mark.parametrize("outcome", ["", "accepted", "something else"])
def test_accepted(outcome: str) -> None:
    content = Text("Hello")
    sent = adapter(outcome).send(outbound(content, "+447700900123", "120363@g.us"))
    assert [result.status for result in sent.results] == [Status.ACCEPTED] * 2
    assert [result.external_id for result in sent.results] == [
        message.external_id for message in Dummy.sent
    ]
    assert len({result.external_id for result in sent.results}) == 2
    first, second = Dummy.sent
    assert (first.content, first.channel, first.sender) == (content, WHATSAPP, "+447700900100")
    assert second.recipient == Recipient("120363@g.us")
    assert sent.calls == ()


def test_failed() -> None:
    [result] = adapter("failed").send(outbound(Text("Hello"), "+447700900123")).results
    assert result.failure is not None
    assert result.failure.verdict is Verdict.REFUSED
    assert result.failure.error_class is ErrorClass.UNKNOWN_REJECTION
    assert not result.failure.retry
    assert not Dummy.sent


def test_unknown() -> None:
    [result] = adapter("unknown").send(outbound(Text("Hello"), "+447700900123")).results
    assert result.failure is not None
    assert result.failure.verdict is Verdict.MAYBE_SENT
    assert result.failure.error_class is ErrorClass.AMBIGUOUS
    [message] = Dummy.sent
    assert message.outcome == "unknown"


def test_declares_everything() -> None:
    assert Dummy.kinds == {WHATSAPP: frozenset(KINDS), SMS: frozenset(KINDS)}
    assert Dummy.takes_uploads
    assert Dummy.provider_credentials == Dummy.sender_credentials == ()
    assert [value for value, _ in Dummy.options[0].choices] == ["accepted", "failed", "unknown"]
    assert adapter(channel=SMS).validate(Media("image", file="7")).refusals == ()
    assert adapter().test().amount is None


def test_memory_is_bounded_and_shared() -> None:
    one, other = adapter(), adapter(channel=SMS)
    for number in range(600):
        one.send(outbound(Text(str(number)), "+447700900123"))
        other.send(outbound(Text(str(number)), "+447700900123"))
    assert len(Dummy.sent) == 1000
    assert Dummy.sent[-1].channel == SMS
    Dummy.clear()
    assert not Dummy.sent
