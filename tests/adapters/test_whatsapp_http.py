"""WhatsApp HTTP API, sending: every request is what the document's own address says.

Expected requests are filled in from the document's addresses, see `whatsapp_seed`.
"""

from __future__ import annotations

import pytest

from messaging.adapters.base import Upload
from messaging.adapters.http import Http
from messaging.content import (
    Buttons,
    CallButton,
    ContactCard,
    ContactCards,
    Content,
    ListMenu,
    ListRow,
    Location,
    Media,
    Reply,
    Text,
    UrlButton,
)
from messaging.errors import ErrorClass

from .recorder import Recorder
from .whatsapp_cases import (
    ACCEPTED,
    LINK,
    MESSAGE_ONLY,
    NEVER,
    OK,
    TOKEN,
    adapter,
    outbound,
    sent,
    upload,
)
from .whatsapp_seed import BY_NUMBER, SECTIONS

MESSAGE = "Line one\nline *two* & 100% +1 😀 क"
PLACE = Location(50.7154, -1.9872, name="Shop & Co", address="1 High St", url="https://e.com/map")

#: What stands for the document's placeholders.
VALUES = {
    "<instanceid>": TOKEN,
    "<phone>": "447700900123",
    "<message>": MESSAGE,
    "<URL>": LINK,
    "<latitude>": "50.7154",
    "<longitude>": "-1.9872",
    "<locationname>": "Shop & Co",
    "<locationaddress>": "1 High St",
    "<urlto display>": "https://e.com/map",
    "<contact name>": "Asha Rao",
    "<contactphone>": "447700900124",
    "<organizationname>": "Example Ltd",
    "<footer_text>": "Foot",
    "<button1_text>": "Yes",
    "<button2_text>": "No",
    "<button3_text>": "Maybe",
    "<call_button_text>": "Call us",
    "<valid_contact_number>": "+447700900100",
    "<url_button_text>": "Shop",
    "<valid_url>": "https://e.com/?a=1&b=2",
    "<header_text>": "Menu",
    "<button_text>": "Open",
    "<sectiontext:titletext1:descriptiontext1>": "Drinks:Tea:hot",
    "<sectiontextN:titletextN:descriptiontextN>": ":Water:",
}
REPLIES = [Reply("Yes"), Reply("No"), Reply("Maybe")]
CALL = CallButton("Call us", "+44 7700 900100")
URL = UrlButton("Shop", "https://e.com/?a=1&b=2")
LIST = ListMenu(
    MESSAGE,
    "Open",
    [ListRow("Tea", section="Drinks", description="hot"), ListRow("Water")],
    header="Menu",
    footer="Foot",
)
CARD = ContactCards([ContactCard("Asha Rao", ["+44 7700 900124"], organization="Example Ltd")])

#: Section, content, and the optional parameters of the section's address that it leaves out.
GOLDEN: list[tuple[str, Content, set[str]]] = [
    ("1.1", Text(MESSAGE), set()),
    ("1.1", Text(MESSAGE.replace("\n", "\r\n")), set()),
    *[("1.2", Media(kind, link=LINK), set()) for kind in
      ("image", "video", "audio", "document", "sticker")],
    ("1.2(a)", Media("image", file="key"), set()),
    ("1.3", Media("image", link=LINK, caption=MESSAGE), set()),
    ("1.3(a)", Media("document", file="key", caption=MESSAGE), set()),
    ("1.4", PLACE, set()),
    ("1.4", Location(50.7154, -1.9872, name="Shop & Co"), {"address", "url"}),
    ("1.5", CARD, set()),
    ("1.5", ContactCards([ContactCard("Asha Rao", ["447700900124"])]), {"contactOrganization"}),
    ("1.9", LIST, set()),
    ("1.9", ListMenu(MESSAGE, "Open", LIST.rows), {"header", "footer"}),
]  # fmt: skip
B1, B2, B3 = {"button1"}, {"button2"}, {"button3"}
CALLS, URLS = {"callButtonText", "callButtonValue"}, {"urlButtonText", "urlButtonValue"}
#: The nine sets the document allows.
SETS: list[tuple[int, bool, bool, set[str]]] = [
    (1, False, False, B2 | B3 | CALLS | URLS),
    (2, False, False, B3 | CALLS | URLS),
    (3, False, False, CALLS | URLS),
    (0, True, False, B1 | B2 | B3 | URLS),
    (0, False, True, B1 | B2 | B3 | CALLS),
    (0, True, True, B1 | B2 | B3),
    (1, True, False, B2 | B3 | URLS),
    (1, False, True, B2 | B3 | CALLS),
    (1, True, True, B2 | B3),
]
HEADERS: list[tuple[str, Content | None]] = [
    ("1.6", None),
    ("1.7", Media("document", link=LINK)),
    ("1.7(a)", Media("image", file="key")),
    ("1.8", PLACE),
]
for _section, _header in HEADERS:
    for _count, _call, _url, _without in SETS:
        _buttons = Buttons(
            MESSAGE, REPLIES[:_count], CALL if _call else None, URL if _url else None, _header,
            footer="Foot",
        )  # fmt: skip
        GOLDEN.append((_section, _buttons, _without))
    GOLDEN.append(
        (_section, Buttons(MESSAGE, ["Yes"], header=_header), B2 | B3 | CALLS | URLS | {"footer"})
    )


