"""Sections 1.1 to 1.9 of the WhatsApp HTTP API: what is taken and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from messaging.sandbox import SandboxClient
from messaging.sandbox.accounts import WH_TOKEN

from .conftest import PHONE, WhatsAppHttp

LINK = "https://media.example.com/a.jpg"
PLACE = {"degreesLatitude": "50.7154", "degreesLongitude": "-1.9872", "name": "Shop"}
CARD = {"contactName": "Asha Rao", "contactPhone": "447700900124"}
MENU = {"message": "Pick one", "buttonText": "Open", "rows": ["Drinks:Tea:hot", ":Water:"]}
CALL = {"callButtonText": "Call", "callButtonValue": "+447700900100"}
URL = {"urlButtonText": "Shop", "urlButtonValue": "https://example.com"}
FILE = {"file": ("a.jpg", b"picture", "image/jpeg")}

SUCCESSES: list[tuple[str, dict[str, Any], str]] = [
    ("sendText", {"message": "Line one\nLine two *bold* 😃"}, "messageIDs"),
    ("sendFiles", {"link": LINK}, "messageIDs"),
    ("sendFileWithCaption", {"link": LINK, "message": "New stock"}, "messageIDs"),
    ("sendLocation", PLACE | {"address": "1 High St", "url": "https://example.com"}, "messageIds"),
    ("sendContact", CARD | {"contactOrganization": "Example Ltd"}, "messageIDs"),
    ("sendTextButton", {"message": "Choose", "footer": "Example", "button1": "Yes"}, "messageIDs"),
    ("sendFilesButton", {"link": LINK, "message": "New", **URL}, "messageIds"),
    ("sendLocationButton", PLACE | {"message": "Visit us", "button1": "Ok"}, "messageIDs"),
    ("sendList", MENU | {"header": "Menu", "footer": "Example"}, "messageIds"),
]
UPLOADS: list[tuple[str, dict[str, Any], str]] = [
    ("sendFiles", {}, "messageIDs"),
    ("sendFileWithCaption", {"message": "New stock"}, "messageIds"),
    ("sendFilesButton", {"message": "New stock", "button1": "More"}, "messageIDs"),
]
WAYS = [("GET", "query"), ("POST", "query"), ("POST", "body")]


@pytest.mark.parametrize(("method", "by"), WAYS)
@pytest.mark.parametrize(("operation", "params", "ids_key"), SUCCESSES)
def test_every_send_is_taken_as_documented(
    wh: WhatsAppHttp,
    control: SandboxClient,
    operation: str,
    params: dict[str, Any],
    ids_key: str,
    method: str,
    by: str,
) -> None:
    response = wh(operation, method, by, **params)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert list(answer) == ["status", "message", "data", "responsetime"]
    assert answer["status"] == "success"
    assert answer["message"] == "00-Success"
    assert list(answer["data"]) == ["connStatus", ids_key]
    assert answer["data"]["connStatus"] is True
    (message_id,) = answer["data"][ids_key]
    assert re.fullmatch(r"[0-9a-f]{24}", message_id)
    assert isinstance(answer["responsetime"], float)
    (delivery,) = control.deliveries()
    assert delivery["phone"] == PHONE
    assert delivery["id"] == message_id


@pytest.mark.parametrize(("operation", "params", "ids_key"), UPLOADS)
@pytest.mark.parametrize("by", ["query", "body"])
def test_uploads_are_taken_by_multipart(
    wh: WhatsAppHttp, operation: str, params: dict[str, Any], ids_key: str, by: str
) -> None:
    response = wh(operation, by=by, files=FILE, **params)
    assert response.status_code == 200, response.text
    assert list(response.json()["data"]) == ["connStatus", ids_key]


def test_ids_only_grow(wh: WhatsAppHttp) -> None:
    ids = [wh.text().json()["data"]["messageIDs"][0] for _ in range(5)]
    assert ids == sorted(set(ids))


def test_text_arrives_unchanged(wh: WhatsAppHttp, control: SandboxClient) -> None:
    text = "50% off + more & *bold*\n\\n 😃 ~x~ = ?"
    for method, by in WAYS:
        assert wh("sendText", method, by, message=text).status_code == 200
    assert [item["text"] for item in control.deliveries()] == [text] * 3


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("sendText", {}, "13"),
    ("sendText", {"message": ""}, "13"),
    ("sendText", {"message": "Hi", "phone": None}, "13"),
    ("sendText", {"message": "Hi", "phone": f"+{PHONE}"}, "12"),
    ("sendText", {"message": "Hi", "phone": "123456"}, "12"),
    ("sendText", {"message": "Hi", "phone": "1234567890123456"}, "12"),
    ("sendText", {"message": "Hi", "phone": "44770090012a"}, "12"),
    ("sendText", {"message": "Hi", "phone": [PHONE, PHONE]}, "12"),
    ("sendText", {"message": "Hi", "title": "x"}, "12"),
    ("sendText", {"message": "é" * 1001}, "12"),
    ("sendFiles", {}, "13"),
    ("sendFiles", {"link": "ftp://example.com/a"}, "09"),
    ("sendFiles", {"link": "https:///a.jpg"}, "09"),
    ("sendFiles", {"link": "https://exa mple.com/a.jpg"}, "09"),
    ("sendFiles", {"link": "media.example.com/a.jpg"}, "09"),
    ("sendFiles", {"link": LINK, "message": "caption"}, "12"),
    ("sendFileWithCaption", {"link": LINK}, "13"),
    ("sendFileWithCaption", {"message": "x"}, "13"),
    ("sendFileWithCaption", {"link": LINK, "message": "x" * 2001}, "12"),
    ("sendLocation", PLACE | {"name": None}, "13"),
    ("sendLocation", PLACE | {"name": None, "Name": "Shop"}, "12"),
    ("sendLocation", PLACE | {"degreesLatitude": None}, "13"),
    ("sendLocation", PLACE | {"degreesLatitude": "50,7"}, "12"),
    ("sendLocation", PLACE | {"degreesLatitude": "90.1"}, "12"),
    ("sendLocation", PLACE | {"degreesLongitude": "-180.5"}, "12"),
    ("sendLocation", PLACE | {"degreesLongitude": "1e2"}, "12"),
    ("sendContact", CARD | {"contactName": "n" * 31}, "12"),
    ("sendContact", CARD | {"contactName": "😃" * 16}, "12"),
    ("sendContact", CARD | {"contactPhone": "call me"}, "12"),
    ("sendContact", {"contactName": "Asha"}, "13"),
    ("sendTextButton", {"message": "m" * 1025, "button1": "Yes"}, "12"),
    ("sendTextButton", {"message": "Hi", "footer": "f" * 61, "button1": "Yes"}, "12"),
    ("sendTextButton", {"message": "Hi", "button1": "b" * 21}, "12"),
    ("sendTextButton", {"message": "Hi"}, "13"),
    ("sendTextButton", {"button1": "Yes"}, "13"),
    ("sendFilesButton", {"link": "https://example.com/a.zip", "message": "x", **CALL}, "10"),
    ("sendFilesButton", {"link": LINK, "button1": "Yes"}, "13"),
    ("sendLocationButton", PLACE | {"message": "x", "button1": "y", "address": "z"}, "12"),
    ("sendLocationButton", PLACE | {"button1": "y"}, "13"),
    ("sendList", MENU | {"header": "h" * 61}, "12"),
    ("sendList", MENU | {"message": "m" * 1025}, "12"),
    ("sendList", MENU | {"footer": "f" * 61}, "12"),
    ("sendList", MENU | {"buttonText": "b" * 21}, "12"),
    ("sendList", MENU | {"rows": "s" * 21 + ":t:"}, "12"),
    ("sendList", MENU | {"rows": "s:" + "t" * 21 + ":"}, "12"),
    ("sendList", MENU | {"rows": "s:t:" + "d" * 31}, "12"),
    ("sendList", MENU | {"rows": "only a title"}, "12"),
    ("sendList", MENU | {"rows": "s:t"}, "12"),
    ("sendList", MENU | {"rows": "s::d"}, "12"),
    ("sendList", MENU | {"rows": "s:open 10:30:d"}, "12"),
]


@pytest.mark.parametrize(("operation", "params", "code"), REFUSALS)
def test_refusals(
    wh: WhatsAppHttp,
    control: SandboxClient,
    operation: str,
    params: dict[str, Any],
    code: str,
) -> None:
    response = wh(operation, **params)
    assert response.status_code == 400
    answer = response.json()
    assert answer["status"] == "error"
    assert answer["message"].startswith(f"{code}-")
    assert control.deliveries() == []
    (arrival,) = control.arrivals()
    assert (arrival["status"], arrival["code"], arrival["accepted"]) == (400, code, 0)


@pytest.mark.parametrize("missing", ["message", "buttonText", "rows"])
def test_list_refuses_what_is_missing_in_the_documents_own_words(
    wh: WhatsAppHttp, missing: str
) -> None:
    response = wh("sendList", **MENU | {missing: None})
    assert response.status_code == 400
    words = "please check request required header/message/buttonText/ at least one row"
    assert response.json()["message"] == words


def test_limits_are_exact(wh: WhatsAppHttp) -> None:
    assert wh.text("é" * 1000).status_code == 200
    assert wh("sendTextButton", message="m" * 1024, button1="b" * 20).status_code == 200
    row = "s" * 20 + ":" + "t" * 20 + ":" + "d" * 30
    menu = {"message": "m" * 1024, "header": "h" * 60, "footer": "f" * 60}
    assert wh("sendList", **menu, buttonText="b" * 20, rows=row).status_code == 200
    assert wh("sendContact", contactName="n" * 30, contactPhone="447700900124").ok


def test_refusal_repeats_the_request_with_the_token(wh: WhatsAppHttp) -> None:
    answer = wh("sendList", **MENU | {"rows": "bad", "header": "Menu"}).json()
    assert list(answer) == ["status", "message", "request", "responsetime"]
    assert answer["request"] == {
        "buttonText": ["Open"],
        "description": ["Pick one"],
        "phone": [PHONE],
        "rows": ["bad"],
        "title": ["Menu"],
        "token": [WH_TOKEN],
    }


def test_media_refusals_repeat_nothing(wh: WhatsAppHttp) -> None:
    assert list(wh("sendFiles", link="nowhere").json()) == ["status", "message", "responsetime"]


BUTTONS: dict[str, dict[str, str]] = {
    "b1": {"button1": "One"},
    "b2": {"button2": "Two"},
    "b3": {"button3": "Three"},
    "call": CALL,
    "url": URL,
}
VALID_SETS = ["b1", "b1 b2", "b1 b2 b3", "call", "url", "call url", "call b1", "url b1",
              "call url b1"]  # fmt: skip
INVALID_SETS = ["b2", "b3", "b1 b3", "b2 b3", "call b2", "url b1 b2", "call b1 b2",
                "call url b2", "call url b1 b2", "call url b1 b2 b3"]  # fmt: skip


def _buttons(names: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name in names.split():
        merged |= BUTTONS[name]
    return merged


@pytest.mark.parametrize("names", VALID_SETS)
def test_the_nine_button_sets_are_taken(wh: WhatsAppHttp, names: str) -> None:
    assert wh("sendTextButton", message="Choose", **_buttons(names)).status_code == 200


@pytest.mark.parametrize("names", INVALID_SETS)
def test_every_other_button_set_is_refused(wh: WhatsAppHttp, names: str) -> None:
    answer = wh("sendTextButton", message="Choose", **_buttons(names)).json()
    assert answer["message"] == "12-Parsing parameter failed"


@pytest.mark.parametrize(
    ("buttons", "code"),
    [
        ({"callButtonText": "Call"}, "13"),
        ({"callButtonValue": "+447700900100"}, "13"),
        ({"urlButtonText": "Shop"}, "13"),
        (CALL | {"callButtonValue": "the shop"}, "12"),
        (URL | {"urlButtonValue": "the shop"}, "12"),
        (CALL | {"callButtonText": "c" * 21}, "12"),
        ({"callbuttontext": "Call", "callbuttonvalue": "+447700900100"}, "12"),
    ],
)
def test_half_buttons_and_table_spellings_are_refused(
    wh: WhatsAppHttp, buttons: dict[str, str], code: str
) -> None:
    answer = wh("sendTextButton", message="Choose", **buttons).json()
    assert answer["message"].startswith(f"{code}-")


@pytest.mark.parametrize(
    ("operation", "files", "code"),
    [
        ("sendFiles", {"file": ("a.pdf", b"x" * 3_000_001)}, "08"),
        ("sendFiles", {"file": ("a.pdf", b"")}, "08"),
        ("sendFiles", {"document": ("a.pdf", b"x")}, "12"),
        ("sendFilesButton", {"file": ("a.zip", b"x")}, "11"),
    ],
)
def test_upload_refusals(wh: WhatsAppHttp, operation: str, files: Any, code: str) -> None:
    more = {"message": "x", "button1": "y"} if operation == "sendFilesButton" else {}
    answer = wh(operation, files=files, **more)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"{code}-")


def test_the_largest_upload_is_taken(wh: WhatsAppHttp, control: SandboxClient) -> None:
    assert wh("sendFiles", files={"file": ("a.pdf", b"x" * 3_000_000)}).status_code == 200
    upload = control.arrivals()[0]["content"]["file"][0]
    assert (upload["filename"], upload["size"]) == ("a.pdf", 3_000_000)


def test_upload_without_a_file_name_is_not_a_proper_upload(wh: WhatsAppHttp) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nbinary\r\n--x--\r\n'
    response = wh.http.post(
        f"{wh.url}/api/sendFiles",
        params={"token": WH_TOKEN, "phone": PHONE},
        data=body,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        timeout=10,
    )
    assert response.json()["message"] == "08-Save file / document failed"


def test_upload_with_a_name_beyond_ascii(wh: WhatsAppHttp, control: SandboxClient) -> None:
    assert wh("sendFiles", files={"file": ("прайс.pdf", b"x")}).status_code == 200
    assert control.arrivals()[0]["content"]["file"][0]["filename"] == "прайс.pdf"


def test_link_and_upload_together_are_refused(wh: WhatsAppHttp) -> None:
    answer = wh("sendFiles", files=FILE, link=LINK)
    assert answer.json()["message"].startswith("12-")


@pytest.mark.parametrize("token", ["", None, "65a1b2c3d4e5f60718293aff", "not hex"])
def test_bad_token(wh: WhatsAppHttp, token: str | None) -> None:
    response = wh.text(token=token)
    assert response.status_code == 401
    answer = response.json()
    assert list(answer) == ["status", "message", "responsetime"]
    assert answer["message"] == "invalid object id"


def test_api_key_is_no_instance_id(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", api_key="a-key")
    assert wh.text(token="a-key").status_code == 200
    assert wh("sendContact", token="a-key", **CARD).status_code == 401
    assert wh("qrCode", token="a-key").status_code == 401


@pytest.mark.parametrize("query", ["message=%00", "message=%ff%fe"])
def test_characters_it_cannot_read_are_http_500(wh: WhatsAppHttp, query: str) -> None:
    url = f"{wh.url}/api/sendText?token={WH_TOKEN}&phone={PHONE}&{query}"
    response = wh.http.get(url, timeout=10)
    assert (response.status_code, response.content) == (500, b"")


def test_too_long_a_query_string_is_414(wh: WhatsAppHttp) -> None:
    response = wh("sendText", by="query", message="😃" * 1024)
    assert response.status_code == 414


def test_other_methods_are_refused(wh: WhatsAppHttp) -> None:
    response = wh("sendText", "PUT", message="Hi")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, POST")


def test_query_account_reads_no_body(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", params="query")
    assert wh("checkBal").status_code == 401
    assert wh("checkBal", by="query").status_code == 200
    assert wh.text(by="query").status_code == 200
    # The token in the query string, the rest in a body that is not read.
    url = f"{wh.url}/api/sendText?token={WH_TOKEN}"
    response = wh.http.post(url, data={"phone": PHONE, "message": "x"}, timeout=10)
    assert response.json()["message"] == "13-Parameter required"
    assert wh("sendFiles", by="query", files=FILE).status_code == 200


def test_the_same_parameter_in_query_and_body_is_refused(wh: WhatsAppHttp) -> None:
    url = f"{wh.url}/api/sendText?token={WH_TOKEN}"
    data = {"token": WH_TOKEN, "phone": PHONE, "message": "x"}
    assert wh.http.post(url, data=data, timeout=10).json()["message"].startswith("12-")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"quota": 0}, "05"),
        ({"quota_limit": 3, "today_usage": 3}, "07"),
        ({"unregistered": [PHONE]}, "04"),
        ({"connected": False}, "04"),
    ],
)
def test_account_troubles(
    wh: WhatsAppHttp, control: SandboxClient, options: dict[str, Any], code: str
) -> None:
    control.account("whatsapp_http", **options)
    response = wh.text()
    assert response.status_code == 400
    assert response.json()["message"].startswith(f"{code}-")
    assert "request" in response.json()


def test_disconnected_but_accepting(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", connected=False, accept_disconnected=True)
    answer = wh.text()
    assert answer.status_code == 200
    assert answer.json()["data"]["connStatus"] is False
    assert len(control.deliveries()) == 1


def test_quota_runs_out(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", quota=2)
    assert [wh.text().status_code for _ in range(3)] == [200, 200, 400]
    assert len(control.deliveries()) == 2
