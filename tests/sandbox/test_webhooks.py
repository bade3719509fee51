"""Webhooks out: what is posted, when, how often, and how it goes wrong on demand."""

from __future__ import annotations

import email
import json
import threading
from typing import Any

import pytest
import requests

from messaging.sandbox import Sandbox, SandboxClient, SandboxError, run
from messaging.sandbox.accounts import WH_NUMBER, WH_TOKEN

from .conftest import OTHER, PHONE, TIMEOUT, IntelliSoftware, Intellixent, WhatsAppHttp
from .receiver import Post, Receiver, receiving

WH = "whatsapp_http"
IS = "intellisoftware"


def _statuses(hook: Receiver) -> list[str]:
    return [post.json["statusInfo"] for post in hook.posts]


def _parts(post: Post) -> dict[str, Any]:
    head = f"Content-Type: {post.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + post.body)
    parts = message.get_payload()
    assert isinstance(parts, list)
    return {part.get_param("name", header="content-disposition"): part for part in parts}


# WhatsApp HTTP API: deliveries


def test_a_message_is_told_step_by_step(
    wh: WhatsAppHttp, control: SandboxClient, hook: Receiver
) -> None:
    message_id = wh.text().json()["data"]["messageIDs"][0]
    control.settle()
    assert _statuses(hook) == ["Sent"]
    control.advance(3)
    control.settle()
    control.advance(4)
    control.settle()
    assert _statuses(hook) == ["Sent", "Delivered", "Read"]
    body = hook.posts[-1].json
    assert list(body) == [
        "clientID", "createdAt", "instanceID", "messageID", "phone", "reportType", "status",
        "statusInfo", "waID", "waMessageID",
    ]  # fmt: skip
    assert (body["reportType"], body["status"], body["messageID"]) == ("delivery", 4, message_id)
    assert (body["phone"], body["waID"], body["instanceID"]) == (PHONE, WH_NUMBER, WH_TOKEN)
    assert body["waMessageID"] == wh.rows()[0]["waMessageID"]
    assert body["createdAt"] == wh.rows()[0]["readAt"]
    assert hook.posts[0].content_type == "application/json"
    assert control.pending() == {"waiting": 0, "later": 0}


def test_a_forced_status_is_told(wh: WhatsAppHttp, control: SandboxClient, hook: Receiver) -> None:
    control.settings(sent_after=None)
    wh.text()
    control.set_status("delivered", all=True)
    control.settle()
    assert _statuses(hook) == ["Sent", "Delivered"]
    control.set_status("failed", all=True)
    control.settle()
    assert _statuses(hook)[2:] == ["Failed"]
    control.set_status("read", all=True)
    control.settle()
    assert _statuses(hook)[3:] == ["Read"]


def test_delays_may_change_under_way(
    wh: WhatsAppHttp, control: SandboxClient, hook: Receiver
) -> None:
    control.settings(delivered_after=None)
    wh.text()
    control.settle()
    assert control.pending()["later"] == 0
    control.settings(delivered_after=0, read_after=0)
    control.settle()
    assert _statuses(hook) == ["Sent", "Delivered", "Read"]


def test_nothing_is_posted_without_a_webhook(
    wh: WhatsAppHttp, control: SandboxClient, hook: Receiver
) -> None:
    control.webhook(WH_TOKEN, "")
    wh.text()
    control.customer_writes(WH, phone=PHONE, text="Hello")
    control.settle()
    assert hook.posts == []
    assert control.webhook_log() == []
    assert wh("qrCode").json()["data"]["webHook"] == ""
    control.webhook(WH_NUMBER, hook.url)
    assert wh("qrCode").json()["data"]["webHook"] == hook.url


