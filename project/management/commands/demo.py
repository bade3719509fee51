"""`manage.py demo`: everything on this machine, with believable data, in one command."""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import signal
import socket
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from project.demo.folder import DemoFolder, FolderError
from project.demo.processes import ChildError, Children

HOST: Final = "127.0.0.1"
FIRST_PORT: Final = 8000

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

#: Seconds after which the sandbox moves messages on: to watch, and to be done soon.
_WATCHED: Final = ("--sent-after=1", "--delivered-after=4", "--read-after=10")
_QUICK: Final = ("--sent-after=0", "--delivered-after=0.5", "--read-after=1")


class Command(BaseCommand):
    help = (
        "Starts a sandbox that plays all three gateways, a worker and a web server, in a folder of "
        "their own with believable data, and prints the address and the login. Ctrl-C ends all. "
        "With --once: sends and receives one of everything, prints what became of it, ends."
    )
    # The settings it starts with are its own, not those that the checks would look at.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="the main job without a browser; then end"
        )
        parser.add_argument(
            "--dir", type=Path, default=Path("demo"), help="the demo's folder (default: ./demo)"
        )
        parser.add_argument(
            "--keep", action="store_true", help="go on with the data of the last time"
        )
        parser.add_argument(
            "--port", type=int, help="of the web server (default: 8000 or the next free one)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with _ctrl_c():
                code = self._once() if options["once"] else self._demo(options)
        except (ChildError, FolderError) as error:
            raise CommandError(str(error)) from None
        if code:
            raise CommandError("Not every row is as expected.", returncode=1)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    # Once

    def _once(self) -> int:
        begun = time.monotonic()
        path = Path(tempfile.mkdtemp(prefix="shared-inbox-demo-"))
        folder = DemoFolder(path)
        try:
            folder.claim()
            web = f"http://{HOST}:{_free_port(0)}"
            with self._children(folder, web) as children:
                url = _start_sandbox(children, folder, _QUICK)
                children.run("preparation", "-m", "project.demo.prepare", url, "--bare")
                children.start("worker", "-m", "project.demo.child", "messaging_worker")
                _start_web(children, web)
                code = children.run("messages", "-m", "project.demo.once", url, web, shown=True)
        except KeyboardInterrupt:
            raise CommandError("Stopped.", returncode=130) from None
        finally:
            folder.release()
            shutil.rmtree(path, ignore_errors=True)
        self._say(f"{time.monotonic() - begun:.1f} seconds")
        return code

    # For a browser

    def _demo(self, options: dict[str, Any]) -> int:
        folder = DemoFolder(options["dir"])
        kept = folder.claim(keep=options["keep"])
        url = f"http://{HOST}:{_free_port(options['port'])}"
        passwords = {name: secrets.token_urlsafe(9) for name in ("demo", "agent")}
        try:
            with self._children(folder, url) as children:
                pages = self._start(children, folder, url, passwords, kept=kept)
                self._say(_box(url, passwords, pages, folder))
                children.wait_for(lambda: False)
        except KeyboardInterrupt:
            self._say("Stopped.")
        finally:
            folder.release()
        return 0

    def _start(
        self,
        children: Children,
        folder: DemoFolder,
        url: str,
        passwords: dict[str, str],
        *,
        kept: bool,
    ) -> tuple[str, str]:
        """Start all; where a phone is paired: our page, and the phone's own."""
        self._say("Preparing …")
        sandbox = _start_sandbox(children, folder, _WATCHED)
        arguments = [sandbox, *(["--kept"] if kept else [])]
        text = json.dumps(passwords) + "\n"
        children.run("preparation", "-m", "project.demo.prepare", *arguments, text=text)
        _start_web(children, url)
        children.wait_for(lambda: _answers(url), seconds=120)
        # Last: customers answer what it sends, and what they say is posted to the web server.
        children.start("worker", "-m", "project.demo.child", "messaging_worker")
        said = (folder.logs / "preparation.log").read_text("utf-8").splitlines()[-1]
        ours, phones = json.loads(said)
        return url + ours, phones

    @contextmanager
    def _children(self, folder: DemoFolder, url: str) -> Iterator[Children]:
        """Processes that are gone when the block ends, whatever ends it."""
        children = Children(folder.environment(url), folder.logs, self._say)
        try:
            yield children
        except KeyboardInterrupt:
            self._say("Stopping …")
            raise
        finally:
            with _undisturbed():
                children.stop()


@contextmanager
def _ctrl_c() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, and Ctrl-C does where a shell had it ignored."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """While children are ended, another Ctrl-C changes nothing: none may be left behind."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_sandbox(children: Children, folder: DemoFolder, delays: Sequence[str]) -> str:
    """Start the sandbox on any free port; its address."""
    announced = folder.logs / "sandbox.url"
    announced.unlink(missing_ok=True)
    children.start(
        "sandbox", "-m", "messaging.sandbox", "--port", "0", "--until-eof",
        "--announce", str(announced), *delays,
    )  # fmt: skip
    children.wait_for(announced.exists, seconds=60)
    return announced.read_text("utf-8").strip()


def _start_web(children: Children, url: str) -> None:
    address = url.removeprefix("http://")
    children.start("web", "-m", "project.demo.child", "runserver", "--noreload", address)


def _free_port(wanted: int | None) -> int:
    """The port asked for (0: any), else the first free one from 8000 on."""
    ports = [wanted] if wanted is not None else range(FIRST_PORT, FIRST_PORT + 200)
    for port in ports:
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except (OSError, OverflowError):
                continue
            return port or int(probe.getsockname()[1])
    raise CommandError(f"Port {wanted or FIRST_PORT} is in use. Choose another with --port.")


def _answers(url: str) -> bool:
    """Whether the login page is there."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request("GET", "/admin/login/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _box(url: str, passwords: dict[str, str], pages: tuple[str, str], folder: DemoFolder) -> str:
    rows = [
        "The demo is running.",
        "",
        f"{url}/admin/",
        "",
        *(f"login {name:6}  password {password}" for name, password in passwords.items()),
        "",
        "“demo” may do everything, “agent” answers customers.",
        "Customers answer what is sent to them.",
        "",
        "Pair a phone: show the code on the first page, scan it on the second.",
        *pages,
        "",
        f"Logs: {folder.logs}",
        "Ctrl-C ends everything.",
    ]
    width = max(len(row) for row in rows)
    edge = "─" * (width + 4)
    lines = [f"│  {row.ljust(width)}  │" for row in rows]
    return "\n".join(["", f"┌{edge}┐", *lines, f"└{edge}┘", ""])
