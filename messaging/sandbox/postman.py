"""Posts webhooks in a thread of its own, so that a slow receiver never holds up an answer."""

from __future__ import annotations

import asyncio
import http.client
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .links import on_loopback

TIMEOUT = 10.0
AGENT = "sandbox-webhook/1"


@dataclass
class Letter:
    """One webhook on its way, and how often it was posted."""

    gateway: str
    account: str
    kind: str
    """`inbox`, `delivery`, `forward` or `status`."""
    url: str
    content_type: str
    body: bytes
    shown: str
    """The body as the log shows it: without the bytes of a file."""
    repeat: bool = False
    """Post again and again until the answer is exactly 200."""
    attempt: int = 0
    file: dict[str, Any] | None = None
    answered: Callable[[int], None] | None = None
    generation: int = 0
    waiters: list[asyncio.Future[None]] = field(default_factory=list)


@dataclass
class Answer:
    """What became of one post; status 0 = no answer."""

    status: int = 0
    error: str = ""
    started: float = 0.0
    seconds: float = 0.0


class Postman:
    """A thread that posts one letter after the other, in the order they were given."""

    def __init__(self, answered: Callable[[Letter, Answer], None]) -> None:
        self._answered = answered
        self._letters: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, Letter]]
        self._letters = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def post(self, letter: Letter) -> None:
        """Hand over a letter; `answered` is called in the event loop of the caller."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)
            self._thread.start()
        self._letters.put((asyncio.get_running_loop(), letter))

    def _work(self) -> None:
        while True:
            loop, letter = self._letters.get()
            answer = post(letter)
            try:
                loop.call_soon_threadsafe(self._answered, letter, answer)
            except RuntimeError:  # the loop has ended, and the sandbox with it
                return


def post(letter: Letter) -> Answer:
    """Post once. A redirect is not followed: it is an answer like any other."""
    answer = Answer(started=time.time())
    clock = time.monotonic()
    # Nothing the sandbox plays may leave this machine, whatever URL a test has set.
    if on_loopback(letter.url) and letter.url.lower().startswith("http:"):
        try:
            answer.status = _exchange(letter)
        except (OSError, http.client.HTTPException, ValueError) as error:
            answer.error = f"{type(error).__name__}: {error}"
    else:
        answer.error = "only http to a loopback address is posted"
    answer.seconds = time.monotonic() - clock
    return answer


def _exchange(letter: Letter) -> int:
    parts = urlsplit(letter.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": AGENT, "Connection": "close"}
        if letter.content_type:
            headers["Content-Type"] = letter.content_type
        connection.request("POST", path, letter.body, headers)
        response = connection.getresponse()
        response.read(65_536)
        return response.status
    finally:
        connection.close()
