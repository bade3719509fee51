"""Every webhook body of the gateways' documents ends in the right rows."""

from __future__ import annotations

import pytest
from django.test import Client

from messaging.models import Message, WebhookDelivery
from tests.rows import status_of

from .desk import open_desk, rows, send
from .posts import INSTANCE, JPEG, PHONE, Post, posts

pytestmark = pytest.mark.django_db


@pytest.fixture
def paths() -> dict[str, str]:
    return open_desk()


@pytest.mark.parametrize("post", posts(), ids=lambda post: post.name)
def test_every_body_of_the_documents(post: Post, paths: dict[str, str]) -> None:
    assert send(Client(), paths, post) == 200
    found = Message.objects.filter(direction="inbound").order_by("id")
    assert tuple((row.kind, row.text) for row in found) == (post.ends or ())
    delivery = WebhookDelivery.objects.get()
    assert delivery.state == ("quarantined" if post.ends is None else "processed"), delivery.error
    assert {row.conversation.address.value for row in found} <= {f"+{PHONE}"}
    assert {row.source for row in found} <= {"webhook"}


def test_reports_of_the_documents_reach_their_messages(paths: dict[str, str]) -> None:
    for post in posts():
        send(Client(), paths, post)
    sent = Message.objects.filter(direction="outbound")
    assert {row.external_id: status_of(row) for row in sent} == {
        "out-is": "delivered",
        "out-wh": "read",
    }


def test_a_picture_is_kept_as_it_came_and_the_senders_id_nowhere(paths: dict[str, str]) -> None:
    for post in posts():
        send(Client(), paths, post)
    message = Message.objects.get(kind="image", sender__name="Desk")
    file = message.attachments.get()
    with file.file.open("rb") as stored:
        assert stored.read() == JPEG
    assert (file.content_type, file.filename) == ("image/jpeg", "photo.jpg")
    # The instance id opens the account.
    for row in Message.objects.all():
        assert INSTANCE not in str([row.content, row.external_data, row.text, row.external_ref])


def test_ten_times_in_any_order_ends_in_the_same_rows(paths: dict[str, str]) -> None:
    for post in posts():
        send(Client(), paths, post)
    once = rows()
    for start in range(10):
        for post in [*posts()[start:], *posts()[:start]]:
            assert send(Client(), paths, post) == 200
    assert rows() == once
