"""`messaging_worker`: runs the queue's workers and makes sure that they really work."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from math import log2
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, close_old_connections

from messaging import background, clock, conf, health, outbox, polling
from messaging.models import Heartbeat

#: Seconds of silence after which the workers are asked to prove that they run tasks. From then
#: on they are asked in every round: where clusters share a queue, others may take the question.
_ASK: Final = 5.0

#: Seconds that new processes may take to start, on a machine that is slow or busy.
_START: Final = 30.0

#: How often waiting work is looked for, in case its bell was lost, in seconds.
_LOOK: Final = 2.0

#: How often the minute's tick is made anew where its row was deleted, in seconds.
_SCHEDULE: Final = 30.0

#: The rows a cluster writes, each named by the job and the cluster.
_ROWS: Final = ("worker", "drain", "tick")

#: Most bells that wait before no more are put beside them.
_BELLS: Final = 20


class Command(BaseCommand):
    help = (
        "Run the background worker. It watches its processes by a heartbeat that only a task that "
        "ran can write, and replaces them when they are stuck or gone. Stop it with SIGTERM or "
        "Ctrl-C: what is being sent is finished first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--patience",
            type=float,
            default=20.0,
            help="Seconds without a heartbeat after which the processes are replaced.",
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=None,
            help="Seconds to finish in when stopped; default: the longest call and ten more.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        grace = options["grace"] or float(conf.get("TOTAL_TIMEOUT")) + 10
        Supervisor(self._say, patience=options["patience"], grace=grace).run()

    def _say(self, text: str) -> None:
        self.stdout.write(f"{clock.now():%H:%M:%S} {text}")
        self.stdout.flush()


class Supervisor:
    """Keeps one cluster of workers alive until asked to stop."""

    def __init__(self, say: Callable[[str], None], *, patience: float, grace: float) -> None:
        self._say = say
        self._patience = patience
        self._grace = grace
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._cluster = ""
        self._started = self._silent_since = 0.0
        self._starts = 0
        self._looked = self._scheduled = 0.0

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Nothing that was begun is left half-done if grace allows."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_args: self._stopping.set())
        self._safely(_forget_old_rows)
        try:
            while not self._stopping.is_set():
                self._watch()
                self._stopping.wait(0.5)
        finally:
            self._stop()

    def _watch(self) -> None:
        if self._child is None:
            self._start()
        elif self._child.poll() is not None:
            self._replace(f"its main process ended ({self._child.returncode})")
        elif self._safely(self._is_stuck):
            self._replace(f"no heartbeat for {self._patience:.0f} seconds")
        self._safely(self._look)

    def _start(self) -> None:
        self._starts += 1
        self._cluster = f"{socket.gethostname()}:{os.getpid()}:{self._starts}"
        env = os.environ | {
            "MESSAGING_CLUSTER": self._cluster,
            "MESSAGING_SUPERVISOR": str(os.getpid()),
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        # A session of its own: whatever happens to the main process, the group can be ended.
        self._child = subprocess.Popen(
            [sys.executable, "-m", "django", "qcluster"], env=env, start_new_session=True
        )
        self._started = self._silent_since = time.monotonic()
        self._say(f"worker {self._starts} started (process {self._child.pid})")

    def _replace(self, why: str) -> None:
        self._say(f"worker {self._starts} is replaced: {why}")
        self._kill()
        self._safely(self._forget)
        if time.monotonic() - self._started < 5:
            # It dies as soon as it starts: do not burn the machine, and let people read why.
            self._stopping.wait(min(30, self._starts))
        self._child = None

    def _kill(self) -> None:
        """End every process of the cluster at once; orphans keep pulling tasks otherwise."""
        assert self._child is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _is_stuck(self) -> bool:
        """Whether no task has run for too long. One that is late with it is asked for a proof."""
        silence, limit = time.monotonic() - self._silent_since, self._patience
        row = Heartbeat.objects.filter(name=f"worker:{self._cluster}").first()
        if row is None or row.beat_at is None:
            limit += _START
        else:
            silence = min(silence, (clock.now() - row.beat_at).total_seconds())
        if silence > min(_ASK, self._patience / 4) and background.queue_length() < _BELLS:
            background.run("beat")
        return silence > limit and silence > limit * _allowance()

    def _look(self) -> None:
        """Ring for work that is due: its bell may be lost, or have been rung for nobody."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        if now - self._scheduled >= _SCHEDULE:
            background.ensure_schedule()
            self._scheduled = now
        if outbox.has_work():
            outbox.ring()
        if polling.is_due() and background.queue_length() < _BELLS:
            background.run("poll")

    def _safely(self, work: Callable[[], Any]) -> Any:
        """Database trouble must not end the supervisor, nor make it kill healthy workers."""
        try:
            return work()
        except (DatabaseError, InterfaceError) as error:
            self._say(f"the database is away ({type(error).__name__})")
            close_old_connections()
            # Nobody could have written a heartbeat meanwhile.
            self._silent_since = time.monotonic()
            return None

    def _stop(self) -> None:
        if self._child is None:
            return
        if self._child.poll() is None:
            self._say("stopping: what is being sent is finished first")
            self._safely(self._ask_drain_to_stop)
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(timeout=self._grace)
            except subprocess.TimeoutExpired:
                self._say(f"not done after {self._grace:.0f} seconds; ended")
        # Also what a main process that died has left.
        self._kill()
        self._safely(self._forget)
        self._say("stopped")

    def _forget(self) -> None:
        """The cluster is gone: nobody should count it among the living."""
        names = [f"{job}:{self._cluster}" for job in _ROWS]
        Heartbeat.objects.filter(name__in=names).delete()

    def _ask_drain_to_stop(self) -> None:
        health.ask_to_stop(f"drain:{self._cluster}")


def _allowance() -> float:
    """How much more silence to bear where several clusters answer each other's questions."""
    recent = clock.now() - timedelta(minutes=1)
    alive = Heartbeat.objects.filter(name__startswith="worker:", beat_at__gt=recent).count()
    return 1 + log2(max(1, alive))


def _forget_old_rows() -> None:
    """Rows of clusters long gone."""
    old = clock.now() - timedelta(days=1)
    for job in _ROWS:
        Heartbeat.objects.filter(name__startswith=f"{job}:", beat_at__lt=old).delete()
