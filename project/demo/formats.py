"""What customers write in `demo --once`, in every format there is, and how it must end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from messaging.sandbox.png import qr_like

from .cases import OFFICIAL, PHONE, SMS

#: The chat of the sandbox's own group, and one whose number WhatsApp hides.
GROUP: Final = "120363000000000001"
HIDDEN: Final = "198765432109876"

WEBHOOK: Final = "webhook"
POLL: Final = "poll"

_PDF: Final = b"%PDF-1.4\n% a letter that nobody opens\n%%EOF\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One or more messages as their gateway brings them.

    `writing` is for `SandboxClient.customer_writes`; `ends` are kind and text of each message, in
    order, empty where the request has to wait for a person.
    """

    sender: str
    name: str
    writing: Mapping[str, Any]
    ends: tuple[tuple[str, str], ...] = ()
    brought: str = WEBHOOK
    kind: str = "person"
    ending: str = ""
    files: int = 0
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_unplaced(self) -> bool:
        return not self.ends


def formats() -> list[Format]:
    return [*_phone(), *_only_polled(), *_official(), *_sms()]


def _phone() -> list[Format]:
    picture = {"kind": "image", "file": qr_like("in"), "content_type": "image/png"}
    letter = {"kind": "document", "file": _PDF, "filename": "letter.pdf"}
    return [
        Format(
            sender=PHONE, name="text, JSON", writing={"text": "Hello, grüß Gott, 你好 👋"},
            ends=(("text", "Hello, grüß Gott, 你好 👋"),),
        ),
        Format(
            sender=PHONE, name="picture, multipart", writing={**picture, "text": "Our cat"},
            ends=(("image", "Picture: Our cat"),), files=1,
        ),
        Format(
            sender=PHONE, name="document, multipart", writing=letter,
            ends=(("document", "Document: letter.pdf"),), files=1,
        ),
    ]  # fmt: skip


def _only_polled() -> list[Format]:
    """No webhook brings these; the inbox report does."""

    def polled(name: str, kind: str = "person", ending: str = "", **writing: Any) -> Format:
        text = f"Nobody posted this ({name})"
        return Format(
            sender=PHONE, name=name, writing={"text": text, "webhook": False, **writing},
            ends=(("text", text),), brought=POLL, kind=kind, ending=ending,
        )  # fmt: skip

    return [
        polled("inbox row"),
        polled("inbox row of a group", kind="group", ending="@g.us", group=GROUP),
        polled("inbox row, number hidden", ending="@lid", lid=HIDDEN),
    ]


def _official() -> list[Format]:
    photo = {"kind": "image", "file": qr_like("in"), "content_type": "image/png"}
    together = [{"text": f"One of three: {number}"} for number in (1, 2, 3)]
    return [
        Format(
            sender=OFFICIAL, name="WhatsApp text", writing={"text": "Do you have it in blue?"},
            ends=(("text", "Do you have it in blue?"),),
        ),
        Format(
            sender=OFFICIAL, name="WhatsApp button", writing={"kind": "button", "title": "Yes"},
            ends=(("button_reply", "Yes"),),
        ),
        Format(
            sender=OFFICIAL, name="WhatsApp reply",
            writing={"kind": "reply", "title": "Tuesday", "reply_id": "day-2"},
            ends=(("button_reply", "Tuesday"),),
        ),
        Format(
            sender=OFFICIAL, name="WhatsApp picture, by link", writing=photo,
            ends=(("image", "Picture"),), files=1,
        ),
        Format(
            sender=OFFICIAL, name="three in one body", writing={"messages": together},
            ends=tuple(("text", item["text"]) for item in together),
        ),
    ]  # fmt: skip


def _sms() -> list[Format]:
    form = {"form": True, "text": "Merci & à bientôt", "networkcode": "23410"}
    return [
        Format(
            sender=SMS, name="SMS text", writing={"text": "Is it in?", "channel": "sms"},
            ends=(("text", "Is it in?"),),
        ),
        Format(
            sender=SMS, name="SMS emoji, as surrogates",
            writing={"text": "Smiley \U0001f603", "channel": "sms"},
            ends=(("text", "Smiley \U0001f603"),),
        ),
        Format(
            sender=SMS, name="SMS binary", writing={"ud": "0605040B8423F0DC0601AE"},
            ends=(("binary", "Binary SMS"),),
        ),
        Format(
            sender=SMS, name="SMS form", writing=form, ends=(("text", "Merci & à bientôt"),),
            data={"networkcode": "23410"},
        ),
        Format(sender=SMS, name="SMS form without a sender", writing={**form, "bare": True}),
    ]  # fmt: skip
