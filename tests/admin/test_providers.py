"""Providers and senders: fields from the adapter, secrets in and never out."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from messaging import adapters
from messaging.models import Provider, Sender

from .conftest import CANARY, Office

NEW = "new-value-4711"


def url(name: str, row: Any = None, query: str = "") -> str:
    return reverse(f"admin:messaging_{name}", args=[row.pk] if row else []) + query


def provider_data(**values: Any) -> dict[str, Any]:
    return {
        "name": "Official",
        "base_url": "https://gw.example.com",
        "window_policy": "inbound_only",
        "time_zone": "UTC",
        "is_active": "on",
        "senders-TOTAL_FORMS": 0,
        "senders-INITIAL_FORMS": 0,
        **values,
    }


def inline(*senders: dict[str, Any], initial: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = {"senders-TOTAL_FORMS": len(senders), "senders-INITIAL_FORMS": initial}
    for number, values in enumerate(senders):
        fields = {"name": "Desk", "channel": "whatsapp", "is_active": "on", **values}
        data |= {f"senders-{number}-{name}": value for name, value in fields.items()}
    return data


@pytest.fixture
def official(db: None) -> Provider:
    return Provider.objects.create(
        name="Official",
        adapter="intellisoftware",
        base_url="https://gw.example.com",
        credentials={"accesskey": CANARY, "secretkey": CANARY},
    )


@pytest.fixture
def phones(db: None) -> Provider:
    provider = Provider.objects.create(
        name="Phones", adapter="whatsapp_http", base_url="https://wa.example.com"
    )
    Sender.objects.create(provider=provider, name="Desk", credentials={"token": CANARY})
    return provider


# Choosing the gateway, and its fields


def test_the_gateway_is_chosen_first(boss: Client) -> None:
    text = boss.get(url("provider_add")).content.decode()
    for slug, cls in adapters.adapter_classes().items():
        assert f'href="?adapter={slug}"' in text
        assert str(cls.label) in text


@pytest.mark.parametrize("slug", ["whatsapp_http", "intellisoftware", "intellixent", "dummy"])
def test_the_form_has_what_the_adapter_declares(boss: Client, slug: str) -> None:
    cls = adapters.adapter_class(slug)
    text = boss.get(url("provider_add", query=f"?adapter={slug}")).content.decode()
    for field in cls.provider_credentials:
        assert f'name="credential_{field.name}"' in text
    for field in cls.sender_credentials:
        assert f'name="senders-0-credential_{field.name}"' in text
    for option in cls.options:
        assert f'name="option_{option.name}"' in text
    assert ('name="recipients_per_call"' in text) == (cls.max_recipients > 1)


def test_a_provider_with_its_senders_is_added(boss: Client) -> None:
    data = provider_data(
        credential_accesskey=CANARY,
        credential_secretkey="s",
        option_maxconcat="3",
        base_url="https://gw.example.com/",
        default_region="gb",
        **inline(
            {"address": "07700 900100", "is_default": "on"},
            {"name": "Texts", "channel": "sms", "address": "CLINIC"},
        ),
    )
    response = boss.post(url("provider_add", query="?adapter=intellisoftware"), data)
    assert response.status_code == 302, response.context["errors"]
    provider = Provider.objects.get()
    assert provider.adapter == "intellisoftware"
    assert dict(provider.credentials) == {"accesskey": CANARY, "secretkey": "s"}
    assert provider.base_url == "https://gw.example.com"
    assert provider.options == {"maxconcat": "3"}
    assert provider.default_region == "GB"
    addresses = list(provider.senders.order_by("pk").values_list("address", flat=True))
    assert addresses == ["+447700900100", "CLINIC"]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"credential_accesskey": ""}, "credential_accesskey", "required"),
        ({"time_zone": "Mars"}, "time_zone", "Enter a time zone"),
        ({"default_region": "ZZ"}, "default_region", "two letters"),
        ({"base_url": "gw.example.com"}, "base_url", "full web address"),
        ({"recipients_per_call": "101"}, "recipients_per_call", "1 to 100"),
        ({"rate": "0"}, "", "rate"),
    ],
)
def test_mistakes_are_told(boss: Client, change: dict[str, str], field: str, words: str) -> None:
    secrets = {"credential_accesskey": "a", "credential_secretkey": "b"}
    data = provider_data(**{**secrets, **change})
    response = boss.post(url("provider_add", query="?adapter=intellisoftware"), data)
    assert response.status_code == 200
    errors = response.context["adminform"].form.errors
    found = errors.get(field) or errors
    assert words in str(found)
    assert Provider.objects.count() == 0


def test_the_same_account_twice_is_refused_in_words(boss: Client, official: Provider) -> None:
    data = provider_data(name="Again", credential_accesskey=CANARY, credential_secretkey=CANARY)
    response = boss.post(url("provider_add", query="?adapter=intellisoftware"), data)
    text = response.content.decode()
    assert "These credentials are stored with another provider already." in text
    assert CANARY not in text
    assert Provider.objects.count() == 1


def test_two_senders_of_one_account_are_refused(boss: Client, phones: Provider) -> None:
    new = url("provider_add", query="?adapter=whatsapp_http")
    data = provider_data(name="More", **inline({"credential_token": CANARY}))
    assert b"stored with another sender already" in boss.post(new, data).content
    twice = inline({"credential_token": NEW}, {"name": "B", "credential_token": NEW})
    response = boss.post(new, provider_data(name="More", **twice))
    assert b"Two senders have the same credentials." in response.content
    assert Provider.objects.count() == 1


# Secrets


def edit(provider: Provider, **values: Any) -> dict[str, Any]:
    row = provider.senders.first()
    senders = (
        inline({"id": row.pk, "provider": provider.pk, "name": row.name}, initial=1) if row else {}
    )
    return provider_data(name=provider.name, base_url=provider.base_url, **senders, **values)


def test_secrets_are_never_in_a_page(boss: Client, official: Provider, phones: Provider) -> None:
    sender = phones.senders.get()
    for page in (
        url("provider_change", official),
        url("provider_change", phones),
        url("sender_change", sender),
    ):
        text = boss.get(page).content.decode()
        assert CANARY not in text
        assert "Stored. Leave empty to keep it." in text
    # Not even when the form comes back for another mistake.
    data = edit(official, credential_accesskey=NEW, time_zone="Mars")
    response = boss.post(url("provider_change", official), data)
    assert response.status_code == 200
    assert NEW not in response.content.decode()


def test_empty_keeps_and_filled_replaces(boss: Client, official: Provider) -> None:
    boss.post(url("provider_change", official), edit(official, recipients_per_call="50"))
    official.refresh_from_db()
    assert official.recipients_per_call == 50
    assert dict(official.credentials) == {"accesskey": CANARY, "secretkey": CANARY}
    boss.post(url("provider_change", official), edit(official, credential_secretkey=NEW))
    official.refresh_from_db()
    assert dict(official.credentials) == {"accesskey": CANARY, "secretkey": NEW}


def test_another_address_clears_the_secrets(boss: Client, official: Provider) -> None:
    data = {**edit(official), "base_url": "https://evil.example"}
    response = boss.post(url("provider_change", official), data, follow=True)
    official.refresh_from_db()
    assert not official.credentials
    assert official.account_digest is None
    assert "were removed" in response.content.decode()


def test_another_address_with_new_secrets_keeps_only_those(
    boss: Client, official: Provider
) -> None:
    data = {**edit(official, credential_accesskey=NEW), "base_url": "https://new.example"}
    boss.post(url("provider_change", official), data)
    official.refresh_from_db()
    assert dict(official.credentials) == {"accesskey": NEW}


def test_a_slash_at_the_end_is_no_other_address(boss: Client, official: Provider) -> None:
    data = {**edit(official), "base_url": "https://gw.example.com/"}
    boss.post(url("provider_change", official), data)
    official.refresh_from_db()
    assert official.credentials


def test_another_address_clears_the_senders_secrets_too(boss: Client, phones: Provider) -> None:
    hidden = Sender.objects.create(provider=phones, name="Unseen", credentials={"token": "other"})
    shown = phones.senders.order_by("pk")[0]
    senders = inline(
        {"id": shown.pk, "provider": phones.pk, "name": shown.name},
        {"id": hidden.pk, "provider": phones.pk, "name": hidden.name, "credential_token": NEW},
        initial=2,
    )
    data = provider_data(name=phones.name, **senders) | {"base_url": "https://evil.example"}
    response = boss.post(url("provider_change", phones), data, follow=True)
    shown.refresh_from_db()
    hidden.refresh_from_db()
    assert not shown.credentials
    assert dict(hidden.credentials) == {"token": NEW}
    assert "were removed" in response.content.decode()


def test_senders_that_are_not_on_the_page_lose_their_secrets_as_well(
    boss: Client, phones: Provider, monkeypatch: Any
) -> None:
    from messaging.admin import providers

    monkeypatch.setattr(providers, "MOST_INLINE", 0)
    data = provider_data(name=phones.name) | {"base_url": "https://evil.example"}
    boss.post(url("provider_change", phones), data)
    assert not phones.senders.get().credentials


def test_another_gateway_clears_the_secrets_and_is_refused_once_used(
    boss: Client, official: Provider, office: Office
) -> None:
    page = url("provider_change", official)
    assert b"Which gateway?" in boss.get(page + "?choose=1").content
    text = boss.get(page + "?adapter=whatsapp_http").content.decode()
    assert 'name="option_parameters"' in text
    boss.post(page + "?adapter=whatsapp_http", edit(official))
    official.refresh_from_db()
    assert official.adapter == "whatsapp_http"
    assert not official.credentials

    office.message()
    used = url("provider_change", office.provider)
    assert b"choose=1" not in boss.get(used).content
    boss.post(used + "?adapter=whatsapp_http", edit(office.provider))
    office.provider.refresh_from_db()
    assert office.provider.adapter == "dummy"


def test_stored_secrets_that_cannot_be_read_do_not_lock_the_page(
    boss: Client, official: Provider, settings: Any
) -> None:
    from cryptography.fernet import Fernet

    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
    page = url("provider_change", official)
    assert boss.get(page).status_code == 200
    data = edit(official, credential_accesskey=NEW, credential_secretkey=NEW)
    assert boss.post(page, data).status_code == 302
    official.refresh_from_db()
    assert dict(official.credentials) == {"accesskey": NEW, "secretkey": NEW}


def test_a_row_whose_adapter_is_gone_still_opens(boss: Client, official: Provider) -> None:
    Provider.objects.update(adapter="vanished")
    assert b"vanished (not installed)" in boss.get(url("provider_change", official)).content
    assert boss.get(url("provider_changelist")).status_code == 200


# Saving beside the workers


@pytest.mark.parametrize("kind", ["provider", "sender"])
def test_saving_writes_only_what_was_changed(
    boss: Client, office: Office, kind: str, monkeypatch: Any
) -> None:
    """A worker pauses the lane between the form's reading and its saving."""
    row: Any = getattr(office, kind)
    model = type(row)
    real = model.save

    def save(self: Any, *args: Any, **kwargs: Any) -> None:
        model.objects.filter(pk=self.pk).update(pause_reason="quota", balance="7")
        real(self, *args, **kwargs)

    monkeypatch.setattr(model, "save", save)
    data = (
        edit(office.provider)
        if kind == "provider"
        else {
            "channel": "whatsapp",
            "address": row.address,
            "is_active": "on",
            "is_default": "on",
            "access-TOTAL_FORMS": 0,
            "access-INITIAL_FORMS": 0,
        }
    )
    data["name"] = "Renamed"
    response = boss.post(url(f"{kind}_change", row), data)
    assert response.status_code == 302, response.context["errors"]
    row.refresh_from_db()
    assert (row.name, row.pause_reason, row.balance) == ("Renamed", "quota", "7")