# --- Requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["body", "query"])
@pytest.mark.parametrize(("number", "content", "without"), GOLDEN)
def test_request_is_the_documents_address(
    http: Http, server: Recorder, number: str, content: Content, without: set[str], mode: str
) -> None:
    section = BY_NUMBER[number]
    expected: dict[str, list[str]] = {}
    for name, placeholder in section.parameters:
        if name not in without and name != "file":
            expected.setdefault(name, []).append(VALUES[placeholder])
    server.answer(OK)
    gateway = adapter(http, server.url, mode)
    message = outbound(content, upload=upload() if section.uploads else None)
    assert gateway.validate(content).refusals == ()
    assert sent(gateway.send(message)) == ACCEPTED
    [request] = server.requests
    assert (request.method, request.path) == ("POST", f"/api/{section.operation}")
    assert request.parameters == expected
    assert bool(request.query) == (mode == "query")
    assert bool(request.form) == (mode == "body")
    assert set(request.files) == ({"file"} if section.uploads else set())
    if section.uploads:
        assert request.files["file"].content == b"\xff\xd8\xff\r\n"
        assert request.files["file"].filename == "Preis.jpg"
        assert request.files["file"].content_type == "image/jpeg"


def test_every_send_operation_is_covered() -> None:
    assert {number for number, *_ in GOLDEN} == {
        section.number for section in SECTIONS if section.operation.startswith("send")
    }


@pytest.mark.parametrize("number", sorted({number for number, *_ in GOLDEN}))
def test_required_parameters_are_sent(http: Http, server: Recorder, number: str) -> None:
    """Those marked in the tables, in the spelling of the addresses."""
    section = BY_NUMBER[number]
    optional = {"button1"}  # "optional if using Call to Action button"
    required = {name for name, star in section.table.items() if star} - optional
    for case, content, _ in GOLDEN:
        if case == number:
            adapter(http, server.url).send(outbound(content, upload=upload()))
    assert server.requests
    for request in server.requests:
        names = set(request.parameters) | set(request.files)
        assert {name.lower() for name in required} <= {name.lower() for name in names}
        assert names <= {name for name, _ in section.parameters}


@pytest.mark.parametrize(
    ("degrees", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1e-9, "0"),
        (-1e-9, "0"),
        (0.00000006, "0.0000001"),
        (50, "50"),
        (-89.5, "-89.5"),
        (12.123456789, "12.1234568"),
        (90, "90"),
        (1e1, "10"),
    ],
)
def test_degrees_are_plain_decimals(
    http: Http, server: Recorder, degrees: float, text: str
) -> None:
    adapter(http, server.url).send(outbound(Location(degrees, degrees, name="x")))
    [request] = server.requests
    assert request.parameters["degreesLatitude"] == [text]
    assert request.parameters["degreesLongitude"] == [text]


@pytest.mark.parametrize(
    ("to", "error_class"),
    [("120363000000000001@g.us", ErrorClass.INVALID_RECIPIENT),
     ("123456@lid", ErrorClass.INVALID_RECIPIENT), ("", ErrorClass.INVALID_RECIPIENT),
     ("+4477००९", ErrorClass.INVALID_RECIPIENT)],
)  # fmt: skip
def test_only_phone_numbers(http: Http, server: Recorder, to: str, error_class: ErrorClass) -> None:
    outcome = adapter(http, server.url).send(outbound(Text("Hello"), to))
    assert sent(outcome) == (NEVER, error_class, MESSAGE_ONLY, False)
    assert server.requests == []


@pytest.mark.parametrize(
    ("content", "file", "error_class"),
    [
        (Media("image", file="key"), upload(3_000_000), None),
        (Media("image", file="key"), upload(3_000_001), ErrorClass.MEDIA),
        (Media("image", file="key"), upload(0), ErrorClass.MEDIA),
        (Media("image", file="key"), None, ErrorClass.INTERNAL),
        (Media("image", link=LINK), upload(9_000_000), None),
        (Buttons("a", ["b"], header=Media("image", file="k")), upload(filename="a.PNG"), None),
        (Buttons("a", ["b"], header=Media("image", file="k")), upload(filename="a.svg"),
         ErrorClass.MEDIA),
        (Buttons("a", ["b"], header=Media("image", file="k")), upload(3_000_001),
         ErrorClass.MEDIA),
        (Text("a" * 2001), None, ErrorClass.INVALID_CONTENT),
    ],
)  # fmt: skip
def test_files_and_aged_rows(
    http: Http,
    server: Recorder,
    content: Content,
    file: Upload | None,
    error_class: ErrorClass | None,
) -> None:
    server.answer(OK)
    outcome = adapter(http, server.url).send(outbound(content, upload=file))
    if error_class is None:
        assert sent(outcome) == ACCEPTED
    else:
        assert sent(outcome) == (NEVER, error_class, MESSAGE_ONLY, False)
        assert server.requests == []


def test_a_link_needs_no_upload(http: Http, server: Recorder) -> None:
    server.answer(OK)
    adapter(http, server.url).send(outbound(Media("image", link=LINK), upload=upload()))
    assert server.requests[0].files == {}
