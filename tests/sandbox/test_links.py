"""Links that the WhatsApp HTTP API fetches: from this machine only, and only when asked to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from messaging.sandbox import SandboxClient

from .conftest import WhatsAppHttp

SIZES = {"/ok.jpg": 1000, "/limit.jpg": 5_000_000, "/big.jpg": 5_000_001, "/empty.jpg": 0}


class MediaHandler(BaseHTTPRequestHandler):
    """Serves files of known sizes, a login page, and a file that breaks off."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/signed.jpg" and query != "sig=abc":
            self.send_error(403)
            return
        size = SIZES.get(path, 10)
        kind = "text/html; charset=utf-8" if path == "/login.jpg" else "image/jpeg"
        if path == "/missing.jpg":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size * 2 if path == "/short.jpg" else size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def media() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), MediaHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/ok.jpg", "00-Success"),
        ("/limit.jpg", "00-Success"),
        ("/signed.jpg?sig=abc", "00-Success"),
        ("/signed.jpg?sig=abd", "10-Download file failed"),
        ("/big.jpg", "10-Download file failed"),
        ("/empty.jpg", "10-Download file failed"),
        ("/missing.jpg", "10-Download file failed"),
        ("/login.jpg", "10-Download file failed"),
        ("/short.jpg", "10-Download file failed"),
    ],
)
def test_loopback_links_are_fetched_when_asked(
    wh: WhatsAppHttp, control: SandboxClient, media: str, path: str, message: str
) -> None:
    control.account("whatsapp_http", fetch_links=True)
    assert wh("sendFiles", link=media + path).json()["message"] == message
    assert len(control.deliveries()) == (message == "00-Success")
    assert len(control.arrivals()) == 1


def test_nothing_is_fetched_by_default(wh: WhatsAppHttp, media: str) -> None:
    assert wh("sendFiles", link=f"{media}/missing.jpg").status_code == 200


def test_an_unreachable_link_fails(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", fetch_links=True)
    for link in ("http://127.0.0.1:1/a.jpg", "https://localhost:1/a.jpg"):
        assert wh("sendFiles", link=link).json()["message"].startswith("10-")


def test_other_hosts_are_never_fetched(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", fetch_links=True)
    # The name does not exist: fetching it could only fail.
    assert wh("sendFiles", link="https://media.invalid/a.jpg").status_code == 200


def test_captions_and_buttons_fetch_too(
    wh: WhatsAppHttp, control: SandboxClient, media: str
) -> None:
    control.account("whatsapp_http", fetch_links=True)
    link = f"{media}/missing.jpg"
    assert wh("sendFileWithCaption", link=link, message="x").status_code == 400
    assert wh("sendFilesButton", link=link, message="x", button1="y").status_code == 400
