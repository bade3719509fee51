"""WhatsApp HTTP API: the code to scan, the phone's state, and whom the phone knows."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from messaging.adapters.base import ContactInfo, GroupInfo
from messaging.adapters.http import MASK, Http
from messaging.adapters.whatsapp_phone import CODE_CAP, picture
from messaging.errors import ErrorClass, GatewayError, Scope

from .recorder import Recorded, Recorder
from .whatsapp_cases import TOKEN, adapter
from .whatsapp_seed import BY_NUMBER, TEXT


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + name + data + check


PNG = b"".join(
    [
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"),
        _chunk(b"IDAT", zlib.compress(b"\x00\x00")),
        _chunk(b"IEND", b""),
    ]
)
CODE = base64.b64encode(PNG).decode()
PRINTED = BY_NUMBER["3.2"].answers[0][1]
LINK = PRINTED | {"data": PRINTED["data"].replace(" ", "")}  # a line of print ended there
FAILED = {"status": "error", "message": "15-QrCode failed"}
NO_DATA = BY_NUMBER["6."].answers[1]
REFUSED = BY_NUMBER["6."].answers[2]


def status() -> dict[str, Any]:
    """The document's connected body: what its line ends broke is joined, the brace put back."""
    part = TEXT[TEXT.index("## 3.1") : TEXT.index("### 3.2")]
    head = part[part.index('{"status":"success"') : part.index("</pre>", part.index('"name":"ABC'))]
    rest = part[part.index('gin":true') : part.index("```\n\n**Complete")]
    text = (head + rest).replace("\n", "").replace('"Phone"":', '"Phone":')
    found: dict[str, Any] = json.loads(text)
    return found


STATUS = status()


def qr(data: Any, **changes: Any) -> dict[str, Any]:
    return {"status": "qrcode", "message": "success", "data": data, **changes}


def answers(server: Recorder, **by_operation: Any) -> None:
    """Answer each operation, by the last part of its path, as told: (status, body) or a body."""

    def answer(request: Recorded) -> Any:
        return by_operation[request.path.rpartition("/")[2].partition(".")[0]]

    server.answer(answer)


def paths(server: Recorder) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.requests]


@pytest.fixture(autouse=True)
def no_token_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level("DEBUG")
    yield
    assert TOKEN not in caplog.text


# --- The code -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        CODE,
        "\n".join(CODE[at : at + 20] for at in range(0, len(CODE), 20)),
        f"data:image/png;base64,{CODE}",
        f" data:image/PNG;base64, {CODE} ",
        CODE.rstrip("="),
    ],
)
def test_a_code_to_scan(http: Http, server: Recorder, data: str) -> None:
    server.answer(qr(data))
    found = adapter(http, server.url).connection()
    assert (found.connected, found.code) == (False, PNG)
    assert "PNG" not in repr(found)
    assert (found.details, found.balance, found.name, found.instance_id) == ({}, None, "", "")
    assert paths(server) == ["POST /api/qrCode"]


def test_a_code_broken_by_line_ends(http: Http, server: Recorder) -> None:
    """As the document prints it: line ends inside the text, which is no JSON."""
    server.answer(json.dumps(qr(CODE[:30] + "@" + CODE[30:])).replace("@", "\n").encode())
    assert adapter(http, server.url).connection().code == PNG


@pytest.mark.parametrize(
    "data",
    [
        "",
        "x",
        "iVBOR",
        "é" * 8,
        base64.b64encode(b"<svg onload=alert(1)>").decode(),
        base64.b64encode(PNG[:-1]).decode(),
        base64.b64encode(b"GIF89a" + PNG).decode(),
        base64.b64encode(PNG[:-12] + bytes(CODE_CAP) + PNG[-12:]).decode(),
        "A" * 1_000_000,
        BY_NUMBER["3.1"].answers[0][1]["data"],
        None,
        5,
        [CODE],
    ],
)
def test_what_is_no_picture(data: Any) -> None:
    assert picture(data) == b""


