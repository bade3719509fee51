"""SMS over IntelliSoftware: the vendor's public pages, beside the document."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.adapters.base import SMS
from messaging.adapters.http import Http
from messaging.adapters.intellisoftware import sms_parts
from messaging.content import Media, Text

from .builders import LINK, ids, intellisoftware, message_of, ok, outbound
from .recorder import Recorder


@pytest.mark.parametrize(
    ("options", "maxconcat"),
    [({}, 1), ({"maxconcat": "3"}, 3), ({"maxconcat": 2}, 2), ({"maxconcat": "many"}, 1),
     ({"maxconcat": "-4"}, 1), ({"maxconcat": ""}, 1)],
)  # fmt: skip
def test_sms(http: Http, server: Recorder, options: dict[str, Any], maxconcat: int) -> None:
    gateway = intellisoftware(http, server.url, channel=SMS, options=options)
    server.answer(ok({"to": "447700900123", "id": "a1"}))
    assert ids(gateway.send(outbound())) == ["a1"]
    assert message_of(server) == {
        "from": "447700900100",
        "to": "447700900123",
        "channel": "sms",
        "content": {"msgtype": "text", "text": "Hello", "maxconcat": maxconcat},
    }


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 135, 3),
        ("😃" * 35, 1),
        ("😃" * 36, 2),
        ("😃" * 67, 3),
    ],
)
def test_sms_parts(text: str, parts: int) -> None:
    assert sms_parts(text) == parts


def test_sms_limits(http: Http, server: Recorder) -> None:
    gateway = intellisoftware(http, server.url, channel=SMS)
    assert gateway.validate(Text("a" * 160)).refusals == ()
    assert gateway.validate(Text("a" * 161)).refusals == (
        "This text takes 2 SMS, but at most 1 are allowed per message.",
    )
    assert gateway.validate(Media("image", link=LINK)).refusals
    assert (
        intellisoftware(http, "", channel=SMS, options={"maxconcat": "2"})
        .validate(Text("a" * 161))
        .refusals
        == ()
    )
