"""The send page: every kind, once, after a look at it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging.admin.kinds import SENDABLE
from messaging.models import (
    Attachment,
    Conversation,
    Message,
    Priority,
    Sender,
    SenderAccess,
    Template,
)

from .conftest import Office

NUMBER = "07700 900999"
LINK = "https://example.com/file"
FILE = {"c-link": LINK, "c-caption": "Look"}
CARD = {
    "c-cards": "1",
    "c-card1_name": "Dr Okello",
    "c-card1_phone1": "+447700900555",
    "c-card1_phone1_type": "WORK",
    "c-card1_email1": "okello@example.com",
    "c-card1_organization": "Clinic",
    "c-card1_birthday": "1980-12-31",
    "c-card1_city": "Kampala",
    "c-card1_url": "https://example.com",
}
BUTTONS = {
    "c-body": "Will you come?",
    "c-reply1": "Yes",
    "c-reply2": "No",
    "c-call_text": "Call us",
    "c-call_phone": "+447700900001",
    "c-url_text": "Map",
    "c-url_url": "https://example.com/map",
    "c-footer": "Clinic",
}
PLACE = {"c-header_kind": "location", "c-header_latitude": "1.5", "c-header_longitude": "2.5"}

#: (case, kind, fields, the stored content's parts)
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("text", "text", {"c-body": "Hello"}, {"body": "Hello"}),
    ("template", "template", {"c-v_1": "Amina", "c-v_2": "Friday"}, {}),
    *((kind, kind, FILE, {"link": LINK}) for kind in ("image", "video", "audio", "document")),
    ("sticker", "sticker", {"c-link": LINK}, {"kind": "sticker"}),
    (
        "location",
        "location",
        {"c-latitude": "0.31", "c-longitude": "32.58", "c-name": "Clinic"},
        {"latitude": 0.31, "longitude": 32.58, "name": "Clinic"},
    ),
    ("contact cards", "contacts", CARD, {}),
    ("buttons", "buttons", BUTTONS, {"footer": "Clinic", "body": "Will you come?"}),
    (
        "buttons below a text",
        "buttons",
        {**BUTTONS, "c-header_kind": "text", "c-header_text": "Hi"},
        {"header": {"kind": "text", "body": "Hi"}},
    ),
    (
        "buttons below a picture",
        "buttons",
        {**BUTTONS, "c-header_kind": "image", "c-header_link": LINK},
        {"header": {"kind": "image", "link": LINK}},
    ),
    (
        "buttons below a place",
        "buttons",
        {**BUTTONS, **PLACE},
        {"header": {"kind": "location", "latitude": 1.5, "longitude": 2.5}},
    ),
    (
        "list",
        "list",
        {
            "c-body": "Choose",
            "c-button": "Open",
            "c-row1_title": "Tea",
            "c-row3_title": "Coffee",
            "c-row3_description": "black",
            "c-row3_section": "Hot",
        },
        {"rows": [{"title": "Tea"}, {"title": "Coffee", "description": "black", "section": "Hot"}]},
    ),
]


def page(**query: Any) -> str:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return reverse("admin:messaging_message_send") + (f"?{text}" if text else "")


def hidden(response: Any, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', response.content.decode())
    return found[1] if found else ""


def look(browser: Client, url: str, fields: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Press Check; the answer, and what pressing Send would post."""
    nonce = hidden(browser.get(url), "nonce")
    response = browser.post(url, {**fields, "nonce": nonce, "_check": "1"})
    again = {"nonce": hidden(response, "nonce"), "checked": hidden(response, "checked")}
    kept = {name: hidden(response, name) for name in ("c-kept", "c-header_kept")}
    fields = {name: value for name, value in fields.items() if not hasattr(value, "read")}
    return response, {**fields, **again, **{k: v for k, v in kept.items() if v}, "_send": "1"}