def test_the_largest_picture() -> None:
    whole = PNG[:-12] + bytes(CODE_CAP - len(PNG)) + PNG[-12:]
    assert picture(base64.b64encode(whole).decode()) == whole


@pytest.mark.parametrize("first", [FAILED, qr("iVBOR"), BY_NUMBER["3.1"].answers[0][1]])
def test_the_code_as_a_file(http: Http, server: Recorder, first: Any) -> None:
    """The picture is fetched by us: its address holds the instance id."""
    link = LINK["data"].replace("https://{base_url}", server.url)
    assert TOKEN in link
    name = link.rpartition("/")[2].partition(".")[0]
    answers(server, **{"qrCode": first, "qrCodeLink": LINK | {"data": link}, name: PNG})
    found = adapter(http, server.url).connection()
    assert (found.connected, found.code) == (False, PNG)
    assert TOKEN not in repr(found)
    assert paths(server) == [
        "POST /api/qrCode",
        "POST /api/qrCodeLink",
        f"GET {link[len(server.url) :]}",
    ]


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/qr.png",
        "http://127.0.0.1:1/qr.png",
        "/assets/qr.png",
        "file:///etc/passwd",
        LINK["data"],
    ],
)
def test_a_file_elsewhere_is_not_fetched(http: Http, server: Recorder, link: str) -> None:
    answers(server, qrCode=FAILED, qrCodeLink=LINK | {"data": link})
    found = adapter(http, server.url).connection()
    assert (found.connected, found.code) == (False, b"")
    assert len(server.requests) == 2


@pytest.mark.parametrize("body", [b"<html>", b"", PNG + bytes(CODE_CAP), b'{"a": 1}'])
def test_a_file_that_is_no_code(http: Http, server: Recorder, body: bytes) -> None:
    answers(server, qrCode=FAILED, qrCodeLink=LINK | {"data": f"{server.url}/f.png"}, f=body)
    assert adapter(http, server.url).connection().code == b""


def test_redirects_are_not_followed(http: Http, server: Recorder) -> None:
    server.answer(FAILED)
    server.answer(LINK | {"data": f"{server.url}/f.png"})
    server.answer(PNG, 302, {"Location": f"{server.url}/g.png"})
    assert adapter(http, server.url).connection().code == b""
    assert len(server.requests) == 3


def test_connected_meanwhile(http: Http, server: Recorder) -> None:
    answers(server, qrCode=FAILED, qrCodeLink=STATUS)
    assert adapter(http, server.url).connection().connected


def test_no_code_at_all(http: Http, server: Recorder) -> None:
    server.answer(FAILED, 400)
    server.answer(b"", 404)
    with pytest.raises(GatewayError) as caught:
        adapter(http, server.url).connection()
    assert caught.value.failure.error_class is ErrorClass.TRANSIENT
    assert caught.value.failure.code == "15"


def test_refused(http: Http, server: Recorder) -> None:
    server.answer(REFUSED[1], REFUSED[0])
    with pytest.raises(GatewayError) as caught:
        adapter(http, server.url).connection()
    assert caught.value.failure.error_class is ErrorClass.AUTHENTICATION
    assert len(server.requests) == 1


def test_the_code_is_never_recorded(http: Http, server: Recorder) -> None:
    for answer in (qr(CODE), qr(CODE, status="success"), {"DATA": CODE}, LINK):
        server.answer(answer)
        stored = adapter(http, server.url)._read("qrCode").call.response
        assert CODE not in repr(stored)
        assert TOKEN not in repr(stored)


# --- The status -----------------------------------------------------------------------------------


