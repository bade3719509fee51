"""A sandbox in its own process, for tests, benchmarks and the demo."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from .client import SandboxClient

START_TIMEOUT = 15.0
STOP_TIMEOUT = 5.0
_ROOT = Path(__file__).resolve().parents[2]


class Sandbox:
    """Starts `python -m messaging.sandbox` on a free port and stops it by its pid.

    with Sandbox("--delivered-after", "0") as sandbox:
        provider.base_url = sandbox.url
        sandbox.control.fault("hang_after", gateway="whatsapp_http")
    """

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Scheme, host and port; Intellixent's base URL is this with `/api`."""
        return self._url

    @property
    def control(self) -> SandboxClient:
        """A client for the control API; a new one each time, so threads may each take theirs."""
        return SandboxClient(self._url)

    @property
    def pid(self) -> int:
        """The process id, for whoever wants to measure or pause the process."""
        if self._process is None:
            raise RuntimeError("the sandbox is not running")
        return self._process.pid

    def start(self) -> Sandbox:
        """Start the process and wait until it answers."""
        environment = dict(os.environ)
        paths = [str(_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        # The open pipe to its standard input ends the sandbox when this process dies.
        self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and arguments)
            [sys.executable, "-m", "messaging.sandbox", "--port", "0", "--until-eof",
             *self._arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self._url = self._read_url(self._process)
        self.control.health()
        return self

    def stop(self) -> None:
        """Stop the process, gently first."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _read_url(self, process: subprocess.Popen[str]) -> str:
        stream = process.stdout
        line = ""
        if stream is not None and select.select([stream], [], [], START_TIMEOUT)[0]:
            line = stream.readline()
        if "listening on " not in line:
            self.stop()
            raise RuntimeError(f"the sandbox did not start: {line!r}")
        return line.rpartition(" ")[2].strip()
