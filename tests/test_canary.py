"""Secrets nobody may see: used in every way there is, then looked for in every place there is.

Canary credentials sign sends that go well and badly, gateways post to a canary webhook, and then
every page, export, row, log line and error page is searched. The search itself is tested first.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable, Iterator
from html import escape, unescape
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django_q.models import OrmQ

from messaging import health, inbox, outbox, pairing, polling
from messaging.adapters import http as adapter_http
from messaging.content import Text
from messaging.models import (
    Conversation,
    Message,
    Provider,
    ProviderCall,
    Sender,
    WebhookDelivery,
)
from messaging.sandbox import Sandbox, SandboxClient
from tests.conftest import KEY
from tests.faults import secrets

#: As long and as odd as the real ones.
CANARIES = {
    "token": "ca9a57c0ffee57c0ffee0001",
    "accesskey": "Canary$ER%Uhs+UU[MzwEYe2",
    "secretkey": "Canary{kQ^s`wVpm!EU~Bx8yB^A$N$[3",
    "api_key": "ix-canary-7f3e9d1b5a2c4e60",
}

FAULTS: list[dict[str, Any]] = [
    {"mode": "status", "http": 401},
    {"mode": "status", "http": 500},
    {"mode": "html"},
    {"mode": "wrong_json"},
    {"mode": "cut_after"},
]

#: The pages that show the webhook's address, to those who set it up.
SHOW_THE_ADDRESS = {"messaging_provider_change", "messaging_provider_webhook"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def sandbox_process() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> SandboxClient:
    control = sandbox_process.control
    control.reset()
    control.account("whatsapp_http", token=CANARIES["token"])
    control.account(
        "intellisoftware", accesskey=CANARIES["accesskey"], secretkey=CANARIES["secretkey"]
    )
    control.account("intellixent", api_key=CANARIES["api_key"])
    return control


@pytest.fixture
def senders(db: None, sandbox: SandboxClient, sandbox_process: Sandbox) -> list[Sender]:
    """One sender per gateway, each with its canary."""
    url, given = sandbox_process.url, CANARIES
    qr = Provider.objects.create(name="QR phones", adapter="whatsapp_http", base_url=url)
    official = Provider.objects.create(
        name="Official",
        adapter="intellisoftware",
        base_url=url,
        credentials={name: given[name] for name in ("accesskey", "secretkey")},
    )
    assistant = Provider.objects.create(
        name="Assistant",
        adapter="intellixent",
        base_url=f"{url}/api",
        credentials={"api_key": given["api_key"]},
    )
    Provider.objects.update(window_policy="none")
    create = Sender.objects.create
    return [
        create(
            provider=qr,
            name="Front desk",
            address="+447700900100",
            credentials={"token": given["token"]},
        ),
        create(provider=official, name="Shop", address="+447700900200"),
        create(provider=assistant, name="Clinic", address="+447700900300", external_id="12"),
    ]


@pytest.fixture(autouse=True)
def surroundings(settings: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings.MEDIA_ROOT = str(tmp_path)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.MESSAGING |= {
        "READ_TIMEOUT": 1,
        "TOTAL_TIMEOUT": 1,
        "PUBLIC_BASE_URL": "https://desk.example.com",
    }


@pytest.fixture
def boss(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_superuser("boss", password="x"))
    client.raise_request_exception = False
    return client


# Using the canaries


def work(senders: list[Sender], sandbox: SandboxClient) -> None:
    """Sends, checks and polls, in peace and in every kind of trouble."""
    for number, fault in enumerate([None, *FAULTS]):
        sandbox.clear_faults()
        if fault:
            sandbox.fault(**fault)
        Provider.objects.update(pause_reason="", paused_until=None)
        Sender.objects.update(pause_reason="", paused_until=None, poll_due_at=None)
        for sender in senders:
            outbox.queue(Text(f"Hello {number}"), to=f"+44791100000{number}", sender=sender)
        outbox.drain(seconds=10)
        polling.run_due()
        for sender in senders:
            health.test_connection(sender)
    sandbox.clear_faults()


def receive(senders: list[Sender]) -> list[str]:
    """Posts to every provider's webhook, good, bad and to a wrong address; the tokens used."""
    tokens = []
    for sender in senders:
        tokens.append(inbox.token_of(sender.provider).token)
        address = reverse("messaging:webhook", args=[tokens[-1]])
        # The gateway's own posts name the phone by its token; others may quote what they know.
        own = [*sender.credentials.values(), *sender.provider.credentials.values()]
        body = {
            "reportType": "inbox",
            "instanceID": own[0],
            "note": " and ".join(own),
            "clientID": "5f00000000000000000000c8",
            "phone": "447911000001",
            "waID": "447911000001@s.whatsapp.net",
            "waMessageID": "A400AA11BB22CC33",
            "type": "text",
            "value": "Hello",
            "status": 3,
            "createdAt": "2026-03-01T13:36:19+05:30",
        }
        for data in (json.dumps(body), f"{{broken {own[0]}", json.dumps([body, 5])):
            Client().post(address, data, content_type="application/json")
        Client().get(address)
        Client().post(address[:-2] + "/", json.dumps(body), content_type="application/json")
    return tokens