def test_the_documents_status(http: Http, server: Recorder) -> None:
    server.answer(STATUS)
    found = adapter(http, server.url).connection()
    assert (found.connected, found.code) == (True, b"")
    assert (found.name, found.platform, found.battery) == ("wa_profile_name", "MD", None)
    assert found.address == ""  # masked in print
    assert (found.webhook, found.instance_id) == ("", "5f***f3")
    assert found.balance is not None
    assert (found.balance.amount, found.balance.used_today) == ("4301", 0)
    assert found.balance.expires_at == datetime(2023, 5, 4, 16, 59, 59, tzinfo=UTC)
    assert paths(server) == ["POST /api/qrCode"]


def connected(**changes: Any) -> dict[str, Any]:
    info = STATUS["data"]["info"] | changes.pop("info", {})
    return STATUS | {"data": STATUS["data"] | {"info": info, "instanceID": TOKEN} | changes}


def test_a_connected_phone(http: Http, server: Recorder) -> None:
    own = "https://desk.example.com/messaging/hook/secret/"
    server.answer(
        connected(webHook=own, info={"Wid": "919800000000:3@s.whatsapp.net", "Battery": 80})
    )
    found = adapter(http, server.url).connection()
    assert (found.address, found.battery) == ("+919800000000", 80)
    assert (found.webhook, found.instance_id) == (own, TOKEN)
    assert found.details["instanceID"] == found.details["webHook"] == MASK
    assert found.details["chatbotID"] == ""
    for secret in (own, TOKEN):
        assert secret not in repr(found)
        assert secret not in f"{found.details} {found.balance and found.balance.raw}"


def test_an_id_learnt_is_masked_everywhere(http: Http, server: Recorder) -> None:
    """The token may be an API key; the instance id in the answer is as good."""
    other = "65a1b2c3d4e5f60718293a40"
    server.answer(connected(instanceID=other, name=f"x {other}", info={"Pushname": other}))
    found = adapter(http, server.url).connection()
    assert found.instance_id == other
    assert found.name == MASK
    assert other not in repr(found)


@pytest.mark.parametrize(
    ("changes", "amount", "used"),
    [
        ({"quota": 10, "usage": 3, "todayUsage": 2}, "7", 2),
        ({"quota": 10, "usage": None}, "10", 0),
        ({"isUnlimited": True}, None, 0),
        ({"quota": 10, "usage": 12, "todayUsage": "x"}, "-2", None),
    ],
)
def test_credits(
    http: Http, server: Recorder, changes: dict[str, Any], amount: str | None, used: int | None
) -> None:
    server.answer(connected(**changes))
    balance = adapter(http, server.url).connection().balance
    assert balance is not None
    assert (balance.amount, balance.used_today) == (amount, used)


def test_a_status_without_credits(http: Http, server: Recorder) -> None:
    server.answer(connected(quota=None))
    assert adapter(http, server.url).connection().balance is None


@pytest.mark.parametrize("battery", [0, -1, 101, True, "80", None, 5.5])
def test_batteries_that_do_not_tell(http: Http, server: Recorder, battery: Any) -> None:
    server.answer(connected(info={"Battery": battery}))
    assert adapter(http, server.url).connection().battery is None


def test_values_of_other_types(http: Http, server: Recorder) -> None:
    info = {"Connected": False, "Pushname": 5, "Wid": [], "Platform": {}}
    server.answer(connected(info=info, name=None, webHook={}, instanceID=[]))
    found = adapter(http, server.url).connection()
    assert (found.name, found.address, found.platform, found.webhook) == ("", "", "", "")
    assert (found.connected, found.instance_id) == (False, "")


# --- Contacts and groups --------------------------------------------------------------------------


def listed(operation: str) -> bytes:
    """The document's list as it is printed, its masked digits filled in."""
    part = TEXT[TEXT.index(f"api/{operation}?token") :]
    text = part[part.index('{"status":"success"') : part.index("</pre>", part.index('"data":['))]
    return text.replace("918** *", "918***").replace("***", "80000000").encode()


