"""WhatsApp's message object as IntelliSoftware receives it: what the document's samples leave out,
and the limits of Meta's own documents."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.adapters.http import Http
from messaging.adapters.intellisoftware import IntelliSoftware
from messaging.adapters.message_object import message_object
from messaging.content import (
    NAMED,
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
    TemplateButton,
    TemplateMessage,
    Text,
    UrlButton,
)
from messaging.errors import ErrorClass, NotSupported, Verdict

from .builders import LINK, buttons, failures, ids, intellisoftware, ok, outbound, ref
from .recorder import Recorder


@pytest.fixture
def gateway(http: Http, server: Recorder) -> IntelliSoftware:
    return intellisoftware(http, server.url)


def msgobject(gateway: IntelliSoftware, server: Recorder, content: Content) -> Any:
    """What a content looks like on the wire."""
    server.answer(ok({"to": "447700900123", "id": "a1"}))
    assert content.problems() == []
    assert ids(gateway.send(outbound(content))) == ["a1"]
    return server.requests[-1].json()["message"]["content"]["msgobject"]


PLACE = {"latitude": 50.7154, "longitude": -1.9872}


def text_values(*values: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": value} for value in values]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            ContactCards([ContactCard("Asha", phones=["+447700900123"])]),
            [
                {
                    "name": {"formatted_name": "Asha", "first_name": "Asha"},
                    "phones": [{"phone": "+447700900123"}],
                }
            ],
            id="a card with a name and a number only",
        ),
        pytest.param(
            Media("document", link=LINK, filename="Invoice 17.pdf"),
            {"link": LINK, "filename": "Invoice 17.pdf"},
            id="a document's name",
        ),
        pytest.param(
            Media("image", link=LINK, filename="a.jpg"), {"link": LINK}, id="a picture's name"
        ),
        pytest.param(Location(50.7154, -1.9872), PLACE, id="a bare place"),
    ],
)
def test_plain_objects(
    gateway: IntelliSoftware, server: Recorder, content: Content, expected: Any
) -> None:
    assert msgobject(gateway, server, content)[content.kind] == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        (Text("Hello"), {"type": "text", "text": "Hello"}),
        (Media("image", link=LINK), {"type": "image", "image": {"link": LINK}}),
        (Media("video", link=LINK), {"type": "video", "video": {"link": LINK}}),
        (
            Media("document", link=LINK, filename="a.pdf"),
            {"type": "document", "document": {"link": LINK, "filename": "a.pdf"}},
        ),
    ],
)
def test_buttons(
    gateway: IntelliSoftware, server: Recorder, header: Content | None, expected: Any
) -> None:
    content = Buttons("Body", replies=[Reply("Yes", "yes"), Reply("No")], header=header, footer="F")
    sent = msgobject(gateway, server, content)["interactive"]
    assert sent.get("header") == expected
    assert sent["footer"] == {"text": "F"}
    assert sent["action"]["buttons"] == [
        {"type": "reply", "reply": {"id": "yes", "title": "Yes"}},
        {"type": "reply", "reply": {"id": "button_2", "title": "No"}},
    ]


@pytest.mark.parametrize(
    ("content", "components"),
    [
        pytest.param(TemplateMessage(ref(body="Open again.")), None, id="no variables"),
        pytest.param(
            TemplateMessage(ref(body="{{2}}, {{1}}, {{10}}"), {"10": "x", "2": "b", "1": "a"}),
            [{"type": "body", "parameters": text_values("a", "b", "x")}],
            id="positions in order",
        ),
        pytest.param(
            TemplateMessage(
                ref(header_kind="text", header="Order {{1}}", body="Hello {{1}}"),
                {"header_1": "A-7", "1": "Asha"},
            ),
            [
                {"type": "header", "parameters": text_values("A-7")},
                {"type": "body", "parameters": text_values("Asha")},
            ],
            id="positions count anew in the header",
        ),
        pytest.param(
            TemplateMessage(
                ref(parameter_format=NAMED, header_kind="text", header="{{no}}", body="{{who}}"),
                {"no": "A-7", "who": "Asha"},
            ),
            [
                {
                    "type": "header",
                    "parameters": [{"type": "text", "parameter_name": "no", "text": "A-7"}],
                },
                {
                    "type": "body",
                    "parameters": [{"type": "text", "parameter_name": "who", "text": "Asha"}],
                },
            ],
            id="names in the header",
        ),
        pytest.param(
            TemplateMessage(ref(header_kind="image", body="Hi"), header=Media("image", link=LINK)),
            [{"type": "header", "parameters": [{"type": "image", "image": {"link": LINK}}]}],
            id="picture header",
        ),
        pytest.param(
            TemplateMessage(
                ref(header_kind="document", body="Hi"),
                header=Media("document", link=LINK, filename="a.pdf"),
            ),
            [
                {
                    "type": "header",
                    "parameters": [
                        {"type": "document", "document": {"link": LINK, "filename": "a.pdf"}}
                    ],
                }
            ],
            id="document header",
        ),
        pytest.param(
            TemplateMessage(
                ref(header_kind="location", body="Hi"), header=Location(50.7154, -1.9872)
            ),
            [{"type": "header", "parameters": [{"type": "location", "location": PLACE}]}],
            id="location header",
        ),
        pytest.param(
            TemplateMessage(
                ref(
                    body="Hi",
                    buttons=[
                        TemplateButton("url", "Track", "https://example.com/{{1}}"),
                        TemplateButton("url", "Site", "https://example.com/"),
                        TemplateButton("copy_code", "Copy"),
                        TemplateButton("quick_reply", "Stop"),
                        TemplateButton("quick_reply", "Yes", "yes-{{1}}"),
                        TemplateButton("call", "Call", "+447700900100"),
                    ],
                ),
                {"button1_1": "A-7", "button3_code": "SAVE10", "button5_1": "17"},
            ),
            [
                {
                    "type": "button",
                    "sub_type": "url",
                    "index": "0",
                    "parameters": text_values("A-7"),
                },
                {
                    "type": "button",
                    "sub_type": "copy_code",
                    "index": "2",
                    "parameters": [{"type": "coupon_code", "coupon_code": "SAVE10"}],
                },
                {
                    "type": "button",
                    "sub_type": "quick_reply",
                    "index": "4",
                    "parameters": [{"type": "payload", "payload": "yes-17"}],
                },
            ],
            id="buttons",
        ),
    ],
)
def test_template_components(
    gateway: IntelliSoftware, server: Recorder, content: Content, components: Any
) -> None:
    sent = msgobject(gateway, server, content)["template"]
    assert sent.get("components") == components
    assert sent["language"] == {"policy": "deterministic", "code": "en_GB"}


# --- Limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Text("a" * 4097), "at most 4096"),
        (Media("image", link=LINK, caption="a" * 1025), "at most 1024"),
        (Media("document", link=LINK, filename="a" * 241), "at most 240"),
        (ContactCards([ContactCard("A")] * 258), "257"),
        (Location(1, 2, url="https://example.com"), "link"),
        (buttons(call=CallButton("Call", "+447700900100")), "number"),
        (buttons(url=UrlButton("Open", "https://example.com")), "link"),
        (buttons(replies=["1", "2", "3", "4"]), "At most 3"),
        (buttons(replies=["a" * 21]), "at most 20"),
        (buttons(replies=[Reply("A", "x"), Reply("B", "x")]), "same id"),
        (buttons(replies=[Reply("A", "button_2"), Reply("B")]), "same id"),
        (buttons(replies=[Reply("A", "x" * 257)]), "at most 256"),
        (buttons(replies=[Reply("A", " x")]), "space"),
        (buttons(body="a" * 1025), "at most 1024"),
        (buttons(footer="a" * 61), "at most 60"),
        (buttons(header=Text("a" * 61)), "at most 60"),
        (buttons(header=Location(1, 2)), "header"),
        (buttons(header=Media("audio", link=LINK)), "header"),
        (buttons(header=Media("image", link=LINK, caption="Hi")), "caption"),
        (ListMenu("Body", "Open", [ListRow("A")]), "this kind"),
        (TemplateMessage(ref(name="")), "no name"),
        (TemplateMessage(ref(language="")), "language"),
        (TemplateMessage(ref(name="a" * 513)), "at most 512"),
        (TemplateMessage(ref(body="a" * 1000 + "{{1}}"), {"1": "b" * 25}), "at most 1024"),
        (
            TemplateMessage(
                ref(header_kind="image"), header=Media("image", link=LINK, caption="Hi")
            ),
            "caption",
        ),
        (
            TemplateMessage(ref(header_kind="audio"), header=Media("audio", link=LINK)),
            "header",
        ),
        (
            TemplateMessage(
                ref(header_kind="location"), header=Location(1, 2, url="https://example.com")
            ),
            "link",
        ),
    ],
)
def test_refusals(gateway: IntelliSoftware, server: Recorder, content: Content, words: str) -> None:
    """Said before queueing, and again before sending: never dropped on the way."""
    refusals = gateway.validate(content).refusals
    assert any(words in sentence for sentence in refusals)
    assert all(sentence[0].isupper() and sentence[-1] == "." for sentence in refusals)
    outcome = gateway.send(outbound(content))
    assert failures(outcome) == [(Verdict.NEVER_LEFT, ErrorClass.INVALID_CONTENT)]
    assert server.requests == []


@pytest.mark.parametrize(
    "content",
    [
        Text("a" * 4096),
        Media("image", link=LINK, caption="a" * 1024),
        buttons(replies=["a" * 20, "b", "c"], body="a" * 1024, footer="a" * 60),
        buttons(header=Text("a" * 60), replies=[Reply("A", "x" * 256)]),
        ContactCards([ContactCard("A")] * 257),
        Media("document", file="7", filename="a.pdf"),
        Media("image", link="https://example.com/download.php"),
        Media("image", link="https://[broken/a.gif"),
    ],
)
def test_just_within(gateway: IntelliSoftware, content: Content) -> None:
    validation = gateway.validate(content)
    assert (validation.refusals, validation.warnings) == ((), ())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Media("audio", link=LINK, caption="Hi"), "caption"),
        (Media("sticker", link=LINK, caption="Hi"), "caption"),
        (Media("image", link="https://example.com/a.GIF?x=1"), ".gif"),
        (Media("document", link=LINK, filename="a.zip"), ".zip"),
        (Media("sticker", link="https://example.com/a.png"), "webp"),
    ],
)
def test_warnings(gateway: IntelliSoftware, content: Content, words: str) -> None:
    validation = gateway.validate(content)
    assert validation.refusals == ()
    assert any(words in sentence for sentence in validation.warnings)


def test_file_without_link_never_leaves(gateway: IntelliSoftware, server: Recorder) -> None:
    outcome = gateway.send(outbound(Media("image", file="7")))
    assert failures(outcome) == [(Verdict.NEVER_LEFT, ErrorClass.INTERNAL)]
    assert server.requests == []


def test_a_list_has_no_form() -> None:
    with pytest.raises(NotSupported):
        message_object(ListMenu("Body", "Open", [ListRow("A")]))
