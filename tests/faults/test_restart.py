"""A PostgreSQL server of the test's own is restarted, as after a crash, while gateways post."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from messaging import inbox
from messaging.models import Message, WebhookDelivery

from .databases import POSTGRESQL, Database
from .stage import Stage
from .test_receiving import desk_alone, post_all

pytestmark = pytest.mark.faults

_BODIES = 400


@dataclass(frozen=True)
class Server:
    """One cluster in a folder, on a port of its own."""

    programs: Path
    folder: Path
    port: int

    def control(self, *arguments: str) -> None:
        run(self.programs / "pg_ctl", "-D", str(self.folder), "-w", "-s", *arguments)

    def restart(self) -> None:
        """As if the machine had lost power: no farewell to anybody."""
        self.control("restart", "-m", "immediate", "-t", "60")


def run(program: Path, *arguments: str) -> None:
    """PostgreSQL's programs refuse to run as root."""
    user = None if os.getuid() else "postgres"
    subprocess.run([program, *arguments], user=user, check=True, cwd="/", stdout=subprocess.DEVNULL)


def programs() -> Path | None:
    """Where PostgreSQL's own programs are: a server may be there without them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return found[-1].parent if found else None


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@pytest.fixture
def server() -> Iterator[Server]:
    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL programs in /usr/lib/postgresql")
    if not os.getuid() and not _is_user("postgres"):
        pytest.skip("no user “postgres” to run a server as")
    # Not below pytest's folder: the server's user may not enter that.
    folder = Path("/tmp") / f"shared-inbox-restart-{os.getpid()}"
    folder.mkdir(mode=0o700)
    if not os.getuid():
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = Server(where, folder / "data", port)
    try:
        run(where / "initdb", "-D", str(own.folder), "-A", "trust", "-U", "postgres", "-E", "UTF8")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        own.control("start", "-o", options, "-l", str(folder / "log"))
        yield own
    finally:
        with suppress(subprocess.CalledProcessError):
            own.control("stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


def test_a_restart_under_load_loses_nothing_that_was_answered(stage: Stage, server: Server) -> None:
    """What was answered 200 is there; what was not is posted again, as gateways do."""
    database = Database(POSTGRESQL, f"postgres://postgres@127.0.0.1:{server.port}/postgres")
    with database.connected():
        call_command("migrate", verbosity=0, skip_checks=True)
        paths = desk_alone()
        connection.close()
        restarts = threading.Thread(target=lambda: [server.restart() for _round in range(3)])
        restarts.start()
        wanted = post_all(database, paths, _BODIES)
        restarts.join()
        connection.close()
        inbox.replay(WebhookDelivery.objects.exclude(state="processed"))
        found = Message.objects.filter(direction="inbound").values_list("external_id", flat=True)
        assert sorted(found) == wanted
