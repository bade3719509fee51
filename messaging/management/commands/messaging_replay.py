"""`messaging_replay`: work on stored webhook requests again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import CommandError
from django.db.models import QuerySet

from messaging import inbox
from messaging.i18n import gettext as _
from messaging.i18n import ngettext
from messaging.management.addressees import named_provider
from messaging.management.base import FAILED, MessagingCommand, UsageError, finishing, moment
from messaging.models import DeliveryState, WebhookDelivery

_STATES: Final = tuple(
    state.value for state in (DeliveryState.QUARANTINED, DeliveryState.FAILED, DeliveryState.STORED)
)
#: Those that wait for somebody. What is only stored is most likely being worked on.
_DEFAULT: Final = _STATES[:2]


class Command(MessagingCommand):
    help = (
        "Work on stored webhook requests again: those in quarantine and those that failed, or "
        "the ones you name. Harmless to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--id", action="append", type=int, metavar="ID", help="whatever its state; repeatable"
        )
        parser.add_argument(
            "--state",
            action="append",
            choices=_STATES,
            help="repeatable; default: quarantined and failed",
        )
        parser.add_argument("--since", type=moment, metavar="TIME", help="received since then")
        parser.add_argument("--provider", metavar="PROVIDER", help="name or id")

    def handle(self, *args: Any, **options: Any) -> None:
        # The oldest first, as they came.
        pks = list(_chosen(options).order_by("pk").values_list("pk", flat=True))
        ends: dict[str, int] = {}
        done = 0
        with finishing() as stopping, self.progress(len(pks), _("processed")) as bar:
            for pk in pks:
                if stopping.is_set():
                    break
                rows = WebhookDelivery.objects.select_related("provider").filter(pk=pk)
                for state, count in inbox.replay(rows).items():
                    ends[state] = ends.get(state, 0) + count
                done += 1
                bar.update()
        self._report(ends, done)
        if done < len(pks):
            text = _("Stopped early, as asked: %(left)d are left.")
            raise CommandError(text % {"left": len(pks) - done}, returncode=FAILED)
        if bad := sum(ends.values()) - ends.get(DeliveryState.PROCESSED.value, 0):
            text = ngettext("%(count)d still needs a look.", "%(count)d still need a look.", bad)
            raise CommandError(text % {"count": bad}, returncode=FAILED)

    def _report(self, ends: dict[str, int], done: int) -> None:
        labels = dict(DeliveryState.choices)
        for state, count in sorted(ends.items()):
            self.say(f"{count} {labels[state]}")
        if not done:
            self.say(_("There is nothing to process again."))
        self.emit({"total": done, "states": ends})


def _chosen(options: dict[str, Any]) -> QuerySet[WebhookDelivery]:
    rows = WebhookDelivery.objects.all()
    if options["id"]:
        if options["state"]:
            raise UsageError(_("Name ids or states, not both."))
        rows = rows.filter(pk__in=options["id"])
        missing = set(options["id"]) - set(rows.values_list("pk", flat=True))
        if missing:
            listed = ", ".join(map(str, sorted(missing)))
            raise UsageError(_("There is no delivery %(ids)s.") % {"ids": listed})
    else:
        rows = rows.filter(state__in=options["state"] or _DEFAULT)
    if options["since"]:
        rows = rows.filter(received_at__gte=options["since"])
    if options["provider"]:
        rows = rows.filter(provider=named_provider(options["provider"]))
    return rows
