"""The command line of the sandbox."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from .app import App
from .links import on_loopback
from .server import Server, is_loopback
from .settings import Settings
from .state import IS, WH, State

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8900
STDIN = 0


def run(argv: Sequence[str] | None = None) -> int:
    """Run the sandbox until SIGTERM or SIGINT; the arguments are those of the command line."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not is_loopback(options.host):
        parser.error(f"{options.host} is not a loopback address")
    # A long run holds hundreds of thousands of live objects; walking them often costs more
    # than the garbage is worth.
    gc.set_threshold(100_000, 50, 1_000)
    asyncio.run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    settings = Settings(
        _delay(options.sent_after),
        _delay(options.delivered_after),
        _delay(options.read_after),
        options.keep,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.until_eof:
        loop.add_reader(STDIN, _watch_input, stop)
    state = State(settings, dict(options.webhook))
    server = Server(App(state).handle)
    port = await server.start(options.host, options.port)
    host = f"[{options.host}]" if ":" in options.host else options.host
    state.base_url = f"http://{host}:{port}"
    _announce(state.base_url, options.announce)
    await stop.wait()
    await server.stop()


def _watch_input(stop: asyncio.Event) -> None:
    if not os.read(STDIN, 4096):
        stop.set()


def _announce(url: str, path: Path | None) -> None:
    if path is not None:
        # Written aside and moved, so that whoever waits for the file never reads half of it.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_text(f"{url}\n")
        draft.replace(path)
    print(f"sandbox listening on {url}", flush=True)


def _delay(seconds: float) -> float | None:
    return None if seconds < 0 else seconds


def _webhook(text: str) -> tuple[str, str]:
    gateway, _, url = text.partition("=")
    if gateway not in (WH, IS) or not on_loopback(url):
        raise argparse.ArgumentTypeError(
            f"give {WH}=URL or {IS}=URL, the URL on a loopback address"
        )
    return gateway, url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m messaging.sandbox",
        description="A gateway on loopback that plays the wire documents, with faults on demand.",
    )
    usual = Settings()
    parser.add_argument("--host", default=DEFAULT_HOST, help="a loopback address")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 = any free port")
    for step in ("sent", "delivered", "read"):
        parser.add_argument(
            f"--{step}-after",
            type=float,
            metavar="SECONDS",
            default=getattr(usual, f"{step}_after"),
            help="age at which messages reach this step; negative = never by themselves",
        )
    parser.add_argument(
        "--keep", type=int, default=usual.keep, help="how many arrivals and messages are held"
    )
    parser.add_argument(
        "--webhook",
        type=_webhook,
        metavar="GATEWAY=URL",
        action="append",
        default=[],
        help=f"where the built-in account of {WH} or {IS} posts what comes in; may be repeated",
    )
    parser.add_argument("--announce", type=Path, metavar="FILE", help="write the URL to a file")
    parser.add_argument(
        "--until-eof", action="store_true", help="stop when standard input is closed"
    )
    return parser
