"""Runs inside the bare project: the installed app migrates, shows itself and really sends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "office.settings"
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import NoReverseMatch, reverse  # noqa: E402

import messaging  # noqa: E402
from messaging import outbox  # noqa: E402
from messaging.content import Text  # noqa: E402
from messaging.models import Message, Provider, Sender  # noqa: E402
from messaging.sandbox import Sandbox, accounts  # noqa: E402

PHONE = "+447700900123"


def main() -> None:
    installed = Path(messaging.__file__).resolve()
    assert Path(sys.prefix).resolve() in installed.parents, f"{installed} is not the installed one"
    call_command("makemigrations", "people", verbosity=0)
    call_command("makemigrations", "messaging", check=True, dry_run=True)
    call_command("migrate", verbosity=0)
    call_command("check", fail_level="WARNING", databases=["default"])
    call_command("collectstatic", verbosity=0)
    look_around()
    send()
    print("The installed app migrates, shows itself in another admin site, and sends.")


def look_around() -> None:
    person = get_user_model().objects.create_superuser("ada@example.com", "secret")
    client = Client()
    client.force_login(person)
    index = client.get("/backoffice/")
    assert index.status_code == 200
    assert b"Messaging" in index.content
    from office.urls import site

    for model in site._registry:
        name = f"backoffice:{model._meta.app_label}_{model._meta.model_name}_changelist"
        try:
            address = reverse(name)
        except NoReverseMatch:
            continue
        assert client.get(address).status_code == 200, address


def send() -> None:
    with Sandbox() as sandbox:
        provider = Provider.objects.create(
            name="QR phones", adapter="whatsapp_http", base_url=sandbox.url
        )
        Sender.objects.create(
            provider=provider,
            name="Front desk",
            address="+447700900100",
            credentials={"token": accounts.WH_TOKEN},
            is_default=True,
        )
        message = outbox.queue(Text("Your order is ready."), to="07700 900123", key="order-1007")
        call_command("messaging_drain")
        message = Message.objects.get(pk=message.pk)
        assert message.status in {"accepted", "sent", "delivered", "read"}, message.status
        assert message.external_id
        [delivery] = sandbox.control.deliveries(phone=PHONE)
        assert delivery["phone"] == PHONE.removeprefix("+"), delivery
        print(f"The gateway has the message, and we its id: {message.external_id}")


if __name__ == "__main__":
    main()
