"""Every adapter judges any content, in sentences, and never raises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.adapters.base import Adapter, Validation
from messaging.adapters.http import Http
from messaging.content import (
    MEDIA_KINDS,
    NAMED,
    POSITIONAL,
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
    TemplateRef,
    Text,
    UrlButton,
)

from .contract import adapter, every

texts = st.one_of(
    st.sampled_from(["", " ", "a", "é", "😃", "\x00", "{{1}}", "https://e.com/a", "a" * 5000]),
    st.text(max_size=12),
)
medias = st.builds(
    Media,
    kind=st.sampled_from([*MEDIA_KINDS, "hologram"]),
    link=texts,
    file=st.none() | texts,
    filename=texts,
    caption=texts,
)
degrees = st.floats() | st.integers(-200, 200)
places = st.builds(Location, degrees, degrees, texts, texts, texts)
cards = st.builds(
    ContactCard, texts, st.lists(texts, max_size=2), texts, birthday=texts, first_name=texts
)
refs = st.builds(
    TemplateRef,
    name=texts,
    language=texts,
    external_id=st.sampled_from(["", "45", "order_ready"]),
    parameter_format=st.sampled_from([NAMED, POSITIONAL, ""]),
    header_kind=st.sampled_from(["", "text", "location", *MEDIA_KINDS]),
    header=texts,
    body=texts,
    buttons=st.lists(st.builds(TemplateButton, texts, texts, texts), max_size=3),
)
headers = st.none() | st.builds(Text, texts) | medias | places
contents: st.SearchStrategy[Content] = st.one_of(
    st.builds(Text, texts),
    medias,
    places,
    st.builds(ContactCards, st.lists(cards, max_size=3)),
    st.builds(
        Buttons,
        texts,
        st.lists(st.builds(Reply, texts, texts), max_size=5),
        st.none() | st.builds(CallButton, texts, texts),
        st.none() | st.builds(UrlButton, texts, texts),
        headers,
        texts,
    ),
    st.builds(
        ListMenu,
        texts,
        texts,
        st.lists(st.builds(ListRow, texts, texts, texts, texts), max_size=12),
        texts,
        texts,
    ),
    st.builds(TemplateMessage, refs, st.dictionaries(texts, texts, max_size=3), headers),
)


@every
@settings(max_examples=150, deadline=None)
@given(content=contents)
def test_any_content_is_judged_in_sentences(cls: type[Adapter], content: Content) -> None:
    for channel in cls.channels:
        validation = adapter(cls, Http(), channel=channel).validate(content)
        assert isinstance(validation, Validation)
        for sentence in (*validation.refusals, *validation.warnings):
            assert isinstance(sentence, str)
            assert len(sentence.split()) > 2
            assert sentence.endswith((".", "?"))


@every
def test_sentences_are_translated(cls: type[Adapter], monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = "django.utils.translation._trans"
    monkeypatch.setattr(f"{catalogue}.gettext", lambda text: f"«{text}»", raising=False)
    monkeypatch.setattr(
        f"{catalogue}.ngettext", lambda one, many, number: f"«{one}»", raising=False
    )
    faulty: list[Content] = [
        Text("a" * 10_000),
        Media("audio", link="https://e.com/a.zip", caption="a" * 5000),
        Buttons("a" * 5000, ["a" * 99] * 5, CallButton("", ""), UrlButton("", ""), Location(1, 2)),
        ListMenu("a" * 5000, "a" * 99, ["a" * 99] * 12, "a" * 99, "a" * 99),
        TemplateMessage(TemplateRef()),
    ]
    instance = adapter(cls, Http())
    for content in faulty:
        validation = instance.validate(content)
        assert all("«" in sentence for sentence in (*validation.refusals, *validation.warnings))
