"""WhatsApp HTTP API against the sandbox, which takes nothing but what the document shows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.adapters.base import Upload
from messaging.adapters.http import Http
from messaging.content import (
    Buttons,
    CallButton,
    ContactCard,
    ContactCards,
    Content,
    ListMenu,
    ListRow,
    Location,
    Media,
    Text,
    UrlButton,
)
from messaging.errors import ErrorClass, GatewayError
from messaging.events import Status
from messaging.sandbox import Sandbox
from messaging.sandbox.accounts import WH_TOKEN

from .whatsapp_cases import (
    LANE,
    LINK,
    REFUSED,
    UNKNOWN,
    adapter,
    outbound,
    sent,
)

HELLO = outbound(Text("Hello"))


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox("--delivered-after", "0") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.control.reset()
    return running


FILE = Upload(
    filename="price.pdf",
    content_type="application/pdf",
    size=9,
    open=lambda: io.BytesIO(b"%PDF-1.7\n"),
)
CALL, URL = CallButton("Call", "+44 7700 900100"), UrlButton("Shop", "https://e.com/?a=1")
PLACE = Location(-50.7154, 1e-7, name="Shop", address="1 High St", url="https://e.com")
EVERYTHING: list[Content] = [
    Text("Line one\r\nline *two* 😀 & more"),
    Media("image", link=LINK),
    Media("document", link=LINK, caption="Prices"),
    Media("document", file="k"),
    Media("video", file="k", caption="Prices"),
    PLACE,
    ContactCards([ContactCard("Asha Rao", ["+44 7700 900124"], organization="Ltd")]),
    Buttons("Hello", ["Yes", "No", "Maybe"], footer="Foot"),
    Buttons("Hello", ["Yes"], CALL, URL),
    Buttons("Hello", ["Yes"], header=Media("document", link="https://e.com/a.pdf")),
    Buttons("Hello", [], CALL, header=Media("document", file="k")),
    Buttons("Hello", [], None, URL, header=PLACE),
    ListMenu("Pick", "Open", [ListRow("Tea", "Drinks", "hot"), ListRow("Water")], "Menu", "Foot"),
]


@pytest.mark.parametrize("params", ["both", "query"])
def test_the_sandbox_takes_everything(sandbox: Sandbox, params: str) -> None:
    sandbox.control.account("whatsapp_http", params=params)
    http = Http(allowed_private_hosts=["127.0.0.1"])
    gateway = adapter(http, sandbox.url, "auto", credentials={"token": WH_TOKEN})
    for content in EVERYTHING:
        needs_file = content.media is not None and not content.media.link
        outcome = gateway.send(outbound(content, upload=FILE if needs_file else None))
        [result] = outcome.results
        assert result.failure is None, (content, result)
        assert outcome.connected is True
    assert len(sandbox.control.deliveries()) == len(EVERYTHING)
    arrivals = [each["operation"] for each in sandbox.control.arrivals()]
    assert arrivals.count("checkBal") == (1 if params == "both" else 2)
    http.close()


def test_the_sandbox_reports(sandbox: Sandbox, http: Http) -> None:
    sandbox.control.account("whatsapp_http", report_cap=2, report_order="shuffled")
    gateway = adapter(http, sandbox.url, "auto", credentials={"token": WH_TOKEN})
    ids = [gateway.send(outbound(Text(f"No. {number}"))).results[0].external_id
           for number in range(2)]  # fmt: skip
    sandbox.control.message("447700900123", text="Earlier", age=86_400 * 2, status="read")
    now = datetime.now(UTC)
    updates = gateway.fetch_statuses(now - timedelta(days=3), now)
    assert {update.text: update.status for update in updates} == {
        "No. 0": Status.DELIVERED,
        "No. 1": Status.DELIVERED,
        "Earlier": Status.READ,
    }
    one = gateway.fetch_status(ids[0])
    assert one is not None
    assert (one.status, one.address, one.text) == (Status.DELIVERED, "+447700900123", "No. 0")
    assert gateway.fetch_status("65a1b2c3d4e5f60718290000") is None
    assert gateway.balance().amount == "4999998"
    assert gateway.connection().connected


def test_the_sandbox_refuses(sandbox: Sandbox, http: Http) -> None:
    gateway = adapter(http, sandbox.url, "auto", credentials={"token": WH_TOKEN})
    sandbox.control.account("whatsapp_http", unregistered=["447700900123"])
    assert sent(gateway.send(HELLO))[1] is ErrorClass.INVALID_RECIPIENT
    sandbox.control.account("whatsapp_http", unregistered=[], connected=False)
    outcome = gateway.send(HELLO)
    assert sent(outcome) == (REFUSED, ErrorClass.CONFIGURATION, LANE, True)
    assert outcome.connected is False
    assert not gateway.connection().connected
    sandbox.control.account("whatsapp_http", accept_disconnected=True)
    outcome = gateway.send(HELLO)
    assert (outcome.results[0].status, outcome.connected) == (Status.ACCEPTED, False)
    sandbox.control.account("whatsapp_http", recharged=False)
    with pytest.raises(GatewayError) as caught:
        gateway.balance()
    assert caught.value.failure.error_class is ErrorClass.QUOTA


@pytest.mark.parametrize(
    ("mode", "options", "taken"),
    [
        ("hang_after", {}, 1),
        ("cut_before", {}, 0),
        ("cut_after", {}, 1),
        ("cut_midbody", {}, 1),
        ("html", {}, 0),
        ("truncated_json", {}, 1),
        ("no_id", {}, 1),
        ("empty", {}, 1),
        ("huge", {}, 1),
        ("status", {"http": 502, "accept": True}, 1),
    ],
)
def test_the_sandboxs_faults_are_unknown(
    sandbox: Sandbox, mode: str, options: dict[str, Any], taken: int
) -> None:
    http = Http(allowed_private_hosts=["127.0.0.1"], read_timeout=0.3, total_timeout=1)
    gateway = adapter(http, sandbox.url, credentials={"token": WH_TOKEN})
    sandbox.control.fault(mode, gateway="whatsapp_http", operation="send*", **options)
    assert sent(gateway.send(HELLO)) == UNKNOWN
    assert len(sandbox.control.deliveries()) == taken
    http.close()
