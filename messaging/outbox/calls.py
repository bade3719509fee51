"""The threads that talk to gateways. They hold no database connection and decide nothing."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import InterfaceError, OperationalError

from .. import clock, conf, media
from ..adapters.base import Adapter, Outbound, Recipient, SendOutcome, SendResult
from ..content import from_json
from ..delivery import Attempt, Finished
from ..errors import ErrorClass, Failure, MessagingError, Refused, Verdict
from ..i18n import gettext as _

logger = logging.getLogger("messaging")

#: Results this close together share a flush, in seconds.
_TOGETHER: Final = 0.004

#: Messages that may be in doubt at once, however many share a call.
MOST_MESSAGES: Final = 1000

#: Seconds without a single result after which waiting calls get threads of their own.
_STUCK: Final = 1.0


@dataclass(slots=True)
class Job:
    """One call to make: its attempts are `sending`, its time may be still to come.

    Past `start_before` (monotonic) it is not made any more: before it could end, its messages
    would be `unknown` to everybody else, and people may send those again.
    """

    adapter: Adapter
    attempts: list[Attempt]
    start_before: float = math.inf
    outbound: Outbound | None = None
    failed: SendOutcome | None = None
    started_at: datetime | None = None


def prepare(adapter: Adapter, attempts: list[Attempt], start_before: float = math.inf) -> Job:
    """Build what leaves. Our own faults end here, before any socket: they fail alone."""
    job = Job(adapter, attempts, start_before)
    try:
        content, upload = media.resolve(from_json(attempts[0].content), type(adapter))
        recipients = tuple(Recipient(item.address, item.name) for item in attempts)
        job.outbound = Outbound(content=content, recipients=recipients, upload=upload)
    except Refused as refused:
        job.failed = _failed(attempts, refused.error_class, str(refused))
    except (OperationalError, InterfaceError):
        # The database is away, which is no fault of the message: it is put back.
        job.start_before = -math.inf
    except Exception:
        logger.exception("Message %s could not be prepared.", attempts[0].message_id)
        job.failed = _failed(attempts, ErrorClass.INTERNAL, _("It could not be prepared."))
    return job


def _failed(
    attempts: list[Attempt],
    error_class: ErrorClass,
    text: str,
    verdict: Verdict = Verdict.NEVER_LEFT,
) -> SendOutcome:
    failure = Failure(verdict=verdict, error_class=error_class, text=text)
    return SendOutcome(results=tuple(SendResult(failure=failure) for _item in attempts))


class Callers:
    """A pool of daemon threads between two queues.

    `threads` is how many there are while calls come back. Where all of them wait for a gateway
    that does not answer, there are more, so that the calls of others still leave.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._running: list[threading.Thread] = []
        self._todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Job, SendOutcome | None]] = queue.SimpleQueue()
        self._moved_at = time.monotonic()
        self._stopped = threading.Event()
        self.busy = 0
        self.messages = 0
        #: Calls that came back without having been made, for the caller to take.
        self.unmade: list[Job] = []

    @property
    def room_for_messages(self) -> int:
        return MOST_MESSAGES - self.messages

    def start(self, job: Job) -> None:
        """Hand a call over. Threads are made as they are needed."""
        if not self.busy:
            self._moved_at = time.monotonic()
        self.busy += 1
        self.messages += len(job.attempts)
        job.started_at = clock.now()
        if job.failed is not None:
            self._done.put((job, job.failed))
            return
        if len(self._running) < min(self._threads, self.busy):
            self._add_thread()
        self._todo.put(job)

    def stop(self) -> None:
        """Make no call that has not begun; those come back as `unmade`."""
        self._stopped.set()

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="messaging-call", daemon=True)
        thread.start()
        self._running.append(thread)

    def _grow(self) -> None:
        """Add a thread per waiting call where nothing has come back for a while."""
        waiting = self._todo.qsize()
        if not waiting or time.monotonic() - self._moved_at < _STUCK:
            return
        self._moved_at = time.monotonic()
        for _job in range(waiting):
            self._add_thread()

    @property
    def short(self) -> bool:
        """True where threads will soon have nothing to do."""
        return self._todo.qsize() < self._threads

    def collect(self, *, at_least: int, patience: float) -> list[Finished]:
        """What has come back: all there is, after `at_least` results or `patience` seconds.

        Where threads run short of calls it does not wait for more than what comes together.
        """
        finished: list[Finished] = []
        end = time.monotonic() + patience
        self._grow()
        while True:
            if finished and self.short:
                end = min(end, time.monotonic() + _TOGETHER)
            left = end - time.monotonic()
            wait = len(finished) < at_least and left > 0
            try:
                job, outcome = self._done.get(timeout=left) if wait else self._done.get_nowait()
            except queue.Empty:
                if wait and self.busy:
                    continue
                break
            self._moved_at = time.monotonic()
            self.busy -= 1
            self.messages -= len(job.attempts)
            if outcome is None:
                self.unmade.append(job)
                continue
            assert job.started_at is not None
            finished.append(
                Finished(attempts=job.attempts, outcome=outcome, started_at=job.started_at)
            )
        if not (finished or self.unmade or self.busy) and (left := end - time.monotonic()) > 0:
            # Nothing is in the air: let time pass until there is something to look at.
            time.sleep(left)
        return finished

    def close(self) -> None:
        for _thread in self._running:
            self._todo.put(None)
        for thread in self._running:
            thread.join(timeout=1.0)

    def _work(self) -> None:
        while (job := self._todo.get()) is not None:
            late = self._stopped.is_set() or time.monotonic() > job.start_before
            self._done.put((job, None if late else call(job)))


def call(job: Job) -> SendOutcome:
    """Make one call. Whatever goes wrong in our own code ends as a result, never as a lost job."""
    http = job.adapter.http
    calls_before = http.calls_by_this_thread
    try:
        assert job.outbound is not None
        # A send may ask something first or after; together they keep within the lease.
        with http.within(float(conf.get("TOTAL_TIMEOUT"))):
            outcome = job.adapter.send(job.outbound)
        if len(outcome.results) != len(job.attempts):
            raise MessagingError("an adapter must give one result per recipient")
        return outcome
    except BaseException as error:  # a thread that ended here would take its call with it
        # Only the type is logged: a text or traceback could hold what was sent.
        logger.error(
            "Adapter %s failed with %s; message %s.",
            job.adapter.slug,
            type(error).__name__,
            job.attempts[0].message_id,
        )
        left = http.calls_by_this_thread != calls_before
        verdict = Verdict.MAYBE_SENT if left else Verdict.NEVER_LEFT
        return _failed(job.attempts, ErrorClass.INTERNAL, _("A fault of ours."), verdict)
