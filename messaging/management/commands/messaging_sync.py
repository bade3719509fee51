"""`messaging_sync`: take over what gateways know of people, groups, templates and accounts."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.management.base import CommandError

from messaging import adapters, health, sync
from messaging.errors import GatewayError, MessagingError
from messaging.i18n import gettext as _
from messaging.i18n import ngettext
from messaging.management.addressees import named_provider, named_sender
from messaging.management.base import FAILED, MessagingCommand, UsageError, finishing
from messaging.models import Provider, Sender

_OF_SENDERS: Final[dict[str, Callable[[Sender], sync.Synced]]] = {
    "contacts": sync.sync_contacts,
    "groups": sync.sync_groups,
    "templates": sync.sync_templates,
}
_JOBS: Final = ("senders", *_OF_SENDERS, "balance")


@dataclass(slots=True)
class Job:
    """One thing to fetch of one account, and how it ended."""

    name: str
    row: Provider | Sender
    listed: int = 0
    new: int = 0
    changed: int = 0
    balance: str = ""
    error: str = ""

    def run(self) -> None:
        """Fetch it. What fails is said, and harms no other job."""
        try:
            if self.name == "balance":
                test = health.refresh_balance(self.row)
                self.balance, self.error = test.balance, "" if test.ok else test.text
                return
            done = self._sync()
        except GatewayError as error:
            self.error = health.explain(error)
        except MessagingError as error:
            self.error = str(error)
        else:
            self.listed, self.new, self.changed = done.listed, done.new, done.changed

    def _sync(self) -> sync.Synced:
        if isinstance(self.row, Provider):
            return sync.sync_senders(self.row)
        return _OF_SENDERS[self.name](self.row)

    def as_json(self) -> dict[str, Any]:
        return {
            "job": self.name,
            "kind": self.row._meta.model_name,
            "id": self.row.pk,
            "row": str(self.row),
            "listed": self.listed,
            "new": self.new,
            "changed": self.changed,
            "balance": self.balance,
            "error": self.error,
        }

    def __str__(self) -> str:
        if self.error:
            return f"{self.row}: {self.name}: {self.error}"
        if self.name == "balance":
            return f"{self.row}: {self.name}: {self.balance or '–'}"
        counts = _("%(listed)d listed, %(new)d new, %(changed)d changed") % {
            "listed": self.listed,
            "new": self.new,
            "changed": self.changed,
        }
        return f"{self.row}: {self.name}: {counts}"


class Command(MessagingCommand):
    help = (
        "Take over what gateways know: senders, contacts, groups, templates and balances. "
        "Harmless to repeat: nothing people entered is overwritten, nothing is deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        for name in _JOBS:
            parser.add_argument(f"--{name}", action="store_true", help=f"only {name}")
        parser.add_argument(
            "--sender", action="append", metavar="SENDER", help="name, id or number; repeatable"
        )
        parser.add_argument(
            "--provider", action="append", metavar="PROVIDER", help="name or id; repeatable"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = [name for name in _JOBS if options[name]]
        if options["sender"] and wanted == ["senders"]:
            raise UsageError(_("Senders are listed by a provider: use --provider."))
        jobs = list(_plan(options, wanted))
        done: list[Job] = []
        with finishing() as stopping, self.progress(len(jobs), _("fetched")) as bar:
            for job in jobs:
                if stopping.is_set():
                    break
                job.run()
                done.append(job)
                bar.update()
        for job in done:
            self.say(str(job), "ERROR" if job.error else "")
        if not jobs:
            self.say(_("There is nothing that could be fetched."))
        self.emit({"jobs": [job.as_json() for job in done]})
        if len(done) < len(jobs):
            raise CommandError(_("Stopped early, as asked."), returncode=FAILED)
        if failed := sum(bool(job.error) for job in done):
            text = ngettext("%(count)d failed.", "%(count)d failed.", failed)
            raise CommandError(text % {"count": failed}, returncode=FAILED)


def _plan(options: dict[str, Any], wanted: Sequence[str]) -> Iterator[Job]:
    """What to fetch, the senders first: they may bring others.

    What was asked for by name of a sender or provider and is not possible is an error of that
    job; without names only what is possible is done.
    """
    providers, senders = _chosen(options)
    named = bool(options["sender"] or options["provider"])
    if not options["sender"]:
        for provider in providers:
            if "senders" in wanted if wanted and named else _may(provider, wanted):
                yield Job("senders", provider)
    lanes: set[str] = set()
    for sender in senders:
        for name in _sender_jobs(sender, wanted, named=named):
            if name == "balance":
                # An account that several senders share has one balance.
                if sender.lane.lane_key in lanes:
                    continue
                lanes.add(sender.lane.lane_key)
            yield Job(name, sender)


def _may(provider: Provider, wanted: Sequence[str]) -> bool:
    asked = not wanted or "senders" in wanted
    return asked and provider.adapter_class.supports("fetch_senders")


def _sender_jobs(sender: Sender, wanted: Sequence[str], *, named: bool) -> list[str]:
    possible = sync.supported(sender)
    if not wanted:
        return possible
    return [name for name in wanted if name != "senders" and (named or name in possible)]


def _chosen(options: dict[str, Any]) -> tuple[list[Provider], list[Sender]]:
    """The providers and senders that were named; without names all in use."""
    if options["sender"]:
        named = [named_sender(text) for text in options["sender"]]
        return [], list({row.pk: row for row in named}.values())
    rows = Sender.objects.select_related("provider").order_by("pk")
    if options["provider"]:
        known = {row.pk: row for row in map(named_provider, options["provider"])}
        return list(known.values()), list(rows.filter(provider__in=known, is_active=True))
    providers = Provider.objects.filter(is_active=True).order_by("pk")
    senders = rows.filter(is_active=True, provider__is_active=True)
    return (
        [row for row in providers if adapters.is_known(row.adapter)],
        [row for row in senders if adapters.is_known(row.provider.adapter)],
    )
