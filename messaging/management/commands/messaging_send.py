"""`messaging_send`: any message, to one or many, from the command line."""

from __future__ import annotations

import threading
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.core.management.base import CommandError
from django.db.models import Q

from messaging import clock, health, outbox
from messaging.content import Content
from messaging.events import Status
from messaging.i18n import gettext as _
from messaging.i18n import ngettext
from messaging.management import contents
from messaging.management.addressees import find_sender, read_numbers, recipients
from messaging.management.base import (
    FAILED,
    UNKNOWN,
    MessagingCommand,
    UsageError,
    finishing,
    moment,
    seconds,
)
from messaging.models import Message, Priority, Sender

T = TypeVar("T")

_CHUNK: Final = 1000
_WAIT: Final = 60.0
#: Up to so many messages are listed one by one; of more only those in trouble.
_LISTED: Final = 20

_MOVING: Final = (Status.QUEUED, Status.SENDING)
_LOST: Final = (Status.FAILED, Status.EXPIRED, Status.CANCELLED)

_EPILOG = """\
examples:
  messaging_send --to "07700 900123" --text "Your order is ready." --key order-1007
  messaging_send --to-file patients.txt --template appointment --var 1=Friday --wait
  messaging_send --to +447700900123 --image photo.jpg --caption "Your new kitchen"
  messaging_send --to +447700900123 --buttons --body "Shall we?" --reply Yes --reply No

exit codes:
  0  everything was queued; with --wait or --drain: taken by the gateway
  1  something was refused or failed
  2  the command was not understood; nothing was queued
  3  something may or may not have been sent, or was not settled in time
"""


@dataclass(slots=True)
class Line:
    """One recipient and what became of the message."""

    to: str
    number: str = ""
    refused: str = ""
    id: int | None = None
    existed: bool = False
    key: str | None = None
    status: str = ""
    shown: str = ""
    external_id: str = ""
    error: str = ""
    late: bool = False

    @property
    def code(self) -> int:
        if self.status == Status.UNKNOWN:
            return UNKNOWN
        return FAILED if self.refused or self.status in _LOST else 0

    def __str__(self) -> str:
        words = self.refused or self.shown
        if self.error:
            words = f"{words}: {self.error}"
        elif self.external_id:
            words = f"{words} ({self.external_id})"
        if self.existed:
            words = _("%(words)s – queued before under this key") % {"words": words}
        return f"{self.number or self.to}: {words}"

    def as_json(self) -> dict[str, Any]:
        names = ("to", "number", "id", "key", "existed", "status", "external_id", "error")
        return {name: getattr(self, name) for name in names} | {"refused": self.refused}


