"""The demo as a newcomer runs it: real processes, a real login, and nothing left behind."""

from __future__ import annotations

import http.cookiejar
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.conf import settings

from messaging.sandbox.whatsapp_rules import SENDS
from project.demo.folder import MARK, DemoFolder, FolderError

COMMAND = (sys.executable, "manage.py", "demo")

#: For machines slower than any of ours; nothing waits so long by itself.
PATIENCE = 300.0


def processes_of(folder: Path) -> dict[int, str]:
    """Every process that works in this folder, with its command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "environ").read_bytes():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(entry.name)] = command
        except OSError:
            continue
    found.pop(os.getpid(), None)
    return {pid: command for pid, command in found.items() if command}


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.2)


class Demo:
    """A running demo and its output."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.output = folder.with_name(f"{folder.name}.out")
        with self.output.open("wb") as stream:
            self.process = subprocess.Popen(
                [*COMMAND, "--dir", str(folder), *arguments],
                cwd=settings.BASE_DIR,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self.output.read_text("utf-8")

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.text
        return "The demo is running." in self.text and "└" in self.text

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+/admin/", self.text)
        assert found, self.text
        return found[0]

    def password(self, name: str) -> str:
        found = re.search(rf"login {name} +password (\S+)", self.text)
        assert found, self.text
        return found[1]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def begin(*arguments: str) -> Demo:
        demo = Demo(tmp_path / "demo", *arguments)
        started.append(demo)
        until(demo.is_ready, "the demo is not ready")
        return demo

    yield begin
    for demo in started:
        if demo.process.poll() is None:
            demo.end(signal.SIGTERM)
        for pid in processes_of(demo.folder):
            os.kill(pid, signal.SIGKILL)


def nothing_left(folder: Path) -> None:
    assert processes_of(folder) == {}


def log_in(demo: Demo, name: str) -> urllib.request.OpenerDirector:
    """A browser that has logged in."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    # Without proxies: what the environment names is not for this machine.
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)
    page = read(browser, f"{demo.url}login/?next=/admin/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    form = {"csrfmiddlewaretoken": token[1], "username": name, "password": demo.password(name)}
    page = read(browser, f"{demo.url}login/?next=/admin/", form)
    assert "/admin/logout/" in page
    return browser


def read(
    browser: urllib.request.OpenerDirector, url: str, form: dict[str, str] | None = None
) -> str:
    data = urlencode(form).encode() if form else None
    request = urllib.request.Request(url, data, {"Referer": url})
    with browser.open(request, timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def test_once_does_the_main_job(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*COMMAND, "--once"],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every row is as expected." in done.stdout
    assert re.search(r"\d seconds$", done.stdout.strip())
    for operation in (*SENDS, "sendmsg sms", "send template", "send-freeform", "campaignReport"):
        assert re.search(rf"  {operation}\b", done.stdout), operation
    for status in ("read", "accepted", "unknown (ambiguous)", "failed (invalid_recipient)"):
        assert status in done.stdout
    assert "0 of them twice" in done.stdout
    for name in ("picture, multipart", "SMS binary", "three in one body"):
        assert re.search(rf"  {name} +webhook ", done.stdout), name
    assert re.search(r"  inbox row of a group +poll ", done.stdout)
    assert re.search(
        r"\d+ messages received, \d+ duplicates dropped, 2 deliveries quarantined, "
        r"3 found only by polling\.",
        done.stdout,
    )
    assert "delivery webhook" in done.stdout
    assert "connected, webhook ours" in done.stdout
    assert "the customer writes: the held message" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    nothing_left(tmp_path)


def test_a_browser_can_log_in_and_everything_ends(start: Callable[..., Demo]) -> None:
    demo = start()
    staff = log_in(demo, "demo")
    assert "Asha Rao" in read(staff, f"{demo.url}messaging/contact/")
    assert "Asha Rao" in read(staff, f"{demo.url}messaging/message/")
    agent = log_in(demo, "agent")
    assert "messaging/conversation/" in read(agent, demo.url)

    # A phone that is to be paired, by the two pages it names.
    ours, phones = re.findall(r"http://127\.0\.0\.1:\d+\S*(?:/pair/|/phone/\w+)", demo.text)
    assert "Pair" in read(staff, ours)
    assert "Scan with this phone" in read(staff, phones)

    # Customers answer what the worker has sent, and their gateways post it to us.
    received = f"{demo.url}messaging/webhookdelivery/?state__exact=processed"
    until(lambda: "/webhookdelivery/1/" in read(staff, received), "nobody has answered")
    assert demo.end(signal.SIGINT) == 0
    nothing_left(demo.folder)
    assert "Stopped." in demo.text

    # Again, in the same folder and with what is in it.
    before = demo.password("demo")
    again = start("--keep")
    assert again.password("demo") != before
    assert "Asha Rao" in read(log_in(again, "demo"), f"{again.url}messaging/contact/")
    assert again.end(signal.SIGTERM) == 0
    nothing_left(demo.folder)


@pytest.mark.faults
def test_a_child_that_dies_is_named_and_the_others_end(start: Callable[..., Demo]) -> None:
    demo = start()
    until(
        lambda: any("qcluster" in command for command in processes_of(demo.folder).values()),
        "the worker does not work",
    )
    # The demo notes once in a while what the worker has started.
    time.sleep(2)
    (worker,) = [
        pid for pid, command in processes_of(demo.folder).items() if "messaging_worker" in command
    ]
    os.kill(worker, signal.SIGKILL)
    assert demo.process.wait(PATIENCE) == 1
    assert "The worker ended by itself (by SIGKILL)." in demo.text
    nothing_left(demo.folder)


@pytest.mark.faults
def test_nothing_outlives_a_demo_that_is_killed(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.process.kill()
    demo.process.wait()
    until(lambda: not processes_of(demo.folder), "children outlive their parent")


# The folder


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear customer")
    with pytest.raises(FolderError, match="holds something else"):
        DemoFolder(tmp_path).claim()
    assert [item.name for item in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(FolderError, match="is a file"):
        DemoFolder(tmp_path / "letter.txt").claim()


def test_a_folder_is_used_by_one_demo_at_a_time(tmp_path: Path) -> None:
    first, second = DemoFolder(tmp_path / "demo"), DemoFolder(tmp_path / "demo")
    first.claim()
    with pytest.raises(FolderError, match="running"):
        second.claim()
    first.release()
    assert second.claim() is False
    second.release()


def test_a_fresh_start_empties_what_is_its_own(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    folder.claim()
    first = folder.environment("http://127.0.0.1:1")
    folder.release()
    (folder.path / "db.sqlite3").write_text("rows")
    (folder.path / "media").mkdir()
    (folder.path / "mine.txt").write_text("kept")

    assert folder.claim(keep=True) is True
    assert folder.environment("http://127.0.0.1:1") == first
    folder.release()
    assert folder.claim() is False
    again = folder.environment("http://127.0.0.1:1")
    folder.release()
    assert again["SECRET_KEY"] != first["SECRET_KEY"]
    assert again["MESSAGING_ENCRYPTION_KEYS"] != first["MESSAGING_ENCRYPTION_KEYS"]
    assert sorted(item.name for item in folder.path.iterdir()) == ["logs", "mine.txt", MARK]


def test_secrets_are_for_its_owner_only(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    folder.claim()
    folder.release()
    assert stat.S_IMODE((folder.path / MARK).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_folder_with_odd_letters_is_found_by_its_children(tmp_path: Path) -> None:
    import environ

    folder = DemoFolder(tmp_path / "a b#c?d%20é")
    folder.claim()
    folder.release()
    url = folder.environment("http://127.0.0.1:1")["DATABASE_URL"]
    assert environ.Env.db_url_config(url)["NAME"] == str(folder.path / "db.sqlite3")
