"""Polling and fetching from the pages of senders and providers, groups, and asking for a window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from messaging import clock, polling, sync
from messaging.adapters.base import ContactInfo, GroupInfo, SenderInfo, SessionStatus, TemplateInfo
from messaging.adapters.intellixent import Intellixent
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.errors import ErrorClass, Failure, GatewayError, Verdict
from messaging.models import Contact, Conversation, Group, GroupMember, Provider, Sender, Template
from messaging.polling.rounds import Polled
from tests.rows import make_address, make_conversation, make_message

from .conftest import Office
from .phone import Phone, gateway, phone
from .test_providers import url

__all__ = ["gateway", "phone"]


def down(error_class: ErrorClass = ErrorClass.TRANSIENT) -> GatewayError:
    return GatewayError(Failure(verdict=Verdict.REFUSED, error_class=error_class))


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each poll answers, one after the other; those asked are noted in `.asked`."""

    class Polls(list[Any]):
        asked: list[str]

    found = Polls()
    found.asked = []

    def poll_now(sender: Sender) -> Polled:
        found.asked.append(sender.name)
        answer = found.pop(0) if found else Polled()
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(polling, "poll_now", poll_now)
    return found


# Poll now


def test_poll_now_tells_how_many(boss: Client, phone: Sender, polls: Any) -> None:
    polls += [Polled(changed=1, received=3), down(), down(ErrorClass.AUTHENTICATION)]
    page = url("sender_poll", phone)
    found = boss.post(page, follow=True).content.decode()
    assert "3 new messages, 1 message changed its state." in found
    assert "The gateway could not be reached." in boss.post(page, follow=True).content.decode()
    assert "refused the credentials" in boss.post(page, follow=True).content.decode()


def test_poll_now_of_a_provider_asks_its_senders_in_use(
    boss: Client, phone: Sender, polls: Any
) -> None:
    for name, active in (("Second", True), ("Old", False)):
        Sender.objects.create(provider=phone.provider, name=name, is_active=active)
    polls += [down(), Polled(received=1)]
    found = boss.post(url("provider_poll", phone.provider), follow=True).content.decode()
    assert polls.asked == ["Pharmacy", "Second"]
    assert "The gateway could not be reached." in found
    assert "1 new message, 0 messages changed their state." in found


def test_poll_now_for_several(boss: Client, phone: Sender, office: Office, polls: Any) -> None:
    data = {
        "action": "poll_selected",
        "_selected_action": [phone.pk, office.sender.pk],
        "index": 0,
    }
    found = boss.post(url("sender_changelist"), data, follow=True).content.decode()
    assert polls.asked == ["Pharmacy"]
    assert "there is nothing to ask here" in found


