"""Checks of the database, of who may do what in it, and of the apps that must be there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Tags
from django.db import connections, router
from django.db.models import QuerySet

from .finding import TAG, Finding

BAD_DATABASE = Finding(
    "messaging.E006",
    "The database {alias!r} that holds the messages is {vendor}.",
    "Use SQLite or PostgreSQL: claims, paces and constraints rely on what these two promise.",
)
APP_MISSING = Finding(
    "messaging.E007",
    "{app!r} is not in INSTALLED_APPS.",
    "Add it: messaging needs it.",
)
SQLITE_OPTIONS = Finding(
    "messaging.W005",
    "The SQLite database {alias!r} is opened without {missing}.",
    "Without them a worker and a web server lock each other out. Set OPTIONS to "
    "{'timeout': 20, 'transaction_mode': 'IMMEDIATE', "
    "'init_command': 'PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;'}.",
)
QUEUE_PERMISSION = Finding(
    "messaging.W006",
    "{who} may change django-q2's tables: {names}.",
    "Whoever may add a schedule there can run any Python function. Take the permissions away.",
)
ATOMIC_REQUESTS = Finding(
    "messaging.I001",
    "ATOMIC_REQUESTS is on for {alias!r}: what a view queues leaves when its request has ended.",
    "Nothing to do; a request that fails sends nothing.",
)


@checks.register(TAG)
def check_apps(**kwargs: Any) -> list[CheckMessage]:
    needed = ("django_q", "import_export")
    return [APP_MISSING(app=app) for app in needed if not apps.is_installed(app)]


# The database


def messages_alias() -> str:
    """The database of our tables."""
    return router.db_for_write(apps.get_model("messaging", "Message"))


@checks.register(TAG)
def check_database(**kwargs: Any) -> list[CheckMessage]:
    alias = messages_alias()
    connection = connections[alias]
    found = []
    if connection.vendor not in ("sqlite", "postgresql"):
        found.append(BAD_DATABASE(alias=alias, vendor=connection.vendor))
    if connection.vendor == "sqlite" and (missing := _sqlite_missing(connection.settings_dict)):
        found.append(SQLITE_OPTIONS(alias=alias, missing=", ".join(missing)))
    if connection.settings_dict.get("ATOMIC_REQUESTS"):
        found.append(ATOMIC_REQUESTS(alias=alias))
    return found


def _sqlite_missing(database: Mapping[str, Any]) -> list[str]:
    options = database.get("OPTIONS", {})
    in_memory = ":memory:" in str(database.get("NAME")) or "mode=memory" in str(
        database.get("NAME")
    )
    wal = re.search(r"journal_mode\s*=\s*['\"]?wal", str(options.get("init_command", "")), re.I)
    present = {
        "journal_mode=WAL": in_memory or wal,
        "transaction_mode IMMEDIATE": str(options.get("transaction_mode")).upper()
        in ("IMMEDIATE", "EXCLUSIVE"),
        "a timeout of 20 seconds": (options.get("timeout") or 0) >= 20,
    }
    return [name for name, given in present.items() if not given]


@checks.register(Tags.database)
def check_permissions(databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    alias = messages_alias()
    if alias not in (databases or ()):
        return []
    with connections[alias].cursor() as cursor:
        tables = connections[alias].introspection.table_names(cursor)
    permission = apps.get_model("auth", "Permission")
    if permission._meta.db_table not in tables:
        return []
    powers = permission._base_manager.using(alias).filter(content_type__app_label="django_q")
    found = []
    for who, names in (("Groups", _groups(alias, powers)), ("People", _people(alias, powers))):
        if names:
            found.append(QUEUE_PERMISSION(who=who, names=", ".join(names)))
    return found


def _groups(alias: str, powers: QuerySet[Any]) -> list[str]:
    groups = apps.get_model("auth", "Group")._base_manager.using(alias)
    return _some(groups.filter(permissions__in=powers).distinct())


def _people(alias: str, powers: QuerySet[Any]) -> list[str]:
    people = apps.get_model(settings.AUTH_USER_MODEL)._base_manager.using(alias)
    if not hasattr(people.model, "user_permissions"):
        return []
    return _some(people.filter(user_permissions__in=powers).distinct())


def _some(rows: QuerySet[Any]) -> list[str]:
    return [str(row) for row in rows.order_by("pk")[:5]]
