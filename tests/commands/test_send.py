"""`messaging_send`: whom, when, once, and how it ends."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from messaging import clock, outbox
from messaging.management.commands import messaging_send
from messaging.models import Attachment, Message, Priority, Sender
from messaging.sandbox import SandboxClient

from .conftest import OTHER, PHONE, run

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "messaging_send"
TEXT = ("--text", "Your order is ready.")


def send(*arguments: str) -> Any:
    return run(SEND, *arguments)


def test_one_message_is_queued_and_told(wh: Sender) -> None:
    result = send("--to", "07700 900123", *TEXT)
    assert result.code == 0
    assert result.out.strip() == f"{PHONE}: waiting"
    message = Message.objects.get()
    assert (message.status, message.sender, message.text) == ("queued", wh, TEXT[1])
    assert message.priority == Priority.AUTOMATIC


def test_drain_sends_without_a_worker(wh: Sender, sandbox: SandboxClient) -> None:
    result = send("--to", PHONE, *TEXT, "--drain", "--json")
    assert result.code == 0, result
    (row,) = result.json["messages"]
    assert row["status"] == "accepted"
    (arrival,) = sandbox.arrivals(operation="sendText")
    assert row["external_id"] in arrival["ids"]
    assert arrival["text"] == TEXT[1]


def test_recipients_come_once_whatever_their_spelling(
    wh: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = tmp_path / "numbers.txt"
    numbers.write_text(f"\ufeff# staff\n{PHONE}\n\n0044 7700 900124\n", "utf-8")
    result = send("--to", "07700900123", "--to-file", str(numbers), *TEXT, "--json")
    assert [row["number"] for row in result.json["messages"]] == [PHONE, OTHER]
    assert Message.objects.count() == 2

    monkeypatch.setattr("sys.stdin", io.StringIO("07700 900125\n"))
    assert send("--to-file", "-", *TEXT).code == 0
    assert Message.objects.count() == 3


def test_each_refusal_is_told_and_the_rest_is_sent(wh: Sender, sandbox: SandboxClient) -> None:
    result = send("--to", PHONE, "--to", "12", "--to", "not a number", *TEXT, "--drain")
    assert result.code == 1
    assert result.problem == "2 were refused or failed."
    assert f"{PHONE}: taken by the gateway (" in result.out
    assert "12: “12” is not a complete phone number." in result.out
    assert "not a number: “not a number” is not a phone number." in result.out
    assert "2 refused" in result.out
    assert len(sandbox.deliveries()) == 1


def test_what_the_gateway_refuses_fails(wh: Sender, sandbox: SandboxClient) -> None:
    sandbox.account("whatsapp_http", unregistered=[PHONE.lstrip("+")])
    result = send("--to", PHONE, "--to", OTHER, *TEXT, "--drain", "--json")
    assert result.code == 1
    failed, taken = result.json["messages"]
    assert (failed["status"], taken["status"]) == ("failed", "accepted")
    assert "number not reachable" in failed["error"]
    assert result.json["counts"] == {"failed": 1, "accepted": 1}


def test_what_nobody_knows_has_its_own_code(wh: Sender, sandbox: SandboxClient) -> None:
    sandbox.fault("cut_after", operation="sendText", times=1)
    result = send("--to", PHONE, *TEXT, "--drain")
    assert result.code == 3
    assert "may or may not have been sent" in result.problem
    assert "may have been sent" in result.out


def test_a_key_sends_once(wh: Sender, sandbox: SandboxClient) -> None:
    arguments = ("--to", PHONE, "--to", OTHER, *TEXT, "--key", "reminder", "--drain", "--json")
    first, second = send(*arguments).json, send(*arguments).json
    assert [row["id"] for row in first["messages"]] == [row["id"] for row in second["messages"]]
    assert [row["existed"] for row in second["messages"]] == [True, True]
    assert {row["key"] for row in first["messages"]} == {f"reminder:{PHONE}", f"reminder:{OTHER}"}
    assert len(sandbox.deliveries()) == 2


def test_a_key_of_one_recipient_is_the_key(wh: Sender) -> None:
    for _again in range(2):
        assert send("--to", PHONE, *TEXT, "--key", "order-1007").code == 0
    assert Message.objects.get().key == "order-1007"
    other = send("--to", PHONE, "--text", "Something else", "--key", "order-1007")
    assert other.code == 1
    assert "already used for another message" in other.out


def test_a_key_sends_a_local_file_once(wh: Sender, sandbox: SandboxClient, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff made up")
    arguments = ("--to", PHONE, "--image", str(photo), "--key", "kitchen", "--drain")
    for _again in range(2):
        result = send(*arguments)
        assert result.code == 0, result
    assert len(sandbox.deliveries()) == 1
    assert Attachment.objects.count() == 1

    photo.write_bytes(b"\xff\xd8\xff another one")
    assert send(*arguments).code == 1
    assert Attachment.objects.count() == 1


def test_a_file_nobody_got_is_not_kept(wh: Sender, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"made up")
    assert send("--to", "12", "--image", str(photo)).code == 1
    assert send("--to", PHONE, "--image", str(photo), "--dry-run").code == 0
    assert not Attachment.objects.exists()


def test_dry_run_sends_nothing(wh: Sender, senders: dict[str, Sender]) -> None:
    long = ("--text", "x" * 2001)
    result = send("--to", PHONE, *long, "--dry-run")
    assert result.code == 1
    assert "2001 bytes, at most 2000" in result.out
    closed = send("--sender", "Sandbox WhatsApp", "--to", PHONE, *TEXT, "--dry-run", "--json")
    assert closed.code == 1
    assert "has not written yet" in closed.json["messages"][0]["refused"]
    assert send("--to", PHONE, *TEXT, "--dry-run").out.strip() == f"{PHONE}: would be sent"
    assert not Message.objects.exists()


def test_warnings_are_told_beside_the_result(wh: Sender) -> None:
    result = send("--to", PHONE, "--audio", "https://files.example/a.ogg", "--caption", "Listen")
    assert result.code == 0
    assert "may not be displayed" in result.err


def test_scheduled_and_held_messages_are_not_waited_for(
    wh: Sender, senders: dict[str, Sender], sandbox: SandboxClient
) -> None:
    later = send("--to", PHONE, *TEXT, "--at", "+2h", "--expires", "+3h", "--drain", "--json")
    assert later.code == 0
    message = Message.objects.get()
    assert message.is_scheduled(clock.now())
    assert message.expires_at is not None
    assert message.expires_at - message.scheduled_at == pytest.approx(  # type: ignore[operator]
        timedelta(hours=1), abs=timedelta(seconds=5)
    )
    held = send("--sender", "Sandbox WhatsApp", "--to", PHONE, *TEXT, "--hold", "--wait")
    assert held.code == 0
    assert held.out.strip() == f"{PHONE}: held until the customer writes"
    assert not sandbox.deliveries()


def test_waiting_ends_and_says_why(wh: Sender) -> None:
    result = send("--to", PHONE, *TEXT, "--wait", "0.3")
    assert result.code == 3
    assert "1 still wait" in result.problem
    assert "worker has never been started" in result.problem


def test_what_is_at_rest_is_not_waited_for(wh: Sender) -> None:
    arguments = ("--to", PHONE, *TEXT, "--key", "once")
    assert send(*arguments, "--drain").code == 0
    again = send(*arguments, "--wait", "60")
    assert again.code == 0
    assert "taken by the gateway" in again.out
    assert "queued before under this key" in again.out


def test_many_are_counted_and_only_trouble_is_listed(wh: Sender, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("\n".join([*(f"+4477009001{number:02d}" for number in range(30)), "x"]))
    arguments = ("--to-file", str(numbers), *TEXT, "--key", "all")
    assert send(*arguments).out.splitlines() == [
        "x: “x” is not a phone number.",
        "30 waiting, 1 refused",
    ]
    assert send(*arguments).out.splitlines()[-1] == "30 were queued before under this key."
    assert Message.objects.count() == 30


def test_ctrl_c_says_how_many_were_queued(wh: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = outbox.queue_many, []

    def interrupted(drafts: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(drafts)

    monkeypatch.setattr(messaging_send, "_CHUNK", 1)
    monkeypatch.setattr(outbox, "queue_many", interrupted)
    result = send("--to", PHONE, "--to", OTHER, *TEXT)
    assert result.code == 3
    assert result.problem == "Stopped: 1 of 2 were queued and are being sent."
    assert Message.objects.count() == 1


def test_a_time_that_has_passed_is_a_mistake(wh: Sender) -> None:
    assert send("--to", PHONE, *TEXT, "--at", "2001-01-01T10:00").code == 2
    assert send("--to", PHONE, *TEXT, "--expires", "2001-01-01T10:00").code == 2
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--text", "Hello"), "Say to whom"),
        (
            ("--to", PHONE, "--text", "Hello", "--caption", "x"),
            "--caption cannot be used with --text",
        ),
        (("--to", PHONE, "--location", "north"), "is not a place"),
        (("--to", PHONE, "--contact", "Asha"), "is not a contact"),
        (("--to", PHONE, "--list", "--body", "b", "--row", "a:b:c:d"), "two colons"),
        (("--to", PHONE, "--buttons", "--body", "b", "--call", "x"), "has no ="),
        (
            ("--to", PHONE, "--buttons", "--header-text", "a", "--header-image", "b"),
            "one header only",
        ),
        (("--to", PHONE, "--image", "missing.jpg"), "neither a link nor a file"),
        (("--to", PHONE, "--content", "missing.json"), "cannot be read"),
        (("--to-file", "missing.txt", "--text", "Hello"), "cannot be read"),
        (("--to-file", "-", "--text", "-"), "only once"),
        (("--to", PHONE, "--template", "missing"), "has no template “missing”"),
        (("--sender", "Nobody", "--to", PHONE, "--text", "x"), "There is no sender “Nobody”"),
        (("--to", PHONE), "one of the arguments"),
        (("--to", PHONE, "--text", "x", "--at", "tomorrow"), "is not a time"),
        (("--to", PHONE, "--text", "x", "--wait", "long"), "number of seconds"),
    ],
)
def test_mistakes_end_with_two_and_queue_nothing(
    wh: Sender, arguments: tuple[str, ...], words: str
) -> None:
    result = send(*arguments)
    assert words in result.problem
    # argparse itself ends a process with 2; called from Python it raises with 1.
    assert result.code == 2 or result.problem.startswith("Error:")
    assert not Message.objects.exists()


def test_a_sender_by_name_id_or_number(senders: dict[str, Sender]) -> None:
    phone = senders["whatsapp_http.whatsapp"]
    for text in ("sandbox PHONE", str(phone.pk), "07700 900100", "+447700900100"):
        assert send("--sender", text, "--to", PHONE, *TEXT).code == 0
    assert Message.objects.filter(sender=phone).count() == 4
    shared = send("--sender", "+447700900200", "--to", PHONE, *TEXT)
    assert shared.code == 2
    assert "more than one sender" in shared.problem
    assert str(senders["intellisoftware.sms"].pk) in shared.problem


def test_no_default_sender_is_a_mistake(senders: dict[str, Sender]) -> None:
    result = send("--to", PHONE, *TEXT)
    assert result.code == 2
    assert "Choose a sender" in result.problem


def test_any_content_as_json(wh: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "content.json"
    path.write_text(json.dumps({"kind": "location", "latitude": 1, "longitude": 2, "name": "x"}))
    assert send("--to", PHONE, "--content", str(path)).code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO('{"kind": "text", "body": "From a pipe"}'))
    assert send("--to", PHONE, "--content", "-").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("line one\nline two\n"))
    assert send("--to", PHONE, "--text", "-").code == 0
    assert list(Message.objects.order_by("id").values_list("text", flat=True)) == [
        "Location: x",
        "From a pipe",
        "line one\nline two",
    ]
    for broken in ("{", '{"kind": "smoke signal"}', '{"kind": "text"}'):
        path.write_text(broken)
        assert send("--to", PHONE, "--content", str(path)).code == 2
