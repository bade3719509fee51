"""Pairing by QR code, the phone's page, contacts and groups."""

from __future__ import annotations

import base64
import re

import pytest
import requests

from messaging.sandbox import Sandbox, SandboxClient, SandboxError
from messaging.sandbox.accounts import WH_NEW_NUMBER, WH_NEW_TOKEN, WH_TOKEN

from .conftest import PHONE, TIMEOUT, WhatsAppHttp

NEW = {"token": WH_NEW_TOKEN}
PNG = b"\x89PNG\r\n\x1a\n"


def test_one_token_waits_for_its_phone(wh: WhatsAppHttp, control: SandboxClient) -> None:
    assert wh("qrCode").json()["status"] == "success"
    answer = wh("qrCode", **NEW).json()
    assert answer["status"] == "qrcode"
    assert base64.b64decode(answer["data"]).startswith(PNG)
    assert wh.text(**NEW).json()["message"].startswith("04-")
    control.scan(WH_NEW_TOKEN)
    info = wh("qrCode", **NEW).json()["data"]["info"]
    assert (info["Connected"], info["Wid"]) == (True, WH_NEW_NUMBER)
    assert (info["Battery"], info["Platform"], info["Pushname"]) == (0, "MD", "Shop")
    assert wh.text(**NEW).status_code == 200


def test_the_picture_changes_with_the_clock(wh: WhatsAppHttp, control: SandboxClient) -> None:
    first = wh("qrCode", **NEW).json()["data"]
    control.advance(20)
    assert wh("qrCode", **NEW).json()["data"] != first


def test_the_link_leads_to_the_picture_until_it_changes(
    wh: WhatsAppHttp, control: SandboxClient, http: requests.Session
) -> None:
    answer = wh("qrCodeLink", **NEW).json()
    assert list(answer) == ["status", "message", "data", "responsetime"]
    assert (answer["status"], answer["message"]) == ("qrcode", "00-Success")
    assert re.fullmatch(
        rf"{wh.url}/assets/qrcode/qrcode_{WH_NEW_TOKEN}_[A-Za-z0-9]{{6}}\.png", answer["data"]
    )
    picture = http.get(answer["data"], timeout=TIMEOUT)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
    assert picture.content.startswith(PNG)
    control.advance(20)
    assert http.get(answer["data"], timeout=TIMEOUT).status_code == 404
    control.scan(WH_NEW_TOKEN)
    assert wh("qrCodeLink", **NEW).json()["data"]["login"] is True


def test_a_code_expires(control: SandboxClient) -> None:
    code = control.pairing(WH_NEW_TOKEN)["code"]
    control.advance(20)
    control.scan(WH_NEW_TOKEN, code)
    control.disconnect(WH_NEW_TOKEN)
    with pytest.raises(SandboxError, match="expired"):
        control.scan(WH_NEW_TOKEN, code)
    old = control.pairing(WH_NEW_TOKEN)["code"]
    control.advance(41)
    with pytest.raises(SandboxError, match="expired"):
        control.scan(WH_NEW_TOKEN, old)
    assert control.pairing(WH_NEW_TOKEN)["connected"] is False


def test_disconnecting_ends_what_a_connection_gave(
    wh: WhatsAppHttp, control: SandboxClient
) -> None:
    control.disconnect(WH_TOKEN)
    assert wh("qrCode").json()["status"] == "qrcode"
    assert wh.text().json()["message"].startswith("04-")
    for operation in ("contacts", "groups"):
        response = wh(operation)
        assert (response.status_code, response.json()["message"]) == (400, "14-Data not found")
    control.scan(WH_TOKEN)
    assert wh.text().status_code == 200


def test_the_phones_page(
    sandbox: Sandbox, control: SandboxClient, wh: WhatsAppHttp, http: requests.Session
) -> None:
    url = f"{sandbox.url}/phone/{WH_NEW_TOKEN}"
    page = http.get(url, timeout=TIMEOUT).text
    assert "Scan with this phone" in page
    source = re.search(r'<img src="([^"]+)"', page)
    code = re.search(r'name="code" value="([^"]+)"', page)
    assert source is not None
    assert code is not None
    assert http.get(sandbox.url + source[1], timeout=TIMEOUT).content.startswith(PNG)
    control.advance(60)
    late = http.post(f"{url}/scan", data={"code": code[1]}, timeout=TIMEOUT)
    assert (late.status_code, "expired" in late.text) == (400, True)
    code = re.search(r'name="code" value="([^"]+)"', http.get(url, timeout=TIMEOUT).text)
    assert code is not None
    done = http.post(f"{url}/scan", data={"code": code[1]}, timeout=TIMEOUT)
    assert (done.status_code, "Connected" in done.text) == (200, True)
    assert "Connected" in http.get(url, timeout=TIMEOUT).text
    assert wh("qrCode", **NEW).json()["status"] == "success"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "phone/nobody", 404),
        ("GET", f"phone/{WH_NEW_TOKEN}/scan", 405),
        ("GET", f"phone/{WH_NEW_TOKEN}/more", 404),
        ("GET", "assets/qrcode/nothing.png", 404),
        ("POST", "assets/qrcode/nothing.png", 405),
        ("GET", "media/nothing.jpg", 404),
    ],
)
def test_pages_that_are_not_there(
    sandbox: Sandbox,
    control: SandboxClient,
    http: requests.Session,
    method: str,
    path: str,
    status: int,
) -> None:
    response = http.request(method, f"{sandbox.url}/{path}", timeout=TIMEOUT)
    assert response.status_code == status


def test_contacts_and_groups(wh: WhatsAppHttp, control: SandboxClient) -> None:
    assert all("@" not in row["id"] for row in wh("contacts").json()["data"])
    rows = [{"id": PHONE, "name": "🤡 “Asha”"}, {"id": "447700900199", "name": ""}]
    control.contacts(rows)
    assert wh("contacts").json()["data"] == rows
    team = [{"id": "120363000000000002", "name": "Team", "participants": [PHONE]}]
    control.groups(team)
    answer = wh("groups", "GET").json()
    assert list(answer) == ["status", "message", "data", "responsetime"]
    assert answer["data"] == team


def test_trouble_with_the_code(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.fault("code", gateway="whatsapp_http", operation="qrCode*", code="15", times=1)
    assert wh("qrCode", **NEW).json()["message"] == "15-QrCode failed"
    control.fault("status", operation="qrCodeLink", http=500, times=1)
    assert wh("qrCodeLink", **NEW).status_code == 500
    assert wh("qrCodeLink", **NEW).status_code == 200


@pytest.mark.parametrize("operation", ["qrCodeLink", "contacts", "groups", "inboxReport"])
def test_reads_need_the_token_and_nothing_else(wh: WhatsAppHttp, operation: str) -> None:
    assert wh(operation, token="f" * 24).status_code == 401
    assert wh(operation, phone=PHONE).json()["message"].startswith("12-")


def test_a_wrong_token_is_told(control: SandboxClient) -> None:
    with pytest.raises(SandboxError, match="no account"):
        control.scan("nobody")
