"""Accounts that speak to the sandbox, for the command of that name, the demo and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from ..models import Provider, Sender, Template, account_digests
from ..sandbox import accounts

#: The names of providers and senders, where nobody wants others.
NAMES: Mapping[str, str] = {
    "whatsapp_http": "Sandbox: WhatsApp HTTP API",
    "whatsapp_http.whatsapp": "Sandbox phone",
    "intellisoftware": "Sandbox: IntelliSoftware",
    "intellisoftware.whatsapp": "Sandbox WhatsApp",
    "intellisoftware.sms": "Sandbox SMS",
    "intellixent": "Sandbox: Intellixent",
    "intellixent.whatsapp": "Sandbox assistant",
}

_CREDENTIALS: Mapping[str, dict[str, str]] = {
    "intellisoftware": {
        "accesskey": accounts.IS_ACCESS_KEY,
        "secretkey": accounts.IS_SECRET_KEY,
    },
    "intellixent": {"api_key": accounts.IX_API_KEY},
}


def base_url(adapter: str, sandbox_url: str) -> str:
    """Where this adapter's documents begin at the sandbox."""
    return f"{sandbox_url}/api" if adapter == "intellixent" else sandbox_url


@transaction.atomic
def make_accounts(sandbox_url: str, names: Mapping[str, str] = NAMES) -> dict[str, Sender]:
    """Create or update providers, senders and templates for the sandbox's built-in accounts.

    Known accounts are recognised by their credentials: they keep their names and get the address.
    The senders, by `adapter.channel`.
    """
    phone = _phone(sandbox_url, names)
    official = _provider("intellisoftware", sandbox_url, names)
    assistant = _provider("intellixent", sandbox_url, names)
    senders = {
        "whatsapp_http.whatsapp": phone,
        **{
            f"intellisoftware.{channel}": _sender(
                official, channel, f"+{accounts.IS_NUMBER}", names
            )
            for channel in ("whatsapp", "sms")
        },
        "intellixent.whatsapp": _sender(
            assistant,
            "whatsapp",
            accounts.IX_ONLINE_NUMBER,
            names,
            external_id=str(accounts.IX_ONLINE_SENDER),
        ),
    }
    _make_templates(official, None, _intellisoftware_templates())
    _make_templates(assistant, senders["intellixent.whatsapp"], _intellixent_templates())
    return senders


def _phone(sandbox_url: str, names: Mapping[str, str]) -> Sender:
    """The QR-paired phone: here the sender has the credentials."""
    credentials = {"token": accounts.WH_TOKEN}
    digests = account_digests("whatsapp_http", credentials)
    sender = Sender.objects.filter(account_digest__in=digests).select_related("provider").first()
    if sender is not None:
        sender.provider.base_url = sandbox_url
        sender.provider.save(update_fields=["base_url"])
        return sender
    provider, _made = Provider.objects.update_or_create(
        name=names["whatsapp_http"],
        adapter="whatsapp_http",
        defaults={"base_url": sandbox_url, "default_region": "GB"},
    )
    return _sender(provider, "whatsapp", f"+{accounts.WH_NUMBER}", names, credentials=credentials)


def _provider(adapter: str, sandbox_url: str, names: Mapping[str, str]) -> Provider:
    credentials = _CREDENTIALS[adapter]
    digests = account_digests(adapter, credentials)
    provider = Provider.objects.filter(account_digest__in=digests).first() or Provider(
        name=names[adapter], adapter=adapter, credentials=credentials, default_region="GB"
    )
    provider.base_url = base_url(adapter, sandbox_url)
    provider.save()
    return provider


def _sender(
    provider: Provider, channel: str, address: str, names: Mapping[str, str], **values: Any
) -> Sender:
    defaults = {"name": names[f"{provider.adapter}.{channel}"], **values}
    sender, _made = Sender.objects.get_or_create(
        provider=provider, channel=channel, address=address, defaults=defaults
    )
    return sender


def _intellisoftware_templates() -> Iterable[dict[str, Any]]:
    for item in accounts.IntelliSoftwareAccount().templates:
        yield {
            "name": item["name"],
            "language": item["language"],
            "body": item["body"],
            "parameter_format": "named" if item["named"] else "positional",
            "status": item["status"].lower(),
            "category": "marketing" if "sale" in item["name"] else "utility",
        }


def _intellixent_templates() -> Iterable[dict[str, Any]]:
    for item in accounts.IntellixentAccount().templates:
        yield {
            "name": item["name"],
            "language": item["language"],
            "body": item["body_text"],
            "status": item["status"],
            "category": item["category"],
            "external_id": str(item["id"]),
        }


def _make_templates(
    provider: Provider, sender: Sender | None, items: Iterable[dict[str, Any]]
) -> None:
    for item in items:
        Template.objects.update_or_create(
            provider=provider,
            sender=sender,
            name=item.pop("name"),
            language=item.pop("language"),
            defaults=item,
        )
