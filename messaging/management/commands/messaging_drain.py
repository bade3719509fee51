"""`messaging_drain`: what a worker does, once, without a queue: for cron, for rescue."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from messaging import delivery, outbox, polling
from messaging.i18n import gettext as _
from messaging.i18n import ngettext
from messaging.management.base import MessagingCommand, finishing, seconds
from messaging.models import Message


class Command(MessagingCommand):
    help = (
        "Send everything that is due, ask for delivery reports, and end. It needs no worker and "
        "may run beside any number of them. SIGTERM and Ctrl-C let it finish what is being sent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--seconds",
            type=seconds,
            default=float("inf"),
            help="begin nothing new after so long; default: go on until nothing is due",
        )
        parser.add_argument("--threads", type=int, help="calls at the same time")
        parser.add_argument(
            "--no-reports", action="store_true", help="do not ask for delivery reports"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        begun = time.monotonic()
        with finishing() as stopping, self.progress(None, _("messages")) as bar:

            def beat() -> bool:
                bar.update(run.done.messages - bar.n)
                return not stopping.is_set()

            threads = max(1, options["threads"]) if options["threads"] is not None else None
            run = outbox.Drain(seconds=options["seconds"], threads=threads, beat=beat)
            done = run.run()
            reports = 0
            if not (options["no_reports"] or stopping.is_set()):
                delivery.match_parked()
                reports = polling.run_due()
                # The next run asks about what has just left, however idle its sender was.
                polling.poll_soon(done.sender_ids)
        result = {
            "calls": done.calls,
            "messages": done.messages,
            "given_up": done.given_up,
            "reports": reports,
            "waiting": Message.objects.filter(status="queued", direction="outbound").count(),
            "seconds": round(time.monotonic() - begun, 3),
            "stopped": stopping.is_set(),
        }
        self.emit(result)
        self._tell(result)

    def _tell(self, result: dict[str, Any]) -> None:
        messages, calls = result["messages"], result["calls"]
        text = ngettext(
            "%(messages)d message in %(calls)d call.",
            "%(messages)d messages, calls: %(calls)d.",
            messages,
        )
        self.say(text % {"messages": messages, "calls": calls})
        if result["reports"]:
            self.say(_("Moved by delivery reports: %(count)d.") % {"count": result["reports"]})
        if result["given_up"]:
            self.say(
                _("Left by a worker that died, now unknown: %(count)d.")
                % {"count": result["given_up"]},
                "WARNING",
            )
        if result["waiting"]:
            self.say(
                _("Still waiting (scheduled, held, to be tried again or paused): %(count)d.")
                % {"count": result["waiting"]}
            )
        if result["stopped"]:
            self.say(_("Stopped early, as asked."), "WARNING")