def pair(sender: Sender, sandbox: SandboxClient) -> str:
    """Begin to pair a phone; a part of the code, as pages and rows would write it."""
    sandbox.disconnect(CANARIES["token"])
    row = pairing.start(sender)
    code = base64.b64encode(pairing.code_of(row)).decode()
    assert len(code) > 200
    return code[60:160]


# Looking for them


def spellings(secret: str) -> set[str]:
    """A secret as pages, addresses, JSON and Python write it."""
    plain = {secret, quote(secret), quote_plus(secret), escape(secret)}
    packed = base64.b64encode(secret.encode()).decode().rstrip("=")
    return plain | {repr(secret)[1:-1], json.dumps(secret)[1:-1], packed}


def shown(text: str, hidden: Iterable[str]) -> list[str]:
    """Those of the secrets that stand in a text, however they are spelt."""
    whole = text + unescape(text)
    return [secret for secret in hidden if any(form in whole for form in spellings(secret))]


def pages(site: admin.AdminSite = admin.site) -> Iterator[tuple[str, str]]:
    """(name, address) of every page of the app that one can ask for."""
    for model, screen in site._registry.items():
        if model._meta.app_label != "messaging":
            continue
        names = {pattern.name for pattern in screen.get_urls() if pattern.name}
        rows = [str(pk) for pk in model._default_manager.values_list("pk", flat=True)[:12]]
        for name in sorted(names):
            for args in ([], *([pk] for pk in rows)):
                try:
                    yield name, reverse(f"{site.name}:{name}", args=args)
                except NoReverseMatch:
                    continue


def read(response: Any) -> str:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return str(response.headers) + body.decode("utf-8", "replace")


def test_the_search_finds_what_is_there(boss: Client, caplog: pytest.LogCaptureFixture) -> None:
    """It can fail: planted in a name, a secret is found on pages, in rows and in the log."""
    for secret in CANARIES.values():
        Provider.objects.all().delete()
        row = Provider.objects.create(name=f"Account {secret}", adapter="dummy")
        logging.getLogger("planted").debug("It is %s.", secret)
        found = {name for name, url in pages() if shown(read(boss.get(url)), [secret])}
        assert "messaging_provider_changelist" in found
        assert "messaging_provider_change" in found
        assert shown(caplog.text, [secret]) == [secret]
        assert secrets.in_database([secret]) == [f"messaging_provider: {secret}"]
        for text in spellings(secret):
            assert shown(f"a {text} b", [secret])
        assert not shown(repr(row.credentials), [secret])
    assert len(list(pages())) > 20


