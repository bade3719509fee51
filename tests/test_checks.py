"""Every finding of the system checks is made by a broken setting, and by nothing else."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.checks import Tags, run_checks
from django.db import connection, connections

from messaging import conf
from messaging.checks import options, queue, storage
from messaging.checks.finding import Finding
from messaging.checks.rules import RULES

from .conftest import KEY

ROOT = Path(__file__).resolve().parent.parent
GOOD_URL = "https://desk.example.com"


def findings(*, deploy: bool = False, databases: list[str] | None = None) -> list[str]:
    """What our checks say, as `id text` lines."""
    found = run_checks(include_deployment_checks=deploy, databases=databases)
    ours = [item for item in found if (item.id or "").startswith("messaging.")]
    assert all(item.hint for item in ours)
    return sorted(f"{item.id} {item.msg}" for item in ours)


def ids(**kwargs: Any) -> list[str]:
    return [line.split()[0] for line in findings(**kwargs)]


@pytest.fixture(autouse=True)
def good_settings(settings: Any) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "PUBLIC_BASE_URL": GOOD_URL}


def test_good_settings_say_nothing() -> None:
    assert findings(deploy=True) == []


def test_no_id_is_used_twice_for_different_things() -> None:
    found = [
        value
        for module in (options, storage, queue)
        for value in vars(module).values()
        if isinstance(value, Finding)
    ]
    # A missing Q_CLUSTER and a wrong broker are the same departure.
    assert len({finding.id for finding in found}) == len(found) - 1
    assert all(finding.hint.endswith(".") for finding in found)


def test_every_setting_has_a_rule_and_passes_it() -> None:
    assert set(RULES) == set(conf.DEFAULTS)
    assert {name: rule(conf.DEFAULTS[name]) for name, rule in RULES.items()} == dict.fromkeys(
        RULES, ""
    )


def test_not_a_dict(settings: Any) -> None:
    settings.MESSAGING = ["ENCRYPTION_KEYS"]
    assert "messaging.E001" in ids()


@pytest.mark.parametrize("keys", [[], [""]])
@pytest.mark.parametrize(
    ("debug", "expected"), [(False, "messaging.E002"), (True, "messaging.W007")]
)
def test_missing_keys(settings: Any, keys: list[str], debug: bool, expected: str) -> None:
    settings.DEBUG = debug
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": keys}
    assert ids() == [expected]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("hunter2", "is not 32"),
        (base64.urlsafe_b64encode(b"short").decode(), "is not 32"),
        (base64.urlsafe_b64encode(b"0" * 32).decode(), "can be guessed"),
    ],
)
def test_bad_key_is_named_by_number_and_never_quoted(settings: Any, key: str, words: str) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": [KEY, key]}
    [line] = findings()
    assert line.startswith("messaging.E003")
    assert f"key number 2 {words}" in line
    assert key not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENCRYPTION_KEYS", "one key, and no list"),
        ("ENCRYPTION_KEYS", [b"bytes"]),
        ("ALLOWED_PRIVATE_HOSTS", "127.0.0.1"),
        ("ALLOWED_PRIVATE_HOSTS", ["*.lan"]),
        ("ALLOWED_PRIVATE_HOSTS", ["http://gateway.lan"]),
        ("ALLOWED_PRIVATE_HOSTS", ["10.0.0.0/99"]),
        ("PUBLIC_BASE_URL", None),
        ("PUBLIC_BASE_URL", "desk.example.com"),
        ("PUBLIC_BASE_URL", "ftp://desk.example.com"),
        ("PUBLIC_BASE_URL", "https://user@desk.example.com"),
        ("PUBLIC_BASE_URL", "https://desk.example.com/?a=1"),
        ("MEDIA_LINK_SECONDS", 0),
        ("MEDIA_LINK_SECONDS", 3600.5),
        ("ADAPTERS", "messaging.adapters.dummy.Dummy"),
        ("ADAPTERS", 7),
        ("DEFAULT_REGION", "England"),
        ("DEFAULT_REGION", None),
        ("THREADS", 0),
        ("THREADS", True),
        ("THREADS", "16"),
        ("WINDOW_MARGIN", -1),
        ("CONNECT_TIMEOUT", 0),
        ("READ_TIMEOUT", None),
        ("TOTAL_TIMEOUT", 2),
        ("TOTAL_TIMEOUT", 3_000),
        ("RETRY_DELAYS", 5),
        ("RETRY_DELAYS", [5, "30"]),
        ("PAUSE_SECONDS", 0),
        ("EXPIRE_HOURS", -1),
        ("DATABASE_CLOCK", "yes"),
        ("KEEP_CALLS", 1),
    ],
)
def test_wrong_type_or_range(settings: Any, name: str, value: Any) -> None:
    settings.MESSAGING = {**settings.MESSAGING, name: value}
    [line] = [line for line in findings(deploy=True) if "W019" not in line]
    assert line.startswith(f"messaging.E004 MESSAGING['{name}'] ")


@pytest.mark.parametrize("hosts", [["localhost"], ["gateway.lan:8080"], ["[::1]:9000"], ["::1"]])
def test_what_a_private_host_may_be(settings: Any, hosts: list[str]) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ALLOWED_PRIVATE_HOSTS": hosts}
    assert findings(deploy=True) == []


def test_misspelt_name_is_guessed(settings: Any) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEY": [KEY], "x": 1}
    first, second = findings()
    assert first.endswith("no setting 'ENCRYPTION_KEY'. Did you mean 'ENCRYPTION_KEYS'?")
    assert second == "messaging.W001 MESSAGING has no setting 'x'."


class Shouting:
    """No adapter at all."""


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["messaging.adapters.nowhere.Nothing"], "cannot import"),
        (["no_dots"], "cannot import"),
        ([f"{__name__}.Shouting"], "is not an Adapter"),
        (["messaging.adapters.dummy.Dummy"] * 2, "two adapters are"),
        ([f"{__name__}.BadSlug"], "is not lower-case"),
    ],
)
def test_bad_adapters_are_a_finding_and_no_traceback(
    settings: Any, paths: list[str], words: str
) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ADAPTERS": paths}
    [line] = findings()
    assert line.startswith("messaging.E005")
    assert words in line


def __getattr__(name: str) -> Any:
    """`BadSlug`, made when it is asked for, so that no other test meets it."""
    if name != "BadSlug":
        raise AttributeError(name)
    from messaging.adapters.dummy import Dummy

    return type("BadSlug", (Dummy,), {"slug": "Bad slug"})


@pytest.mark.parametrize("app", ["django_q", "import_export"])
def test_needed_apps(settings: Any, app: str) -> None:
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != app]
    assert ids() == ["messaging.E007"]


# Only for public sites


@pytest.mark.parametrize("url", ["http://desk.example.com", ""])
def test_public_url(settings: Any, url: str) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "PUBLIC_BASE_URL": url}
    assert ids() == []
    assert ids(deploy=True) == ["messaging.W003" if url else "messaging.W004"]


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/8", "0.0.0.0/0", "169.254.169.254", "fd00::/8", "192.168.0.0/23"]
)
def test_too_wide_private_hosts(settings: Any, entry: str) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ALLOWED_PRIVATE_HOSTS": ["127.0.0.1", entry]}
    assert ids() == []
    [line] = findings(deploy=True)
    assert line.startswith(f"messaging.W002 MESSAGING['ALLOWED_PRIVATE_HOSTS'] lists '{entry}'")


def test_debug_on_a_public_site(settings: Any) -> None:
    settings.DEBUG = True
    assert ids(deploy=True) == ["messaging.W008"]


# The database


def test_other_databases_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "mysql")
    assert "messaging.E006" in ids()


SQLITE = {
    "NAME": "db.sqlite3",
    "OPTIONS": {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA synchronous=NORMAL; pragma journal_mode = wal;",
    },
}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({}, ""),
        ({"timeout": 5}, "a timeout of 20 seconds"),
        ({"timeout": None}, "a timeout of 20 seconds"),
        ({"transaction_mode": None}, "transaction_mode IMMEDIATE"),
        ({"init_command": ""}, "journal_mode=WAL"),
        ({"init_command": "", "timeout": 1}, "journal_mode=WAL, a timeout of 20 seconds"),
    ],
)
def test_sqlite_options(monkeypatch: pytest.MonkeyPatch, change: Any, missing: str) -> None:
    database = {**SQLITE, "OPTIONS": {**SQLITE["OPTIONS"], **change}}
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    monkeypatch.setattr(connections["default"], "settings_dict", database)
    found = findings()
    assert found == ([SQLITE_LINE.format(missing=missing)] if missing else [])


SQLITE_LINE = "messaging.W005 The SQLite database 'default' is opened without {missing}."


def test_atomic_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    database = {**connection.settings_dict, "ATOMIC_REQUESTS": True}
    monkeypatch.setattr(connections["default"], "settings_dict", database)
    assert ids() == ["messaging.I001"]


@pytest.mark.django_db
def test_permissions_on_the_queue() -> None:
    permission = Permission.objects.get(codename="add_schedule")
    Group.objects.create(name="Desk").permissions.add(permission)
    User.objects.create(username="ada").user_permissions.add(permission)
    User.objects.create(username="root", is_superuser=True)
    assert ids() == []
    assert findings(databases=["default"]) == [
        "messaging.W006 Groups may change django-q2's tables: Desk.",
        "messaging.W006 People may change django-q2's tables: ada.",
    ]


@pytest.mark.django_db
def test_permissions_are_not_asked_before_there_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.introspection, "table_names", lambda cursor: [])
    assert run_checks(tags=[Tags.database], databases=["default"]) == []


# The queue


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"orm": "other"}, ["W010"]),
        ({"orm": None, "redis": {"host": "localhost"}}, ["W010"]),
        ({"broker_class": "some.Broker"}, ["W010"]),
        ({"workers": 1, "queue_limit": 1}, ["W011"]),
        ({"workers": None, "retry": 10**9}, ["W011"]),
        ({"retry": 300}, ["W012"]),
        ({"retry": 359}, ["W012"]),
        ({"retry": 360}, []),
        ({"queue_limit": 8}, ["W012"]),
        ({"queue_limit": 6}, []),
        ({"retry": "600"}, ["W012"]),
        ({"ack_failures": False}, ["W013"]),
        ({"max_attempts": 0}, ["W014"]),
        ({"max_attempts": 3}, ["W014"]),
        ({"catch_up": True}, ["W015"]),
        ({"save_limit": 251}, ["W016"]),
        ({"save_limit": -1}, ["W016"]),
        ({"poll": 2}, ["W017"]),
        ({"poll": 0}, ["W017"]),
        ({"bulk": 10}, ["W018"]),
        ({"timeout": None}, ["W019"]),
        ({"timeout": 89}, ["W019"]),
        ({"timeout": 90}, []),
        ({"timeout": "120"}, ["W019"]),
        ({"sync": True}, ["W020"]),
        ({"retry": 60, "bulk": 5, "poll": 5}, ["W012", "W017", "W018"]),
    ],
)
def test_each_departure_of_the_queue(settings: Any, change: Any, expected: list[str]) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, **change}
    assert ids() == [f"messaging.{number}" for number in expected]


@pytest.mark.parametrize("seconds", [90, 91])
def test_a_longer_round_needs_a_longer_timeout(settings: Any, seconds: int) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "DRAIN_SECONDS": seconds}
    assert ids() == (["messaging.W019"] if seconds > 90 else [])


def test_defaults_of_django_q2_depart_in_each_point_that_matters(settings: Any) -> None:
    settings.Q_CLUSTER = {"name": "site"}
    assert set(ids()) == {f"messaging.W01{number}" for number in (0, 1, 3, 4, 5, 9)}


def test_no_queue_at_all(settings: Any) -> None:
    del settings.Q_CLUSTER
    assert ids() == ["messaging.W010"]


# As a command


def run_check(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "check", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_command_is_silent_for_a_good_site() -> None:
    done = run_check(
        "--deploy", "--fail-level", "INFO", DJANGO_SETTINGS_MODULE="tests.settings_deploy"
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "System check identified no issues (0 silenced).\n",
        "",
    )


def test_command_fails_for_a_careless_site() -> None:
    done = run_check(
        "--deploy",
        MESSAGING_ENCRYPTION_KEYS="changeme",
        MESSAGING_ALLOWED_PRIVATE_HOSTS="0.0.0.0/0",
        PUBLIC_BASE_URL="http://desk.example.com",
    )
    assert done.returncode == 1
    for finding in ("messaging.E003", "messaging.W002", "messaging.W003"):
        assert finding in done.stderr
    assert "changeme" not in done.stderr
