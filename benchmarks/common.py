"""A database of its own, the sandbox, floors, and medians with their spread."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
POSTGRESQL = "postgres://postgres@127.0.0.1:5432/postgres"


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of a fresh database, gone afterwards."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/bench.sqlite3"
        return
    import psycopg

    base = os.environ.get("BENCHMARK_POSTGRESQL", POSTGRESQL)
    name = f"bench_{os.getpid()}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(base)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def environment(url: str) -> dict[str, str]:
    """What a process needs to work on that database."""
    return os.environ | {
        "DATABASE_URL": url,
        "SECRET_KEY": "benchmark",
        "DEBUG": "0",
        "MESSAGING_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "MESSAGING_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PYTHONPATH": str(ROOT),
    }


def run_on(kind: str, script: str, arguments: Sequence[str]) -> int:
    """Run this script again in a process that knows only its own database."""
    with database(kind) as url:
        env = environment(url)
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0", "--skip-checks"],
            cwd=ROOT,
            env=env,
            check=True,
        )
        command = [sys.executable, script, "--on", kind, *arguments]
        return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def main(
    script: str, doc: str | None, lines: Sequence[str], run: Callable[[argparse.Namespace], None]
) -> int:
    """A benchmark's command line: itself once per database, `run` on the one it was given.

    `run` finds the lines wanted in `only`, the database's kind in `on`.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=lines, default=[])
    parser.add_argument("--on", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.only = options.only or list(lines)
    if not options.on:
        kinds = ["postgresql", "sqlite"] if options.database == "both" else [options.database]
        extra = ["--rounds", str(options.rounds), "--only", *options.only]
        return max(run_on(kind, script, extra) for kind in kinds)
    setup()
    run(options)
    return 0


def setup() -> None:
    import django

    sys.path.insert(0, str(ROOT))
    django.setup()
    import logging

    logging.getLogger("django-q").setLevel(logging.WARNING)


def timed(work: Callable[[], Any]) -> float:
    """Seconds the work took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_threads(count: int, jobs: Sequence[Any], work: Callable[[Iterator[Any]], None]) -> None:
    """`work` in each of `count` threads, on one shared iterator of jobs."""
    lock = threading.Lock()
    shared = iter(jobs)

    def items() -> Iterator[Any]:
        while True:
            with lock:
                item = next(shared, None)
            if item is None:
                return
            yield item

    threads = [threading.Thread(target=work, args=(items(),)) for _number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, with the smallest and largest in brackets."""
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def line(kind: str, what: str, value: str, goal: str) -> None:
    """One line of the table."""
    print(f"{kind:<11}{what:<58}{value:<24}goal {goal}", flush=True)
