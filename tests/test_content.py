"""Contents: JSON there and back, problems in words, a preview of every kind."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.content import (
    KINDS,
    MEDIA_KINDS,
    NAMED,
    POSITIONAL,
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
    TemplateButton,
    TemplateMessage,
    TemplateRef,
    Text,
    UrlButton,
    from_json,
    is_web_link,
    placeholders,
)
from messaging.errors import InvalidContent

LINK = "https://files.example/a.jpg"
PICTURE = Media("image", link=LINK)

# --- There and back -----------------------------------------------------------------------------

texts = st.text(max_size=20)
coordinates = st.floats(-1e6, 1e6) | st.integers(-200, 200)


def tuples(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(part, max_size=3).map(tuple)


media = st.builds(
    Media,
    kind=st.sampled_from(MEDIA_KINDS),
    link=texts,
    file=st.none() | texts,
    filename=texts,
    caption=texts,
)
locations = st.builds(Location, coordinates, coordinates, texts, texts, texts)
plain = st.builds(Text, texts)
cards = st.builds(
    ContactCard,
    name=texts,
    phones=tuples(st.builds(CardPhone, texts, texts)),
    organization=texts,
    birthday=texts,
    addresses=tuples(st.builds(CardAddress, street=texts, zip=texts, country_code=texts)),
    emails=tuples(st.builds(CardEmail, texts, texts)),
    urls=tuples(st.builds(CardUrl, texts)),
)
buttons = st.builds(
    Buttons,
    body=texts,
    replies=tuples(st.builds(Reply, texts, texts)),
    call=st.none() | st.builds(CallButton, texts, texts),
    url=st.none() | st.builds(UrlButton, texts, texts),
    header=st.none() | plain | media | locations,
    footer=texts,
)
menus = st.builds(
    ListMenu,
    body=texts,
    button=texts,
    rows=tuples(st.builds(ListRow, texts, texts, texts, texts)),
    header=texts,
    footer=texts,
)
refs = st.builds(
    TemplateRef,
    pk=st.none() | st.integers(1, 2**63 - 1),
    name=texts,
    parameter_format=st.sampled_from([POSITIONAL, NAMED]),
    header_kind=st.sampled_from(["", "text", "location", *MEDIA_KINDS]),
    header=texts,
    body=texts | st.just("{{1}} and {{ name }}"),
    buttons=tuples(st.builds(TemplateButton, st.sampled_from(["url", "copy_code"]), texts, texts)),
)
templates = st.builds(
    TemplateMessage,
    template=refs,
    variables=st.dictionaries(texts, texts, max_size=3),
    header=st.none() | media | locations,
)
contents = (
    plain | media | locations | st.builds(ContactCards, tuples(cards)) | buttons | menus | templates
)


@given(contents)
def test_json_there_and_back(content: Content) -> None:
    data = json.loads(json.dumps(content.to_json()))
    again = from_json(data)
    assert again == content
    assert (hash(again), again.to_json(), again.kind) == (
        hash(content),
        content.to_json(),
        content.kind,
    )
    assert content.kind in KINDS


@given(contents)
def test_any_content_can_be_judged_and_shown(content: Content) -> None:
    assert all(isinstance(problem, str) and problem for problem in content.problems())
    assert isinstance(content.preview(), str)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "body kind link file rows replies call url header cards title template variables "
    "latitude longitude button name phones caption pk"
)


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES.split()), values, max_size=6))
def test_whatever_a_row_holds_is_a_content_or_refused(kind: str, data: dict[str, Any]) -> None:
    try:
        content = from_json({**data, "kind": kind})
    except InvalidContent:
        return
    content.problems()
    content.preview()
    content.to_json()
    hash(content)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        7,
        {},
        {"kind": None},
        {"kind": ["text"]},
        {"kind": "riddle"},
        {"kind": "text"},
        {"kind": "template", "template": None},
    ],
)
def test_what_is_no_content_is_refused(data: Any) -> None:
    with pytest.raises(InvalidContent):
        from_json(data)


def test_what_a_later_release_added_is_left_out() -> None:
    assert from_json({"kind": "text", "body": "a", "colour": "red"}) == Text("a")


def test_contents_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Text("a").body = "b"  # type: ignore[misc]


def test_plain_strings_and_lists_stand_for_parts() -> None:
    assert Buttons("a", replies=["Yes"]).replies == (Reply("Yes"),)
    assert ListMenu("a", "b", rows=["One"]).rows == (ListRow("One"),)
    assert ContactCards(["Ada"]).cards == (ContactCard("Ada"),)
    assert ContactCard("Ada", phones=["+44 20 7946 0000"]).phones == (
        CardPhone("+44 20 7946 0000"),
    )


# --- Problems, in words -------------------------------------------------------------------------

SOUND: list[Content] = [
    Text("a"),
    *(Media(kind, link=LINK) for kind in MEDIA_KINDS),
    Media("image", file="key"),
    Location(90, -180),
    Location(0, 0.0, url="https://maps.example/"),
    ContactCards([ContactCard("Ada", birthday="1815-12-10")]),
    Buttons("a", replies=["Yes", "No"]),
    Buttons("a", call=CallButton("Call", "+447911123456"), header=Text("h")),
    Buttons("a", url=UrlButton("Open", LINK), header=PICTURE),
    Buttons("a", replies=["Yes"], header=Location(0, 0)),
    ListMenu("a", "b", rows=["One"]),
    TemplateMessage(TemplateRef(pk=1, body="{{1}}"), {"1": "a"}),
    TemplateMessage(TemplateRef(pk=1, header_kind="image"), header=PICTURE),
    TemplateMessage(TemplateRef(pk=1, header_kind="location"), header=Location(0, 0)),
]


@pytest.mark.parametrize("content", SOUND, ids=repr)
def test_what_is_sound(content: Content) -> None:
    assert content.problems() == []


UNSOUND: list[tuple[Content, str]] = [
    (Text(""), "empty"),
    (Text(" \n\u00a0"), "empty"),
    (Text("a\x00"), "characters"),
    (Text("\ud800"), "characters"),
    (Buttons("a", replies=["\x00"]), "characters"),
    (Media("hologram", link=LINK), "hologram"),
    (Media("image"), "either a link or a file"),
    (Media("image", link=LINK, file="key"), "either a link or a file"),
    (Media("image", link="ftp://files.example/a.jpg"), "https"),
    (Media("image", link="javascript:alert(1)"), "https"),
    (Media("image", link="https://files.example/a b.jpg"), "https"),
    (Location(90.1, 0), "latitude"),
    (Location(0, -181), "longitude"),
    (Location(float("nan"), float("inf")), "latitude"),
    (Location(0, 0, url="maps"), "https"),
    (ContactCards([]), "at least one"),
    (ContactCards([""]), "name"),
    (ContactCards([ContactCard("Ada", birthday="10.12.1815")]), "year-month-day"),
    (Buttons("", replies=["Yes"]), "empty"),
    (Buttons("a"), "at least one"),
    (Buttons("a", replies=[""]), "text"),
    (Buttons("a", replies=["Yes", "Yes "]), "same text"),
    (Buttons("a", call=CallButton("", "+447911123456")), "text"),
    (Buttons("a", url=UrlButton("Open", "here")), "https"),
    (Buttons("a", replies=["Yes"], header=ListMenu("a", "b", rows=["c"])), "header"),
    (Buttons("a", replies=["Yes"], header=Media("image")), "either a link or a file"),
    (ListMenu("", "b", rows=["c"]), "empty"),
    (ListMenu("a", "", rows=["c"]), "button"),
    (ListMenu("a", "b", rows=[]), "at least one"),
    (ListMenu("a", "b", rows=[""]), "title"),
    (TemplateMessage(TemplateRef(body="{{1}} {{2}}"), {"1": "a"}), "Fill in: 2"),
    (TemplateMessage(TemplateRef(body="{{1}}"), {"1": "a", "9": "b"}), "no place for: 9"),
    (TemplateMessage(TemplateRef(body="{{1}}"), {"1": "a\nb"}), "line breaks"),
    (TemplateMessage(TemplateRef(body="{{1}}"), {"1": "a      b"}), "spaces"),
    (TemplateMessage(TemplateRef(header_kind="video"), header=PICTURE), "video"),
    (TemplateMessage(TemplateRef(header_kind="location")), "location"),
    (TemplateMessage(TemplateRef(), header=PICTURE), "no file"),
]


@pytest.mark.parametrize(("content", "word"), UNSOUND, ids=lambda value: repr(value)[:60])
def test_what_is_unsound_is_said_in_words(content: Content, word: str) -> None:
    problems = content.problems()
    assert any(word in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("link", "is_link"),
    [
        ("https://a.example", True),
        ("HTTP://a.example/x?y#z", True),
        ("https://", False),
        ("https:///path", False),
        ("//a.example", False),
        ("https://a.example/\n", False),
        ("data:text/html,x", False),
    ],
)
def test_web_links(link: str, is_link: bool) -> None:
    assert is_web_link(link) == is_link


# --- Previews and templates ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (Text("Hello"), "Hello"),
        (Media("image", link=LINK, caption="Menu"), "Picture: Menu"),
        (Media("document", file="key", filename="menu.pdf"), "Document: menu.pdf"),
        (Media("audio", link=LINK), "Audio"),
        (Location(1, 2, name="Office"), "Location: Office"),
        (ContactCards(["Ada", "Grace"]), "Contact: Ada, Grace"),
        (
            Buttons("Yes?", replies=["Yes", "No"], call=CallButton("Call", "1")),
            "Yes? [Yes] [No] [Call]",
        ),
        (ListMenu("Choose", "Menu", rows=["One", "Two"]), "Choose [One] [Two]"),
        (
            TemplateMessage(
                TemplateRef(
                    name="x",
                    header_kind="text",
                    header="For {{1}}",
                    body="See {{1}}.",
                    footer="Bye",
                ),
                {"header_1": "Ada", "1": "you"},
            ),
            "For Ada\nSee you.\nBye",
        ),
        (TemplateMessage(TemplateRef(name="reminder")), "reminder"),
        (
            TemplateMessage(
                TemplateRef(parameter_format=NAMED, body="Dear {{ name }}"), {"name": "{{name}}"}
            ),
            "Dear {{name}}",
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_previews(content: Content, shown: str) -> None:
    assert content.preview() == shown


def test_a_template_names_all_its_values_in_order() -> None:
    ref = TemplateRef(
        header_kind="text",
        header="{{1}}",
        body="{{2}} {{10}} {{1}} {{2}}",
        buttons=(
            TemplateButton("quick_reply", "Yes"),
            TemplateButton("url", "Open", "https://a.example/{{1}}"),
            TemplateButton("copy_code", "Copy"),
        ),
    )
    assert ref.variables == ("header_1", "1", "2", "10", "button2_1", "button3_code")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("none", []),
        ("{{2}} {{1}}", ["1", "2"]),
        ("{{b}} {{a}} {{b}}", ["b", "a"]),
        ("{{ x }} {{y}", ["x"]),
        ("{{1}} {{a}}", ["1", "a"]),
    ],
)
def test_placeholders(text: str, found: list[str]) -> None:
    assert placeholders(text) == found


def test_a_file_can_be_exchanged_wherever_it_is() -> None:
    other = Media("image", link="https://files.example/b.jpg")
    for content in (
        PICTURE,
        Buttons("a", replies=["Yes"], header=PICTURE),
        TemplateMessage(TemplateRef(header_kind="image"), header=PICTURE),
    ):
        assert content.media == PICTURE
        assert content.with_media(other).media == other
    assert Text("a").media is None
    assert Text("a").with_media(other) == Text("a")
