"""WhatsApp HTTP API: every limit of its document, at its edge and one beyond, in words."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.adapters.base import Validation
from messaging.adapters.http import Http
from messaging.adapters.whatsapp_parameters import characters, request, validate
from messaging.content import (
    Buttons,
    CallButton,
    CardEmail,
    ContactCard,
    ContactCards,
    Content,
    ListMenu,
    ListRow,
    Location,
    Media,
    Reply,
    TemplateMessage,
    TemplateRef,
    Text,
    UrlButton,
)

from .whatsapp_cases import LINK, adapter

CALL, URL = CallButton("Call", "+447700900100"), UrlButton("Shop", "https://e.com")
PLACE = Location(1, 2, name="Shop")
IMAGE = Media("image", link=LINK)


def rows(count: int) -> list[ListRow]:
    return [ListRow(f"Row {number}") for number in range(count)]


def menu(**changes: Any) -> ListMenu:
    values: dict[str, Any] = {"body": "a", "button": "b", "rows": rows(1)}
    return ListMenu(**values | changes)


def card(**changes: Any) -> ContactCards:
    values: dict[str, Any] = {"name": "Asha", "phones": ["447700900124"]}
    return ContactCards([ContactCard(**values | changes)])


#: What just fits, what does not, and a word of the refusal.
EDGES: list[tuple[Content, Content, str]] = [
    (Text("a" * 2000), Text("a" * 2001), "2001 bytes"),
    (Text("é" * 1000), Text("é" * 1001), "2002 bytes"),
    (Text("😀" * 500), Text("😀" * 501), "2004 bytes"),
    (Text("\r\n" * 2000), Text("\r\n" * 2001), "2001 bytes"),
    (Media("image", link=LINK, caption="a" * 2000),
     Media("image", link=LINK, caption="a" * 2001), "2001 bytes"),
    (PLACE, Location(1, 2, name=" "), "name for the location"),
    (card(name="a" * 30), card(name="a" * 31), "31 characters"),
    (card(name="😀" * 15), card(name="😀" * 16), "32 characters"),
    (card(), card(phones=[]), "phone number"),
    (card(), card(phones=["none"]), "phone number"),
    (card(), ContactCards([ContactCard("A", ["1234567"])] * 2), "one contact card"),
    (card(), ContactCards([]), "one contact card"),
    (Buttons("a" * 1024, ["b"]), Buttons("a" * 1025, ["b"]), "1025 characters"),
    (Buttons("😀" * 512, ["b"]), Buttons("😀" * 513, ["b"]), "1026 characters"),
    (Buttons("क" * 1024, ["b"]), Buttons("क" * 1025, ["b"]), "1025 characters"),
    (Buttons("a", ["b"], footer="c" * 60), Buttons("a", ["b"], footer="c" * 61), "61 characters"),
    (Buttons("a", ["b" * 20]), Buttons("a", ["b" * 21]), "21 characters"),
    (Buttons("a", call=CallButton("b" * 20, "+447700900100")),
     Buttons("a", call=CallButton("b" * 21, "+447700900100")), "21 characters"),
    (Buttons("a", url=UrlButton("b" * 20, "https://e.com")),
     Buttons("a", url=UrlButton("b" * 21, "https://e.com")), "21 characters"),
    (Buttons("a", ["1", "2", "3"]), Buttons("a", ["1", "2", "3", "4"]), "three buttons"),
    (Buttons("a", ["1"], CALL, URL), Buttons("a", ["1", "2"], CALL, URL), "three buttons"),
    (Buttons("a", ["1"], CALL), Buttons("a", ["1", "2"], CALL), "one reply button"),
    (Buttons("a", ["1"], url=URL), Buttons("a", ["1", "2"], url=URL), "one reply button"),
    (Buttons("a", call=CallButton("b", "00 44 7700 900100")),
     Buttons("a", call=CallButton("b", "07700 900100")), "country code"),
    (Buttons("a", call=CALL), Buttons("a", call=CallButton("b", "123456")), "country code"),
    (Buttons("a", ["1"], header=IMAGE), Buttons("a", ["1"], header=Text("Hello")), "no text above"),
    (Buttons("a", ["1"], header=PLACE), Buttons("a", ["1"], header=Location(1, 2)), "a name"),
    (Buttons("a", ["1"], header=Media("video", link=LINK)),
     Buttons("a", ["1"], header=Media("audio", link=LINK)), "PowerPoint"),
    (Buttons("a", ["1"], header=Media("image", link=LINK)),
     Buttons("a", ["1"], header=Media("sticker", link=LINK)), "PowerPoint"),
    (Buttons("a", ["1"], header=Media("document", link="https://e.com/a.PPTX?x=.zip")),
     Buttons("a", ["1"], header=Media("document", link="https://e.com/a.zip")), "PowerPoint"),
    (Buttons("a", ["1"], header=Media("document", link="https://e.com/download")),
     Buttons("a", ["1"], header=Media("document", file="k", filename="a.txt")), "PowerPoint"),
    (menu(body="a" * 1024), menu(body="a" * 1025), "1025 characters"),
    (menu(header="a" * 60), menu(header="a" * 61), "61 characters"),
    (menu(footer="a" * 60), menu(footer="a" * 61), "61 characters"),
    (menu(button="a" * 20), menu(button="a" * 21), "21 characters"),
    (menu(rows=rows(10)), menu(rows=rows(11)), "10 rows"),
    (menu(rows=[ListRow("a" * 20)]), menu(rows=[ListRow("a" * 21)]), "21 characters"),
    (menu(rows=[ListRow("a", section="s" * 20)]), menu(rows=[ListRow("a", section="s" * 21)]),
     "21 characters"),
    (menu(rows=[ListRow("a", description="d" * 30)]),
     menu(rows=[ListRow("a", description="d" * 31)]), "31 characters"),
    (menu(rows=["10.30"]), menu(rows=["10:30"]), "colon"),
    (menu(rows=[ListRow("a")]), menu(rows=[ListRow("a", section="s:")]), "colon"),
    (menu(rows=[ListRow("a")]), menu(rows=[ListRow("a", description=":d")]), "colon"),
    (menu(header=""), TemplateMessage(TemplateRef(name="a", body="b")), "cannot send this kind"),
]  # fmt: skip


@pytest.mark.parametrize(("fits", "beyond", "word"), EDGES)
def test_edges(fits: Content, beyond: Content, word: str) -> None:
    assert validate(fits).refusals == ()
    [refusal] = validate(beyond).refusals
    assert word in refusal


@pytest.mark.parametrize(("fits", "beyond", "word"), EDGES)
def test_what_fits_can_be_said(fits: Content, beyond: Content, word: str) -> None:
    for name, value in request(fits).parameters:
        assert name
        assert value


@pytest.mark.parametrize(
    ("text", "length"), [("", 0), ("abc", 3), ("ä", 1), ("😀", 2), ("👨‍👩‍👧", 8), ("\ud83d", 1)]
)
def test_characters(text: str, length: int) -> None:
    assert characters(text) == length
    assert characters(text) >= len(text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Text("Hello"), []),
        (Text("a\\nb"), ["new line"]),
        (Media("image", link=LINK, caption="a\\nb"), ["new line"]),
        (Media("image", link=LINK, caption="a"), []),
        (Media("document", link=LINK), []),
        (Media("document", link=LINK, caption="a"), ["without the text"]),
        (Media("audio", link=LINK, caption="a"), ["may not be displayed"]),
        (Media("sticker", link=LINK, caption="a"), ["may not be displayed"]),
        (PLACE, []),
        (card(organization="Ltd", first_name="Asha", last_name="Rao"), []),
        (card(phones=["1234567", "1234568"]), ["left out"]),
        (card(emails=[CardEmail("a@e.com")]), ["left out"]),
        (card(birthday="1990-04-30"), ["left out"]),
        (Buttons("a", ["b"]), ["may not display"]),
        (Buttons("a", call=CALL, url=URL), ["may not display"]),
        (Buttons("a", ["b"], CALL), ["may not display", "contradicts"]),
        (Buttons("a", ["b"], footer="c\\nd"), ["may not display", "new line"]),
        (Buttons("a", ["b"], header=PLACE), ["may not display"]),
        (Buttons("a", ["b"], header=Location(1, 2, "a", "street")),
         ["may not display", "name only"]),
        (Buttons("a", ["b"], header=Location(1, 2, "a", url="https://e.com")),
         ["may not display", "name only"]),
        (Buttons("a", ["b"], header=Media("image", link=LINK, caption="c")),
         ["may not display", "left out"]),
        (menu(), ["may not display"]),
    ],
)  # fmt: skip
def test_warnings(content: Content, words: list[str]) -> None:
    warnings = validate(content).warnings
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning


def test_every_refusal_is_told() -> None:
    content = menu(body="a" * 1025, header="a" * 61, rows=["a:b", "c" * 21])
    assert len(validate(content).refusals) == 4


def test_replies_without_number_are_no_gap() -> None:
    names = [name for name, _ in request(Buttons("a", [Reply("x"), Reply("y")])).parameters]
    assert names == ["message", "button1", "button2"]


#: 1024 emoji are within the limit of characters by code points and make 12 KB of an address.
LONG = Buttons("😀" * 512, ["b"], header=Media("image", link="https://e.com/" + "ä" * 500))


@pytest.mark.parametrize(("mode", "refused"), [("query", True), ("body", False), ("auto", False)])
def test_long_addresses(mode: str, refused: bool) -> None:
    gateway = adapter(Http(), "https://wa.example.com", mode)
    assert bool(gateway.validate(LONG).refusals) is refused
    assert gateway.validate(Text("क" * 666)).refusals == ()
    if refused:
        assert "from the address" in gateway.validate(LONG).refusals[0]


def test_validate_is_a_validation() -> None:
    gateway = adapter(Http(), "https://wa.example.com", "query")
    assert gateway.validate(Text("Hello")) == Validation()
    assert gateway.validate(Media("image")) == Validation()  # the generic rules speak of that
