"""WhatsApp HTTP API: what the document's answers and codes mean, and what its gaps may mean."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.adapters.http import Http
from messaging.content import (
    Buttons,
    ContactCard,
    ContactCards,
    Content,
    ListMenu,
    Location,
    Media,
    Text,
)
from messaging.errors import ErrorClass

from .recorder import Recorder
from .whatsapp_cases import (
    ACCEPTED,
    ID,
    LANE,
    LINK,
    MESSAGE_ONLY,
    OK,
    REFUSED,
    TOKEN,
    UNKNOWN,
    adapter,
    outbound,
    sent,
    upload,
)
from .whatsapp_seed import BY_NUMBER, CODES, SECTIONS, Section

FILE = Media("image", file="key")
PLACE = Location(1, 2, name="Shop")
CONTENTS: dict[str, Content] = {
    "1.1": Text("Hello"),
    "1.2": Media("image", link=LINK),
    "1.2(a)": FILE,
    "1.3": Media("image", link=LINK, caption="Hello"),
    "1.3(a)": Media("image", file="key", caption="Hello"),
    "1.4": PLACE,
    "1.5": ContactCards([ContactCard("Asha", ["447700900124"])]),
    "1.6": Buttons("Hello", ["Yes"]),
    "1.7": Buttons("Hello", ["Yes"], header=Media("image", link=LINK)),
    "1.7(a)": Buttons("Hello", ["Yes"], header=FILE),
    "1.8": Buttons("Hello", ["Yes"], header=PLACE),
    "1.9": ListMenu("Hello", "Open", ["Tea"]),
}

#: What the document's sample answers mean, by the beginning of their message.
MEANINGS = {
    "05": (REFUSED, ErrorClass.QUOTA, LANE, True),
    "08": (REFUSED, ErrorClass.MEDIA, MESSAGE_ONLY, True),
    "09": (REFUSED, ErrorClass.MEDIA, MESSAGE_ONLY, False),
    "10": (REFUSED, ErrorClass.MEDIA, MESSAGE_ONLY, True),
    "in": (REFUSED, ErrorClass.AUTHENTICATION, LANE, False),
    "pl": (REFUSED, ErrorClass.INVALID_CONTENT, MESSAGE_ONLY, False),
}
SAMPLES = [
    (section, status, body)
    for section in SECTIONS
    if section.operation.startswith("send")
    for status, body in section.answers
]


@pytest.mark.parametrize(("section", "status", "body"), SAMPLES)
def test_documented_answers(
    http: Http, server: Recorder, section: Section, status: int, body: dict[str, Any]
) -> None:
    content = CONTENTS[section.number]
    server.answer(body, status)
    outcome = adapter(http, server.url).send(outbound(content, upload=upload()))
    expected = ACCEPTED if status == 200 else MEANINGS[body["message"][:2]]
    assert sent(outcome) == expected
    [call] = outcome.calls
    assert (call.operation, call.status_code) == (section.operation, status)
    assert TOKEN not in repr(outcome)


def test_samples_show_both_spellings() -> None:
    keys = {key for _, status, body in SAMPLES if status == 200 for key in body["data"]}
    assert keys == {"connStatus", "messageIDs", "messageIds"}


#: Every code of section 9 that refuses a message; 04 has tests of its own.
BY_CODE = {
    "01": (REFUSED, ErrorClass.AUTHENTICATION, LANE, False),
    "02": (REFUSED, ErrorClass.AUTHENTICATION, LANE, False),
    "03": (REFUSED, ErrorClass.CONFIGURATION, LANE, False),
    "05": MEANINGS["05"],
    "06": (REFUSED, ErrorClass.QUOTA, LANE, True),
    "07": (REFUSED, ErrorClass.QUOTA, LANE, True),
    "08": MEANINGS["08"],
    "09": MEANINGS["09"],
    "10": MEANINGS["10"],
    "11": (REFUSED, ErrorClass.MEDIA, MESSAGE_ONLY, False),
    "12": (REFUSED, ErrorClass.INVALID_CONTENT, MESSAGE_ONLY, False),
    "13": (REFUSED, ErrorClass.INVALID_CONTENT, MESSAGE_ONLY, False),
    "14": (REFUSED, ErrorClass.UNKNOWN_REJECTION, MESSAGE_ONLY, False),
    "15": (REFUSED, ErrorClass.UNKNOWN_REJECTION, MESSAGE_ONLY, False),
    "99": (REFUSED, ErrorClass.UNKNOWN_REJECTION, MESSAGE_ONLY, False),
}


def test_every_code_is_covered() -> None:
    assert set(CODES) - {"00", "04"} == set(BY_CODE) - {"99"}


@pytest.mark.parametrize("status", [200, 400, 404])
@pytest.mark.parametrize("code", BY_CODE)
def test_code_decides(http: Http, server: Recorder, code: str, status: int) -> None:
    server.answer({"status": "error", "message": f"{code}-{CODES.get(code, 'New')}"}, status)
    outcome = adapter(http, server.url).send(outbound(Text("Hello")))
    assert sent(outcome) == BY_CODE[code]
    [result] = outcome.results
    assert result.failure is not None
    assert result.failure.code == code
    assert result.failure.text == f"{code}-{CODES.get(code, 'New')}"
    assert result.failure.until == ("day" if code == "07" else "")
    assert outcome.connected is None


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
@pytest.mark.parametrize("code", ["01", "05", "09", "13"])
def test_known_codes_decide_whatever_the_status(
    http: Http, server: Recorder, code: str, status: int
) -> None:
    server.answer({"status": "error", "message": f"{code} - {CODES[code]}"}, status)
    outcome = adapter(http, server.url).send(outbound(Text("Hello")))
    assert sent(outcome) == BY_CODE[code]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"status": "error", "message": "something new"},
         (REFUSED, ErrorClass.UNKNOWN_REJECTION, MESSAGE_ONLY, False)),
        (200, {"status": "error", "message": "something new"},
         (REFUSED, ErrorClass.UNKNOWN_REJECTION, MESSAGE_ONLY, False)),
        (400, b"<html>", (REFUSED, ErrorClass.UNKNOWN_REJECTION, MESSAGE_ONLY, False)),
        (401, b"", (REFUSED, ErrorClass.AUTHENTICATION, LANE, False)),
        (401, {"status": "error", "message": "go away"},
         (REFUSED, ErrorClass.AUTHENTICATION, LANE, False)),
        (302, b"", (REFUSED, ErrorClass.CONFIGURATION, LANE, False)),
        (429, b"", (REFUSED, ErrorClass.RATE_LIMIT, LANE, True)),
        (403, b"", UNKNOWN),
        (403, {"status": "error", "message": "busy"}, UNKNOWN),
        (408, b"", UNKNOWN),
        (500, b"", UNKNOWN),
        (500, {"status": "error", "message": "99-New"}, UNKNOWN),
        (502, b"<html>", UNKNOWN),
        (503, b"", UNKNOWN),
        (504, b"", UNKNOWN),
        (200, b"", UNKNOWN),
        (200, b"<html>", UNKNOWN),
        (200, [], UNKNOWN),
        (200, {"status": "success"}, UNKNOWN),
        (200, OK | {"data": {"connStatus": True, "messageIDs": []}}, UNKNOWN),
        (200, OK | {"data": {"messageIDs": None}}, UNKNOWN),
        (200, OK | {"data": {"messageIDs": [None, "", {}, True]}}, UNKNOWN),
        (200, OK | {"data": None}, UNKNOWN),
        (200, OK | {"data": [ID]}, UNKNOWN),
        (200, OK | {"message": "07-Quota limit"}, UNKNOWN),
        (200, OK | {"status": "error"}, UNKNOWN),
        (400, OK, UNKNOWN),
        (502, OK, UNKNOWN),
        (200, OK | {"message": "success"}, ACCEPTED),
        (200, OK | {"message": "00- Success", "status": "SUCCESS"}, ACCEPTED),
        (200, {"MESSAGE": "00-Success", "Data": {"messageids": [ID]}}, ACCEPTED),
        (200, OK | {"data": {"messageIDs": ID}}, ACCEPTED),
        (201, OK, ACCEPTED),
    ],
)  # fmt: skip
def test_other_answers(
    http: Http, server: Recorder, status: int, body: Any, expected: tuple[Any, ...]
) -> None:
    server.answer(body, status)
    assert sent(adapter(http, server.url).send(outbound(Text("Hello")))) == expected
    assert len(server.requests) == 1


def test_several_ids(http: Http, server: Recorder) -> None:
    server.answer(OK | {"data": {"messageIDs": [ID, "b2", 3]}})
    [result] = adapter(http, server.url).send(outbound(Text("Hello"))).results
    assert result.external_id == ID
    assert result.external_data == {"messageIDs": [ID, "b2", "3"]}


@pytest.mark.parametrize(
    ("said", "connected"), [(True, True), (False, False), (None, None), ("no", None)]
)
def test_connection_as_the_answer_says(
    http: Http, server: Recorder, said: Any, connected: bool | None
) -> None:
    server.answer(OK | {"data": {"connStatus": said, "messageIDs": [ID]}})
    outcome = adapter(http, server.url).send(outbound(Text("Hello")))
    assert sent(outcome) == ACCEPTED
    assert outcome.connected is connected


# --- 04 has two meanings ------------------------------------------------------------------------

NOT_REACHED = {"status": "error", "message": f"04-{CODES['04']}"}
QR = BY_NUMBER["3.1"].answers[0][1]
CONNECTED = {
    "status": "success",
    "message": "00-Success",
    "data": {"instanceID": TOKEN, "login": True, "status": True, "info": {"Connected": True}},
}
WAITS = (REFUSED, ErrorClass.CONFIGURATION, LANE, True)


@pytest.mark.parametrize(
    ("status", "body", "expected", "connected"),
    [
        (200, CONNECTED, (REFUSED, ErrorClass.INVALID_RECIPIENT, MESSAGE_ONLY, False), True),
        (200, QR, WAITS, False),
        (200, CONNECTED | {"data": {"info": {"Connected": False}}}, WAITS, False),
        (200, CONNECTED | {"data": {"login": True, "status": False}}, WAITS, False),
        (200, CONNECTED | {"data": {}}, WAITS, None),
        (400, {"status": "error", "message": "15-QrCode failed"}, WAITS, None),
        (401, {"status": "error", "message": "invalid object id"}, WAITS, None),
        (502, b"", WAITS, None),
    ],
)
def test_not_reached(
    http: Http,
    server: Recorder,
    status: int,
    body: Any,
    expected: tuple[Any, ...],
    connected: bool | None,
) -> None:
    server.answer(NOT_REACHED, 400)
    server.answer(body, status)
    outcome = adapter(http, server.url).send(outbound(Text("Hello")))
    assert sent(outcome) == expected
    assert outcome.connected is connected
    assert [call.operation for call in outcome.calls] == ["sendText", "qrCode"]
    assert server.requests[1].parameters == {"token": [TOKEN]}
    assert QR["data"] not in repr(outcome)
    assert TOKEN not in repr(outcome)
