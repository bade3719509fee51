"""Worker hosts as real process trees, and who is who in them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: Every process of a host carries this in its environment, orphans too.
_MARK = "FAULTS_HOST"

#: What a cluster's processes say of themselves when they start.
_ROLES = {
    "worker": re.compile(r"ready for work at (\d+)"),
    "monitor": re.compile(r"monitoring at (\d+)"),
    "pusher": re.compile(r"pushing tasks at (\d+)"),
    "main": re.compile(r"worker \d+ started \(process (\d+)\)"),
}


class Host:
    """One `manage.py messaging_worker` with everything it starts; its output goes to `log`."""

    def __init__(self, log: Path, environment: Mapping[str, str], *arguments: str) -> None:
        self.log = log
        self._mark = f"{log.stem}-{time.time_ns()}"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "messaging_worker", *arguments],
                cwd=ROOT,
                env={**environment, _MARK: self._mark},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def pids(self) -> list[int]:
        """Every living process of this host, found by its environment."""
        mark = f"{_MARK}={self._mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and mark in _read(entry / "environ").split(b"\0"):
                found.append(int(entry.name))
        return found

    def role(self, role: str) -> list[int]:
        """The living processes of a role: main, worker, monitor, pusher or sentinel."""
        alive = set(self.pids())
        if role == "sentinel":
            mains = set(self.role("main"))
            return [pid for pid in alive if _parent(pid) in mains]
        said = [int(pid) for pid in _ROLES[role].findall(self.output())]
        return [pid for pid in dict.fromkeys(said) if pid in alive]

    def starts(self) -> int:
        """How many clusters this supervisor has started."""
        return len(_ROLES["main"].findall(self.output()))

    def has_begun(self) -> bool:
        """True once a worker is there to run tasks."""
        assert self.process.poll() is None, self.output()
        return bool(_ROLES["worker"].search(self.output()))

    def has_ended_its_task(self, pid: int) -> bool:
        """Whether the last task of this worker is over, by what the queue says of it."""
        said = self.output()
        if (name := re.search(rf"(Process-\w+) ready for work at {pid}\b", said)) is None:
            return False
        tasks = re.findall(rf"{name[1]} processing (\S+) ", said)
        return (
            bool(tasks) and re.search(rf"(Processed|Failed) .* \({tasks[-1]}\)", said) is not None
        )

    def stop(self, patience: float = 60.0) -> int:
        """SIGTERM, as a deployment does; the exit code."""
        self.process.terminate()
        return self.process.wait(patience)

    def kill(self) -> None:
        """The supervisor alone; what it started lives on."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Everything, whatever state it is in."""
        while pids := self.pids():
            for pid in pids:
                send(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.02)
        self.process.wait()


def send(pid: int, number: signal.Signals) -> bool:
    """Signal a process; False where it is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_for(
    condition: Callable[[], Any],
    seconds: float,
    what: str,
    describe: Callable[[], str] = str,
) -> Any:
    """The condition's first true value. Fails the test where it does not come in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} seconds: {what} {describe()}")
        time.sleep(0.1)
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    # "pid (name) state ppid …"; the name may hold spaces.
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0
