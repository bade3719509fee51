"""Databases of a test's own: SQLite files, and PostgreSQL databases where a server answers."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from django.db.utils import ConnectionHandler, DatabaseError
from environ import Env

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
KINDS = (SQLITE, POSTGRESQL)

_USUAL_SERVER = "postgres://postgres@127.0.0.1:5432"
_PREFIX = "faults"
_numbers = count(1)


class Database:
    """One database, migrated. `url` is what a worker is told."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self._config = _config(url)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """In this thread, the project's default database is this one."""
        own = ConnectionHandler({"default": dict(self._config)})["default"]
        usual = connections["default"]
        connections["default"] = own
        try:
            yield
        finally:
            own.close()
            connections["default"] = usual

    def terminate_backends(self) -> int:
        """Cut every connection to this PostgreSQL database; how many there were."""
        sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
        return int(_on_server(sql, self._config["NAME"])[0][0])

    @contextmanager
    def away(self) -> Iterator[None]:
        """A PostgreSQL server that went down: nobody is connected, nobody gets in."""
        name = _name(self)
        _on_server(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.terminate_backends()
        try:
            yield
        finally:
            _on_server(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


class Databases:
    """Makes databases by copying one migrated template of each kind, and drops them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._templates: dict[str, Database] = {}
        self._made: list[Database] = []
        self._lock = threading.Lock()
        if server() is not None:
            _drop_forgotten()

    def make(self, kind: str) -> Database:
        # A template that is being copied lets nobody else near it.
        with self._lock:
            if kind not in self._templates:
                self._templates[kind] = self._migrated(kind)
            template = self._templates[kind]
            database = self._new(kind)
            if kind == SQLITE:
                shutil.copy(_path(template), _path(database))
            else:
                _on_server(f"CREATE DATABASE {_name(database)} TEMPLATE {_name(template)}")
        return database

    def drop_all(self) -> None:
        for database in self._made:
            if database.kind == POSTGRESQL:
                _on_server(f"DROP DATABASE IF EXISTS {_name(database)} WITH (FORCE)")

    def _migrated(self, kind: str) -> Database:
        database = self._new(kind)
        if kind == POSTGRESQL:
            _on_server(f"CREATE DATABASE {_name(database)}")
        with database.connected():
            call_command("migrate", verbosity=0, skip_checks=True)
            if kind == SQLITE:
                with connections["default"].cursor() as cursor:
                    # The copy must be whole without the files beside it.
                    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return database

    def _new(self, kind: str) -> Database:
        name = f"{_PREFIX}_{os.getpid()}_{next(_numbers)}"
        url = f"sqlite:///{self._folder / name}.sqlite3"
        database = Database(kind, url if kind == SQLITE else f"{server()}/{name}")
        self._made.append(database)
        return database


@cache
def server() -> str | None:
    """The PostgreSQL server to use: that of the settings, else the usual one if it answers."""
    default = settings.DATABASES["default"]
    if default["ENGINE"] == "django.db.backends.postgresql":
        login = f"{default['USER']}:{default['PASSWORD']}".rstrip(":")
        return f"postgres://{login}@{default['HOST'] or '127.0.0.1'}:{default['PORT'] or 5432}"
    try:
        _on_server("SELECT 1", url=_USUAL_SERVER)
    except (DatabaseError, ImportError, ImproperlyConfigured):
        # No server, or no psycopg to speak to it with.
        return None
    return _USUAL_SERVER


def require(kind: str) -> None:
    """Skip the test where there is no such database."""
    if kind == POSTGRESQL and server() is None:
        pytest.skip("no PostgreSQL server answers on 127.0.0.1:5432")


def usual_kind() -> str:
    """PostgreSQL, as in production, where there is one."""
    return POSTGRESQL if server() else SQLITE


def _config(url: str) -> dict[str, Any]:
    config: dict[str, Any] = Env.db_url_config(url)
    if url.startswith("sqlite"):
        # As project.settings has it.
        config["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    return config


def _name(database: Database) -> str:
    return database.url.rpartition("/")[2]


def _path(database: Database) -> str:
    return database.url.removeprefix("sqlite:///")


def _on_server(sql: str, *parameters: Any, url: str | None = None) -> list[tuple[Any, ...]]:
    """Run one statement on the server's own database."""
    config = _config(f"{url or server()}/postgres")
    config["OPTIONS"] = {"connect_timeout": 2}
    connection = ConnectionHandler({"default": config})["default"]
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def _drop_forgotten() -> None:
    """Databases of runs that were killed."""
    rows = _on_server("SELECT datname FROM pg_database WHERE datname LIKE %s", f"{_PREFIX}\\_%")
    for (name,) in rows:
        owner = name.split("_")[1]
        if not Path(f"/proc/{owner}").exists():
            _on_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
