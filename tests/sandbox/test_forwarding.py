"""What IntelliSoftware forwards: received messages, the old form, status reports."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from messaging.sandbox import SandboxClient
from messaging.sandbox.accounts import IS_ACCESS_KEY, IS_NUMBER

from .conftest import OTHER, PHONE, TIMEOUT, IntelliSoftware
from .receiver import Receiver

WH = "whatsapp_http"
IS = "intellisoftware"


def test_forwarding_repeats_until_exactly_200(control: SandboxClient, hook: Receiver) -> None:
    hook.statuses = [500, 204, 302, 200]
    control.customer_writes(IS, phone=PHONE, text="Hello")
    control.settle()
    assert len(hook.posts) == 1
    for count in (2, 3, 4):
        control.advance(301)
        control.settle()
        assert len(hook.posts) == count
    control.advance(301)
    control.settle()
    assert len({post.body for post in hook.posts}) == 1
    log = control.webhook_log(gateway=IS)
    assert [(row["attempt"], row["status"]) for row in log] == [
        (1, 500), (2, 204), (3, 302), (4, 200),
    ]  # fmt: skip


def test_the_repetition_can_be_quick(control: SandboxClient, hook: Receiver) -> None:
    control.settings(repeat_every=0.05)
    hook.statuses = [503, 503, 200]
    control.customer_writes(IS, phone=PHONE, text="Hello")
    for _ in range(500):
        if control.pending() == {"waiting": 0, "later": 0}:
            break
        time.sleep(0.01)
    assert len(hook.posts) == 3


def test_several_messages_in_one_body(control: SandboxClient, hook: Receiver) -> None:
    written = control.customer_writes(
        IS,
        phone=PHONE,
        messages=[
            {"text": "Smiley 😃", "channel": "sms", "sent": "2025-06-10T14:45:12+01:00"},
            {"ud": "32F4010048"},
            {"text": "Body"},
            {"kind": "button", "title": "Tap"},
            {"kind": "reply", "title": "Yes", "reply_id": "yes", "phone": OTHER},
            {"kind": "image", "link": "https://media.example.com/a.jpg", "text": "Look"},
            {"msgobject": {"type": "unsupported", "errors": [{"code": 131051}]}},
        ],
    )
    control.settle()
    (post,) = hook.posts
    assert rb"\ud83d\ude03" in post.body
    assert post.content_type == "application/json"
    messages = post.json["messages"]
    assert list(messages[0]) == ["to", "from", "messageid", "channel", "sent", "content"]
    assert [message["messageid"] for message in messages] == written["ids"]
    assert all(re.fullmatch("[0-9a-f]{34}", message_id) for message_id in written["ids"])
    assert {message["to"] for message in messages} == {IS_NUMBER}
    assert [message["channel"] for message in messages] == ["sms"] * 2 + ["whatsapp"] * 5
    assert messages[0]["sent"] == "2025-06-10T14:45:12+01:00"
    assert messages[1]["sent"].endswith("-00:00")
    assert messages[4]["from"] == OTHER
    contents = [message["content"] for message in messages]
    assert contents[0] == {"msgtype": "text", "text": "Smiley 😃"}
    assert contents[1] == {"msgtype": "text", "ud": "32F4010048"}
    assert {content["format"] for content in contents[2:]} == {"wa_msgobject_v2"}
    assert [content["msgobject"] for content in contents[2:]] == [
        {"type": "text", "text": {"body": "Body"}},
        {"type": "button", "button": {"text": "Tap"}},
        {"type": "reply", "interactive": {"title": "Yes", "id": "yes"}},
        {"type": "image", "image": {"link": "https://media.example.com/a.jpg", "caption": "Look"}},
        {"type": "unsupported", "errors": [{"code": 131051}]},
    ]


def test_a_lone_surrogate_and_the_same_message_twice(
    control: SandboxClient, hook: Receiver
) -> None:
    for gateway in (IS, WH):
        for _ in range(2):
            control.customer_writes(gateway, phone=PHONE, text="half \ud83d", id="0a1b2c")
    control.settle()
    assert [rb"\ud83d" in post.body for post in hook.posts] == [True] * 4
    assert hook.posts[0].json["messages"][0]["messageid"] == "0a1b2c"
    assert hook.posts[3].json["waMessageID"] == "0a1b2c"


def test_a_file_is_served_where_the_link_leads(
    control: SandboxClient, hook: Receiver, http: requests.Session
) -> None:
    control.customer_writes(IS, phone=PHONE, kind="image", file=b"\xff\xd8", filename="é.jpg")
    control.settle()
    link = hook.posts[0].json["messages"][0]["content"]["msgobject"]["image"]["link"]
    response = http.get(link, timeout=TIMEOUT)
    assert (response.content, response.headers["Content-Type"]) == (b"\xff\xd8", "image/jpeg")


def test_the_old_form(control: SandboxClient, hook: Receiver) -> None:
    text, sent = "Message Text & 50%", "2025-06-03T13:50:05-00:00"
    options: dict[str, Any] = {"phone": PHONE, "form": True, "text": text, "sent": sent}
    named = control.customer_writes(IS, **options)["ids"][0]
    bare = control.customer_writes(IS, bare=True, networkcode="234010", **options)["ids"][0]
    control.settle()
    first, second = hook.posts
    assert first.content_type == "application/x-www-form-urlencoded"
    assert parse_qs(first.body.decode()) == {
        "from": [PHONE], "to": [IS_NUMBER], "text": [text], "msgid": [named], "sent": [sent],
    }  # fmt: skip
    assert re.fullmatch("[0-9]{20}", bare)
    assert second.body.decode() == (
        f"text=Message+Text+%26+50%25&msgid={bare}&networkcode=234010"
        "&sent=2025-06-03T13%3a50%3a05-00%3a00"
    )


@pytest.mark.parametrize(
    ("form", "expected"),
    [("form", ["3", "4"]), ("json", [3, 4]), ("words", ["sent", "delivered", "read"])],
)
def test_status_reports(
    isoft: IntelliSoftware,
    control: SandboxClient,
    hook: Receiver,
    form: str,
    expected: list[Any],
) -> None:
    control.webhook(IS_ACCESS_KEY, status_url=f"{hook.url}/status", status_format=form)
    control.settings(delivered_after=0, read_after=0)
    hook.statuses = [500, 200]
    message_id = isoft.text().json()["messages"][0]["id"]
    control.settle()
    control.advance(300)
    control.settle()
    posts = [*hook.posts[1:-1], hook.posts[-1]]
    bodies = [
        {name: values[0] for name, values in parse_qs(post.body.decode()).items()}
        if form == "form"
        else post.json
        for post in posts
    ]
    # The first was refused, so it comes again after the others.
    assert [body["status"] for body in bodies] == [*expected[1:], expected[0]]
    assert {(body["msgid"], body["toaddr"]) for body in bodies} == {(message_id, PHONE)}
    assert {post.path for post in posts} == {"/hook/status"}


def test_a_status_report_may_say_failed(
    isoft: IntelliSoftware, control: SandboxClient, hook: Receiver
) -> None:
    control.webhook(IS, status_url=hook.url)
    control.settings(sent_after=None)
    isoft.text()
    control.set_status("failed", all=True)
    control.settle()
    assert b"status=6" in hook.posts[0].body


def test_a_customers_message_opens_the_window(
    isoft: IntelliSoftware, control: SandboxClient, hook: Receiver
) -> None:
    control.account(IS, enforce_window=True)
    assert "error" in isoft.text().json()["messages"][0]
    control.customer_writes(IS, phone=PHONE, text="by SMS", channel="sms")
    assert "error" in isoft.text().json()["messages"][0]
    control.customer_writes(IS, phone=PHONE, text="Hello")
    assert "id" in isoft.text().json()["messages"][0]