def test_no_secret_shows_anywhere(
    senders: list[Sender],
    sandbox: SandboxClient,
    boss: Client,
    django_user_model: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    work(senders, sandbox)
    tokens = receive(senders)
    keys = [*CANARIES.values(), KEY, pair(senders[0], sandbox)]
    change_by_hand(boss, senders)
    seen: dict[str, str] = {}
    for name, url in pages():
        response = boss.get(url)
        assert response.status_code < 500, url
        text = read(response)
        seen[name] = seen.get(name, "") + text
        assert shown(text, keys) == [], url
        if name not in SHOW_THE_ADDRESS:
            assert shown(text, tokens) == [], url
    viewer = reader(django_user_model)
    for name, url in pages():
        if name in SHOW_THE_ADDRESS:
            assert shown(read(viewer.get(url)), tokens) == [], url
    assert any(shown(seen[name], tokens) for name in SHOW_THE_ADDRESS & set(seen))
    export = seen["messaging_message_export"]
    assert "Hello 1" in export
    # There were places enough to look at.
    for name in ("messaging_message", "messaging_provider", "messaging_providercall"):
        assert {f"{name}_changelist", f"{name}_change", f"{name}_history"} <= set(seen)
    assert ProviderCall.objects.count() > 12
    assert Message.objects.exclude(error_class="").exists()
    assert WebhookDelivery.objects.count() >= 3
    assert LogEntry.objects.count() >= 3
    assert OrmQ.objects.exists()
    assert Conversation.objects.exists()
    assert secrets.in_database([*keys, *tokens]) == []
    for line in caplog.records:
        assert shown(repr(vars(line)), [*keys, *tokens]) == [], line.getMessage()
    assert len(caplog.records) > 20


def reader(users: Any) -> Client:
    """A browser of somebody who may see everything and change nothing."""
    user = users.objects.create_user("reader", password="x", is_staff=True)
    rights = Permission.objects.filter(content_type__app_label="messaging")
    user.user_permissions.add(*rights.filter(codename__startswith="view_"))
    browser = Client()
    browser.force_login(user)
    return browser


def change_by_hand(boss: Client, senders: list[Sender]) -> None:
    """Steps of a person, which leave lines in the history: also of new secrets."""
    for sender in senders:
        boss.post(reverse("admin:messaging_sender_test", args=[sender.pk]))
        boss.post(reverse("admin:messaging_sender_balance", args=[sender.pk]))
        page = reverse("admin:messaging_provider_change", args=[sender.provider_id])
        wrong = {f"credential_{name}": value for name, value in CANARIES.items()}
        # Refused: fields are missing. The page that says so must not repeat them.
        assert shown(read(boss.post(page, wrong)), CANARIES.values()) == []


# An error page of a site that was left in DEBUG


PLACES = ["_encode", "exchange", "parse", "_stored", "Answer"]


class Explosive(int):
    """The status of an answer that breaks whoever reads it."""

    def _boom(self, other: object) -> Any:
        raise RuntimeError("boom")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _boom
    __hash__ = int.__hash__


@pytest.mark.parametrize("place", PLACES)
def test_no_error_page_shows_a_secret(
    place: str,
    senders: list[Sender],
    boss: Client,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.DEBUG = True

    def boom(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("boom")

    if place == "Answer":
        real = adapter_http.Answer
        boom = lambda **values: real(**{**values, "status": Explosive(200)})  # noqa: E731
    monkeypatch.setattr(adapter_http, place, boom)
    keys = [*CANARIES.values(), KEY, settings.SECRET_KEY]
    for sender in senders:
        for name, row in (("sender_test", sender), ("sender_balance", sender)):
            text = read(boss.post(reverse(f"admin:messaging_{name}", args=[row.pk])))
            assert shown(text, keys) == [], f"{place} {sender}"
        outbox.queue(Text("Hello"), to="+447911000001", sender=sender)
    outbox.drain(seconds=5)
    assert shown(caplog.text, keys) == []
    assert secrets.in_database(keys) == []


def test_an_error_page_is_one(boss: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what stands in a frame is on the page."""
    settings.DEBUG = True

    def boom(*args: Any, **kwargs: Any) -> Any:
        planted = CANARIES["token"]
        raise RuntimeError("boom" * bool(planted))

    monkeypatch.setattr("messaging.admin.messages.MessageAdmin.get_queryset", boom)
    response = boss.get(reverse("admin:messaging_message_changelist"))
    assert response.status_code == 500
    assert shown(read(response), [CANARIES["token"]])