def test_a_slow_gateway_keeps_nobody_waiting_for_all(
    boss: Client, phone: Sender, polls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from messaging.admin import receiving

    monkeypatch.setattr(receiving, "_PATIENCE", -1.0)
    found = boss.post(url("provider_poll", phone.provider), follow=True).content.decode()
    assert "Not asked yet: Pharmacy." in found
    assert polls.asked == []


def test_gateways_that_tell_nothing(boss: Client, office: Office, polls: Any) -> None:
    found = boss.post(url("sender_poll", office.sender), follow=True).content.decode()
    assert "has no inbox and no report" in found
    assert polls.asked == []
    assert url("sender_poll", office.sender) not in found


def test_the_senders_page_tells_what_only_polling_found(boss: Client, phone: Sender) -> None:
    page = url("sender_change", phone)
    assert "found only by polling" not in boss.get(page).content.decode()
    talk = make_conversation(phone)
    for days in (1, 2, 8):
        make_message(
            talk,
            direction="inbound",
            status="received",
            source="poll",
            external_id=f"id{days}",
            due_at=None,
            created_at=clock.now() - timedelta(days=days),
        )
    found = boss.get(page).content.decode()
    assert "2 messages of the last 7 days were found only by polling: check the webhook." in found
    assert f"{url('provider_change', phone.provider)}#webhook" in found
    assert "Inbox last read: not yet." in found


# Fetching


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone with an address book and a group, and an assistant with a sender and a template."""
    people = [ContactInfo(address="+447700900123", name="Asha"), ContactInfo(address="x@lid")]
    group = GroupInfo(address="447700900100-1@g.us", name="Family", members=("+447700900123",))
    template = TemplateInfo(external_id="45", name="hello", status="approved", body="Hello")
    sender = SenderInfo(external_id="12", address="+447700900300", name="Desk", online=True)
    monkeypatch.setattr(WhatsAppHttp, "fetch_contacts", lambda _self: people)
    monkeypatch.setattr(WhatsAppHttp, "fetch_groups", lambda _self: [group])
    monkeypatch.setattr(Intellixent, "fetch_templates", lambda _self: [template])
    monkeypatch.setattr(Intellixent, "fetch_senders", lambda _self: [sender])


@pytest.fixture
def assistant(db: None) -> Sender:
    provider = Provider.objects.create(
        name="Assistant",
        adapter="intellixent",
        base_url="http://127.0.0.1:9/api",
        credentials={"api_key": "k"},
    )
    return Sender.objects.create(provider=provider, name="Assistant", external_id="12")


def test_fetching_twice_changes_nothing_the_second_time(
    boss: Client, phone: Sender, assistant: Sender, knows: None
) -> None:
    steps = [
        ("sender_fetch-contacts", phone, Contact),
        ("sender_fetch-groups", phone, Group),
        ("sender_fetch-templates", assistant, Template),
    ]
    for name, row, model in steps:
        first = boss.post(url(name, row), follow=True).content.decode()
        assert "1 listed by the gateway" in first, name
        count = model._default_manager.count()
        again = boss.post(url(name, row), follow=True).content.decode()
        assert "1 listed by the gateway, 0 new here, 0 changed." in again, name
        assert model._default_manager.count() == count == 1
    found = boss.post(url("provider_fetch-senders", assistant.provider), follow=True)
    assert "1 listed by the gateway" in found.content.decode()


def test_only_what_the_gateway_has_is_offered(
    boss: Client, phone: Sender, assistant: Sender
) -> None:
    for row in (phone, assistant):
        found = boss.get(url("sender_change", row)).content.decode()
        for what in ("contacts", "groups", "templates"):
            offered = url(f"sender_fetch-{what}", row) in found
            assert offered == (what in sync.supported(row)), (row, what)
    for row in (phone, assistant):
        page = boss.get(url("provider_change", row.provider)).content.decode()
        offered = url("provider_fetch-senders", row.provider) in page
        assert offered == (row is assistant)


def test_fetching_what_there_is_none_of_is_said(
    boss: Client, phone: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = boss.post(url("sender_fetch-templates", phone), follow=True).content.decode()
    assert "has nothing to fetch" in found

    def fail(_self: Any) -> Any:
        raise down()

    monkeypatch.setattr(WhatsAppHttp, "fetch_contacts", fail)
    found = boss.post(url("sender_fetch-contacts", phone), follow=True).content.decode()
    assert "The gateway could not be reached." in found


# Groups


def test_groups_with_their_members_page_by_page(
    boss: Client, phone: Sender, as_role: Callable[..., Client]
) -> None:
    group = Group.objects.create(sender=phone, external_id="447700900100-1@g.us")
    numbers = [f"+4477009001{number:02d}" for number in range(60)]
    GroupMember.objects.bulk_create(
        [GroupMember(group=group, address=make_address(value)) for value in numbers]
    )
    lists = boss.get(url("group_changelist")).content.decode()
    assert "60" in lists
    first = boss.get(url("group_change", group)).content.decode()
    assert "Page 1 of 2" in first
    assert "+44 7700 900149" in first
    assert "+44 7700 900150" not in first
    assert "+44 7700 900150" in boss.get(url("group_change", group, "?members=2")).content.decode()
    masked = as_role("view_group")
    for page in (url("group_changelist"), url("group_change", group)):
        found = masked.get(page).content.decode()
        assert "7700" not in found
    assert masked.get(url("group_history", group)).status_code == 403
    for name in ("group_add", "group_delete"):
        row = None if name == "group_add" else group
        assert boss.get(url(name, row)).status_code == 403
    assert boss.post(url("group_change", group), {"name": "x"}).status_code == 403


# The reply window


def window(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def session_status(_self: Any, _address: str) -> SessionStatus:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr(Intellixent, "session_status", session_status)


def test_asking_the_gateway_for_the_window(
    boss: Client, assistant: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = make_conversation(assistant)
    page = url("conversation_ask-window", talk)
    assert page in boss.get(url("conversation_change", talk)).content.decode()
    ends = clock.now() + timedelta(hours=5)
    window(monkeypatch, SessionStatus(is_open=True, expires_at=ends))
    found = boss.post(page, follow=True).content.decode()
    assert "The gateway says that the reply window is open." in found
    assert Conversation.objects.get().window_expires_at == ends
    window(monkeypatch, SessionStatus(is_open=False))
    assert "window is closed." in boss.post(page, follow=True).content.decode()
    assert Conversation.objects.get().window_expires_at == ends  # it informs, and never closes
    window(monkeypatch, down())
    assert "could not be reached" in boss.post(page, follow=True).content.decode()


def test_it_is_offered_where_the_gateway_tells(
    boss: Client, office: Office, as_role: Callable[..., Client], assistant: Sender
) -> None:
    page = url("conversation_ask-window", office.conversation)
    assert page not in boss.get(url("conversation_change", office.conversation)).content.decode()
    assert "has nothing to fetch" in boss.post(page, follow=True).content.decode()
    talk = make_conversation(assistant)
    reader = as_role("view_conversation")
    assert reader.post(url("conversation_ask-window", talk)).status_code == 403


def test_the_buttons_wait_for_a_post(boss: Client, phone: Sender, gateway: Phone) -> None:
    for name in ("poll", "fetch-contacts", "fetch-groups", "fetch-templates"):
        assert boss.get(url(f"sender_{name}", phone)).status_code == 405
    for name in ("poll", "fetch-senders"):
        assert boss.get(url(f"provider_{name}", phone.provider)).status_code == 405
