"""The drain against a gateway on loopback: what each answer makes of a message and its account."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging import outbox
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.content import Location, Media, TemplateMessage, Text
from messaging.models import Message, Provider, Sender
from messaging.outbox import Draft
from messaging.sandbox import SandboxClient
from tests.rows import make_template, status_of

NOW = datetime(2027, 3, 1, 22, 30, tzinfo=UTC)
NUMBER = "+447911123456"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW) as moved:
        yield moved


@pytest.fixture(autouse=True)
def _open(settings: Any) -> None:
    settings.MESSAGING |= {"READ_TIMEOUT": 1, "TOTAL_TIMEOUT": 1}


def queue(sender: Sender, count: int = 1, **values: Any) -> list[Message]:
    """Texts to as many numbers; window rules are tested elsewhere."""
    Provider.objects.update(window_policy="none")
    drafts = (
        Draft(**{"content": Text("Hello"), "to": number(n), "sender": sender, **values})
        for n in range(count)
    )
    done = outbox.queue_many(drafts)
    assert not done.refused
    return [message for message in done.messages if message]


def number(index: int) -> str:
    return f"+4479{index:08d}"


def drain(**values: Any) -> outbox.Drained:
    return outbox.drain(**{"seconds": 20, **values})


def states(sender: Sender) -> Counter[str]:
    return Counter(Message.objects.filter(sender=sender).values_list("status", flat=True))


def sends(sandbox: SandboxClient) -> list[dict[str, Any]]:
    return [item for item in sandbox.arrivals() if item["operation"].startswith("send")]


def pause_of(sender: Sender) -> tuple[str, int]:
    """Why it is paused, the account first, and for how many seconds from NOW on, about."""
    for row in (Sender.objects.get(pk=sender.pk).lane, Sender.objects.get(pk=sender.pk)):
        if row.pause_reason:
            seconds = (row.paused_until - NOW).total_seconds() if row.paused_until else 0
            return row.pause_reason, round(seconds / 10) * 10
    return "", 0


# One message, every gateway


def test_each_gateway_takes_what_it_can(
    wh: Sender, intellisoftware: Sender, intellixent: Sender, sandbox: SandboxClient
) -> None:
    Provider.objects.update(window_policy="none")
    row = make_template(
        intellixent.provider,
        name="appointment",
        external_id="45",
        body="Hello {{1}}, see you on {{2}} at {{3}}.",
    )
    link = "https://files.example/photo.jpg"
    messages = [
        outbox.queue(content, to=NUMBER, sender=sender)
        for sender, content in [
            (wh, Text("Hello")),
            (wh, Media("image", link=link)),
            (intellisoftware, Text("Hello")),
            (intellisoftware, Location(51.5, -0.1, name="Office")),
            (intellixent, TemplateMessage(row, {"1": "Ada", "2": "Monday", "3": "ten"})),
            (intellixent, Text("Hello")),
        ]
    ]
    done = drain()
    assert (done.calls, done.messages, done.given_up) == (6, 6, 0)
    for message in messages:
        assert status_of(message) == "accepted", message.error_text
        assert message.external_id
        assert message.accepted_at
        assert message.attempts == 1
        event = message.events.get()
        assert (event.status, event.source) == ("accepted", "send")
        assert event.call
        assert event.call.operation.startswith("send")
    assert len(sandbox.deliveries()) == 6
    # A repeat finds nothing to do.
    assert drain().calls == 0


# Every kind of failure: the fault, what becomes of the message, and of its account

FAILURES: list[tuple[dict[str, Any], tuple[str, str], tuple[str, int]]] = [
    # Final, and its own
    ({"mode": "code", "code": "09"}, ("failed", "media"), ("", 0)),
    ({"mode": "code", "code": "12"}, ("failed", "invalid_content"), ("", 0)),
    ({"mode": "status", "http": 404}, ("failed", "unknown_rejection"), ("", 0)),
    # Can pass: tried again
    ({"mode": "code", "code": "08"}, ("queued", "media"), ("", 0)),
    # The account's: the message keeps its place
    ({"mode": "code", "code": "01"}, ("queued", "authentication"), ("authentication", 60)),
    ({"mode": "status", "http": 401}, ("queued", "authentication"), ("authentication", 60)),
    ({"mode": "code", "code": "03"}, ("queued", "configuration"), ("configuration", 60)),
    ({"mode": "code", "code": "05"}, ("queued", "quota"), ("quota", 60)),
    # Until a minute past the account's own midnight
    ({"mode": "code", "code": "07"}, ("queued", "quota"), ("quota", 91 * 60)),
    ({"mode": "status", "http": 429}, ("queued", "rate_limit"), ("rate_limit", 60)),
    (
        {"mode": "status", "http": 429, "retry_after": "300"},
        ("queued", "rate_limit"),
        ("rate_limit", 300),
    ),
    (
        {"mode": "status", "http": 302, "location": "https://elsewhere.example/"},
        ("queued", "configuration"),
        ("configuration", 60),
    ),
    # Nobody knows
    ({"mode": "status", "http": 500}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "status", "http": 503}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "hang_before", "seconds": 3}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "hang_after", "seconds": 3}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "cut_before"}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "cut_after"}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "html"}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "empty"}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "no_id"}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "truncated_json"}, ("unknown", "ambiguous"), ("", 0)),
    ({"mode": "drip", "bytes_per_second": 20}, ("unknown", "ambiguous"), ("", 0)),
]


@pytest.mark.parametrize(
    ("fault", "message_state", "pause"),
    FAILURES,
    ids=["-".join(str(value) for value in fault.values()) for fault, _m, _p in FAILURES],
)
def test_every_failure(
    fault: dict[str, Any],
    message_state: tuple[str, str],
    pause: tuple[str, int],
    wh: Sender,
    sandbox: SandboxClient,
) -> None:
    sandbox.fault(**{"gateway": "whatsapp_http", "operation": "send*", **fault})
    (message,) = queue(wh)
    drain()
    assert (status_of(message), message.error_class) == message_state
    assert pause_of(wh) == pause
    # Whatever it was, it was asked once.
    assert len(sends(sandbox)) == 1
    assert message.attempts == 1
    assert message.events.get().call is not None


def test_a_gateway_out_of_reach_costs_nothing_but_time(
    wh: Sender, sandbox: SandboxClient, traveller: time_machine.Coordinates
) -> None:
    there = wh.provider.base_url
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    Provider.objects.update(base_url=f"http://127.0.0.1:{port}")
    messages = queue(wh, 3)
    drain()
    assert states(wh) == {"queued": 3}
    assert pause_of(wh)[0] == "unreachable"
    Provider.objects.update(base_url=there)
    traveller.shift(6)
    drain()
    assert states(wh) == {"accepted": 3}
    assert pause_of(wh) == ("", 0)
    assert {status_of(message) for message in messages} == {"accepted"}


# Trying again


def test_what_can_pass_is_tried_four_times_then_failed(
    intellisoftware: Sender, sandbox: SandboxClient, traveller: time_machine.Coordinates
) -> None:
    sandbox.fault("code", gateway="intellisoftware", code="1")
    (message,) = queue(intellisoftware)
    waits = []
    for _attempt in range(4):
        before = datetime.now(UTC)
        drain()
        message.refresh_from_db()
        if message.status == "queued":
            assert message.due_at
            waits.append(round((message.due_at - before).total_seconds()))
            traveller.move_to(message.due_at - timedelta(seconds=1))
            assert not outbox.has_work()
            traveller.move_to(message.due_at)
    assert [abs(wait - delay) <= 1 for wait, delay in zip(waits, (5, 30, 180), strict=True)]
    assert (message.status, message.error_class, message.attempts) == ("failed", "transient", 4)
    assert len(sends(sandbox)) == 4
    assert [event.status for event in message.events.all()] == ["queued"] * 3 + ["failed"]


def test_a_retry_keeps_its_followers_in_order(
    wh: Sender, sandbox: SandboxClient, traveller: time_machine.Coordinates
) -> None:
    sandbox.fault("code", gateway="whatsapp_http", code="08", times=1, phone=NUMBER)
    Provider.objects.update(window_policy="none")
    for text in "abcd":
        outbox.queue(Text(text), to=NUMBER, sender=wh)
    other = outbox.queue(Text("other"), to=number(9), sender=wh)
    drain()
    assert states(wh) == {"queued": 4, "accepted": 1}
    assert status_of(other) == "accepted"
    traveller.shift(6)
    drain()
    assert states(wh) == {"accepted": 5}
    texts = [item["text"] for item in sandbox.deliveries(phone=NUMBER)]
    assert texts == ["a", "b", "c", "d"]


def test_a_pause_ends_by_one_message_that_is_taken(
    wh: Sender, sandbox: SandboxClient, traveller: time_machine.Coordinates
) -> None:
    queue(wh, 30)
    fault = sandbox.fault("code", gateway="whatsapp_http", code="01", operation="send*")
    drain()
    assert states(wh) == {"queued": 30}
    asked = len(sends(sandbox))
    assert not outbox.has_work()
    drain()
    assert len(sends(sandbox)) == asked
    # Half open: one message shows that the cause is still there, and the pause doubles.
    traveller.shift(61)
    drain()
    assert len(sends(sandbox)) == asked + 1
    assert pause_of(wh)[1] == pytest.approx(61 + 120, abs=10)
    sandbox.clear_faults(fault)
    traveller.shift(121)
    drain()
    assert states(wh) == {"accepted": 30}
    assert pause_of(wh) == ("", 0)
    assert len(sandbox.deliveries()) == 30


def test_a_daily_allowance_waits_for_the_gateways_next_day(
    intellisoftware: Sender, sandbox: SandboxClient, traveller: time_machine.Coordinates
) -> None:
    Provider.objects.update(time_zone="Asia/Kolkata")  # five and a half hours ahead
    fault = sandbox.fault("code", gateway="intellisoftware", code="18")
    (message,) = queue(intellisoftware)
    drain()
    provider = Provider.objects.get()
    assert (provider.pause_reason, provider.paused_until) == (
        "quota",
        datetime(2027, 3, 2, 18, 31, tzinfo=UTC),
    )
    sandbox.clear_faults(fault)
    traveller.move_to(datetime(2027, 3, 2, 18, 30, tzinfo=UTC))
    drain()
    assert status_of(message) == "queued"
    traveller.shift(90)
    drain()
    assert status_of(message) == "accepted"


# Faults of ours


def test_a_fault_of_ours_before_the_socket_fails_the_message_alone(
    wh: Sender, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = WhatsAppHttp.send

    def send(self: Any, message: Any) -> Any:
        if message.content.body == "bad":
            raise RuntimeError("secret words")
        return real(self, message)

    monkeypatch.setattr(WhatsAppHttp, "send", send)
    (bad,) = queue(wh, content=Text("bad"))
    good = queue(wh, 3)
    drain()
    assert (status_of(bad), bad.error_class) == ("failed", "internal")
    assert "secret" not in bad.error_text
    assert {status_of(message) for message in good} == {"accepted"}


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_a_fault_of_ours_after_the_socket_leaves_it_unknown(
    error: type[BaseException],
    wh: Sender,
    sandbox: SandboxClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = WhatsAppHttp.send

    def send(self: Any, message: Any) -> Any:
        real(self, message)
        raise error

    monkeypatch.setattr(WhatsAppHttp, "send", send)
    (message,) = queue(wh)
    drain()
    assert (status_of(message), message.error_class) == ("unknown", "internal")
    assert len(sends(sandbox)) == 1


@pytest.mark.parametrize(
    "poison",
    [
        {},
        [],
        "text",
        7,
        {"kind": "text"},
        {"kind": "riddle", "body": "?"},
        {"kind": "text", "body": 7},
        {"kind": "text", "body": None},
        {"kind": "image", "file": "not a file"},
        {"kind": "list", "body": "b", "button": "c", "rows": "d"},
        {"kind": "buttons", "body": "b", "replies": [[]]},
    ],
    ids=str,
)
def test_a_poison_message_fails_alone(poison: Any, wh: Sender, sandbox: SandboxClient) -> None:
    bad, *good = queue(wh, 4)
    Message.objects.filter(pk=bad.pk).update(content=poison)
    drain()
    assert status_of(bad) == "failed"
    assert bad.error_text
    assert {status_of(message) for message in good} == {"accepted"}
