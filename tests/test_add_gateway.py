"""Adding a gateway is one adapter class, one line of settings and one test file.

`pigeon.py` is the example CONTRIBUTING.md walks through. Nothing else of this repository knows
it; everything below follows from its being listed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command

from messaging import adapters, conf, outbox
from messaging.adapters.http import Http
from messaging.admin.accounts import CREDENTIAL, provider_form, sender_form
from messaging.content import Location, Text
from messaging.errors import ErrorClass, InvalidContent, NotSupported, Verdict
from messaging.models import Message, Provider, Sender

from .adapters import test_contract as contract
from .adapters.contract import adapter, outbound
from .adapters.recorder import Recorder
from .pigeon import LONGEST, Pigeon

PATH = "tests.pigeon.Pigeon"


@pytest.fixture(autouse=True)
def one_line_of_settings(settings: Any) -> None:
    settings.MESSAGING = {
        **settings.MESSAGING,
        "ADAPTERS": [*conf.DEFAULTS["ADAPTERS"], PATH],
    }


@pytest.fixture
def server() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http(
        allowed_private_hosts=["127.0.0.1"], connect_timeout=2, read_timeout=0.5, total_timeout=3
    )
    yield client
    client.close()


# The gateway's own test file would begin here: what goes over the wire, and what comes back.


def test_a_text_leaves_as_documented(http: Http, server: Recorder) -> None:
    server.answer({"id": "p-1"}, 201)
    [result] = adapter(Pigeon, http, server.url).send(outbound()).results
    assert result.external_id == "p-1"
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/messages")
    assert request.json() == {"to": "447700900100", "text": "Hello"}


@pytest.mark.parametrize(
    ("status", "verdict", "error_class"),
    [
        (201, Verdict.MAYBE_SENT, ErrorClass.AMBIGUOUS),  # taken, but without an id
        (422, Verdict.REFUSED, ErrorClass.INVALID_RECIPIENT),
        (401, Verdict.REFUSED, ErrorClass.AUTHENTICATION),
        (500, Verdict.MAYBE_SENT, ErrorClass.AMBIGUOUS),
    ],
)
def test_documented_answers(
    http: Http, server: Recorder, status: int, verdict: Verdict, error_class: ErrorClass
) -> None:
    server.answer({}, status)
    [result] = adapter(Pigeon, http, server.url).send(outbound()).results
    assert result.failure is not None
    assert (result.failure.verdict, result.failure.error_class) == (verdict, error_class)


def test_balance(http: Http, server: Recorder) -> None:
    server.answer({"credits": 12})
    assert adapter(Pigeon, http, server.url).balance().amount == "12"


# And ends here. All else follows by itself.


CONTRACT: list[Callable[..., None]] = [
    contract.test_declarations,
    contract.test_fields,
    contract.test_optional_operations,
    contract.test_any_json_is_survived,
    contract.test_silence_may_have_been_sent,
    contract.test_a_broken_connection_may_have_been_sent,
    contract.test_a_refused_connection_never_left,
]


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_contract_holds(promise: Callable[..., None], http: Http) -> None:
    arguments: dict[str, Any] = {"cls": Pigeon}
    if "http" in promise.__code__.co_varnames[: promise.__code__.co_argcount]:
        arguments["http"] = http
    promise(**arguments)


@pytest.mark.parametrize(("status", "body"), contract.JUNK)
def test_junk_may_have_been_sent(http: Http, server: Recorder, status: int, body: bytes) -> None:
    contract.test_junk_may_have_been_sent(Pigeon, http, server, status, body)


def test_it_is_a_choice() -> None:
    assert ("pigeon", "Pigeon Post") in adapters.choices()
    assert adapters.adapter_class("pigeon") is Pigeon


@pytest.mark.django_db
def test_it_needs_no_migration() -> None:
    out = io.StringIO()
    call_command("makemigrations", "--check", "--dry-run", stdout=out)
    assert "No changes" in out.getvalue()


@pytest.mark.django_db
def test_the_checks_know_it() -> None:
    call_command("check")


def test_the_admin_asks_for_its_credentials() -> None:
    field = provider_form(Pigeon).base_fields[f"{CREDENTIAL}token"]
    assert str(field.label) == "API token"
    assert not [name for name in sender_form(Pigeon).base_fields if name.startswith(CREDENTIAL)]


def provider(**values: Any) -> Provider:
    return Provider(
        **{"name": "Loft", "adapter": "pigeon", "credentials": {"token": "t"}, **values}
    )


@pytest.mark.django_db
def test_a_provider_of_it_is_valid_and_has_its_defaults() -> None:
    row = provider(window_policy="none")
    row.full_clean()
    row.save()
    assert row.base_url == "https://api.pigeon.example"
    with pytest.raises(ValidationError):
        provider(adapter="raven", window_policy="none").full_clean()


@pytest.fixture
def sender(db: None, server: Recorder) -> Sender:
    row = provider(base_url=server.url)
    row.save()
    return Sender.objects.create(
        provider=row, name="Loft", channel="sms", address="+447700900100", is_default=True
    )


@pytest.mark.django_db(transaction=True)
def test_a_message_leaves_through_it(sender: Sender, server: Recorder) -> None:
    server.answer({"id": "p-1"}, 201)
    message = outbox.queue(Text("Hello"), to="07700 900123")
    outbox.drain()
    message.refresh_from_db()
    assert (message.status, message.external_id) == ("accepted", "p-1")
    assert [request.json()["to"] for request in server.requests] == ["447700900123"]


def test_what_it_cannot_send_is_refused_before_there_is_a_row(sender: Sender) -> None:
    with pytest.raises(NotSupported):
        outbox.queue(Location(51.5, -0.1), to="07700 900123")
    with pytest.raises(InvalidContent, match="at most 480"):
        outbox.queue(Text("x" * (LONGEST + 1)), to="07700 900123")
    assert not Message.objects.exists()


def test_a_row_whose_adapter_is_gone_still_opens(sender: Sender, settings: Any) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ADAPTERS": conf.DEFAULTS["ADAPTERS"]}
    row = Provider.objects.get(name="Loft")
    assert (str(row), row.get_adapter_display()) == ("Loft", "pigeon")
