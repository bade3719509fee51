"""The words people opt out and in with, and what is not one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging import conf, consent
from messaging.checks.rules import RULES

AT = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)

STOPS = [
    *(word for words in consent.STOP_WORDS.values() for word in words),
    "stop",
    "Stop.",
    " STOP! ",
    "«stop»",
    "*STOP*",
    "🛑 Stop 🛑",
    "STOP\u200b",
    "ST\u200dOP",
    "\ufeffstop\n",
    "\u202estop\u202c",
    "ＳＴＯＰ",
    "𝐒𝐓𝐎𝐏",
    "stop-all",
    "opt-out",
    "Opt  Out",
    "arrêt",
    "ARRÊT!",
    "arre\u0302t",
    "désabonner",
    "Baja.",
    "dar de baja",
    "تَوَقُّف",
    "تـوقف",
    "توقف!",
    "ايقاف",
]

STARTS = [
    *(word for words in consent.START_WORDS.values() for word in words),
    "start",
    "Start 🙂",
    "“Unstop”",
    "alta",
    "ابدا",
]

NEITHER = [
    "",
    " ",
    "🙂",
    "\u3164",
    "cancel",
    "CANCEL",
    "Cancelar",
    "end",
    "END",
    "yes",
    "no",
    "quit",
    "Please stop",
    "stop it",
    "When does it stop?",
    "I stopped",
    "nonstop",
    "non-stop",
    "bus stop",
    "don't stop",
    "starter",
    "start at 9",
    "S T O P",
    "stop 5",
    "ba ja",
    "0",
    "1",
    "stop" + "!" * 200,
    "\ud800",
    "\x00",
    "СТОП",
]


@pytest.mark.parametrize("text", STOPS)
def test_a_word_that_opts_out(text: str) -> None:
    assert consent.word(text) == "stop"


@pytest.mark.parametrize("text", STARTS)
def test_a_word_that_opts_in(text: str) -> None:
    assert consent.word(text) == "start"


@pytest.mark.parametrize("text", NEITHER)
def test_what_only_looks_like_one(text: str) -> None:
    assert consent.word(text) == ""


def test_no_word_is_both() -> None:
    stops, starts = (
        {consent._plain(word) for words in table.values() for word in words}
        for table in (consent.STOP_WORDS, consent.START_WORDS)
    )
    assert not stops & starts
    assert "" not in stops | starts


@given(st.text(max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    assert consent.word(text) in ("", "stop", "start")


@pytest.mark.parametrize(
    "noise", ["…", "❤️", "\u200f", "(", " \t\n", "\u00ad", "👍🏽", "🇪🇸", "\u0301"]
)
def test_what_stands_around_a_word_does_not_hide_it(noise: str) -> None:
    assert consent.word(f"STOP{noise}") == "stop"
    assert consent.word(f"{noise} STOP") == "stop"


def test_a_host_gives_words_of_its_own(settings: Any) -> None:
    settings.MESSAGING |= {"STOP_WORDS": {"sw": ["Acha!"], "de": []}, "START_WORDS": {"sw": [""]}}
    assert consent.word("ACHA") == "stop"
    assert consent.word("abmelden") == ""
    assert consent.word("stop") == "stop"
    assert consent.word("") == ""
    assert consent.word("start") == "start"


@pytest.mark.parametrize(
    "value", [["STOP"], {"en": "STOP"}, {1: ["STOP"]}, {"en": ["k"]}, {"en": [1]}, "STOP"]
)
def test_words_that_cannot_be_meant_are_found_by_the_checks(value: Any) -> None:
    assert RULES["STOP_WORDS"](value)
    assert RULES["START_WORDS"](value)


@pytest.mark.parametrize("value", [None, 5, "x" * 1001, "a\x00b"])
def test_a_text_that_cannot_be_sent_is_found_by_the_checks(value: Any) -> None:
    assert RULES["OPT_OUT_TEXT"](value)
    assert RULES["OPT_IN_TEXT"](value)
    assert not RULES["OPT_OUT_TEXT"]("Bye.")
    assert conf.DEFAULTS["CONFIRM_OPT_OUT"] is True


# The one key


def test_a_confirmation_is_for_one_address() -> None:
    key = consent.confirmation_key(12, AT)
    assert key == f"messaging:opt-out:12:{int(AT.timestamp())}"
    assert consent.is_confirmation(key, 12)
    for other in (1, 2, 120):
        assert not consent.is_confirmation(key, other)
    for wrong in (None, "", "order-12", "messaging:opt-in:12:1", "xmessaging:opt-out:12:1"):
        assert not consent.is_confirmation(wrong, 12)
