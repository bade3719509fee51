"""Webhook deliveries: a quick list, content for those who may see it, and processing again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from messaging import clock, health, inbox
from messaging.adapters.base import WebhookRequest
from messaging.models import Message, Provider, Sender, WebhookDelivery

from .conftest import CANARY, Office
from .test_providers import url

LIST = "webhookdelivery_changelist"
NUMBER = "+447700900777"


def delivery(provider: Provider, body: Any = None, **values: Any) -> WebhookDelivery:
    text = json.dumps(body or {"from": NUMBER, "text": "Good evening"})
    row = inbox.store(provider, WebhookRequest(content_type="application/json", body=text))
    if values:
        WebhookDelivery.objects.filter(pk=row.pk).update(**values)
        row.refresh_from_db()
    return row


def shown(browser: Client, row: WebhookDelivery) -> str:
    response = browser.get(url("webhookdelivery_change", row))
    assert response.status_code == 200
    return response.content.decode()


# The list


def test_the_list_tells_state_and_reason(boss: Client, office: Office) -> None:
    delivery(office.provider)
    error = "A message came to a number that is none.\nAnd more."
    delivery(office.provider, state="quarantined", error=error)
    delivery(office.provider, state="failed", attempts=5, error="KeyError")
    found = boss.get(url(LIST)).content.decode()
    for words in ("stored", "1 quarantined", "1 failed", "A message came to a number", "KeyError"):
        assert words in found, words
    assert "And more." not in found
    assert "Good evening" not in found


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("?state=quarantined", 1),
        ("?state=waiting", 2),
        ("?state=processed", 0),
        ("?received=1", 3),
        ("?provider=x", 3),
        ("?state=nonsense", 3),
    ],
)
def test_filters(boss: Client, office: Office, query: str, count: int) -> None:
    for state in ("stored", "quarantined", "failed"):
        delivery(office.provider, state=state)
    response = boss.get(url(LIST, query=query))
    assert response.status_code == 200
    assert response.context["cl"].result_count == count


def test_the_list_is_as_quick_for_many_as_for_few(boss: Client, office: Office) -> None:
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as caught:
            assert boss.get(url(LIST, query="?state=quarantined")).status_code == 200
        return [query["sql"] for query in caught]

    delivery(office.provider, state="quarantined")
    boss.get(url(LIST))
    few = queries()
    for _more in range(30):
        delivery(office.provider, state="quarantined")
    many = queries()
    assert len(many) == len(few) <= 12
    # Bodies stay where they are, and nothing counts the table.
    assert not any('"messaging_webhookdelivery"."body"' in sql for sql in many)
    counts = [sql for sql in many if "COUNT(" in sql and "webhookdelivery" in sql]
    assert counts
    assert all("LIMIT" in sql for sql in counts)


# One of them


def test_a_delivery_shows_what_came_in_readable_and_redacted(boss: Client) -> None:
    provider = Provider.objects.create(
        name="Phones", adapter="whatsapp_http", base_url="https://wa.example.com"
    )
    Sender.objects.create(provider=provider, name="Desk", credentials={"token": CANARY})
    row = delivery(provider, {"instanceID": CANARY, "data": [{"text": f"<b>Hi</b> {CANARY}"}]})
    found = shown(boss, row)
    assert CANARY not in found
    assert "&lt;b&gt;Hi&lt;/b&gt;" in found
    assert "&quot;instanceID&quot;: &quot;" in found
    assert "messaging-call" in found


def test_it_cannot_be_changed_added_or_deleted(boss: Client, office: Office) -> None:
    row = delivery(office.provider)
    assert boss.get(url("webhookdelivery_add")).status_code == 403
    assert boss.post(url("webhookdelivery_change", row), {"state": "processed"}).status_code == 403
    assert boss.post(url("webhookdelivery_delete", row), {"post": "yes"}).status_code == 403
    row.refresh_from_db()
    assert row.state == "stored"


def test_numbers_are_masked_for_those_who_may_not_see_them(
    office: Office, as_role: Callable[..., Client]
) -> None:
    row = delivery(office.provider, state="quarantined", error=f"Nobody has {NUMBER}.")
    rights = ("view_webhookdelivery", "view_message", "view_all_conversations")
    browser = as_role(*rights)
    for found in (shown(browser, row), browser.get(url(LIST)).content.decode()):
        assert "447700900777" not in found
        assert "•••• 777" in found
    assert "Good evening" in shown(browser, row)
    full = as_role(*rights, "view_full_number")
    assert NUMBER in shown(full, row)


@pytest.mark.parametrize("missing", ["view_message", "view_all_conversations"])
def test_content_is_for_those_who_may_see_everybodys_messages(
    office: Office, as_role: Callable[..., Client], missing: str
) -> None:
    row = delivery(office.provider)
    rights = {"view_message", "view_all_conversations"} - {missing}
    found = shown(as_role("view_webhookdelivery", "view_full_number", *rights), row)
    assert "Good evening" not in found
    assert NUMBER not in found
    assert "It may hold anybody" in found


def test_what_cannot_be_decrypted_is_said(boss: Client, office: Office, settings: Any) -> None:
    from cryptography.fernet import Fernet

    row = delivery(office.provider)
    keys = [Fernet.generate_key().decode()]
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": keys}
    assert "cannot be read with the configured" in shown(boss, row)
    assert boss.get(url(LIST)).status_code == 200


# Again


def test_processing_again(boss: Client, office: Office) -> None:
    Sender.objects.all().update(is_active=True)
    row = delivery(office.provider, state="quarantined", error="There was no sender.")
    for _again in range(2):
        response = boss.post(url("webhookdelivery_replay", row), follow=True)
        assert "1 was processed." in response.content.decode()
    row.refresh_from_db()
    assert (row.state, row.error) == ("processed", "")
    assert Message.objects.get(direction="inbound").text == "Good evening"
    assert LogEntry.objects.filter(change_message="Processed again: processed.").count() == 2
    assert "Good evening" not in str(LogEntry.objects.values_list("object_repr", "change_message"))


def test_several_at_once_the_good_and_the_bad(boss: Client, office: Office) -> None:
    good = delivery(office.provider, state="failed")
    bad = delivery(office.provider, {"nothing": "to read"}, state="quarantined")
    data = {"action": "replay_selected", "_selected_action": [good.pk, bad.pk], "index": 0}
    found = boss.post(url(LIST), data, follow=True).content.decode()
    assert "1 was processed." in found
    assert "1 is quarantined; its page says why." in found
    assert "could not be read" in shown(boss, bad)


def test_replaying_needs_its_own_permission(office: Office, as_role: Callable[..., Client]) -> None:
    row = delivery(office.provider, state="quarantined")
    viewer = as_role("view_webhookdelivery")
    assert viewer.post(url("webhookdelivery_replay", row)).status_code == 403
    data = {"action": "replay_selected", "_selected_action": [row.pk], "index": 0}
    viewer.post(url(LIST), data)
    assert as_role("replay_webhookdelivery").post(url(LIST), data).status_code == 403
    row.refresh_from_db()
    assert row.state == "quarantined"
    assert "Process again" not in shown(viewer, row)


# Told elsewhere


def texts() -> list[str]:
    return [finding.text for finding in health.findings()]


def test_what_waits_is_among_the_findings_and_banners(boss: Client, office: Office) -> None:
    for _number in range(2):
        delivery(office.provider, state="quarantined")
    delivery(office.provider, state="failed", attempts=3)
    delivery(office.provider, state="failed", attempts=1)
    assert "1 webhook delivery keeps failing." in texts()
    found = boss.get(url("message_changelist")).content.decode()
    assert "2 webhook deliveries wait in quarantine" in found
    page = boss.get(url("provider_change", office.provider)).content.decode()
    assert "4 need a look" in page


def test_phones_that_are_away_and_inboxes_nobody_read(office: Office) -> None:
    provider = Provider.objects.create(name="Phones", adapter="whatsapp_http")
    old = clock.now() - timedelta(hours=2)
    away = Sender.objects.create(provider=provider, name="Away", connection="disconnected")
    unread = Sender.objects.create(provider=provider, name="Unread", connection="connected")
    Sender.objects.update(created_at=old)
    Sender.objects.create(provider=provider, name="New", connection="connected")
    assert f"{away}: the phone is not connected." in texts()
    assert f"{unread}: the inbox was not read for more than 30 minutes." in texts()
    assert sum("inbox was not read" in text for text in texts()) == 1
    # Without a worker no inbox is read, and that is said once.
    assert not any("inbox was not read" in text for text in health.banners())
    Sender.objects.update(inbox_polled_at=clock.now(), connection="connected")
    assert not any("phone" in text or "inbox" in text for text in texts())
    # A pause names it already.
    Sender.objects.filter(name="Away").update(
        connection="disconnected", pause_reason="disconnected"
    )
    assert sum("Away" in text for text in health.banners()) == 1
