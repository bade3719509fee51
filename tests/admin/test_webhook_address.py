"""The webhook's address on the provider's page: who sees it, how it changes, who may post to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from messaging import inbox
from messaging.models import Provider, WebhookDelivery, WebhookToken

from .test_providers import inline, provider_data, url


@pytest.fixture
def provider(db: None) -> Provider:
    return Provider.objects.create(
        name="Phones", adapter="whatsapp_http", base_url="https://wa.example.com"
    )


def change(provider: Provider) -> str:
    return url("provider_webhook", provider)


def test_the_address_is_shown_with_what_to_do_with_it(
    boss: Client, provider: Provider, settings: Any
) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "PUBLIC_BASE_URL": "https://desk.example.com"}
    found = boss.get(url("provider_change", provider)).content.decode()
    token = inbox.token_of(provider).token
    assert f'value="https://desk.example.com/messaging/webhooks/{token}/"' in found
    assert "paste this address where it asks for the" in found
    assert "It begins as this page" not in found
    assert WebhookToken.objects.count() == 1


def test_without_a_public_address_it_begins_as_the_page_does(
    boss: Client, provider: Provider
) -> None:
    found = boss.get(url("provider_change", provider)).content.decode()
    assert f"http://testserver/messaging/webhooks/{inbox.token_of(provider).token}/" in found
    assert "set PUBLIC_BASE_URL" in found


def test_it_is_for_those_who_may_manage_providers(
    provider: Provider, as_role: Callable[..., Client]
) -> None:
    token = inbox.token_of(provider).token
    for browser in (as_role("view_provider"), as_role("view_provider", "change_provider")):
        assert token not in browser.get(url("provider_change", provider)).content.decode()
        assert browser.get(change(provider)).status_code == 403
        assert browser.post(change(provider)).status_code == 403
    assert WebhookToken.objects.count() == 1
    manager = as_role(group="managers")
    assert token in manager.get(url("provider_change", provider)).content.decode()


def test_gateways_that_post_nothing_have_none(boss: Client) -> None:
    provider = Provider.objects.create(name="Assistant", adapter="intellixent")
    found = boss.get(url("provider_change", provider)).content.decode()
    assert "webhook-address" not in found
    assert "option_webhook_addresses" not in found
    boss.post(change(provider))
    assert not WebhookToken.objects.exists()


def test_changing_it(boss: Client, provider: Provider) -> None:
    old = inbox.token_of(provider)
    found = boss.get(change(provider)).content.decode()
    assert "goes on working for 7 days" in found
    assert old.token not in found
    response = boss.post(change(provider), {"present": old.pk}, follow=True)
    new = inbox.token_of(provider)
    assert new.token != old.token
    page = response.content.decode()
    assert new.token in page
    assert "The address before goes on working until" in page
    assert inbox.provider_of(old.token) == provider
    entry = LogEntry.objects.get()
    assert entry.change_message == "Changed the webhook address."
    assert old.token not in str(entry.__dict__)
    assert new.token not in str(entry.__dict__)


def test_a_form_sent_twice_changes_it_once(boss: Client, provider: Provider) -> None:
    old = inbox.token_of(provider)
    for _again in range(2):
        response = boss.post(change(provider), {"present": old.pk}, follow=True)
    assert "was changed already" in response.content.decode()
    assert WebhookToken.objects.count() == 2
    assert LogEntry.objects.count() == 1
    boss.post(change(provider))  # without the form
    assert WebhookToken.objects.count() == 2


def test_the_old_one_ends(boss: Client, provider: Provider) -> None:
    old = inbox.token_of(provider)
    boss.post(change(provider), {"present": old.pk})
    old.refresh_from_db()
    assert old.expires_at is not None
    assert inbox.provider_of(old.token, old.expires_at + timedelta(seconds=1)) is None


# Who may post


def save(boss: Client, provider: Provider, listed: str) -> Any:
    data = provider_data(
        name="Phones",
        base_url="https://wa.example.com",
        option_webhook_addresses=listed,
        **inline(),
    )
    return boss.post(url("provider_change", provider), data)


@pytest.mark.parametrize("listed", ["10.0.0.", "example.com", "203.0.113.7/40", "300.1.1.1"])
def test_addresses_that_are_none(boss: Client, provider: Provider, listed: str) -> None:
    response = save(boss, provider, f"203.0.113.7, {listed}")
    assert response.status_code == 200
    assert "is no IP address or network" in response.content.decode()
    provider.refresh_from_db()
    assert not provider.options


def test_only_listed_addresses_may_post(boss: Client, provider: Provider, client: Client) -> None:
    assert save(boss, provider, "203.0.113.7 198.51.100.0/24,2001:db8::/32").status_code == 302
    provider.refresh_from_db()
    listed = "203.0.113.7, 198.51.100.0/24, 2001:db8::/32"
    assert provider.options["webhook_addresses"] == listed
    hook = reverse("messaging:webhook", args=[inbox.token_of(provider).token])
    body = json.dumps({"any": "thing"})
    for remote, taken in (
        ("203.0.113.7", True),
        ("198.51.100.200", True),
        ("2001:db8::1", True),
        ("203.0.113.8", False),
    ):
        before = WebhookDelivery.objects.count()
        response = client.post(hook, body, content_type="application/json", REMOTE_ADDR=remote)
        assert (response.status_code == 200) == taken, remote
        assert WebhookDelivery.objects.count() == before + taken
