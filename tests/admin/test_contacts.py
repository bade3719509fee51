"""Contacts: numbers in any spelling, consent, tags; and conversations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging.models import Contact, ContactAddress, Conversation, Label, Tag

from .conftest import Office, make_contact


def url(name: str, row: Any = None, model: str = "contact") -> str:
    return reverse(f"admin:messaging_{model}_{name}", args=[row.pk] if row else [])


def data(number: str = "", **values: Any) -> dict[str, Any]:
    return {
        "name": "Ben",
        "addresses-TOTAL_FORMS": 1 if number else 0,
        "addresses-INITIAL_FORMS": 0,
        "addresses-0-value": number,
        **values,
    }


@pytest.mark.parametrize(
    "spelling", ["07700 900456", "+44 7700 900456", "0044 7700 900456", "(07700) 900-456"]
)
def test_a_number_is_stored_in_one_spelling(boss: Client, spelling: str) -> None:
    response = boss.post(url("add"), data(spelling))
    assert response.status_code == 302, response.context["errors"]
    address = ContactAddress.objects.get()
    assert (address.value, address.kind) == ("+447700900456", "phone")


@pytest.mark.parametrize(("value", "kind"), [("120363041@g.us", "group"), ("9981234@lid", "lid")])
def test_whatsapp_ids_are_taken_as_they_are(boss: Client, value: str, kind: str) -> None:
    boss.post(url("add"), data(value))
    address = ContactAddress.objects.get()
    assert (address.value, address.kind) == (value, kind)


@pytest.mark.parametrize(
    ("number", "words"),
    [("hello", "is not a phone number"), ("12", "is not"), ("07700 900123", "Amina Nakato")],
)
def test_mistakes_are_told(boss: Client, office: Office, number: str, words: str) -> None:
    response = boss.post(url("add"), data(number))
    assert response.status_code == 200
    assert words in response.content.decode()
    assert Contact.objects.count() == 1


def test_attributes_are_lines(boss: Client) -> None:
    boss.post(url("add"), data(attributes="city: Kampala\nvisits: [1, 2]"))
    contact = Contact.objects.get()
    assert contact.attributes == {"city": "Kampala", "visits": [1, 2]}
    assert "city: Kampala" in boss.get(url("change", contact)).content.decode()
    response = boss.post(url("add"), data(attributes="no colon"))
    assert b"Write one per line" in response.content


def test_the_preferred_number_is_one_of_their_own(boss: Client, office: Office) -> None:
    other = make_contact("Ben", "+447700900777")
    second = ContactAddress.objects.create(contact=office.contact, value="+447700900124")
    text = boss.get(url("change", office.contact)).content.decode()
    assert "+447700900124" in text
    assert "+447700900777" not in text
    rows = office.contact.addresses.order_by("pk")
    values = {
        "name": "Amina",
        "preferred_address": second.pk,
        "addresses-TOTAL_FORMS": 2,
        "addresses-INITIAL_FORMS": 2,
        **{f"addresses-{n}-id": row.pk for n, row in enumerate(rows)},
        **{f"addresses-{n}-value": row.value for n, row in enumerate(rows)},
        **{f"addresses-{n}-contact": office.contact.pk for n in range(2)},
    }
    assert boss.post(url("change", office.contact), values).status_code == 302
    office.contact.refresh_from_db()
    assert office.contact.phone == "+447700900124"
    values["preferred_address"] = other.addresses.get().pk
    assert b"Select a valid choice" in boss.post(url("change", office.contact), values).content


def test_opting_out_and_in_again(boss: Client, office: Office) -> None:
    page = url("change", office.contact)
    assert b"They may be written to" in boss.get(page).content
    for _again in range(2):
        boss.post(url("opt-out", office.contact), {"whom": "all", "evidence": "by phone"})
    office.contact.refresh_from_db()
    assert office.contact.opted_out_at is not None
    assert office.contact.opt_out_source == "person"
    text = boss.get(page).content.decode()
    assert "entered by staff" in text
    assert "Record an opt-out" not in text
    assert LogEntry.objects.count() == 1

    ContactAddress.objects.update(opted_out_at=timezone.now(), opt_out_source="message")
    boss.post(url("opt-in", office.contact), {"whom": "all", "evidence": "by letter"})
    office.contact.refresh_from_db()
    assert office.contact.opted_out_at is None
    assert office.contact.addresses.get().opted_out_at is None
    assert office.contact.consent_source == "person"
    assert LogEntry.objects.count() == 2


def test_the_list_tells_of_opt_outs_and_tags(boss: Client, office: Office) -> None:
    tag = Tag.objects.create(name="VIP")
    office.contact.tags.add(tag)
    make_contact("Ben", "+447700900777")
    ContactAddress.objects.filter(contact=office.contact).update(opted_out_at=timezone.now())
    text = boss.get(url("changelist"), {"tag": tag.pk}).content.decode()
    assert "since " in text
    assert "Ben" not in text


def test_whoever_opted_out_is_not_deleted(boss: Client) -> None:
    contact = make_contact("Ben", "+447700900777")
    Contact.objects.update(opted_out_at=timezone.now())
    assert boss.post(url("delete", contact), {"post": "yes"}).status_code == 403
    Contact.objects.update(opted_out_at=None)
    assert boss.post(url("delete", contact), {"post": "yes"}).status_code == 302
    assert Contact.objects.count() == 0


def test_whoever_has_conversations_is_kept_with_a_reason(boss: Client, office: Office) -> None:
    response = boss.post(url("delete", office.contact), {"post": "yes"})
    assert b"Cannot delete contact" in response.content
    assert Contact.objects.count() == 1
    number = office.contact.addresses.get()
    values = {
        "name": "Amina",
        "addresses-TOTAL_FORMS": 1,
        "addresses-INITIAL_FORMS": 1,
        "addresses-0-id": number.pk,
        "addresses-0-contact": office.contact.pk,
        "addresses-0-value": number.value,
        "addresses-0-DELETE": "on",
    }
    boss.post(url("change", office.contact), values)
    assert office.contact.addresses.count() == 1


def test_saving_a_contact_leaves_what_a_worker_wrote(
    boss: Client, office: Office, monkeypatch: Any
) -> None:
    real = Contact.save

    def save(self: Contact, *args: Any, **kwargs: Any) -> None:
        Contact.objects.filter(pk=self.pk).update(opted_out_at=timezone.now())
        real(self, *args, **kwargs)

    monkeypatch.setattr(Contact, "save", save)
    values = {"name": "Renamed", "addresses-TOTAL_FORMS": 0, "addresses-INITIAL_FORMS": 0}
    boss.post(url("change", office.contact), values)
    office.contact.refresh_from_db()
    assert office.contact.name == "Renamed"
    assert office.contact.opted_out_at is not None


def test_a_tag_is_deleted_without_listing_its_wearers(boss: Client, office: Office) -> None:
    tag = Tag.objects.create(name="VIP")
    office.contact.tags.add(tag)
    page = url("delete", tag, "tag")
    assert b"Amina" not in boss.get(page).content
    assert boss.post(page, {"post": "yes"}).status_code == 302
    assert Contact.objects.count() == 1


# Conversations


@pytest.mark.parametrize(
    ("policy", "hours", "words"),
    [
        ("none", 5, "no limit"),
        ("inbound_only", 5, "open until"),
        ("inbound_only", -5, "template only (closed"),
        ("inbound_only", None, "template only"),
    ],
)
def test_the_window_is_told(
    boss: Client, office: Office, policy: str, hours: int | None, words: str
) -> None:
    office.provider.window_policy = policy
    office.provider.save()
    ends = timezone.now() + timedelta(hours=hours) if hours else None
    Conversation.objects.update(window_expires_at=ends)
    for page in (
        url("changelist", model="conversation"),
        url("change", office.conversation, "conversation"),
    ):
        assert words in boss.get(page).content.decode()


def test_a_conversation_shows_its_messages_and_its_work(
    boss: Client, office: Office, django_user_model: Any
) -> None:
    office.message("Latest words")
    label = Label.objects.create(name="urgent")
    page = url("change", office.conversation, "conversation")
    text = boss.get(page).content.decode()
    assert "Latest words" in text
    assert f"conversation__id__exact={office.conversation.pk}" in text
    user = django_user_model.objects.create_user("ann")
    boss.post(page, {"status": "done", "assignee": user.pk, "labels": [label.pk]})
    office.conversation.refresh_from_db()
    assert (office.conversation.status, office.conversation.assignee) == ("done", user)
    assert list(office.conversation.labels.all()) == [label]


def test_assigning_is_a_permission_of_its_own(
    as_role: Any, office: Office, django_user_model: Any
) -> None:
    rights = ("view_conversation", "change_conversation", "view_full_number")
    page = url("change", office.conversation, "conversation")
    browser = as_role(*rights)
    browser.post(page, {"status": "done", "assignee": browser.user.pk})
    office.conversation.refresh_from_db()
    assert (office.conversation.status, office.conversation.assignee) == ("done", None)
    browser = as_role(*rights, "assign_conversation")
    browser.post(page, {"status": "done", "assignee": browser.user.pk})
    office.conversation.refresh_from_db()
    assert office.conversation.assignee == browser.user


def test_users_are_searched_where_the_host_allows_it_and_typed_elsewhere(
    boss: Client, as_role: Any, office: Office
) -> None:
    page = url("change", office.conversation, "conversation")
    assert 'data-field-name="assignee"' in boss.get(page).content.decode()
    rights = ("view_conversation", "change_conversation", "assign_conversation", "view_full_number")
    text = as_role(*rights).get(page).content.decode()
    assert 'data-field-name="assignee"' not in text
    assert 'name="assignee"' in text