@pytest.mark.parametrize(
    ("kind", "fields", "parts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_every_kind_is_queued(
    boss: Client, office: Office, kind: str, fields: dict[str, Any], parts: dict[str, Any]
) -> None:
    url = page(kind=kind, template=office.template.pk)
    response, form = look(boss, url, {**fields, "to": NUMBER})
    assert b"Ready to send" in response.content
    assert Message.objects.count() == 0

    response = boss.post(url, form)

    message = Message.objects.get()
    assert response.status_code == 302
    assert message.status == "queued"
    assert message.kind == kind
    assert message.priority == Priority.REPLY
    assert message.author is not None
    assert message.author.get_username() == "boss"
    assert message.conversation.address.value == "+447700900999"
    for name, value in parts.items():
        assert message.content[name] == value
    assert LogEntry.objects.filter(object_id=str(message.pk)).count() == 1


def test_the_cases_cover_every_kind_there_is() -> None:
    assert {case[1] for case in CASES} == set(SENDABLE)


def test_a_template_keeps_its_values(boss: Client, office: Office) -> None:
    url = page(kind="template", template=office.template.pk)
    _response, form = look(boss, url, {"c-v_1": "Amina", "c-v_2": "Friday", "to": NUMBER})
    boss.post(url, form)
    message = Message.objects.get()
    assert message.text == "Dear Amina, see you on Friday."
    assert message.template == office.template


def test_a_card_keeps_every_part(boss: Client, office: Office) -> None:
    url = page(kind="contacts")
    _response, form = look(boss, url, {**CARD, "to": NUMBER})
    boss.post(url, form)
    (card,) = Message.objects.get().content["cards"]
    assert card["phones"] == [{"phone": "+447700900555", "type": "WORK"}]
    assert card["emails"] == [{"email": "okello@example.com"}]
    assert card["addresses"] == [{"city": "Kampala"}]
    assert card["urls"] == [{"url": "https://example.com"}]
    assert card["birthday"] == "1980-12-31"


def test_another_card_is_added_without_javascript_and_without_complaints(
    boss: Client, office: Office
) -> None:
    url = page(kind="contacts")
    data = {"c-cards": "1", "c-card1_name": "Ann", "nonce": "", "_more": "1"}
    response = boss.post(url, data)
    text = response.content.decode()
    assert 'name="c-card2_name"' in text
    assert 'value="Ann"' in text
    assert "errornote" not in text
    both = {"c-cards": "2", "c-card1_name": "Ann", "c-card2_name": "Ben", "to": NUMBER}
    _response, form = look(boss, url, both)
    boss.post(url, form)
    assert [card["name"] for card in Message.objects.get().content["cards"]] == ["Ann", "Ben"]


def test_an_upload_is_kept_between_the_look_and_the_sending(
    boss: Client, office: Office, settings: Any
) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "PUBLIC_BASE_URL": "https://desk.example.com"}
    upload = SimpleUploadedFile("map.png", b"\x89PNG", content_type="image/png")
    url = page(kind="image")
    response, form = look(boss, url, {"c-upload": upload, "to": NUMBER})
    assert b"Ready to send" in response.content
    boss.post(url, form)
    message, attachment = Message.objects.get(), Attachment.objects.get()
    assert message.content["file"] == str(attachment.key)
    assert message.content["filename"] == "map.png"
    assert attachment.message == message


def test_a_link_replaces_an_upload(boss: Client, office: Office) -> None:
    upload = SimpleUploadedFile("map.png", b"\x89PNG", content_type="image/png")
    url = page(kind="image")
    _response, form = look(boss, url, {"c-upload": upload, "to": NUMBER})
    _response, form = look(boss, url, {**form, "c-link": LINK})
    boss.post(url, form)
    assert Message.objects.get().content == {"kind": "image", "link": LINK}


def test_somebody_elses_upload_cannot_be_named(boss: Client, office: Office) -> None:
    from messaging.admin.uploads import keep_token

    row = Attachment.objects.create(filename="secret.pdf", size=1)

    class Other:
        pk = 9999

    for token in (keep_token(Other(), str(row.key)), str(row.key)):
        response, _form = look(boss, page(kind="document"), {"c-kept": token, "to": NUMBER})
        assert b"Give either a link or a file." in response.content


def test_programs_are_refused(boss: Client, office: Office) -> None:
    upload = SimpleUploadedFile("a.exe", b"MZ")
    response, _form = look(boss, page(kind="document"), {"c-upload": upload, "to": NUMBER})
    assert b"Programs cannot be sent" in response.content
    assert Attachment.objects.count() == 0


def test_pressing_twice_sends_once(boss: Client, office: Office) -> None:
    _response, form = look(boss, page(), {"c-body": "Once", "to": NUMBER})
    first, second = boss.post(page(), form), boss.post(page(), form)
    assert Message.objects.count() == 1
    assert first.url == second.url
    assert LogEntry.objects.count() == 1


def test_other_words_under_a_used_number_are_looked_at_anew(boss: Client, office: Office) -> None:
    _response, form = look(boss, page(), {"c-body": "Once", "to": NUMBER})
    boss.post(page(), form)
    response = boss.post(page(), {**form, "c-body": "Twice"})
    assert b"You have already sent a message from this page" in response.content
    fresh = {"nonce": hidden(response, "nonce"), "checked": hidden(response, "checked")}
    assert fresh["nonce"] != form["nonce"]
    boss.post(page(), {**form, "c-body": "Twice", **fresh})
    assert list(Message.objects.order_by("pk").values_list("text", flat=True)) == ["Once", "Twice"]


@pytest.mark.parametrize(
    "change",
    [
        {"c-body": "Other"},
        {"to": "07700 900111"},
        {"send_at_0": "2099-01-01", "send_at_1": "10:00"},
    ],
)
def test_what_was_not_looked_at_is_not_sent(
    boss: Client, office: Office, change: dict[str, str]
) -> None:
    _response, form = look(boss, page(), {"c-body": "Hello", "to": NUMBER})
    response = boss.post(page(), {**form, **change})
    assert b"Something changed since the check" in response.content
    assert Message.objects.count() == 0


