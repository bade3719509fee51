"""What `demo --once` sends, what must arrive at the gateway, and what must be refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from messaging.content import (
    Buttons,
    CallButton,
    CardAddress,
    CardEmail,
    CardPhone,
    CardUrl,
    ContactCard,
    ContactCards,
    Content,
    ListMenu,
    ListRow,
    Location,
    Media,
    Reply,
    TemplateMessage,
    Text,
    UrlButton,
)
from messaging.errors import (
    InvalidAddress,
    InvalidContent,
    NotSupported,
    OptedOut,
    Refused,
    TemplateNotApproved,
    WindowClosed,
)
from messaging.models import Template

PHONE: Final = "whatsapp_http.whatsapp"
OFFICIAL: Final = "intellisoftware.whatsapp"
SMS: Final = "intellisoftware.sms"
ASSISTANT: Final = "intellixent.whatsapp"
DUMMY: Final = "dummy"

#: Nobody fetches these: gateways would, the sandbox only reads them.
LINK: Final = "https://files.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One message, or one content to several numbers, and how it must end.

    `wire` is what the sandbox must have seen, as `arrivals.wire_of` reads it; `through` a state it
    must have passed. `bad` is the number, counted from 0, that the gateway refuses.
    """

    sender: str
    kind: str
    content: Content
    wire: str
    final: str
    through: str = ""
    numbers: int = 1
    bad: int | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One message that must be refused, and by which rule."""

    sender: str
    what: str
    content: Content
    error: type[Refused]
    to: str = ""
    #: How things stand with the customer: window "open" or "closed", "opted_out".
    state: str = "open"


@dataclass(slots=True)
class Files:
    """Keys of uploaded files, by the kind of message that carries them."""

    keys: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, kind: str, **more: Any) -> Media:
        return Media(kind, file=self.keys[kind], **more)


def cases(files: Files) -> list[Case]:
    """Everything that must arrive."""
    return [
        *_phone_cases(files),
        *_button_cases(files),
        *_official_cases(files),
        *_assistant_cases(),
        Case(sender=DUMMY, kind="text", content=Text("To nobody"), wire="–", final="accepted"),
    ]


def _phone_cases(files: Files) -> Iterator[Case]:
    picture = f"{LINK}/photo.jpg"
    rows = (ListRow("10.30", "Tomorrow", "Dr Lee"), ListRow("14.00", "Friday"))
    contents: tuple[tuple[str, Content, str], ...] = (
        ("text", Text("Hello, grüß Gott, 你好 👋"), "sendText"),
        ("picture, link", Media("image", link=picture), "sendFiles link"),
        ("picture, upload", files("image"), "sendFiles upload"),
        ("video, link", Media("video", link=f"{LINK}/tour.mp4"), "sendFiles link"),
        ("audio, upload", files("audio"), "sendFiles upload"),
        ("document, upload", files("document"), "sendFiles upload"),
        ("sticker, link", Media("sticker", link=f"{LINK}/wave.webp"), "sendFiles link"),
        (
            "picture and text, link",
            Media("image", link=picture, caption="The new room"),
            "sendFileWithCaption link",
        ),
        (
            "picture and text, upload",
            files("image", caption="The new room"),
            "sendFileWithCaption upload",
        ),
        ("location", Location(51.5079, -0.0877, "Clinic", "1 Quay"), "sendLocation"),
        (
            "contact card",
            ContactCards((ContactCard("Dr Lee", (CardPhone("+447700900155"),), "Clinic"),)),
            "sendContact",
        ),
        ("list", ListMenu("When suits you?", "Times", rows, "Visits", "Tap one"), "sendList"),
    )
    for kind, content, wire in contents:
        yield Case(sender=PHONE, kind=kind, content=content, wire=wire, final="read")
    yield Case(
        sender=PHONE, kind="text, answer lost", content=Text("Taken, but who knows?"),
        wire="sendText", final="read", through="unknown", trouble="cut_after",
    )  # fmt: skip
    yield Case(
        sender=PHONE, kind="text, not on WhatsApp", content=Text("Is anybody there?"),
        wire="sendText", final="failed", bad=0,
    )  # fmt: skip


def _button_cases(files: Files) -> Iterator[Case]:
    """The nine sets of buttons, and buttons under a file or a place."""
    call, url = (
        CallButton("Call us", "+447700900100"),
        UrlButton("Our site", "https://shop.example"),
    )
    replies = (Reply("Yes"), Reply("No"), Reply("Later"))
    sets: tuple[tuple[str, dict[str, Any]], ...] = (
        ("1", {"replies": replies[:1]}),
        ("1+2", {"replies": replies[:2]}),
        ("1+2+3", {"replies": replies}),
        ("call", {"call": call}),
        ("url", {"url": url}),
        ("call+url", {"call": call, "url": url}),
        ("1+call", {"replies": replies[:1], "call": call}),
        ("1+url", {"replies": replies[:1], "url": url}),
        ("1+call+url", {"replies": replies[:1], "call": call, "url": url}),
    )
    for name, values in sets:
        content = Buttons("Shall we see you on Friday?", footer="Riverside Clinic", **values)
        yield Case(
            sender=PHONE, kind=f"buttons {name}", content=content,
            wire=f"sendTextButton {name}", final="read",
        )  # fmt: skip
    headers: tuple[tuple[str, Content, str], ...] = (
        ("picture, link", Media("image", link=f"{LINK}/a.jpg"), "sendFilesButton link 1+2"),
        ("document, upload", files("document"), "sendFilesButton upload 1+2"),
        ("location", Location(51.5, -0.08, "Clinic"), "sendLocationButton 1+2"),
    )
    for name, header, wire in headers:
        content = Buttons("Will you come?", replies=replies[:2], header=header)
        kind = f"buttons under {name}"
        yield Case(sender=PHONE, kind=kind, content=content, wire=wire, final="read")


def _official_cases(files: Files) -> Iterator[Case]:
    """IntelliSoftware: it reports nothing, so what it took stays accepted."""
    replies = (Reply("Yes", "yes"), Reply("No", "no"))
    order, plain = _template("order_ready"), _template("shop_open")
    contents: tuple[tuple[str, Content, str], ...] = (
        ("text", Text("Hello from the shop"), "whatsapp text"),
        (
            "template, named values",
            TemplateMessage(order.ref(), {"customer": "Asha", "order_no": "1007"}),
            "whatsapp template",
        ),
        ("template, no values", TemplateMessage(plain.ref()), "whatsapp template"),
        ("contact cards, every part", ContactCards((_whole_card(),)), "whatsapp contacts"),
        ("audio", Media("audio", link=f"{LINK}/a.ogg"), "whatsapp audio link"),
        ("picture", Media("image", link=f"{LINK}/a.jpg", caption="Blue"), "whatsapp image link"),
        ("picture, upload", files("image", caption="Red"), "whatsapp image signed link"),
        ("video", Media("video", link=f"{LINK}/a.mp4"), "whatsapp video link"),
        ("sticker", Media("sticker", link=f"{LINK}/a.webp"), "whatsapp sticker link"),
        (
            "document",
            Media("document", link=f"{LINK}/a.pdf", filename="Bill.pdf"),
            "whatsapp document link",
        ),
        ("location", Location(51.5, -0.08, "Shop", "High St"), "whatsapp location"),
        ("buttons", Buttons("Keep it?", replies, footer="Shop"), "whatsapp interactive"),
        (
            "buttons under a picture",
            Buttons("Keep it?", replies, header=Media("image", link=f"{LINK}/a.jpg")),
            "whatsapp interactive link",
        ),
    )
    for kind, content, wire in contents:
        yield Case(
            sender=OFFICIAL, kind=kind, content=content, wire=f"sendmsg {wire}", final="accepted"
        )
    yield Case(
        sender=OFFICIAL, kind="text, several numbers", content=Text("We open at nine."),
        wire="sendmsg whatsapp text", final="accepted", numbers=4, bad=2,
    )  # fmt: skip
    yield Case(
        sender=OFFICIAL, kind="text, answer lost", content=Text("Taken, but who knows?"),
        wire="sendmsg whatsapp text", final="unknown", trouble="cut_after",
    )  # fmt: skip
    yield Case(
        sender=SMS, kind="text", content=Text("Your parcel is here."), wire="sendmsg sms",
        final="accepted",
    )  # fmt: skip


def _assistant_cases() -> Iterator[Case]:
    values = {"1": "Asha", "2": "Friday", "3": "10.30"}
    contents: tuple[tuple[str, Content, str], ...] = (
        (
            "template, three values",
            TemplateMessage(_template("appointment").ref(), values),
            "send template",
        ),
        ("template, no values", TemplateMessage(_template("thanks").ref()), "send template"),
        ("free text", Text("See you then!"), "send-freeform"),
    )
    for kind, content, wire in contents:
        yield Case(sender=ASSISTANT, kind=kind, content=content, wire=wire, final="accepted")


def _template(name: str, adapter: str = "") -> Template:
    rows = Template.objects.filter(name=name)
    return rows.get(provider__adapter=adapter) if adapter else rows.get()


def _whole_card() -> ContactCard:
    return ContactCard(
        "Dr Mary Jane Lee MD",
        phones=(CardPhone("+447700900155", "WORK"), CardPhone("+447700900156", "HOME")),
        organization="Riverside Clinic",
        department="Dentistry",
        title="Senior dentist",
        first_name="Mary",
        last_name="Lee",
        middle_name="Jane",
        suffix="MD",
        prefix="Dr",
        birthday="1980-12-31",
        addresses=(CardAddress("1 Quay", "London", "London", "SE1", "UK", "gb", "WORK"),),
        emails=(CardEmail("lee@clinic.example", "WORK"),),
        urls=(CardUrl("https://clinic.example", "WORK"),),
    )


def refusals() -> list[Refusal]:
    """Everything that must be refused before a row exists."""
    text = Text("Hello")
    sale, offer = (
        _template("spring_sale", "intellisoftware"),
        _template("spring_sale", "intellixent"),
    )
    four = tuple(Reply(name) for name in ("A", "B", "C", "D"))
    return [
        _refusal(PHONE, "text of 2,001 bytes", Text("ü" * 1000 + "x"), InvalidContent),
        _refusal(PHONE, "button too long", Buttons("Yes?", (Reply("x" * 21),)), InvalidContent),
        _refusal(PHONE, "four buttons", Buttons("Yes?", four), InvalidContent),
        _refusal(PHONE, "colon in a list", ListMenu("a", "b", (ListRow("9:30"),)), InvalidContent),
        _refusal(
            PHONE,
            "card name of 31 letters",
            ContactCards((ContactCard("x" * 31, (CardPhone("+447700900155"),)),)),
            InvalidContent,
        ),
        _refusal(PHONE, "a template", TemplateMessage(sale.ref()), NotSupported),
        _refusal(PHONE, "not a number", text, InvalidAddress, to="Room 12"),
        _refusal(PHONE, "opted out", text, OptedOut, state="opted_out"),
        _refusal(OFFICIAL, "window closed", text, WindowClosed, state="closed"),
        _refusal(OFFICIAL, "template pending", TemplateMessage(sale.ref()), TemplateNotApproved),
        _refusal(OFFICIAL, "text of 4,097 letters", Text("x" * 4097), InvalidContent),
        _refusal(
            OFFICIAL, "link button", Buttons("Go?", url=UrlButton("Go", LINK)), InvalidContent
        ),
        _refusal(OFFICIAL, "a list", ListMenu("a", "b", (ListRow("c"),)), NotSupported),
        _refusal(SMS, "two SMS long", Text("x" * 161), InvalidContent),
        _refusal(SMS, "a picture", Media("image", link=f"{LINK}/a.jpg"), NotSupported),
        _refusal(ASSISTANT, "never written", text, WindowClosed, state="closed"),
        _refusal(ASSISTANT, "template pending", TemplateMessage(offer.ref(), {"1": "A"}),
                 TemplateNotApproved),
        _refusal(ASSISTANT, "a location", Location(1, 2, "x"), NotSupported),
    ]  # fmt: skip


def _refusal(
    sender: str, what: str, content: Content, error: type[Refused], **more: Any
) -> Refusal:
    return Refusal(sender=sender, what=what, content=content, error=error, **more)
