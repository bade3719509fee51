"""`messaging_send`: every kind of content reaches the gateway as the operation it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from messaging.models import Message, Sender
from messaging.sandbox import SandboxClient

from .conftest import PHONE, customer_wrote, run

pytestmark = pytest.mark.django_db(transaction=True)

LINK = "https://files.example"
LIST = ("--list", "--body", "Which day?", "--button", "Days", "--header-text", "Times")
BUTTONS = ("--buttons", "--body", "Shall we?")


def delivered(sandbox: SandboxClient, sender: str, *arguments: str) -> dict[str, Any]:
    """Send to PHONE and give the one send that arrived."""
    result = run(
        "messaging_send", "--sender", sender, "--to", PHONE, *arguments, "--drain", "--json"
    )
    assert result.code == 0, (result.problem, result.out, result.err)
    (arrival,) = sandbox.arrivals(operation="send*")
    assert arrival["ids"] == [result.json["messages"][0]["external_id"]]
    return arrival


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("sendText", ("--text", "Hello")),
        ("sendFiles", ("--image", f"{LINK}/a.jpg")),
        ("sendFiles", ("--video", f"{LINK}/a.mp4")),
        ("sendFiles", ("--audio", f"{LINK}/a.ogg")),
        ("sendFiles", ("--document", f"{LINK}/a.pdf", "--filename", "Bill.pdf")),
        ("sendFiles", ("--sticker", f"{LINK}/a.webp")),
        ("sendFileWithCaption", ("--image", f"{LINK}/a.jpg", "--caption", "Look")),
        ("sendLocation", ("--location=-33.86,151.21", "--name", "Clinic", "--address", "High St")),
        ("sendContact", ("--contact", 'Asha Rao,+447700900555,"Rao, Sons"')),
        ("sendTextButton", (*BUTTONS, "--reply", "Yes", "--reply", "No", "--footer", "Bye")),
        ("sendTextButton", (*BUTTONS, "--call", "Ring=+447700900200", "--reply", "Later")),
        ("sendTextButton", (*BUTTONS, "--url-button", "Look=https://shop.example/?a=1")),
        ("sendFilesButton", (*BUTTONS, "--reply", "Yes", "--header-image", f"{LINK}/a.jpg")),
        ("sendFilesButton", (*BUTTONS, "--reply", "Yes", "--header-document", f"{LINK}/a.pdf")),
        ("sendLocationButton", (*BUTTONS, "--reply", "Yes", "--header-location", "1.5,2,Shop")),
        (
            "sendList",
            (*LIST, "--row", "Week:Monday:10.30", "--row", "Tuesday", "--footer", "Bye"),
        ),
    ],
)
def test_whatsapp_http(
    senders: dict[str, Sender], sandbox: SandboxClient, operation: str, arguments: tuple[str, ...]
) -> None:
    assert delivered(sandbox, "Sandbox phone", *arguments)["operation"] == operation


@pytest.mark.parametrize("caption", [(), ("--caption", "Look")])
def test_whatsapp_http_takes_files(
    senders: dict[str, Sender], sandbox: SandboxClient, tmp_path: Path, caption: tuple[str, ...]
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8\xff made up")
    arguments = ("--image", str(path), "--filename", "kitchen.jpg", *caption)
    arrival = delivered(sandbox, "Sandbox phone", *arguments)
    assert arrival["content"]["file"][0]["filename"] == "kitchen.jpg"
    assert Message.objects.get().attachments.count() == 1


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("text", ("--text", "Hello")),
        ("image", ("--image", f"{LINK}/a.jpg", "--caption", "Look")),
        ("video", ("--video", f"{LINK}/a.mp4")),
        ("audio", ("--audio", f"{LINK}/a.ogg")),
        ("document", ("--document", f"{LINK}/a.pdf", "--filename", "Bill.pdf")),
        ("sticker", ("--sticker", f"{LINK}/a.webp")),
        ("location", ("--location", "51.5,-0.12", "--name", "Clinic")),
        ("contacts", ("--contact", "Asha Rao,+447700900555", "--contact", "Ben,+447700900556")),
        ("interactive", (*BUTTONS, "--reply", "Yes", "--header-text", "Question")),
    ],
)
def test_intellisoftware(
    senders: dict[str, Sender], sandbox: SandboxClient, kind: str, arguments: tuple[str, ...]
) -> None:
    customer_wrote(senders["intellisoftware.whatsapp"], PHONE)
    arrival = delivered(sandbox, "Sandbox WhatsApp", *arguments)
    assert arrival["content"]["content"]["msgobject"]["type"] == kind


def test_templates(senders: dict[str, Sender], sandbox: SandboxClient) -> None:
    variables = ("--var", "customer=Asha", "--var", "order_no=1007")
    arrival = delivered(
        sandbox, "Sandbox WhatsApp", "--template", "order_ready", "--language", "en_GB", *variables
    )
    assert arrival["text"] == "order_ready Asha 1007"
    sandbox.reset()
    variables = ("--var", "1=Asha", "--var", "2=Friday", "--var", "3=10.30")
    arrival = delivered(sandbox, "Sandbox assistant", "--template", "appointment", *variables)
    assert arrival["text"] == "Hello Asha, see you on Friday at 10.30."


def test_a_template_that_waits_for_approval_is_refused(senders: dict[str, Sender]) -> None:
    result = run(
        "messaging_send", "--sender", "Sandbox WhatsApp", "--to", PHONE, "--template", "spring_sale"
    )
    assert result.code == 1
    assert "is not approved (waiting for approval)" in result.out


def test_sms(senders: dict[str, Sender], sandbox: SandboxClient) -> None:
    arrival = delivered(sandbox, "Sandbox SMS", "--text", "Hello")
    assert arrival["content"]["channel"] == "sms"
