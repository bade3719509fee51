"""`messaging_poll`: ask gateways for reports and inboxes now."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.management.base import CommandError

from messaging import adapters, clock, health, polling
from messaging.errors import GatewayError, MessagingError
from messaging.i18n import gettext as _
from messaging.i18n import ngettext
from messaging.management.addressees import named_sender
from messaging.management.base import FAILED, MessagingCommand, UsageError, finishing, moment
from messaging.models import Sender

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")

_EPILOG = """\
examples:
  messaging_poll
  messaging_poll --inbox --sender "Front desk" --from 2030-05-01 --to 2030-05-02
  messaging_poll --reports --json

exit codes:
  0  everybody was asked
  1  a gateway could not be asked, or cannot be; what was found is kept
  2  the command was not understood; nobody was asked
"""


@dataclass(slots=True)
class Asked:
    """One sender, and what asking brought."""

    id: int
    name: str
    changed: int = 0
    received: int = 0
    error: str = ""


class Command(MessagingCommand):
    help = "Ask gateways what came in and what became of messages, now. Harmless to repeat."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        kwargs.setdefault("formatter_class", RawDescriptionHelpFormatter)
        return super().create_parser(prog_name, subcommand, epilog=_EPILOG, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--sender",
            action="append",
            metavar="SENDER",
            help="name, id or number; may be repeated. Default: all in use",
        )
        parser.add_argument("--inbox", action="store_true", help="only what came in")
        parser.add_argument(
            "--reports", action="store_true", help="only what became of sent messages"
        )
        parser.add_argument(
            "--from",
            dest="start",
            type=moment,
            metavar="TIME",
            help="2030-05-01 or 2030-05-01T09:30; default: go on where the last poll ended",
        )
        parser.add_argument(
            "--to", dest="end", type=_end, metavar="TIME", help="a day counts whole; default: now"
        )
        parser.add_argument(
            "--limit", type=_count, metavar="N", help="of the inbox at most the newest N"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_contradictions(options)
        senders = _chosen(options["sender"])
        asked: list[Asked] = []
        with finishing() as stopping, self.progress(len(senders), _("senders")) as bar:
            for sender in senders:
                if stopping.is_set():
                    break
                asked.append(_ask(sender, options))
                bar.update()
        self._report(asked)
        failed = sum(bool(row.error) for row in asked)
        if len(asked) < len(senders):
            raise CommandError(_("Stopped early, as asked."), returncode=FAILED)
        if failed:
            text = ngettext(
                "%(count)d sender could not be asked.", "%(count)d senders could not be asked.",
                failed,
            )  # fmt: skip
            raise CommandError(text % {"count": failed}, returncode=FAILED)

    def _report(self, asked: Sequence[Asked]) -> None:
        for row in asked:
            text = _("%(name)s: new %(received)d, changed %(changed)d") % asdict(row)
            self.say(f"{text}. {row.error}" if row.error else text, "ERROR" if row.error else "")
        if not asked:
            self.say(_("There is no sender that could be asked."))
        self.emit(
            {
                "senders": [asdict(row) for row in asked],
                "received": sum(row.received for row in asked),
                "changed": sum(row.changed for row in asked),
            }
        )


def _ask(sender: Sender, options: dict[str, Any]) -> Asked:
    """Ask one sender. What failed harms no other, and what was found before stays."""
    done = Asked(sender.pk, sender.name)
    both = options["inbox"] == options["reports"]
    start, end = options["start"], options["end"]
    try:
        cls = sender.provider.adapter_class
        possible = False
        if (both or options["reports"]) and cls.supports("fetch_statuses"):
            possible = True
            done.changed = polling.poll_reports(sender, start, end)
        if (both or options["inbox"]) and cls.supports("fetch_inbox"):
            possible = True
            done.received = polling.poll_inbox(sender, start, end, limit=options["limit"])
        if not possible:
            done.error = _("%(gateway)s does not tell that.") % {"gateway": cls.label}
    except GatewayError as error:
        done.error = health.explain(error)
    except MessagingError as error:
        done.error = str(error)
    return done


def _chosen(names: Sequence[str] | None) -> list[Sender]:
    """Those named, each once; else all in use whose gateway tells anything."""
    if names:
        return list({row.pk: row for row in map(named_sender, names)}.values())
    rows = Sender.objects.filter(is_active=True, provider__is_active=True)
    return [
        row
        for row in rows.select_related("provider").order_by("pk")
        if adapters.is_known(row.provider.adapter)
        and any(
            row.provider.adapter_class.supports(name) for name in ("fetch_inbox", "fetch_statuses")
        )
    ]


def _refuse_contradictions(options: dict[str, Any]) -> None:
    start, end = options["start"], options["end"]
    if start is None and (end is not None or options["limit"] is not None):
        raise UsageError(_("--to and --limit need --from: else nothing may be passed over."))
    if options["limit"] is not None and options["reports"] and not options["inbox"]:
        raise UsageError(_("--limit is about the inbox."))
    if start is not None and start >= (end or clock.now()):
        raise UsageError(_("--from must lie in the past, and before --to."))


def _end(text: str) -> datetime:
    """A time; of a day its end."""
    value = moment(text)
    return value + timedelta(days=1) if _DAY.fullmatch(text.strip()) else value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(_("“%(text)s” is not a number above 0.") % {"text": text})
    return int(text)
