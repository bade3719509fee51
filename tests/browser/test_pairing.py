"""Pairing a phone as a person does it, in Chromium, against the sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from messaging import clock
from messaging.models import Pairing, Provider, Sender
from messaging.sandbox import Sandbox, SandboxClient
from messaging.sandbox.accounts import WH_NEW_NUMBER, WH_NEW_TOKEN

#: Milliseconds in which the page must notice what happened.
SOON = 3000

WIDTHS = (320, 360, 390, 768, 1024, 1360)

Shoot = Callable[[Any, str], None]


@pytest.fixture(scope="module")
def sandbox_process() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> SandboxClient:
    sandbox_process.control.reset()
    return sandbox_process.control


@pytest.fixture
def phone(transactional_db: None, sandbox: SandboxClient, sandbox_process: Sandbox) -> Sender:
    provider = Provider.objects.create(
        name="Phones", adapter="whatsapp_http", base_url=sandbox_process.url
    )
    return Sender.objects.create(
        provider=provider,
        name="Pharmacy",
        address=f"+{WH_NEW_NUMBER}",
        credentials={"token": WH_NEW_TOKEN},
    )


@pytest.fixture
def open_page(page: Any, live_server: Any, phone: Sender) -> Callable[[], None]:
    def go() -> None:
        page.goto(live_server.url + reverse("admin:messaging_sender_pair", args=[phone.pk]))

    return go


def wait_for(page: Any, text: str, timeout: int = SOON) -> None:
    page.get_by_text(text, exact=False).first.wait_for(timeout=timeout)


def spilled(page: Any) -> list[str]:
    """Visible elements of ours that stand past the window's edge."""
    found = page.evaluate(
        """() => [...document.querySelectorAll("#content-main *")]
            .filter(e => e.checkVisibility() && !e.closest(".messaging-pairing-live"))
            .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1)
            .map(e => e.outerHTML.slice(0, 80))"""
    )
    return list(found)


def test_a_phone_is_paired(
    page: Any, open_page: Callable[[], None], phone: Sender, sandbox: SandboxClient, shoot: Shoot
) -> None:
    open_page()
    assert page.locator("h1:visible").count() == 1
    shoot(page, "1-unpaired")
    page.get_by_role("button", name="Pair", exact=True).click()
    wait_for(page, "Waiting for the scan")
    code = page.locator("img[data-pairing-code]")
    code.wait_for(timeout=SOON)
    page.wait_for_function("document.querySelector('img[data-pairing-code]').naturalWidth > 0")
    box = code.bounding_box()
    assert box["width"] >= 300
    assert abs(box["width"] - box["height"]) < 1
    shoot(page, "2-waiting")
    first = code.get_attribute("src")

    # The gateway shows another code after a while.
    sandbox.advance(20)
    page.wait_for_function(
        "src => document.querySelector('img[data-pairing-code]').getAttribute('src') !== src",
        arg=first,
        timeout=SOON,
    )
    page.wait_for_function("document.querySelector('img[data-pairing-code]').naturalWidth > 0")

    sandbox.scan(WH_NEW_TOKEN)
    began = time.monotonic()
    wait_for(page, "can send and receive now.")
    assert time.monotonic() - began < 3
    assert page.locator("[data-pairing-live]").inner_text() == "Connected."
    assert page.locator("img[data-pairing-code]").count() == 0
    shoot(page, "3-connected")
    page.reload()
    wait_for(page, "can send and receive now.")
    phone.refresh_from_db()
    assert phone.connection == "connected"
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert spilled(page) == [], width


def test_the_code_expires_and_a_new_one_is_shown(
    page: Any, open_page: Callable[[], None], shoot: Shoot
) -> None:
    open_page()
    page.get_by_role("button", name="Pair", exact=True).click()
    wait_for(page, "Waiting for the scan")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert spilled(page) == [], width
    Pairing.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    wait_for(page, "Nobody scanned the code in time.")
    assert page.locator("img[data-pairing-code]").count() == 0
    shoot(page, "4-expired")
    page.get_by_role("button", name="Show a new code").click()
    wait_for(page, "Waiting for the scan")
    page.locator("img[data-pairing-code]").wait_for(timeout=SOON)


def test_a_gateway_that_is_down_and_comes_back(
    page: Any,
    open_page: Callable[[], None],
    phone: Sender,
    sandbox_process: Sandbox,
    shoot: Shoot,
) -> None:
    Provider.objects.update(base_url="http://127.0.0.1:9")
    open_page()
    page.get_by_role("button", name="Pair", exact=True).click()
    wait_for(page, "The gateway could not be reached.")
    shoot(page, "5-down")
    Provider.objects.update(base_url=sandbox_process.url)
    page.locator("img[data-pairing-code]").wait_for(timeout=2 * SOON)
    page.locator("[data-pairing-error]").wait_for(state="hidden", timeout=SOON)


def test_refused_credentials(
    page: Any, open_page: Callable[[], None], phone: Sender, shoot: Shoot
) -> None:
    phone.credentials = {"token": "000000000000000000000000"}
    phone.save()
    open_page()
    page.get_by_role("button", name="Pair", exact=True).click()
    wait_for(page, "No code could be shown")
    shoot(page, "6-failed")


def test_signing_out_ends_the_asking(
    page: Any, open_page: Callable[[], None], trouble: list[str]
) -> None:
    open_page()
    page.get_by_role("button", name="Pair", exact=True).click()
    wait_for(page, "Waiting for the scan")
    page.context.clear_cookies()
    page.locator("[data-pairing-trouble]").wait_for(timeout=SOON)
    # Without its cookies the post is refused before anybody asks who it is from.
    trouble[:] = [text for text in trouble if "403" not in text]


def test_without_javascript(
    chromium: Any, page: Any, open_page: Callable[[], None], live_server: Any,
    sandbox: SandboxClient, phone: Sender,
) -> None:  # fmt: skip
    context = chromium.new_context(java_script_enabled=False)
    context.add_cookies(page.context.cookies())
    plain = context.new_page()
    plain.goto(live_server.url + reverse("admin:messaging_sender_pair", args=[phone.pk]))
    plain.get_by_role("button", name="Pair", exact=True).click()
    plain.locator("img[data-pairing-code]").wait_for(timeout=SOON)
    sandbox.scan(WH_NEW_TOKEN)
    Pairing.objects.update(asked_at=None)
    plain.get_by_role("button", name="Look again").click()
    wait_for(plain, "can send and receive now.")
    context.close()


def test_the_pages_around_it(page: Any, live_server: Any, phone: Sender, shoot: Shoot) -> None:
    for name, row in (
        ("provider_change", phone.provider),
        ("provider_webhook", phone.provider),
        ("sender_change", phone),
        ("sender_changelist", None),
        ("webhookdelivery_changelist", None),
        ("group_changelist", None),
    ):
        url = reverse(f"admin:messaging_{name}", args=[row.pk] if row else [])
        page.goto(live_server.url + url)
        assert page.locator("h1:visible").count() == 1
        shoot(page, f"7-{name}")
