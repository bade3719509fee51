"""`messaging_pair`: pair a phone from the terminal."""

from __future__ import annotations

import shutil
import time
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import CommandError

from messaging import clock, pairing
from messaging.i18n import gettext as _
from messaging.management import qr
from messaging.management.addressees import named_sender
from messaging.management.base import FAILED, MessagingCommand, finishing, seconds
from messaging.models import Pairing, PairingState, Sender

_LOOK_EVERY: Final = 2.0


class Command(MessagingCommand):
    help = (
        "Pair a phone: draws the code to scan, again whenever it changes, and waits until the "
        "phone is connected. Anyone who scans the code controls the sender."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("sender", metavar="SENDER", help="name, id or number")
        parser.add_argument(
            "--timeout",
            type=seconds,
            default=pairing.LASTS.total_seconds(),
            metavar="SECONDS",
            help="how long to wait at most; the codes end after 300 in any case",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sender = named_sender(options["sender"])
        self._colours = self.stdout.isatty() and not options["no_color"]
        self._shown, self._told, self._lines = -1, ("", ""), 0
        began = clock.now()
        with finishing() as stopping:
            row = pairing.start(sender)
            end = time.monotonic() + options["timeout"]
            while True:
                self._show(sender, row)
                over = row.state != PairingState.WAITING
                if over or time.monotonic() >= end or stopping.is_set():
                    break
                stopping.wait(min(_LOOK_EVERY, max(0.01, end - time.monotonic())))
                row = pairing.look(sender) or row
        if row.state == PairingState.WAITING and row.started_at >= began:
            # Ours, and nobody looks any more.
            pairing.stop(sender)
        self._end(sender, row)

    def _show(self, sender: Sender, row: Pairing) -> None:
        """What has changed since the last look."""
        if (row.state, row.error) != self._told:
            self._told = (row.state, row.error)
            self.emit({"sender": sender.pk, "state": row.state, "error": row.error})
            if row.error and row.state == PairingState.WAITING:
                self.note(row.error)
                self._lines = 0
        code = pairing.code_of(row)
        if self.as_json or not code or row.serial == self._shown:
            return
        self._shown = row.serial
        self._draw(sender, code)

    def _draw(self, sender: Sender, code: bytes) -> None:
        try:
            grid = qr.find_code(qr.read_png(code))
        except qr.NoCode as error:
            hint = _("Pair on the sender's page in the admin instead.")
            raise CommandError(f"{error} {hint}", returncode=FAILED) from None
        width = qr.width_of(grid)
        if self.stdout.isatty() and shutil.get_terminal_size().columns < width:
            text = _("Make the window wider: the code needs %(count)d columns.")
            self.note(text % {"count": width})
        lines = [
            _("Scan this with the phone of %(sender)s: WhatsApp, Linked devices, Link a device.")
            % {"sender": sender.name},
            _("Anyone who scans this code controls this sender."),
            *qr.draw(grid, colours=self._colours),
        ]
        if self.stdout.isatty() and self._lines:
            # Over the code before, which is worth nothing any more.
            self.stdout.write(f"\x1b[{self._lines}A\x1b[J", ending="")
        self.stdout.write("\n".join(lines))
        self._lines = len(lines)

    def _end(self, sender: Sender, row: Pairing) -> None:
        if row.state == PairingState.CONNECTED:
            name = row.details.get("name") or row.details.get("address") or ""
            words = _("Connected: %(sender)s.") % {"sender": sender}
            self.say(f"{words} {name}".strip(), "SUCCESS")
            return
        problem = {
            PairingState.EXPIRED.value: _("Nobody scanned the code in time."),
            PairingState.FAILED.value: row.error or _("The gateway gave no code."),
        }.get(row.state, _("The phone was not connected in time. Run it again for a new code."))
        raise CommandError(problem, returncode=FAILED)