def test_the_documents_contacts(http: Http, server: Recorder) -> None:
    body = listed("contacts")
    assert b"\\$Abc\\$" in body  # no JSON
    server.answer(body)
    assert adapter(http, server.url).fetch_contacts() == [
        ContactInfo(address="+9800000004", name="$Abc$"),
        ContactInfo(address="+9800000005", name="👑SA NDEEP 🙏"),
        ContactInfo(address="+9800000006", name="😁😁😁"),
    ]
    assert paths(server) == ["POST /api/contacts"]


def test_the_documents_groups(http: Http, server: Recorder) -> None:
    server.answer(listed("groups"))
    found = adapter(http, server.url).fetch_groups()
    assert found == [
        GroupInfo(
            address="91880000000389@g.us",
            name="Techsona",
            members=("+91880000000100", "+91980000000450"),
        ),
        GroupInfo(
            address="91980000000263@g.us",
            name="29 May AI Batch",
            members=("+91980000000866", "+91780000000404", "+91780000000211"),
        ),
    ]


@pytest.mark.parametrize("operation", ["fetch_contacts", "fetch_groups"])
def test_no_phone_connected(http: Http, server: Recorder, operation: str) -> None:
    """A-WH-10: what is empty for reports."""
    status, body = NO_DATA
    server.answer(body, status)
    with pytest.raises(GatewayError) as caught:
        getattr(adapter(http, server.url), operation)()
    failure = caught.value.failure
    assert (failure.error_class, failure.scope) == (ErrorClass.CONFIGURATION, Scope.LANE)
    assert failure.text == "The phone is not connected. Pair it, then try again."


@pytest.mark.parametrize("operation", ["fetch_contacts", "fetch_groups"])
@pytest.mark.parametrize("data", [None, [], {}, "x", [None, 5, {}, {"id": ""}, {"id": []}]])
def test_lists_of_nobody(http: Http, server: Recorder, operation: str, data: Any) -> None:
    server.answer({"status": "success", "message": "00-Success", "data": data})
    assert getattr(adapter(http, server.url), operation)() == []


def test_contacts_of_all_kinds(http: Http, server: Recorder) -> None:
    data = [
        {"id": "447700900123", "name": ""},
        {"id": "447700900123@s.whatsapp.net", "name": "again"},
        {"ID": 447700900124, "Name": None},
        {"id": "99@lid", "name": "  Asha\ud83d "},
        {"id": "120363000000000001@g.us", "name": "Team"},
        {"id": "status@broadcast", "name": "x"},
    ]
    server.answer({"status": "success", "message": "00-Success", "data": data})
    assert adapter(http, server.url).fetch_contacts() == [
        ContactInfo(address="+447700900123"),
        ContactInfo(address="+447700900124"),
        ContactInfo(address="99@lid", name="Asha\ufffd"),
    ]


def test_groups_of_all_kinds(http: Http, server: Recorder) -> None:
    data = [
        {"id": "1@g.us", "name": "A", "participants": None},
        {"id": "1", "name": "again"},
        {"id": "447700900123-161", "participants": [{"id": "447700900123@c.us"}, 5, "x", None]},
        {"id": "447700900123@c.us"},
    ]
    server.answer({"status": "success", "message": "00-Success", "data": data})
    assert adapter(http, server.url).fetch_groups() == [
        GroupInfo(address="1@g.us", name="A"),
        GroupInfo(address="447700900123-161@g.us", members=("+447700900123",)),
    ]


def test_names_are_not_recorded(http: Http, server: Recorder) -> None:
    server.answer(listed("groups"))
    answer, _body = adapter(http, server.url)._ask("groups", cap=1_000_000)
    assert "Techsona" not in json.dumps(answer.call.response)


def test_many_contacts(http: Http, server: Recorder) -> None:
    data = [{"id": f"4477009{number:05}", "name": "A name " * 10} for number in range(15_000)]
    server.answer({"status": "success", "message": "00-Success", "data": data})
    assert len(adapter(http, server.url).fetch_contacts()) == 15_000
