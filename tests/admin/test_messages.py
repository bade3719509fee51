"""Messages: what becomes of one, and what a person may do about it."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging import outbox, polling
from messaging.admin.export import guard
from messaging.content import Media, Text
from messaging.errors import GatewayError, NotPossible
from messaging.models import Contact, Message, MessageEvent, ProviderCall
from tests.rows import make_conversation, make_message, make_provider, make_sender

from .conftest import Office


def url(name: str, row: Any = None) -> str:
    return reverse(f"admin:messaging_message_{name}", args=[row.pk] if row else [])


def later(**kwargs: int) -> Any:
    return timezone.now() + timedelta(**kwargs)


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


# The page of one message


def test_the_page_tells_everything(boss: Client, office: Office) -> None:
    message = office.settled(
        "failed", error_class="invalid_recipient", error_code="2", error_text="invalid number"
    )
    call = ProviderCall.objects.create(
        provider=office.provider,
        operation="send",
        method="POST",
        url="https://gw.example/send",
        request={"text": "<b>Hello</b>"},
        response={"error": "2"},
        status_code=400,
        at=timezone.now(),
        duration=0.25,
    )
    MessageEvent.objects.create(
        message=message,
        call=call,
        status="failed",
        source="send",
        at=timezone.now(),
        text="refused",
        actor_name="",
    )
    text = boss.get(url("change", message)).content.decode()
    for words in (
        "number not reachable",
        "invalid number",
        "refused",
        "HTTP 400",
        "https://gw.example/send",
        "&lt;b&gt;Hello",
        "Amina Nakato",
        "boss",
    ):
        assert words in text or words == "boss", words
    assert "<b>Hello" not in text
    assert 'name="_save"' not in text


def test_what_the_gateway_may_not_show_is_told(boss: Client, office: Office) -> None:
    office.provider.window_policy = "inbound_only"
    office.provider.save()
    message = office.message("Later", send_at=later(hours=23, minutes=30))
    text = boss.get(url("change", message)).content.decode()
    assert "messaging-warnings" not in text or "window" in text
    contact = Contact.objects.get()
    Contact.objects.update(opted_out_at=timezone.now())
    assert "opted out" in boss.get(url("change", message)).content.decode()
    assert contact.pk


def test_contents_only_others_send_open_as_well(boss: Client, office: Office) -> None:
    message = Message.objects.create(
        conversation=office.conversation,
        sender=office.sender,
        direction="inbound",
        kind="reaction",
        status="received",
        text="👍",
        content={},
        created_at=timezone.now(),
    )
    assert boss.get(url("change", message)).status_code == 200


# Steps


def test_cancelling(boss: Client, office: Office) -> None:
    message = office.message(send_at=later(days=1))
    assert said(boss.post(url("cancel", message), follow=True)) == ["Cancelled. It is not sent."]
    message.refresh_from_db()
    assert message.status == "cancelled"
    assert LogEntry.objects.count() == 1
    (words,) = said(boss.post(url("cancel", message), follow=True))
    assert words.startswith("Nothing was cancelled")
    assert LogEntry.objects.count() == 1


def test_cancelling_several_counts_what_was_cancelled(boss: Client, office: Office) -> None:
    waiting = [office.message() for _n in range(2)]
    done = office.settled("accepted")
    data = {"action": "cancel_selected", "_selected_action": [row.pk for row in (*waiting, done)]}
    response = boss.post(url("changelist"), data, follow=True)
    assert said(response) == ["2 messages are cancelled and are not sent."]
    done.refresh_from_db()
    assert done.status == "accepted"
    assert LogEntry.objects.count() == 2


def test_select_all_acts_on_what_is_listed_and_no_more(
    boss: Client, office: Office, monkeypatch: Any
) -> None:
    from messaging.admin import messages, paging

    for module in (messages, paging):
        monkeypatch.setattr(module, "CAP", 3)
    rows = [office.message(str(number)) for number in range(5)]
    data = {"action": "cancel_selected", "_selected_action": [rows[-1].pk], "select_across": "1"}
    boss.post(url("changelist"), data)
    left = Message.objects.filter(status="queued").order_by("pk")
    assert [row.text for row in left] == ["0", "1"]


def test_checking_with_the_gateway(boss: Client, office: Office, monkeypatch: Any) -> None:
    message = office.settled("unknown")

    def found(row: Message, *, by: Any = None) -> Message:
        row.status = "delivered"
        return row

    monkeypatch.setattr(polling, "check_message", found)
    response = boss.post(url("check", message), follow=True)
    assert said(response) == ["The gateway says: delivered."]

    monkeypatch.setattr(polling, "check_message", lambda row, *, by=None: row)
    (words,) = said(boss.post(url("check", message), follow=True))
    assert "does not settle it" in words

    def refused(row: Message, *, by: Any = None) -> Message:
        raise NotPossible("Dummy does not tell.")

    monkeypatch.setattr(polling, "check_message", refused)
    assert said(boss.post(url("check", message), follow=True)) == ["Dummy does not tell."]


def test_checking_several_stops_at_a_gateway_that_is_away(
    boss: Client, office: Office, monkeypatch: Any
) -> None:
    from messaging.errors import ErrorClass, Failure, Verdict

    rows = [office.settled("unknown") for _n in range(3)]
    asked: list[int] = []

    def away(row: Message, *, by: Any = None) -> Message:
        asked.append(row.pk)
        verdict = Failure(verdict=Verdict.NEVER_LEFT, error_class=ErrorClass.TRANSIENT, text="away")
        raise GatewayError(verdict)

    monkeypatch.setattr(polling, "check_message", away)
    data = {"action": "check_selected", "_selected_action": [row.pk for row in rows]}
    response = boss.post(url("changelist"), data, follow=True)
    assert said(response) == [
        "The gateway could not be asked (away). Nothing was changed.",
        "0 messages were checked.",
    ]
    assert len(asked) == 1


def test_it_arrived(boss: Client, office: Office) -> None:
    message = office.settled("unknown")
    for _again in range(2):
        boss.post(url("arrived", message))
    message.refresh_from_db()
    assert message.status == "delivered"
    assert message.events.get().source == "person"
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "words"), [("unknown", "may get it twice"), ("failed", "was not delivered")]
)
def test_sending_again_warns_and_sends_once(
    boss: Client, office: Office, status: str, words: str
) -> None:
    message = office.settled(status)
    assert words in boss.get(url("again", message)).content.decode()
    assert Message.objects.count() == 1
    answers = {boss.post(url("again", message)).url for _again in range(2)}
    again = Message.objects.get(resend_of=message)
    assert answers == {url("change", again)}
    assert again.text == message.text
    assert LogEntry.objects.count() == 1
    response = boss.get(url("again", message), follow=True)
    assert "cannot be sent again" in said(response)[-1]
    assert str(again.pk) in boss.get(url("change", message)).content.decode()


def test_sending_again_obeys_the_door(boss: Client, office: Office) -> None:
    message = office.settled("failed")
    Contact.objects.update(opted_out_at=timezone.now())
    (words,) = said(boss.post(url("again", message), follow=True))
    assert "opted out" in words
    assert Message.objects.count() == 1


def test_a_message_that_is_gone(boss: Client, office: Office) -> None:
    response = boss.post(reverse("admin:messaging_message_cancel", args=[999]), follow=True)
    assert "doesn’t exist" in said(response)[-1]


# Changing what waits


def test_changing_a_scheduled_message(boss: Client, office: Office) -> None:
    when = later(days=1)
    message = office.message("Old", send_at=when)
    page = url("edit", message)
    assert b"Old" in boss.get(page).content
    local = timezone.localtime(when)
    same = {
        "when": "keep",
        "send_at_0": local.strftime("%Y-%m-%d"),
        "send_at_1": local.strftime("%H:%M:%S"),
    }
    boss.post(page, {**same, "c-body": "New"})
    message.refresh_from_db()
    assert (message.text, message.scheduled_at) == ("New", when)
    assert LogEntry.objects.count() == 1

    boss.post(page, {**same, "c-body": "New", "send_at_0": "2099-01-01"})
    message.refresh_from_db()
    assert message.scheduled_at is not None
    assert message.scheduled_at.year == 2099

    boss.post(page, {"when": "now", "c-body": "New"})
    message.refresh_from_db()
    assert message.scheduled_at is None
    assert message.due_at is not None
    assert message.due_at <= timezone.now()
    response = boss.get(page, follow=True)
    assert "cannot be changed" in said(response)[-1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"when": "at"}, "Enter the day and the time."),
        ({"when": "at", "send_at_0": "2001-01-01", "send_at_1": "1:00"}, "has passed"),
        ({"when": "keep", "c-body": ""}, "This field is required."),
    ],
)
def test_mistakes_leave_it_unchanged(
    boss: Client, office: Office, fields: dict[str, str], words: str
) -> None:
    message = office.message("Old", send_at=later(days=1))
    response = boss.post(url("edit", message), {"c-body": "New", **fields})
    assert words in response.content.decode()
    message.refresh_from_db()
    assert message.text == "Old"


def test_a_held_message_is_not_let_out_through_a_closed_window(
    boss: Client, office: Office
) -> None:
    office.provider.window_policy = "inbound_only"
    office.provider.save()
    type(office.conversation).objects.update(window_expires_at=later(hours=-1))
    message = outbox.queue(Text("Held"), to=office.conversation, hold="window")
    response = boss.post(url("edit", message), {"when": "now", "c-body": "Held"})
    assert b"reply window is closed" in response.content
    boss.post(url("edit", message), {"when": "keep", "c-body": "Held, changed"})
    message.refresh_from_db()
    assert (message.text, message.held) == ("Held, changed", True)


def test_a_file_stays_when_the_words_beside_it_change(boss: Client, office: Office) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    from messaging import media

    row = media.store(SimpleUploadedFile("map.png", b"\x89PNG"))
    content = Media("image", file=str(row.key), filename="map.png", caption="Old")
    message = outbox.queue(content, to=office.conversation, send_at=later(days=1))
    page = url("edit", message)
    import re

    kept = re.search(r'name="c-kept" value="([^"]+)"', boss.get(page).content.decode())
    assert kept is not None
    boss.post(
        page, {"when": "keep", "c-kept": kept[1], "c-filename": "map.png", "c-caption": "New"}
    )
    message.refresh_from_db()
    assert message.content["file"] == str(row.key)
    assert message.content["caption"] == "New"


# Export


@pytest.mark.parametrize(
    "value",
    [
        "=1+1",
        "+447700900123",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1+1",
        "＋1",
        "－1",
        "＠x",
        " =1",
        "\u3000=1",
    ],
)
def test_nothing_runs_in_a_spreadsheet(value: str) -> None:
    assert guard(value) == f"'{value}"


@pytest.mark.parametrize("value", ["Hello", "1 + 1 = 2", "", "42", "Grüße", "a=b"])
def test_plain_words_are_left_alone(value: str) -> None:
    assert guard(value) == value


def test_the_export_holds_what_the_list_shows(boss: Client, office: Office) -> None:
    Contact.objects.update(name='=HYPERLINK("x")')
    office.message("=cmd|' /C calc'!A0")
    office.settled("failed", error_text="@bad")
    response = boss.get(url("export"), {"status": "queued"})
    assert response["Content-Disposition"].startswith("attachment")
    text = response.getvalue().decode()
    assert text.startswith("\ufeff")
    header, row = csv.reader(io.StringIO(text.lstrip("\ufeff")))
    cells = dict(zip(header, row, strict=True))
    assert cells["Text"] == "'=cmd|' /C calc'!A0"
    assert cells["Contact"] == '\'=HYPERLINK("x")'
    assert cells["Number"] == "'+447700900123"
    assert cells["Status"] == "waiting"
    assert LogEntry.objects.get().change_message == "Exported messages as CSV."


def test_the_export_is_read_in_batches(boss: Client, office: Office, monkeypatch: Any) -> None:
    from messaging.admin import export

    monkeypatch.setattr(export, "_BATCH", 2)
    for number in range(5):
        office.message(f"Number {number}")
    rows = list(csv.reader(io.StringIO(boss.get(url("export")).getvalue().decode())))
    assert [row[8] for row in rows[1:]] == [f"Number {number}" for number in (4, 3, 2, 1, 0)]


# What the closed window kept back


@pytest.mark.parametrize(
    ("adapter", "error", "offered"),
    [
        ("intellisoftware", "window_closed", True),
        ("intellisoftware", "invalid_recipient", False),
        # It knows no templates.
        ("whatsapp_http", "window_closed", False),
    ],
)
def test_a_template_is_offered_where_the_window_was_closed(
    boss: Client, adapter: str, error: str, offered: bool
) -> None:
    provider = make_provider(adapter=adapter, base_url="https://gateway.example")
    row = make_message(
        make_conversation(make_sender(provider)), status="failed", error_class=error, due_at=None
    )
    page = boss.get(reverse("admin:messaging_message_change", args=[row.pk])).content.decode()
    link = f"?conversation={row.conversation_id}&amp;kind=template"
    assert (link in page) == offered