class Command(MessagingCommand):
    help = "Send a message of any kind to one or many."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        kwargs |= {"epilog": _EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        whom = parser.add_argument_group("to whom")
        whom.add_argument(
            "--to", action="append", metavar="PHONE", help="in any spelling; may be repeated"
        )
        whom.add_argument("--to-file", metavar="FILE", help="one number a line; - reads it")
        whom.add_argument("--sender", help="name, id or number; default: the default sender")
        contents.add_arguments(parser)
        self._add_when(parser)
        self._add_how(parser)

    def _add_when(self, parser: ArgumentParser) -> None:
        when = parser.add_argument_group("when")
        when.add_argument("--at", type=moment, metavar="TIME", help="2030-05-01T09:30, +2h")
        when.add_argument(
            "--expires", type=moment, metavar="TIME", help="when it is too late to send"
        )
        when.add_argument(
            "--hold",
            action="store_true",
            help="where the reply window is closed, wait until the customer writes",
        )
        when.add_argument(
            "--priority",
            choices=[item.name.lower() for item in Priority],
            default=Priority.AUTOMATIC.name.lower(),
            help="what goes first: a reply, then automatic ones, then a broadcast",
        )

    def _add_how(self, parser: ArgumentParser) -> None:
        how = parser.add_argument_group("how")
        how.add_argument(
            "--key",
            help=(
                "makes the command safe to repeat: what this key sent is not sent again. With"
                " several --to or --to-file the number is added to it"
            ),
        )
        how.add_argument(
            "--wait",
            type=seconds,
            nargs="?",
            const=_WAIT,
            metavar="SECONDS",
            help="wait for the outcome, 60 seconds unless told otherwise",
        )
        how.add_argument(
            "--drain", action="store_true", help="send from here, without a worker, and wait"
        )
        how.add_argument(
            "--dry-run", action="store_true", help="say what would be refused; send nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_contradictions(options)
        sender = find_sender(options["sender"])
        texts = list(options["to"] or ())
        if options["to_file"] is not None:
            texts += read_numbers(options["to_file"])
        lines = [Line(*found) for found in recipients(texts, sender)]
        files = contents.Files(options["key"] or "")
        try:
            content = contents.build(options, sender, files)
            if options["dry_run"]:
                return self._rehearse(content, sender, lines, options)
            warnings = outbox.check(content, sender=sender).warnings
            for warning in warnings:
                self.note(warning)
            self._queue(content, sender, lines, options)
        finally:
            if not any(line.id for line in lines):
                files.discard()
        if options["wait"] is not None or options["drain"]:
            self._wait(sender, lines, options)
        _look_up(lines)
        self._report(lines, list(warnings))
        self._finish(lines, waited=options["wait"] is not None or options["drain"])
        return None

    def _rehearse(
        self, content: Content, sender: Sender, lines: list[Line], options: dict[str, Any]
    ) -> None:
        hold = outbox.HOLD_WINDOW if options["hold"] else None
        warnings: Counter[str] = Counter()
        with self.progress(len(lines), _("checked")) as bar:
            for line in lines:
                bar.update()
                if line.refused:
                    continue
                found = outbox.check(
                    content, to=line.number, sender=sender, hold=hold, send_at=options["at"]
                )
                line.refused = " ".join(found.refusals)
                line.shown = _("would be sent")
                warnings.update(found.warnings)
        for warning in warnings:
            self.note(warning)
        self._report(lines, list(warnings))
        self._finish(lines, waited=False)

    def _queue(
        self, content: Content, sender: Sender, lines: list[Line], options: dict[str, Any]
    ) -> None:
        many = options["to_file"] is not None or len(options["to"] or ()) > 1
        todo = [line for line in lines if not line.refused]
        done = 0
        with self.progress(len(todo), _("queued")) as bar:
            try:
                for chunk in _chunks(todo):
                    for line in chunk:
                        line.key = _key_of(options["key"], line, many=many)
                    _queue_chunk(content, sender, chunk, options)
                    done += len(chunk)
                    bar.update(len(chunk))
            except KeyboardInterrupt:
                text = _("Stopped: %(done)d of %(all)d were queued and are being sent.")
                raise CommandError(
                    text % {"done": done, "all": len(todo)}, returncode=UNKNOWN
                ) from None

    def _wait(self, sender: Sender, lines: list[Line], options: dict[str, Any]) -> None:
        allowed = _WAIT if options["wait"] is None else float(options["wait"])
        waiting = Waiting([line.id for line in lines if line.id is not None], allowed)
        with finishing() as stopping, self.progress(waiting.left, _("settled")) as bar:
            while not stopping.is_set():
                before = waiting.left
                over = waiting.look()
                bar.update(before - waiting.left)
                if over:
                    break
                if options["drain"]:
                    waiting.drain(sender, stopping)
                stopping.wait(0.2)

    def _report(self, lines: Sequence[Line], warnings: list[str]) -> None:
        for line in lines:
            if line.code or len(lines) <= _LISTED:
                self.say(str(line), {0: "", FAILED: "ERROR"}.get(line.code, "WARNING"))
        counts = Counter(line.status or ("refused" if line.refused else "ok") for line in lines)
        shown = Counter(line.shown if not line.refused else _("refused") for line in lines)
        if len(lines) > 1:
            self.say(", ".join(f"{count} {name}" for name, count in shown.most_common()))
        if len(lines) > _LISTED and (existed := sum(line.existed for line in lines)):
            self.say(_("%(count)d were queued before under this key.") % {"count": existed})
        self.emit(
            {
                "messages": [line.as_json() for line in lines],
                "counts": dict(counts),
                "warnings": warnings,
            }
        )

    def _finish(self, lines: Sequence[Line], *, waited: bool) -> None:
        """End with the code the help text promises."""
        bad = sum(line.code == FAILED for line in lines)
        unclear = sum(line.code == UNKNOWN for line in lines)
        late = sum(line.late for line in lines) if waited else 0
        parts = []
        if bad:
            parts.append(ngettext(
                "%(count)d was refused or failed.", "%(count)d were refused or failed.", bad
            ) % {"count": bad})  # fmt: skip
        if unclear:
            parts.append(ngettext(
                "%(count)d may or may not have been sent.",
                "%(count)d may or may not have been sent.",
                unclear,
            ) % {"count": unclear})  # fmt: skip
        if late:
            parts += [_("%(count)d still wait.") % {"count": late}, *health.banners()]
        if parts:
            raise CommandError(" ".join(parts), returncode=UNKNOWN if unclear or late else FAILED)


class Waiting:
    """Messages not yet at rest. What is held or scheduled for later is not waited for."""

    def __init__(self, ids: list[int], allowed: float) -> None:
        self._ids = ids
        self._until = clock.now() + timedelta(seconds=allowed)
        self._deadline = time.monotonic() + allowed

    @property
    def left(self) -> int:
        return len(self._ids)

    def look(self) -> bool:
        """Drop what is at rest, a chunk at a time; True when there is nothing to wait for."""
        while self._ids:
            chunk = self._ids[:_CHUNK]
            later = Q(due_at=None) | Q(scheduled_at__gt=self._until)
            moving = Message.objects.filter(pk__in=chunk, status__in=_MOVING).exclude(
                later, status=Status.QUEUED
            )
            left = list(moving.order_by("pk").values_list("pk", flat=True))
            self._ids[:_CHUNK] = left
            if left:
                break
        return not self._ids or time.monotonic() >= self._deadline

    def drain(self, sender: Sender, stopping: threading.Event) -> None:
        """Send what is due of this sender, in this process."""
        left = max(0.1, self._deadline - time.monotonic())
        outbox.Drain(seconds=left, sender_ids={sender.pk}, beat=lambda: not stopping.is_set()).run()


def _refuse_contradictions(options: dict[str, Any]) -> None:
    if not options["to"] and options["to_file"] is None:
        raise UsageError(_("Say to whom: --to or --to-file."))
    if [options[name] for name in ("to_file", "text", "content")].count("-") > 1:
        raise UsageError(_("Standard input can be read only once."))
    at, expires = options["at"], options["expires"]
    now = clock.now()
    if at is not None and at <= now:
        raise UsageError(_("The time of --at has passed. Leave it out to send now."))
    if expires is not None and expires <= (at or now):
        raise UsageError(_("--expires is before the message would be sent."))


def _key_of(key: str | None, line: Line, *, many: bool) -> str | None:
    if not key:
        return None
    return f"{key}:{line.number}" if many else key


def _queue_chunk(
    content: Content, sender: Sender, lines: Sequence[Line], options: dict[str, Any]
) -> None:
    started = clock.now()
    drafts = [
        outbox.Draft(
            content=content,
            to=line.number,
            sender=sender,
            key=line.key,
            send_at=options["at"],
            expires_at=options["expires"],
            hold=outbox.HOLD_WINDOW if options["hold"] else None,
            priority=Priority[options["priority"].upper()],
        )
        for line in lines
    ]
    queued = outbox.queue_many(drafts)
    for line, message in zip(lines, queued.messages, strict=True):
        if message is not None:
            line.id = message.pk
            line.existed = message.created_at < started
    for number, refused in queued.refused:
        lines[number].refused = " ".join(str(refused).split("\n"))


def _look_up(lines: Sequence[Line]) -> None:
    """Read what became of the messages."""
    by_id = {line.id: line for line in lines if line.id is not None}
    for chunk in _chunks(list(by_id)):
        for row in Message.objects.filter(pk__in=chunk):
            line = by_id[row.pk]
            line.status, line.external_id = row.status, row.external_id
            line.shown = _shown(row)
            line.late = row.status in _MOVING and not (row.held or row.is_scheduled(clock.now()))
            if row.error_class:
                texts = (row.get_error_class_display(), row.error_text)
                line.error = ", ".join(text for text in texts if text)


def _shown(row: Message) -> str:
    if row.held:
        return _("held until the customer writes")
    if row.is_scheduled(clock.now()):
        return _("scheduled")
    return row.get_status_display()


def _chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
