"""Thousands at once: few statements, refusals returned, every row where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging import errors, media, outbox
from messaging.content import Media, TemplateMessage, Text
from messaging.models import (
    Attachment,
    Contact,
    ContactAddress,
    Conversation,
    Message,
    Sender,
    Suppression,
)
from messaging.models.fields import keyed_digests
from messaging.outbox import Draft
from tests.rows import make_address, make_conversation, make_sender, make_template

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sender() -> Sender:
    return make_sender(is_default=True)


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.background.run", lambda *_args: True)


def number(index: int) -> str:
    return f"+4479{index:08d}"


def to_numbers(sender: Sender, count: int) -> Iterable[Draft]:
    return (Draft(content=Text("Hello"), to=number(n)) for n in range(count))


def to_numbers_by_name(sender: Sender, count: int) -> Iterable[Draft]:
    """Each says something else, as reminders do."""
    return (Draft(content=Text(f"Dear {n}"), to=number(n)) for n in range(count))


def to_numbers_with_keys(sender: Sender, count: int) -> Iterable[Draft]:
    return (Draft(content=Text("Hello"), to=number(n), key=f"k{n}") for n in range(count))


def to_contacts(sender: Sender, count: int) -> Iterable[Draft]:
    for n in range(count):
        make_address(number(n))
    return [Draft(content=Text("Hello"), to=row) for row in list(Contact.objects.all())]


def to_addresses(sender: Sender, count: int) -> Iterable[Draft]:
    for n in range(count):
        make_address(number(n))
    return [Draft(content=Text("Hello"), to=row) for row in list(ContactAddress.objects.all())]


def to_conversations(sender: Sender, count: int) -> Iterable[Draft]:
    for n in range(count):
        make_conversation(sender, number(n))
    return [Draft(content=Text("Hello"), to=row) for row in list(Conversation.objects.all())]


def by_template(sender: Sender, count: int) -> Iterable[Draft]:
    row = make_template(sender.provider)
    return (
        Draft(content=TemplateMessage(row, {"1": f"day {n}"}), to=number(n)) for n in range(count)
    )


def with_a_file(sender: Sender, count: int) -> Iterable[Draft]:
    key = str(media.store(ContentFile(b"x", "photo.jpg")).key)
    return (
        Draft(content=Media("image", file=key, caption=f"No. {n}"), to=number(n))
        for n in range(count)
    )


def past_suppressed_people(sender: Sender, count: int) -> Iterable[Draft]:
    Suppression.objects.create(digest=keyed_digests("address", "+447911999999")[0])
    return to_numbers(sender, count)


def several_each(sender: Sender, count: int) -> Iterable[Draft]:
    return (Draft(content=Text(f"No. {n}"), to=number(n % 7)) for n in range(count))


@pytest.mark.parametrize(
    "drafts",
    [
        to_numbers,
        to_numbers_by_name,
        to_numbers_with_keys,
        to_contacts,
        to_addresses,
        to_conversations,
        by_template,
        with_a_file,
        past_suppressed_people,
        several_each,
    ],
)
def test_a_thousand_take_a_few_statements(
    drafts: Callable[[Sender, int], Iterable[Draft]],
    sender: Sender,
    settings: Any,
    tmp_path: Any,
) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    wanted = drafts(sender, 1000)
    with CaptureQueriesContext(connection) as captured:
        done = outbox.queue_many(wanted)
    assert not done.refused
    assert Message.objects.count() == len(done.messages) == 1000
    statements = [query["sql"].split(maxsplit=1)[0] for query in captured.captured_queries]
    statements = [word for word in statements if word not in ("BEGIN", "COMMIT", "SAVEPOINT")]
    # Django gives SQLite 999 values at a time: there an INSERT comes in parts of some 20 rows.
    inserts = [word for word in statements if word == "INSERT"]
    assert len(inserts) <= (5 if connection.vendor == "postgresql" else 80)
    assert len(statements) - len(inserts) <= 16


def test_refusals_are_returned_with_their_place_and_the_rest_goes(sender: Sender) -> None:
    make_address(number(1), opted_out_at=datetime(2027, 1, 1, tzinfo=UTC))
    drafts = [
        Draft(content=Text("a"), to=number(0)),
        Draft(content=Text("b"), to=number(1)),
        Draft(content=Text(""), to=number(2)),
        Draft(content=Text("d"), to="nobody"),
        Draft(content=Text("e"), to=number(4)),
    ]
    done = outbox.queue_many(drafts)
    assert [message.text if message else None for message in done.messages] == [
        "a",
        None,
        None,
        None,
        "e",
    ]
    assert [(index, type(error)) for index, error in done.refused] == [
        (1, errors.OptedOut),
        (2, errors.InvalidContent),
        (3, errors.InvalidAddress),
    ]
    assert not ContactAddress.objects.filter(value=number(2)).exists()


def test_places_are_counted_over_chunks(sender: Sender) -> None:
    drafts = [Draft(content=Text("a" if n != 1500 else ""), to=number(n)) for n in range(1600)]
    done = outbox.queue_many(drafts)
    assert [index for index, _error in done.refused] == [1500]
    assert Message.objects.count() == 1599


def test_one_account_that_cannot_be_used_stops_no_other(sender: Sender) -> None:
    broken = make_sender()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_provider SET credentials = 'fernet:x' WHERE id = %s",
            [broken.provider_id],
        )
    done = outbox.queue_many(
        Draft(content=Text("a"), to=number(n), sender=row) for n, row in enumerate((broken, sender))
    )
    assert [type(error) for _index, error in done.refused] == [errors.NoSender]
    assert Message.objects.get().sender == sender


def test_order_within_a_conversation_is_the_order_given(sender: Sender) -> None:
    drafts = [Draft(content=Text(str(n)), to=number(n % 2), key=f"k{n}") for n in range(20)]
    outbox.queue_many(drafts)
    for place in range(2):
        texts = Message.objects.filter(conversation__address__value=number(place)).order_by("id")
        assert [int(row.text) for row in texts] == list(range(place, 20, 2))


def test_lists_show_the_newest_of_each_conversation(sender: Sender) -> None:
    outbox.queue_many(Draft(content=Text(f"No. {n}"), to=number(n % 3)) for n in range(9))
    shown = Conversation.objects.order_by("address__value")
    assert [row.last_message_text for row in shown] == ["No. 6", "No. 7", "No. 8"]
    assert all(row.last_message_at and row.version == 1 for row in shown)


@pytest.mark.parametrize(("broadcast", "status"), [(None, "open"), (True, "done")])
def test_a_conversation_made_by_a_broadcast_starts_done(
    broadcast: Any, status: str, sender: Sender
) -> None:
    from messaging.models import Broadcast

    pk = Broadcast.objects.create(name="News", sender=sender).pk if broadcast else None
    outbox.queue_many([Draft(content=Text("a"), to=number(1), broadcast_id=pk)])
    assert Conversation.objects.get().status == status


@pytest.mark.parametrize("key", [None, "k"])
def test_a_file_belongs_to_the_first_message_that_carries_it(
    key: str | None, sender: Sender, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    file = media.store(ContentFile(b"x", "photo.jpg"))
    content = Media("image", file=str(file.key))
    drafts = [Draft(content=content, to=number(n), key=key and f"{key}{n}") for n in range(3)]
    done = outbox.queue_many(drafts)
    assert Attachment.objects.get().message == done.messages[0]
