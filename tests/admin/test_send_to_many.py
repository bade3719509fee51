"""Sending to contacts chosen in their list, and to conversations."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging.admin import send as send_module
from messaging.models import Contact, Conversation, Message, Priority, Tag

from .conftest import Office, make_contact
from .test_send import _somebody, look, page


def choose(browser: Client, ids: list[int], *, across: bool = False, query: str = "") -> str:
    """Pick contacts in their list; the address of the send page."""
    data = {"action": "send_to_selected", "_selected_action": ids, "index": "0"}
    if across:
        data["select_across"] = "1"
    response = browser.post(reverse("admin:messaging_contact_changelist") + query, data)
    assert response.status_code == 302
    return str(response.url)


def test_chosen_contacts_get_one_each_and_the_rest_a_reason(boss: Client, office: Office) -> None:
    out = make_contact("Ben", "+447700900201")
    Contact.objects.filter(pk=out.pk).update(opted_out_at=timezone.now())
    make_contact("Chandra", "+447700900202")
    Contact.objects.create(name="Nobody's number")
    url = choose(boss, list(Contact.objects.values_list("pk", flat=True)))

    response, form = look(boss, url, {"c-body": "We are closed."})
    text = response.content.decode()
    assert "Send to 2 people" in text
    assert "Ben: This person opted out" in text
    assert "number: No number is known." in text

    response = boss.post(url, form)
    assert "2 messages are queued." in response.content.decode()
    assert "Ben" in response.content.decode()
    assert {row.priority for row in Message.objects.all()} == {Priority.BROADCAST}
    boss.post(url, form)
    assert Message.objects.count() == 2
    assert LogEntry.objects.count() == 1


def test_select_all_means_the_list_and_no_names_are_rendered(boss: Client, office: Office) -> None:
    tag = Tag.objects.create(name="patients")
    for number in range(60):
        make_contact(f"Person {number:02}", f"+4477009{number:05}").tags.add(tag)
    query = f"?tag={tag.pk}"
    first = Contact.objects.order_by("pk").last()
    assert first is not None
    url = choose(boss, [first.pk], across=True, query=query)

    text = boss.get(url).content.decode()
    assert "60 contacts" in text
    assert "Person 09" in text
    assert "Person 10" not in text

    response, form = look(boss, url, {"c-body": "News"})
    assert b"Type 60 to confirm" in response.content
    response = boss.post(url, {**form, "confirm": "59"})
    assert b"Type the number of people, 60, to send." in response.content
    assert Message.objects.count() == 0
    boss.post(url, {**form, "confirm": "60"})
    assert Message.objects.count() == 60


def test_many_need_the_permission_for_broadcasts(
    as_role: Any, office: Office, monkeypatch: Any
) -> None:
    monkeypatch.setattr(send_module, "MANY", 1)
    make_contact("Ben", "+447700900201")
    url = page(contacts=",".join(str(pk) for pk in Contact.objects.values_list("pk", flat=True)))
    rights = ["send_message", "view_contact", "view_message"]
    assert as_role(*rights).get(url).status_code == 403
    assert as_role(*rights).post(url, {"_send": "1"}).status_code == 403
    assert as_role(*rights, "send_broadcast").get(url).status_code == 200


def test_too_many_are_turned_away(boss: Client, office: Office, monkeypatch: Any) -> None:
    monkeypatch.setattr(send_module, "MOST", 1)
    make_contact("Ben", "+447700900201")
    response = boss.get(page(found="all%3D1"), follow=True)
    assert b"More than 1 people cannot be written to at once" in response.content


def test_one_contact_is_a_reply(boss: Client, office: Office) -> None:
    url = choose(boss, [office.contact.pk])
    _response, form = look(boss, url, {"c-body": "Hello"})
    response = boss.post(url, form)
    message = Message.objects.get()
    assert message.priority == Priority.REPLY
    assert response.url == reverse("admin:messaging_message_change", args=[message.pk])


@pytest.mark.parametrize("query", ["conversation=999", "conversation=x", "found=nonsense__x%3D1"])
def test_an_audience_that_is_not_there(boss: Client, office: Office, query: str) -> None:
    assert boss.get(f"{page()}?{query}").status_code in (400, 404)


def test_other_peoples_conversations_are_not_written_to(as_role: Any, office: Office) -> None:
    Conversation.objects.update(assignee=_somebody())
    url = page(conversation=office.conversation.pk)
    assert as_role("send_message").get(url).status_code == 404
    assert as_role("send_message", "view_all_conversations").get(url).status_code == 200
