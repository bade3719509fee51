"""What the demo shows, without its processes: the data, and the table that tells the truth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from messaging import clock, inbox, outbox, polling
from messaging.content import Text
from messaging.management.playground import make_accounts
from messaging.models import Contact, ContactAddress, Conversation, Message, Sender, Template
from messaging.sandbox import Sandbox
from project.demo.arrivals import wire_of
from project.demo.cases import PHONE, SMS, Case
from project.demo.desk import Scene, play
from project.demo.formats import Format, formats
from project.demo.once import Report, table
from project.demo.people import NAMES
from project.demo.receiving import Receiving
from project.demo.rows import Planned, Row, row_of
from project.demo.scenes import NEW
from project.demo.seed import Seed, make_users, open_sessions
from project.demo.wiring import let_customers_answer, make_new_phone, set_webhooks


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def senders(db: None) -> dict[str, Sender]:
    return make_accounts("http://127.0.0.1:9", NAMES)


@pytest.fixture
def seeded(senders: dict[str, Sender]) -> None:
    users = make_users({"demo": "one", "agent": "two"})
    seed = Seed(senders, users["agent"])
    seed.run()
    seed.send()


def test_every_state_is_there(seeded: None) -> None:
    outbound = Message.objects.filter(direction="outbound")
    states = set(outbound.values_list("status", flat=True))
    assert states >= {"accepted", "sent", "delivered", "read", "failed", "unknown", "queued"}
    now = clock.now()
    assert any(message.held for message in outbound)
    assert any(message.is_scheduled(now) for message in outbound)
    gone = outbound.exclude(status="queued")
    assert all(message.events.exists() and message.sending_at for message in gone)
    assert set(Template.objects.values_list("status", flat=True)) == {"approved", "pending"}
    channels = set(Sender.objects.values_list("provider__adapter", "channel"))
    assert channels == {
        ("whatsapp_http", "whatsapp"),
        ("intellisoftware", "whatsapp"),
        ("intellisoftware", "sms"),
        ("intellixent", "whatsapp"),
        ("dummy", "whatsapp"),
    }


def test_numbers_are_those_kept_free_for_fiction(seeded: None) -> None:
    numbers = list(ContactAddress.objects.values_list("value", flat=True))
    assert len(numbers) == Contact.objects.count() == 12
    assert all(re.fullmatch(r"\+447700900\d{3}", number) for number in numbers)


def test_customers_who_wrote_just_now_may_be_answered(seeded: None) -> None:
    fresh = Conversation.objects.filter(window_expires_at__gt=clock.now(), unread_count__gt=0)
    fresh = fresh.exclude(sender__provider__window_policy="none")
    assert fresh.count() >= 3
    for conversation in fresh:
        assert not outbox.check(Text("Hello"), to=conversation).refusals


def test_one_opted_out(seeded: None) -> None:
    address = ContactAddress.objects.exclude(opted_out_at=None).get()
    (refusal,) = outbox.check(
        Text("Hello"), to=address, sender=Sender.objects.get(is_default=True)
    ).refusals
    assert "opted out" in refusal


@pytest.mark.django_db(transaction=True)
def test_lists_show_the_last_message(seeded: None) -> None:
    for conversation in Conversation.objects.exclude(last_message_at=None):
        last = conversation.messages.order_by("-created_at", "-id").first()
        assert last is not None
        assert conversation.last_message_text == last.text[:100]


@pytest.mark.django_db
def test_open_windows_are_told_to_the_gateway_that_keeps_its_own(sandbox: Sandbox) -> None:
    senders = make_accounts(sandbox.url, NAMES)
    Seed(senders, make_users({"agent": "two"})["agent"]).run()
    open_sessions(sandbox.control)
    assistant = senders["intellixent.whatsapp"].connect()
    number = ContactAddress.objects.get(contact__name="Hiro Tanaka").value
    assert assistant.session_status(number).is_open
    assert not assistant.session_status("+447700900499").is_open


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_not_as_expected_says_what_is_wrong(sandbox: Sandbox) -> None:
    sender = make_accounts(sandbox.url, NAMES)[PHONE]
    number = "+447700900400"
    message = outbox.queue(Text("Hello"), to=number, sender=sender)
    outbox.drain(seconds=60)
    case = Case(sender=PHONE, kind="text", content=Text("Hello"), wire="sendText", final="accepted")
    row = row_of(Planned(case, sender, (number,), (message.pk,)), 0, sandbox.control)
    assert (row.problem, row.wire, row.status) == ("", "sendText", "accepted")

    other = Case(
        sender=PHONE, kind="text", content=Text("Hello"), wire="sendList", final="read",
        through="unknown",
    )  # fmt: skip
    row = row_of(Planned(other, sender, (number,), (message.pk,)), 0, sandbox.control)
    assert row.problem == (
        "accepted instead of read; was never unknown; arrived as sendText, not sendList"
    )
    row = row_of(Planned(case, sender, ("+447700900401",), (message.pk,)), 0, sandbox.control)
    assert row.problem == "0 calls arrived"


def test_one_wrong_row_makes_the_whole_report_wrong() -> None:
    good = Row("Gateway", "text", "sendText", "1", "read")
    bad = Row("Gateway", "list", "–", "", "unknown", "0 calls arrived")
    counts = {"arrivals": 1, "deliveries": 1, "twice": 0}
    right = Report([good], [], [good], counts)
    assert not right.wrong
    assert right.text().endswith("Every row is as expected.\n")
    wrong = Report([good, bad], [], [], counts)
    assert wrong.wrong == [bad]
    assert "NOT AS EXPECTED: Gateway, list: 0 calls arrived" in wrong.text()
    assert "as expected." not in wrong.text()


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("a", "b"), [("long", "c"), ("d", "longer")]) == [
        "a     b",
        "----  ------",
        "long  c",
        "d     longer",
    ]


@pytest.mark.parametrize(
    ("arrival", "words"),
    [
        ({"operation": "sendFiles", "text": "https://x.example/a", "content": None}, "link"),
        (
            {
                "operation": "sendFilesButton",
                "text": "",
                "content": {"file": [{}], "button1": "a", "urlButtonText": "b"},
            },
            "upload 1+url",
        ),
    ],
)
def test_the_wire_is_read_from_what_arrived(arrival: dict[str, object], words: str) -> None:
    full = {"gateway": "whatsapp_http", **arrival}
    assert wire_of(full) == f"{arrival['operation']} {words}"


# What comes in


def test_scenes_go_on_side_by_side_and_the_stuck_ones_are_named() -> None:
    heard: list[str] = []

    def quick() -> Scene:
        for step in ("one", "two"):
            heard.append(step)
            yield lambda: True

    def stuck() -> Scene:
        heard.append("begun")
        yield lambda: False
        raise AssertionError

    assert play([stuck(), quick()], patience=1) == ["stuck"]
    assert heard == ["begun", "one", "two"]
    assert play([quick()], patience=60) == []


@pytest.mark.django_db(transaction=True)
def test_a_message_that_is_not_as_expected_says_what_is_wrong(
    sandbox: Sandbox,
) -> None:
    receiving = Receiving(sandbox.control, make_accounts(sandbox.url, NAMES), "")
    desk = receiving.desk
    assert desk.senders[NEW].connection == "unknown"
    number = desk.number()
    (external_id,) = desk.write(PHONE, number, "Hello", webhook=False)
    item = Format(sender=PHONE, name="text", writing={}, ends=(("text", "Hello"),))

    line = receiving._line(item, [external_id])
    assert (line.became, line.problem) == ("lost", "() instead of (('text', 'Hello'),)")

    polling.poll_now(desk.senders[PHONE])
    line = receiving._line(item, [external_id])
    assert line.cells == ("WhatsApp HTTP API", "text", "poll", "text", "received as “Hello”")
    assert line.problem == "brought by poll instead of webhook"
    line = receiving._line(replace(item, brought="poll", files=1), [external_id])
    assert line.problem == "its file is not there"

    unplaced = Format(sender=SMS, name="form", writing={})
    assert receiving._line(unplaced, []).problem == "0 in quarantine instead of 2"


def test_every_format_has_its_own_name_and_end() -> None:
    found = formats()
    names = [(item.sender, item.name) for item in found]
    assert len(set(names)) == len(names)
    assert [item.name for item in found if item.is_unplaced] == ["SMS form without a sender"]


@pytest.mark.django_db
def test_gateways_are_told_our_addresses_and_an_unpaired_phone_is_made_once(
    sandbox: Sandbox, settings: Any
) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "PUBLIC_BASE_URL": "http://127.0.0.1:9"}
    senders = make_accounts(sandbox.url, NAMES)
    phone = make_new_phone(senders)
    assert make_new_phone(make_accounts(sandbox.url, NAMES)) == phone
    set_webhooks(sandbox.control, senders)
    let_customers_answer(sandbox.control)
    told = sandbox.control.accounts()
    urls = {row["webhook"] for row in told["whatsapp_http"]}
    assert urls == {inbox.address_of(phone.provider)}
    (official,) = told["intellisoftware"]
    assert official["webhook"] == official["status_webhook"] != urls.pop()