def test_a_webhook_may_overtake_the_answer(
    sandbox: Sandbox, wh: WhatsAppHttp, control: SandboxClient, hook: Receiver
) -> None:
    control.settings(webhook_early=True)
    hook.gate.clear()
    answers: list[requests.Response] = []
    params = {"token": WH_TOKEN, "phone": PHONE, "message": "Hello"}
    url = f"{sandbox.url}/api/sendText"

    def send() -> None:
        answers.append(requests.post(url, data=params, timeout=TIMEOUT))

    sender = threading.Thread(target=send)
    sender.start()
    sender.join(0.3)
    assert answers == []
    hook.gate.set()
    sender.join(TIMEOUT)
    assert _statuses(hook) == ["Sent"]
    assert hook.posts[0].json["messageID"] == answers[0].json()["data"]["messageIDs"][0]


# WhatsApp HTTP API: inbox


def test_a_text_comes_as_json(wh: WhatsAppHttp, control: SandboxClient, hook: Receiver) -> None:
    written = control.customer_writes(WH, phone=PHONE, text="Hello 😃")
    control.settle()
    (post,) = hook.posts
    body = post.json
    assert list(body) == [
        "clientID", "createdAt", "instanceID", "phone", "reportType", "status", "statusInfo",
        "type", "value", "waID", "waMessageID",
    ]  # fmt: skip
    assert (body["reportType"], body["type"], body["value"]) == ("inbox", "text", "Hello 😃")
    assert [body["waMessageID"]] == written["wa_ids"]
    row = wh("inboxReport").json()["data"]
    assert (row["webhookURL"], row["webhookStatus"]) == (f"{hook.url}/wh", 200)
    assert (row["waMessageID"], row["createdAt"]) == (body["waMessageID"], body["createdAt"])
    control.customer_writes(WH, phone=PHONE, text="quiet", webhook=False)
    control.settle()
    assert len(hook.posts) == 1


@pytest.mark.parametrize(
    ("options", "filename"),
    [({}, "image.jpg"), ({"filename": 'ro"se.jpg'}, "ro%22se.jpg"), ({"filename": ""}, None)],
)
def test_media_come_as_multipart(
    control: SandboxClient, hook: Receiver, options: dict[str, Any], filename: str | None
) -> None:
    file = bytes(range(256))
    control.customer_writes(WH, phone=PHONE, kind="image", text="Look", file=file, **options)
    control.settle()
    (post,) = hook.posts
    assert post.content_type.startswith("multipart/form-data; boundary=")
    parts = _parts(post)
    assert list(parts) == ["json", "file1"]
    body = json.loads(parts["json"].get_payload(decode=True))
    assert (body["type"], body["value"]) == ("image", {"caption": "Look", "type": "image/jpeg"})
    assert parts["file1"].get_filename() == filename
    assert parts["file1"].get_content_type() == "image/jpeg"
    assert post.body.count(file) == 1
    (logged,) = control.webhook_log()
    assert json.loads(logged["body"]) == body
    assert logged["file"]["size"] == 256


def test_file_names_may_be_missing_everywhere(control: SandboxClient, hook: Receiver) -> None:
    control.settings(webhook_filename=False)
    control.customer_writes(WH, phone=PHONE, kind="document", file=b"%PDF")
    control.settle()
    assert b"filename" not in hook.posts[0].body


# Trouble with webhooks


def test_copies_losses_and_redirects(control: SandboxClient, hook: Receiver) -> None:
    control.settings(webhook_copies=3)
    hook.statuses = [302]
    control.customer_writes(WH, phone=PHONE, text="thrice")
    control.settle()
    assert len({post.body for post in hook.posts}) == 1
    assert len(hook.posts) == 3
    assert [row["status"] for row in control.webhook_log(kind="inbox")] == [302] * 3
    control.settings(webhook_lost=1, webhook_copies=1)
    control.customer_writes(WH, phone=PHONE, text="lost")
    control.settle()
    assert len(hook.posts) == 3
    (lost,) = control.webhook_log(since=3)
    assert (lost["status"], lost["error"], lost["attempt"]) == (0, "lost on purpose", 0)


def test_a_batch_comes_out_of_order(control: SandboxClient, hook: Receiver) -> None:
    control.settings(webhook_batch=6)
    texts = [str(number) for number in range(6)]
    for text in texts[:5]:
        control.customer_writes(WH, phone=PHONE, text=text)
    assert hook.posts == []
    control.customer_writes(WH, phone=PHONE, text=texts[5])
    control.settle()
    posted = [post.json["value"] for post in hook.posts]
    assert posted != sorted(posted) == texts
    control.customer_writes(WH, phone=PHONE, text="alone")
    control.advance(5)
    control.settle()
    assert hook.posts[-1].json["value"] == "alone"


