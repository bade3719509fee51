"""The jobs a worker is asked to do. Thin, without arguments that matter, safe to run at any time.

A drain takes a lease per cluster, so that one slot stays free for the minute's tick and bells
that ring while it works come to nothing.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, connections

from . import background, conf, delivery, health, inbox, media, outbox, polling

logger = logging.getLogger("messaging")

#: How often a process that runs tasks says so, and looks for its supervisor, in seconds.
_SIGN_OF_LIFE: Final = 5.0


def drain() -> None:
    """Send what is due. Rings again where it ends with work left."""
    lease = health.Lease(f"drain:{cluster_name()}", seconds=conf.get("DRAIN_LEASE"))
    if not lease.take():
        return
    try:
        with _finishing_on_sigterm() as stopping:
            beat = _Beat(lease, stopping)
            run = outbox.Drain(
                seconds=conf.get("DRAIN_SECONDS"), linger=conf.get("DRAIN_LINGER"), beat=beat
            )
            beat.done = run.done
            run.run()
    finally:
        _drop_broken_connections()
        lease.give_up()
    if stopping.is_set():
        return
    if outbox.has_work():
        outbox.ring(again=True)
    if polling.is_due():
        # A task of its own: a slow report must not use up the time this one has.
        background.run("poll")


def _drop_broken_connections() -> None:
    """A drain may have ended because its connection did. A caller's transaction is left alone."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def tick() -> None:
    """Once a minute: everything that finds its work by looking at the time."""
    health.beat(f"tick:{cluster_name()}")
    for job in (outbox.sweep, inbox.sweep, poll, delivery.match_parked, fetch):
        try:
            job()
        except Exception:
            # Whatever is wrong with one of them, messages still leave.
            logger.exception("The tick's %s failed.", job.__name__)
    if outbox.has_work():
        drain()


def poll() -> None:
    """Ask gateways for reports that are due."""
    polling.run_due()


def fetch() -> None:
    """Fetch the files of inbound messages that came as links."""
    media.fetch_due()


def beat() -> None:
    """Proof of life: only a task that ran can have written it."""
    health.beat(f"worker:{cluster_name()}")


def watch_worker() -> None:
    """In a supervised worker: prove that tasks run, and end when the supervisor is gone."""
    if "MESSAGING_CLUSTER" in os.environ:
        watch = _Watch(int(os.environ["MESSAGING_SUPERVISOR"]))
        background.watch_worker(watch.start, watch.begin, watch.end)


def cluster_name() -> str:
    """This cluster, as its parent names it; else by host and parent process."""
    return os.environ.get("MESSAGING_CLUSTER") or f"{socket.gethostname()}:{os.getppid()}"


class _Beat:
    """Called by the drain each second: keeps its lease, reports life, hears when to stop."""

    def __init__(self, lease: health.Lease, stopping: threading.Event) -> None:
        self.done: outbox.Drained | None = None
        self._lease = lease
        self._stopping = stopping

    def __call__(self) -> bool:
        health.beat(f"worker:{cluster_name()}")
        if self.done is not None and self.done.sender_ids:
            # What has just left will be reported on soon, however idle its sender was.
            polling.poll_soon(self.done.sender_ids)
            self.done.sender_ids.clear()
        return self._lease.keep() and not self._stopping.is_set()


class _Watch:
    """A thread beside the tasks of a worker's process.

    Every task that runs proves life, the host's own included, and so does one that lasts. Where
    the supervisor is gone nobody watches this cluster, and another one has taken its place.
    """

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor
        self._running = self._has_run = False
        self._ended_at: float | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="messaging-watch", daemon=True).start()

    def begin(self) -> None:
        self._running = self._has_run = True

    def end(self) -> None:
        self._running = False

    def _run(self) -> None:
        while True:
            time.sleep(_SIGN_OF_LIFE)
            try:
                self._look()
            except (DatabaseError, InterfaceError):
                logger.warning("A sign of life could not be written.")
            finally:
                connections.close_all()  # this thread's own

    def _look(self) -> None:
        if not _is_alive(self._supervisor):
            self._end_cluster()
        if self._has_run:
            self._has_run = self._running
            beat()

    def _end_cluster(self) -> None:
        """As the supervisor would: gently first. The main process leads its own group."""
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
            logger.error("The supervisor is gone; this cluster ends.")
            os.kill(os.getpgrp(), signal.SIGTERM)
        elif now - self._ended_at > float(conf.get("TOTAL_TIMEOUT")) + 10:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        health.ask_to_stop(f"drain:{cluster_name()}")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another user: somebody's
    return True


@contextmanager
def _finishing_on_sigterm() -> Iterator[threading.Event]:
    """While a drain runs, SIGTERM means: finish what is in the air, write it, and end."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def stop(*_args: Any) -> None:
        stopping.set()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGTERM, before)
        if stopping.is_set() and before == signal.SIG_DFL:
            os.kill(os.getpid(), signal.SIGTERM)
