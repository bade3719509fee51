"""A Chromium that looks at the real pages, under the strict policy they promise to obey."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.test import Client

POLICY = "default-src 'self'"


class StrictPolicy:
    """What a careful host sends with every page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    # Playwright runs a loop in this thread, and Django would refuse its database to it.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def trouble() -> list[str]:
    """What the browser complained of: errors in the console, refused by the policy, and others."""
    return []


@pytest.fixture
def page(
    chromium: Any, live_server: Any, settings: Any, trouble: list[str], transactional_db: None
) -> Iterator[Any]:
    """A superuser's page on the running site. Fails the test where the browser complained."""
    settings.MIDDLEWARE = [f"{__name__}.StrictPolicy", *settings.MIDDLEWARE]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    get_user_model().objects.create_superuser("boss", password="x")
    client = Client()
    client.login(username="boss", password="x")
    context = chromium.new_context(viewport={"width": 1360, "height": 900})
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
    )
    found = context.new_page()
    found.on("console", lambda message: _note(trouble, message))
    found.on("pageerror", lambda error: trouble.append(str(error)))
    yield found
    context.close()
    assert trouble == []


def _note(trouble: list[str], message: Any) -> None:
    # Chromium asks for an icon no page of ours names.
    if message.type == "error" and "favicon" not in str(message.location):
        trouble.append(message.text)


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Callable[[Any, str], None]:
    """Pictures for people to look at, where SCREENSHOTS names a folder."""
    folder = os.environ.get("SCREENSHOTS", "")

    def take(page: Any, name: str) -> None:
        if not folder:
            return
        for width in (1360, 390):
            for theme in ("light", "dark"):
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=theme)
                page.screenshot(path=f"{folder}/{name}-{theme}-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1360, "height": 900})
        page.emulate_media(color_scheme="light")

    return take
