"""The webhook: stored before anything else, answered 200, worked on again where that failed."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from messaging import inbox, tasks
from messaging.adapters.base import WebhookRequest
from messaging.adapters.dummy import Dummy
from messaging.models import (
    Conversation,
    Message,
    Provider,
    Sender,
    WebhookDelivery,
    WebhookToken,
)
from tests.rows import make_conversation, make_provider, make_sending, status_of

from .conftest import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

HELLO = {"from": "+447911123456", "text": "Hello", "id": "in-1"}


@pytest.fixture
def path(sender: Sender) -> str:
    return inbox.address_of(sender.provider)


@pytest.fixture
def gateway() -> Client:
    """Who posts: without a session, and with CSRF checks as in life."""
    return Client(enforce_csrf_checks=True)


def post(gateway: Client, path: str, body: Any = HELLO, **options: Any) -> int:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    options.setdefault("content_type", "application/json")
    return gateway.post(path, text, **options).status_code


def the_delivery() -> WebhookDelivery:
    return WebhookDelivery.objects.get()


# What comes in


def test_a_message_is_stored_and_worked_on(gateway: Client, path: str) -> None:
    assert post(gateway, path) == 200
    row = the_delivery()
    assert (row.state, row.error, row.due_at, row.attempts) == ("processed", "", None, 1)
    assert Message.objects.get().text == "Hello"
    assert inbox.request_of(row).body == json.dumps(HELLO)


def test_with_or_without_the_slash_and_never_a_redirect(gateway: Client, path: str) -> None:
    assert path.endswith("/")
    assert post(gateway, path.rstrip("/")) == 200
    assert post(gateway, path) == 200
    assert Message.objects.count() == 1


def test_a_report_moves_its_message(gateway: Client, path: str, sender: Sender) -> None:
    message = make_sending(make_conversation(sender), status="accepted", external_id="out-1")
    assert post(gateway, path, {"id": "out-1", "status": "read"}) == 200
    assert status_of(message) == "read"
    assert message.events.get().source == "webhook"


def test_a_known_persons_message_takes_seven_statements_and_a_report_six(
    gateway: Client, path: str, sender: Sender
) -> None:
    make_sending(make_conversation(sender, "+447911123456"), status="accepted", external_id="out-1")
    for body, most in ((HELLO, 7), ({"id": "out-1", "status": "sent"}, 6)):
        with CaptureQueriesContext(connection) as captured:
            assert post(gateway, path, body) == 200
        spent = [item["sql"] for item in captured if "SAVEPOINT" not in item["sql"]]
        assert len(spent) <= most, spent


def test_the_files_of_a_form_are_kept_before_it_is_worked_on(
    gateway: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[WebhookRequest] = []
    monkeypatch.setattr(Dummy, "parse_webhook", lambda self, request: seen.append(request))
    file = SimpleUploadedFile("../../etc/a.jpg", b"\xff\xd8\xff\xe0" + b"x" * 50, "text/html")
    answer = gateway.post(path, {"json": '{"a": 1}', "file1": file})
    assert answer.status_code == 200
    (request,) = seen
    assert request.fields == {"json": '{"a": 1}'}
    (kept,) = request.files
    assert (kept.field, kept.filename, kept.content_type) == ("file1", "a.jpg", "image/jpeg")
    # What it made of the request was no answer; the request is there all the same.
    assert the_delivery().state == "failed"


# What cannot be read


@pytest.mark.parametrize(
    "body",
    ["", "no JSON", "[" * 100_000, "null", "[1, 2]", '{"from": 1}', b"\xff\xfe\x00", "\x00"],
)
def test_what_is_authentic_but_unreadable_is_kept_and_answered(
    gateway: Client, path: str, body: Any
) -> None:
    assert post(gateway, path, body) == 200
    row = the_delivery()
    assert row.state == "quarantined"
    assert row.error
    assert inbox.redacted(row) is not None


def test_a_broken_form_is_kept_as_it_came(gateway: Client, path: str) -> None:
    kind = "multipart/form-data; boundary=x"
    assert post(gateway, path, b"--x\r\nnothing \xff like it", content_type=kind) == 200
    assert (the_delivery().state, Message.objects.count()) == ("quarantined", 0)


def test_a_message_to_a_number_added_later_is_processed_again(
    gateway: Client, path: str, sender: Sender
) -> None:
    assert post(gateway, path, {**HELLO, "to": "+447700900777"}) == 200
    assert the_delivery().state == "quarantined"
    Sender.objects.create(provider=sender.provider, name="New", address="+447700900777")
    assert inbox.replay([the_delivery()]) == {"processed": 1}
    assert inbox.replay([the_delivery()]) == {"processed": 1}
    assert Message.objects.get().sender.name == "New"
    assert Conversation.objects.get().unread_count == 1


# Who may post


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "options", "patch"])
def test_only_posts_are_taken(gateway: Client, path: str, method: str) -> None:
    assert getattr(gateway, method)(path).status_code == 405


def test_a_wrong_token_learns_nothing_and_leaves_nothing(
    gateway: Client, path: str, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.rotate(sender.provider, overlap=timedelta(0))
    deaf = make_provider(adapter="intellixent", credentials={"api_key": "k" * 20})
    paths = [
        path,  # expired
        "/messaging/webhooks/" + "x" * 43 + "/",
        "/messaging/webhooks/x/",
        inbox.address_of(deaf),
    ]
    answers = [gateway.post(each, "{}", content_type="application/json") for each in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert len({(answer.content, str(sorted(answer.headers.items()))) for answer in answers}) == 1
    assert not WebhookDelivery.objects.exists()
    assert "webhooks" not in caplog.text


def test_a_new_address_and_the_one_before_are_good_together(
    gateway: Client, path: str, sender: Sender, frozen: time_machine.Coordinates
) -> None:
    inbox.rotate(sender.provider)
    new = inbox.address_of(sender.provider)
    assert new != path
    assert [post(gateway, path), post(gateway, new)] == [200, 200]
    frozen.move_to(NOW + inbox.tokens.OVERLAP)
    assert [post(gateway, path), post(gateway, new)] == [404, 200]
    row = WebhookToken.objects.first()
    assert row is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT token, digest FROM messaging_webhooktoken")
        stored = str(cursor.fetchall())
    assert row.token not in stored


def test_a_list_of_addresses_shuts_everybody_else_out(
    gateway: Client, path: str, sender: Sender
) -> None:
    options = {"webhook_addresses": "192.0.2.0/24, 2001:db8::1"}
    Provider.objects.filter(pk=sender.provider_id).update(options=options)
    assert post(gateway, path) == 404
    assert post(gateway, path, headers={"x-forwarded-for": "192.0.2.7"}) == 404
    assert post(gateway, path, REMOTE_ADDR="192.0.2.7") == 200
    assert post(gateway, path, REMOTE_ADDR="2001:db8::1") == 200


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_what_is_too_large_is_not_even_read(
    gateway: Client, path: str, settings: Any, kind: str
) -> None:
    settings.MESSAGING |= {"WEBHOOK_MAX_BYTES": 10_000, "MEDIA_MAX_BYTES": 20_000}
    assert post(gateway, path, "x" * 20_001, content_type=kind) == 413
    assert not WebhookDelivery.objects.exists()


# When things break


def test_what_cannot_be_stored_is_not_answered_200(
    gateway: Client, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_args: Any, **_options: Any) -> None:
        raise OperationalError(f"the disk is full at {path}")

    monkeypatch.setattr(inbox, "store", away)
    assert post(gateway, path) == 503
    assert path.split("/")[3] not in caplog.text


def test_a_failure_is_tried_again_until_it_works(
    gateway: Client,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    frozen: time_machine.Coordinates,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = Dummy.parse_webhook

    def broken(*_args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(Dummy, "parse_webhook", broken)
    with caplog.at_level(logging.CRITICAL):
        assert post(gateway, path) == 200
        for wait in (30, 60, 120):
            row = the_delivery()
            assert (row.state, "RuntimeError" in row.error) == ("failed", True)
            assert row.due_at is not None
            assert inbox.sweep() == 0
            frozen.shift(wait)
            if wait == 120:
                monkeypatch.setattr(Dummy, "parse_webhook", real)
            assert inbox.sweep() == 1
    assert (the_delivery().state, Message.objects.count()) == ("processed", 1)


def test_a_process_that_died_in_between_loses_nothing(
    sender: Sender, frozen: time_machine.Coordinates
) -> None:
    inbox.store(sender.provider, WebhookRequest(body=json.dumps(HELLO)))
    tasks.tick()
    assert not Message.objects.exists()
    frozen.shift(61)
    tasks.tick()
    assert Message.objects.get().text == "Hello"


@override_settings(ROOT_URLCONF="project.urls")
def test_it_is_outside_every_request_transaction() -> None:
    from messaging.views.webhook import receive

    outside = receive._non_atomic_requests  # type: ignore[attr-defined]
    assert "default" in outside
    assert "any other" in outside


def test_a_bodys_secrets_are_masked_where_it_is_shown(sender: Sender) -> None:
    provider = sender.provider
    provider.credentials = {"token": "canary-token-1"}
    provider.save()
    row = inbox.store(provider, WebhookRequest(body='{"text": "canary-token-1", "x": "ok"}'))
    shown = inbox.redacted(row)
    assert (shown["body"]["x"], "canary" in str(shown)) == ("ok", False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM messaging_webhookdelivery")
        assert "canary" not in str(cursor.fetchall())
