"""What the commands have in common: plain words on errors, `--json`, progress on a terminal.

Exit codes of every command: 0 well, 1 something was refused, failed or is wrong, 2 the command
was not understood, 3 the outcome is not known.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error as DatabaseError
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware
from tqdm import tqdm

from .. import clock
from ..errors import GatewayError, MessagingError
from ..i18n import gettext as _

FAILED: Final = 1
USAGE: Final = 2
UNKNOWN: Final = 3

_SPANS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class UsageError(CommandError):
    """The command line makes no sense; nothing was done."""

    def __init__(self, text: str) -> None:
        super().__init__(text, returncode=USAGE)


class MessagingCommand(BaseCommand):
    """Base of the commands. What goes wrong is told in a sentence, never in a traceback."""

    #: Whether there is a `--json`.
    speaks_json: ClassVar[bool] = True

    as_json = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        if self.speaks_json:
            parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def run_from_argv(self, argv: list[str]) -> None:
        # "Enqueued 12" of the queue is noise beside the command's own words.
        logging.getLogger("django-q").setLevel(logging.WARNING)
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.as_json = bool(options.get("json"))
        try:
            return super().execute(*args, **options)
        except GatewayError as error:
            raise CommandError(_("The gateway said: %(error)s") % {"error": error}) from error
        except MessagingError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(database_trouble(error)) from error

    def say(self, text: str, style: str = "") -> None:
        """A line for a person; nothing where a program reads."""
        if not self.as_json:
            self.stdout.write(getattr(self.style, style)(text) if style else text)

    def note(self, text: str) -> None:
        """A line beside the result, on standard error."""
        self.stderr.write(text, self.style.WARNING)

    def emit(self, data: Any) -> None:
        """The result for a program."""
        if self.as_json:
            self.stdout.write(json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False))

    @contextmanager
    def progress(self, total: int | None, unit: str) -> Iterator[tqdm[Any]]:
        """A progress bar, shown on a terminal only."""
        hidden = True if self.as_json else None
        with tqdm(total=total, unit=f" {unit}", disable=hidden, leave=False) as bar:
            yield bar


def database_trouble(error: Exception) -> str:
    """What is the matter with the database, and what to do."""
    reason = str(error).strip().partition("\n")[0]
    return _(
        "The database cannot be used: %(reason)s. Is it running, and was “manage.py migrate” run?"
    ) % {"reason": reason}


def moment(text: str) -> datetime:
    """An aware time: `2030-05-01T09:30`, with or without offset, or a span from now: `+2h`."""
    if span := re.fullmatch(r"\+(\d{1,6})([smhd])", text.strip()):
        return clock.now() + timedelta(**{_SPANS[span[2]]: int(span[1])})
    try:
        value = parse_datetime(text.strip())
    except ValueError:
        value = None
    if value is None:
        raise ArgumentTypeError(
            _("“%(text)s” is not a time. Write 2030-05-01T09:30, or +30m, +2h, +3d from now.")
            % {"text": text}
        )
    return make_aware(value) if is_naive(value) else value


def seconds(text: str) -> float:
    """A span in seconds, not negative."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(_("“%(text)s” is not a number of seconds.") % {"text": text})
    return value


@contextmanager
def finishing() -> Iterator[threading.Event]:
    """While work is under way, SIGTERM and Ctrl-C set the event: end in good order.

    A second one ends the process as it always does.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, _frame: object) -> None:
        stopping.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
