"""Senders on their own pages, and the steps of senders and providers."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from messaging import health
from messaging.health import ConnectionTest
from messaging.models import Provider, Sender, SenderAccess

from .conftest import Office
from .test_providers import NEW, inline, phones, provider_data, url

__all__ = ["phones"]

# Senders


def test_a_sender_is_added_to_a_provider(boss: Client, phones: Provider) -> None:
    assert b"Choose the account" in boss.get(url("sender_add")).content
    page = url("sender_add", query=f"?provider={phones.pk}")
    data = {
        "name": "Second",
        "channel": "whatsapp",
        "address": "+44 7700 900222",
        "credential_token": NEW,
        "is_active": "on",
    }
    assert boss.post(page, data).status_code == 302
    sender = Sender.objects.get(name="Second")
    assert (sender.provider, sender.address) == (phones, "+447700900222")
    assert dict(sender.credentials) == {"token": NEW}


def test_a_new_default_takes_the_place_of_the_old(boss: Client, office: Office) -> None:
    page = url("sender_add", query=f"?provider={office.provider.pk}")
    data = {"name": "New", "channel": "whatsapp", "is_active": "on", "is_default": "on"}
    assert boss.post(page, data).status_code == 302
    assert Sender.objects.get(is_default=True).name == "New"


@pytest.mark.parametrize("where", ["provider", "sender"])
def test_the_same_number_twice_is_refused_in_words(
    boss: Client, office: Office, where: str
) -> None:
    new = {"name": "New", "channel": "whatsapp", "address": "07700 900001", "is_active": "on"}
    if where == "sender":
        page, data = url("sender_add", query=f"?provider={office.provider.pk}"), new
    else:
        page = url("provider_change", office.provider)
        row = {
            "id": office.sender.pk,
            "provider": office.provider.pk,
            "name": "Front desk",
            "address": office.sender.address,
            "is_default": "on",
        }
        data = provider_data(name="Clinic", **inline(row, new, initial=1))
    response = boss.post(page, data)
    assert response.status_code == 200
    assert "has a sender with this number already" in response.content.decode()


def test_the_same_number_twice_on_one_page(boss: Client, phones: Provider) -> None:
    twins = inline({"address": "07700 900001"}, {"name": "B", "address": "+447700900001"})
    data = provider_data(name="More", credential_accesskey="a", credential_secretkey="b", **twins)
    response = boss.post(url("provider_add", query="?adapter=intellisoftware"), data)
    assert b"Two senders have the same number." in response.content


def test_who_may_use_a_sender(boss: Client, office: Office, django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("ann")
    data = {
        "name": "Front desk",
        "channel": "whatsapp",
        "address": office.sender.address,
        "is_active": "on",
        "access-TOTAL_FORMS": 1,
        "access-INITIAL_FORMS": 0,
        "access-0-user": user.pk,
    }
    assert boss.post(url("sender_change", office.sender), data).status_code == 302
    assert SenderAccess.objects.get().user == user
    data |= {"access-0-user": ""}
    assert b"Sender access" in boss.get(url("sender_change", office.sender)).content


def test_what_has_sent_is_switched_off_not_deleted(boss: Client, office: Office) -> None:
    assert boss.post(url("sender_delete", office.sender), {"post": "yes"}).status_code == 403
    assert boss.post(url("provider_delete", office.provider), {"post": "yes"}).status_code == 403
    fresh = Sender.objects.create(provider=office.provider, name="Unused")
    assert boss.post(url("sender_delete", fresh), {"post": "yes"}).status_code == 302


# Steps


@pytest.mark.parametrize("kind", ["provider", "sender"])
def test_pause_and_resume(boss: Client, office: Office, kind: str) -> None:
    row: Any = getattr(office, kind)
    lists = url(f"{kind}_changelist")
    assert b"Its messages wait" not in boss.get(lists).content
    for _again in range(2):
        response = boss.post(url(f"{kind}_pause", row), follow=True)
        assert "is paused. Its messages wait" in response.content.decode()
    row.refresh_from_db()
    assert row.pause_reason == "person"
    assert b"Its messages wait" in boss.get(lists).content
    assert LogEntry.objects.filter(change_message="Paused sending.").count() == 1
    for _again in range(2):
        boss.post(url(f"{kind}_resume", row))
    row.refresh_from_db()
    assert row.pause_reason == ""
    assert b"Its messages wait" not in boss.get(lists).content
    assert LogEntry.objects.filter(change_message="Resumed sending.").count() == 1


@pytest.mark.parametrize("ok", [True, False])
def test_the_connection_is_tested(boss: Client, office: Office, monkeypatch: Any, ok: bool) -> None:
    result = ConnectionTest(ok=ok, text="The gateway says so.")
    monkeypatch.setattr(health, "test_connection", lambda row: result)
    monkeypatch.setattr(health, "refresh_balance", lambda row: result)
    for step in ("test", "balance"):
        response = boss.post(url(f"sender_{step}", office.sender), follow=True)
        (message,) = response.context["messages"]
        assert "The gateway says so." in message.message
        assert message.level_tag == ("success" if ok else "error")


def test_actions_on_several(boss: Client, office: Office, monkeypatch: Any) -> None:
    asked: list[Any] = []

    def test_connection(row: Any) -> ConnectionTest:
        asked.append(row)
        return ConnectionTest(ok=True, text="Fine.")

    monkeypatch.setattr(health, "test_connection", test_connection)
    for number in range(24):
        Sender.objects.create(provider=office.provider, name=f"Desk {number}")
    data = {
        "action": "test_selected",
        "_selected_action": [str(pk) for pk in Sender.objects.values_list("pk", flat=True)],
    }
    response = boss.post(url("sender_changelist"), data, follow=True)
    assert len(asked) == 20
    assert "Only the first 20 were done" in response.content.decode()


def test_no_transaction_is_open_while_the_gateway_is_asked(boss: Client, office: Office) -> None:
    """Under ATOMIC_REQUESTS a slow gateway would hold the database."""
    from django.urls import resolve

    for name, row in (("sender_test", office.sender), ("provider_balance", office.provider)):
        view = resolve(url(name, row)).func
        assert "default" in view._non_atomic_requests
    assert "default" in resolve(url("sender_changelist")).func._non_atomic_requests
