"""Shared fixtures: safe settings, no network but loopback, and honest skips."""

from __future__ import annotations

import importlib.util
import ipaddress
import shutil
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as project_settings
from django.db import connection

KEY = Fernet.generate_key().decode()

#: What the project's settings say in tests. `settings.MESSAGING = {**settings.MESSAGING, …}` in a
#: test changes it for that test.
MESSAGING: dict[str, Any] = {
    "ENCRYPTION_KEYS": [KEY],
    "ALLOWED_PRIVATE_HOSTS": ["127.0.0.1"],
    "DEFAULT_REGION": "GB",
    # Tests move the time; the database's clock stays where it is.
    "DATABASE_CLOCK": False,
}


@pytest.fixture(autouse=True)
def messaging_settings(settings: Any) -> dict[str, Any]:
    """Settings every test starts from, whatever the environment says."""
    settings.MESSAGING = dict(MESSAGING)
    return settings.MESSAGING


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A server's thread that is slow to end must not keep the test database from being dropped."""
    yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """A test that reaches for the network fails instead of waiting for it."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"A test tried to reach {address[0]}.")
        real(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--faults", action="store_true", help="also kill real worker processes; takes minutes"
    )


@pytest.hookimpl(trylast=True)  # after those who mark their own folders
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {
        "postgres": _no_postgres(),
        "browser": _no_browser(),
        "faults": "" if config.getoption("--faults") else "takes minutes: add --faults",
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _no_postgres() -> str:
    engine = project_settings.DATABASES["default"]["ENGINE"]
    if engine == "django.db.backends.postgresql":
        return ""
    return "needs PostgreSQL: set DATABASE_URL=postgres://user@host:5432/name"


def _no_browser() -> str:
    if importlib.util.find_spec("playwright") is None:
        return "needs playwright: pip install playwright"
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        return "needs Chromium: apt-get install chromium"
    return ""