def test_without_a_look_nothing_is_sent(boss: Client, office: Office) -> None:
    nonce = hidden(boss.get(page()), "nonce")
    boss.post(page(), {"c-body": "Hello", "to": NUMBER, "nonce": nonce, "_send": "1"})
    assert Message.objects.count() == 0


def test_the_number_is_shown_as_it_was_understood(boss: Client, office: Office) -> None:
    response, _form = look(boss, page(), {"c-body": "Hello", "to": "07700 900123"})
    assert "+44 7700 900123 (Amina Nakato)" in response.content.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"c-body": "", "to": NUMBER}, "This field is required"),
        ({"c-body": "x", "to": "hello"}, "is not a phone number"),
        (
            {"c-body": "x", "to": NUMBER, "send_at_0": "2001-01-01", "send_at_1": "10:00"},
            "This time has passed",
        ),
    ],
)
def test_mistakes_are_told_and_what_was_typed_is_kept(
    boss: Client, office: Office, fields: dict[str, str], words: str
) -> None:
    response, form = look(boss, page(), fields)
    text = response.content.decode()
    assert words in text
    assert 'name="_send"' not in text
    assert fields["to"] in text
    boss.post(page(), form)
    assert Message.objects.count() == 0


def test_the_window_is_told_before_and_held_messages_wait(boss: Client, office: Office) -> None:
    office.provider.window_policy = "inbound_only"
    office.provider.save()
    url = page(conversation=office.conversation.pk)
    Conversation.objects.update(window_expires_at=timezone.now() - timedelta(hours=1))

    response, _form = look(boss, url, {"c-body": "Hello"})
    assert b"The 24-hour reply window is closed" in response.content

    response, form = look(boss, url, {"c-body": "Hello", "hold": "on"})
    assert b"The message waits until the customer writes." in response.content
    boss.post(url, form)
    assert Message.objects.get().held


def test_scheduling(boss: Client, office: Office) -> None:
    url = page(conversation=office.conversation.pk)
    when = timezone.localtime() + timedelta(days=2)
    fields = {"c-body": "Later", "send_at_0": when.date().isoformat(), "send_at_1": "10:00"}
    _response, form = look(boss, url, fields)
    boss.post(url, form)
    message = Message.objects.get()
    assert message.scheduled_at is not None
    assert message.due_at == message.scheduled_at


def test_a_template_is_chosen_by_get(boss: Client, office: Office) -> None:
    text = boss.get(page(kind="template", to="0770")).content.decode()
    assert f'<option value="{office.template.pk}">' in text
    assert '<input type="hidden" name="to" value="0770">' in text
    Template.objects.update(status="pending")
    assert b"There is no approved template" in boss.get(page(kind="template")).content


def test_many_senders_are_searched_instead_of_listed(boss: Client, office: Office) -> None:
    for number in range(51):
        Sender.objects.create(provider=office.provider, name=f"Desk {number}")
    text = boss.get(page()).content.decode()
    assert "admin-autocomplete" in text
    assert "Desk 7" not in text


def test_a_reserved_sender_is_neither_offered_nor_usable(as_role: Any, office: Office) -> None:
    browser = as_role("send_message", "view_message")
    other = Sender.objects.create(provider=office.provider, name="Directors")
    SenderAccess.objects.create(sender=other, user=_somebody())
    assert b"Directors" not in browser.get(page()).content
    fields = {"c-body": "Hello", "to": NUMBER, "sender": str(other.pk)}
    response, _form = look(browser, page(), fields)
    assert b"Select a valid choice" in response.content

    SenderAccess.objects.create(sender=office.sender, user=_somebody())
    url = page(conversation=office.conversation.pk)
    nonce = hidden(browser.get(url), "nonce")
    response = browser.post(url, {"c-body": "x", "nonce": nonce, "_check": "1"})
    assert response.status_code == 403
    SenderAccess.objects.create(sender=office.sender, user=browser.user)
    response = browser.post(url, {"c-body": "x", "nonce": nonce, "_check": "1"})
    assert response.status_code == 200


@pytest.mark.parametrize("step", ["edit", "again"])
def test_a_reserved_sender_is_not_written_from_by_old_messages(
    as_role: Any, office: Office, step: str
) -> None:
    browser = as_role("view_message", "send_message", "resend_message")
    message = (
        office.settled("failed")
        if step == "again"
        else office.message(send_at=timezone.now() + timedelta(days=1))
    )
    address = reverse(f"admin:messaging_message_{step}", args=[message.pk])
    assert browser.get(address).status_code == 200
    SenderAccess.objects.create(sender=office.sender, user=_somebody())
    assert browser.get(address).status_code == 403
    assert browser.post(address).status_code == 403


def _somebody() -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get_or_create(username="somebody")[0]