def test_where_nobody_listens(control: SandboxClient, hook: Receiver) -> None:
    for url in ("http://127.0.0.1:1/", "https://shop.example.com/hook", "ftp://127.0.0.1/"):
        control.webhook(WH, url)
        control.customer_writes(WH, phone=PHONE, text="Hello")
    control.settle()
    refused, far, other = control.webhook_log()
    assert "Refused" in refused["error"]
    assert "loopback" in far["error"]
    assert (refused["status"], far["status"], other["status"]) == (0, 0, 0)


def test_a_reset_forgets_what_was_to_be_posted(control: SandboxClient, hook: Receiver) -> None:
    hook.statuses = [500]
    control.customer_writes(IS, phone=PHONE, text="Hello")
    control.settle()
    assert control.pending()["later"] == 1
    control.reset()
    assert control.pending() == {"waiting": 0, "later": 0}
    assert control.webhook_log() == []


def test_webhook_refusals(control: SandboxClient) -> None:
    with pytest.raises(SandboxError, match="posts webhooks"):
        control.webhook("intellixent", "http://127.0.0.1:1/")
    with pytest.raises(SandboxError, match="status reports"):
        control.webhook(WH, "http://127.0.0.1:1/", status_url="http://127.0.0.1:1/")
    with pytest.raises(SandboxError, match="one of form"):
        control.webhook(IS, status_url="http://127.0.0.1:1/", status_format="xml")
    with pytest.raises(SandboxError, match="no setting"):
        control.settings(webhook_colour="blue")
    with pytest.raises(SandboxError, match="answers takes"):
        control.settings(answers={"words": "x"})


# Customers who answer by themselves


def test_customers_answer(
    wh: WhatsAppHttp,
    isoft: IntelliSoftware,
    slow_ix: Intellixent,
    control: SandboxClient,
    hook: Receiver,
) -> None:
    control.settings(sent_after=None)
    control.answers("Thank you", after=30)
    wh.text()
    isoft.text(to=f"{PHONE},{OTHER}")
    slow_ix.send()
    control.settle()
    assert (hook.posts, control.pending()["later"]) == ([], 4)
    control.advance(30)
    control.settle()
    bodies = [post.json for post in hook.posts]
    assert (bodies[0]["value"], bodies[0]["phone"]) == ("Thank you", PHONE)
    assert [body["messages"][0]["from"] for body in bodies[1:]] == [PHONE, OTHER]
    assert wh("inboxReport").json()["data"]["text"] == "Thank you"
    asked = {"sender_id": 12, "recipient_phone": f"+{PHONE}"}
    answer = slow_ix.get("session-status", **asked).json()
    assert answer["last_customer_message_at"] is not None
    control.answers("")
    wh.text()
    assert control.pending()["later"] == 0


def test_some_customers_answer(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.answers(["Yes", "No"], after=0, share=0.5)
    for _ in range(40):
        wh.text()
    control.settle()
    rows = wh("inboxReport").json()["data"]
    assert 5 < len(rows) < 35
    assert {row["text"] for row in rows} == {"Yes", "No"}


# The command line


@pytest.mark.parametrize(
    "webhook", ["http://127.0.0.1/", "intellixent=http://127.0.0.1/", f"{WH}=https://example.com/"]
)
def test_a_webhook_that_cannot_be_posted_is_refused(
    webhook: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(["--webhook", webhook])
    assert "on a loopback address" in capsys.readouterr().err


def test_webhooks_on_the_command_line() -> None:
    with receiving() as hook, Sandbox("--webhook", f"{WH}={hook.url}") as sandbox:
        control = sandbox.control
        control.reset()
        control.customer_writes(WH, phone=PHONE, text="Hello")
        control.settle()
        assert hook.posts[0].json["value"] == "Hello"
