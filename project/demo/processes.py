"""The demo's child processes: started, watched, and ended by their ids."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from django.conf import settings

#: Seconds a process may take to end when it is asked to: the longest call and what follows it.
GRACE: Final = 60.0
_EACH: Final = 0.2
#: What begins a trouble worth showing, in the words of Django, django-q2 and Python.
_TROUBLE: Final = ("Traceback (most recent call last)", " ERROR ", " CRITICAL ", "Internal Server")


class ChildError(Exception):
    """A process ended that should run; the text says which and why."""


class Child:
    """One process with its own session, its output in a file and our pipe as its standard input.

    The session keeps a terminal's Ctrl-C from reaching it, so that the parent decides the order
    of ending. The pipe closes when the parent dies, whatever killed it, and ends the child.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._read = 0
        self._in_trouble = False
        self._groups: set[int] = set()
        output = log.open("ab") if log else None
        try:
            self.process = subprocess.Popen(  # noqa: S603  (our own interpreter and modules)
                [sys.executable, *command],
                cwd=settings.BASE_DIR,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self.process.poll()

    def look(self) -> None:
        """Note the groups of its own children: a worker that is killed leaves them behind."""
        pid = self.process.pid
        with contextlib.suppress(OSError, ValueError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            self._groups |= {os.getpgid(int(child)) for child in children}

    def ask_to_stop(self) -> None:
        if self.code is None:
            self.process.terminate()

    def wait(self, grace: float) -> None:
        """Wait for its end; past `grace` seconds it is killed, with what it has started."""
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        for group in self._groups - {os.getpgrp(), self.process.pid}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)

    def troubles(self) -> list[str]:
        """New lines of its log that tell of errors."""
        if self.log is None:
            return []
        with self.log.open("rb") as stream:
            stream.seek(self._read)
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return [line for line in whole.decode(errors="replace").splitlines() if self._tells(line)]

    def _tells(self, line: str) -> bool:
        """A traceback goes on until the line after it that names the error."""
        if any(word in line for word in _TROUBLE):
            self._in_trouble = "Traceback" in line
            return True
        if self._in_trouble:
            self._in_trouble = line.startswith(" ") or not line.strip()
            return True
        return False

    def last_words(self, lines: int = 15) -> str:
        if self.log is None:
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Children:
    """All of them, in the order they were started."""

    def __init__(self, environment: Mapping[str, str], logs: Path, say: Callable[[str], None]):
        self.environment = environment
        self._logs = logs
        self._say = say
        self._running: list[Child] = []

    def start(
        self, name: str, *command: str, environment: Mapping[str, str] | None = None
    ) -> Child:
        """Start a process that is to run until we stop it."""
        child = Child(name, command, environment or self.environment, self._logs / f"{name}.log")
        self._running.append(child)
        return child

    def run(self, name: str, *command: str, text: str = "", shown: bool = False) -> int:
        """Run a process to its end and give its exit code; the others are watched meanwhile."""
        log = None if shown else self._logs / f"{name}.log"
        child = Child(name, command, self.environment, log)
        try:
            if child.process.stdin and text:
                child.process.stdin.write(text.encode())
                child.process.stdin.flush()
            self.wait_for(lambda: child.code is not None)
        finally:
            child.ask_to_stop()
            child.wait(GRACE)
        code = child.code or 0
        if code and not shown:
            raise ChildError(f"“{name}” failed ({_reason(code)}):\n{child.last_words()}")
        return code

    def wait_for(self, condition: Callable[[], bool], seconds: float = float("inf")) -> None:
        """Wait, watching all. Raises ChildError when one ends or the time is over."""
        end = time.monotonic() + seconds
        while not condition():
            self.watch()
            if time.monotonic() > end:
                raise ChildError(f"not ready after {seconds:.0f} seconds")
            time.sleep(_EACH)

    def watch(self) -> None:
        """Show new troubles; raise ChildError where one has ended by itself."""
        for child in self._running:
            child.look()
            for line in child.troubles():
                self._say(f"[{child.name}] {line}")
            if child.code is not None:
                raise ChildError(
                    f"The {child.name} ended by itself ({_reason(child.code)}). Its last words:\n"
                    f"{child.last_words()}\nAll of them: {child.log}"
                )

    def stop(self) -> None:
        """End them, those who use others first, each by its own id."""
        while self._running:
            child = self._running[-1]
            child.look()
            child.ask_to_stop()
            child.wait(GRACE)
            self._running.pop()


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
