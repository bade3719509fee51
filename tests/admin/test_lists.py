"""Lists stay quick: few queries whatever the tables hold, capped counts, search by index."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from messaging.admin import paging, search
from messaging.models import Contact, ContactAddress, Conversation, Message, Sender, Tag

from .conftest import Office

LISTS = ["message", "conversation", "contact", "template", "sender", "provider", "providercall"]


def url(model: str) -> str:
    return reverse(f"admin:messaging_{model}_changelist")


def crowd(office: Office, count: int) -> None:
    """That many people, each with a conversation, a message and a tag; some without a name."""
    tag = Tag.objects.get_or_create(name="patients")[0]
    start = Contact.objects.count()
    for number in range(start, start + count):
        contact = Contact.objects.create(name=f"Person {number}" if number % 3 else "")
        contact.tags.add(tag)
        address = ContactAddress.objects.create(contact=contact, value=f"+25677{number:07}")
        talk = Conversation.objects.create(sender=office.sender, address=address)
        Message.objects.create(
            conversation=talk,
            sender=office.sender,
            direction="inbound",
            kind="text",
            status="received",
            text=f"Words {number}",
            created_at=timezone.now(),
        )
        Sender.objects.create(provider=office.provider, name=f"Desk {number}")


@pytest.mark.parametrize("model", LISTS)
def test_queries_do_not_grow(boss: Client, office: Office, model: str) -> None:
    crowd(office, 3)
    boss.get(url(model))
    with CaptureQueriesContext(
        connection,
    ) as few:
        boss.get(url(model))
    crowd(office, 20)
    with CaptureQueriesContext(connection) as many:
        boss.get(url(model))
    assert len(many) == len(few)
    assert len(many) <= 8, [query["sql"][:150] for query in many]


@pytest.mark.parametrize("model", ["message", "conversation"])
def test_pages_of_one_row_do_not_grow(boss: Client, office: Office, model: str) -> None:
    row: Any = office.conversation if model == "conversation" else office.message()
    page = reverse(f"admin:messaging_{model}_change", args=[row.pk])
    boss.get(page)
    with CaptureQueriesContext(connection) as few:
        boss.get(page)
    crowd(office, 20)
    for _n in range(15):
        office.message()
    with CaptureQueriesContext(connection) as many:
        boss.get(page)
    assert len(many) <= len(few)


def test_counts_and_pages_are_capped(boss: Client, office: Office, monkeypatch: Any) -> None:
    monkeypatch.setattr(paging, "CAP", 5)
    for number in range(8):
        office.message(f"Number {number}")
    response = boss.get(url("message"))
    assert response.context["cl"].result_count == 5
    assert "More than 5 match; the first 5 are listed." in response.content.decode()
    with CaptureQueriesContext(connection) as queries:
        boss.get(url("message"), {"p": "999"})
    assert not any("OFFSET 4" in query["sql"] for query in queries)
    assert not any(
        "COUNT(*)" in query["sql"] and "LIMIT" not in query["sql"] and "message" in query["sql"]
        for query in queries
    )


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("07700 9001", {"Amina"}),
        ("+44 7700", {"Amina"}),
        ("00447700", {"Amina"}),
        ("447700900123", {"Amina"}),
        ("7700", set()),
        ("amina", {"Amina"}),
        ("nakato ami", {"Amina"}),
        ("nobody", set()),
    ],
)
def test_search_finds_people(boss: Client, office: Office, term: str, found: set[str]) -> None:
    Contact.objects.update(name="Amina Nakato")
    crowd(office, 2)
    office.message("x")
    for model in ("contact", "conversation", "message"):
        rows = boss.get(url(model), {"q": term}).context["cl"].result_list
        assert len(rows) == len(found), model


def test_search_finds_words_in_new_messages_and_stops_at_old_ones(
    boss: Client, office: Office, monkeypatch: Any
) -> None:
    for text in ("blue teapot", "red teapot 10472", "green cup"):
        office.message(text)

    def hits(term: str) -> list[str]:
        rows = boss.get(url("message"), {"q": term}).context["cl"].result_list
        return [row.text for row in rows]

    assert hits("teapot") == ["red teapot 10472", "blue teapot"]
    assert hits("teapot blue") == ["blue teapot"]
    assert hits("10472") == ["red teapot 10472"]
    monkeypatch.setattr(search, "RECENT", 2)
    assert hits("teapot") == ["red teapot 10472"]


def test_searching_takes_few_queries(boss: Client, office: Office) -> None:
    crowd(office, 20)
    boss.get(url("message"))
    for term in ("words", "+25677"):
        with CaptureQueriesContext(connection) as queries:
            boss.get(url("message"), {"q": term})
        assert len(queries) <= 12


def test_a_number_search_uses_the_index(office: Office) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # A table of one row is read whole, whatever its indexes.
            cursor.execute("SET LOCAL enable_seqscan = off")
    plan = search.addresses("0770", full=True).order_by().explain()
    assert "USING" in plan or "Index" in plan


@pytest.mark.parametrize(("days", "expected"), [("1", 1), ("7", 2), ("30", 3)])
def test_the_created_filter(boss: Client, office: Office, days: str, expected: int) -> None:
    for age in (0, 3, 20, 60):
        message = office.message()
        when = timezone.now() - timedelta(days=age)
        Message.objects.filter(pk=message.pk).update(created_at=when)
    rows = boss.get(url("message"), {"created": days}).context["cl"].result_list
    assert len(rows) == expected


def test_the_error_filter(boss: Client, office: Office) -> None:
    office.settled("failed", error_class="quota")
    office.settled("unknown", error_class="ambiguous")
    for value, expected in (("quota", 1), ("ambiguous", 1), ("media", 0)):
        rows = boss.get(url("message"), {"error": value}).context["cl"].result_list
        assert len(rows) == expected


def test_the_list_of_messages_reads_its_page_off_an_index(boss: Client, office: Office) -> None:
    """Its query names one table, so no planner can begin with another."""
    with CaptureQueriesContext(connection) as queries:
        boss.get(url("message"))
    (page,) = [
        query["sql"]
        for query in queries
        if 'FROM "messaging_message"' in query["sql"] and "ORDER BY" in query["sql"]
    ]
    assert "JOIN" not in page


def test_messages_are_filtered_by_sender_and_conversation(boss: Client, office: Office) -> None:
    crowd(office, 2)
    office.message("Mine")
    other = Sender.objects.create(provider=office.provider, name="Other")
    assert len(boss.get(url("message"), {"sender": other.pk}).context["cl"].result_list) == 0
    response = boss.get(url("message"), {"conversation__id__exact": office.conversation.pk})
    assert [row.text for row in response.context["cl"].result_list] == ["Mine"]
    assert "Messages with Amina Nakato via Front desk" in response.content.decode()


def test_filters_have_choices_or_a_limit() -> None:
    """A filter without choices reads the whole table for its values."""
    from django.contrib import admin

    for model, screen in admin.site._registry.items():
        if model._meta.app_label != "messaging":
            continue
        for item in screen.list_filter:
            if isinstance(item, str):
                field = model._meta.get_field(item)
                assert field.choices or field.get_internal_type() == "BooleanField", item
