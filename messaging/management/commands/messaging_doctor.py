"""`messaging_doctor`: what is wrong with the set-up, in plain words."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from django.core import checks
from django.core.checks import CheckMessage
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db import Error as DatabaseError
from django.db.migrations.executor import MigrationExecutor

from messaging import health
from messaging.errors import ConfigurationError, GatewayError
from messaging.health import Finding
from messaging.i18n import gettext as _
from messaging.i18n import ngettext
from messaging.management.base import FAILED, MessagingCommand, database_trouble
from messaging.models import Message, Provider, Sender

_ORDER: Final = ("error", "warning", "info", "ok")
_STYLES: Final = {"error": "ERROR", "warning": "WARNING", "info": "NOTICE", "ok": "SUCCESS"}


class Command(MessagingCommand):
    help = "Say in plain words what is wrong with this installation."
    # It reports them itself, and goes on where they would end it.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--online",
            action="store_true",
            help="also ask each gateway whether it knows us; nothing is sent",
        )
        parser.add_argument(
            "--deploy", action="store_true", help="also what matters on a public server"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        database = _database()
        found = [*_system(deploy=options["deploy"]), *database]
        if not any(finding.level == "error" for finding in database):
            found += _safely_found(online=options["online"])
        found.sort(key=lambda finding: _ORDER.index(finding.level))
        errors = sum(finding.level == "error" for finding in found)
        self.emit({"findings": [asdict(finding) for finding in found], "errors": errors})
        for finding in found:
            self._tell(finding)
        if errors:
            text = ngettext("%(count)d error.", "%(count)d errors.", errors)
            raise CommandError(text % {"count": errors}, returncode=FAILED)
        self.say(_("Nothing here keeps messages from being sent."))

    def _tell(self, finding: Finding) -> None:
        words = {
            "error": _("ERROR"),
            "warning": _("warning"),
            "info": _("note"),
            "ok": _("ok"),
        }
        self.say(f"{words[finding.level]:8} {finding.text}", _STYLES[finding.level])
        if finding.hint:
            self.say(f"         {finding.hint}")


def _system(*, deploy: bool) -> Iterator[Finding]:
    """Django's own system checks, ours only."""
    found: list[CheckMessage] = checks.run_checks(
        tags=["messaging"], include_deployment_checks=deploy
    )
    for message in found:
        if message.is_silenced():
            continue
        yield Finding(
            level=_level(message), text=f"{message.msg} ({message.id})", hint=message.hint or ""
        )


def _level(message: CheckMessage) -> str:
    if message.level >= checks.ERROR:
        return "error"
    return "warning" if message.level >= checks.WARNING else "info"


def _database() -> list[Finding]:
    """Whether our tables can be used as they are."""
    alias = router.db_for_write(Message) or DEFAULT_DB_ALIAS
    try:
        executor = MigrationExecutor(connections[alias])
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return [Finding(level="error", text=database_trouble(error))]
    if not missing:
        return [Finding(level="ok", text=_("The database is there and up to date."))]
    text = ngettext(
        "The database lacks %(count)d migration.",
        "The database lacks %(count)d migrations.",
        len(missing),
    )
    return [Finding(level="error", text=text % {"count": len(missing)}, hint="manage.py migrate")]


def _safely_found(*, online: bool) -> Iterator[Finding]:
    try:
        yield from health.findings()
        if online:
            yield from _online()
    except (ConfigurationError, DatabaseError) as error:
        yield Finding(level="error", text=str(error))


def _online() -> Iterator[Finding]:
    """Each account's own word, and whether its phones are connected."""
    providers = Provider.objects.filter(is_active=True).order_by("name")
    for provider in providers:
        senders = list(provider.senders.filter(is_active=True).select_related("provider"))
        if not provider.adapter_class.sender_credentials:
            yield _tested(provider)
            continue
        for sender in senders:
            yield _tested(sender)
            if provider.adapter_class.supports("connection"):
                yield from _phone(sender)


def _tested(row: Provider | Sender) -> Finding:
    test = health.test_connection(row)
    return Finding(level="ok" if test.ok else "error", text=f"{row}: {test.text}")


def _phone(sender: Sender) -> Iterator[Finding]:
    try:
        connection = sender.connect().connection()
    except (GatewayError, ConfigurationError):
        return  # the test before has told it
    if connection.connected:
        yield Finding(level="ok", text=_("%(sender)s: the phone is connected.") % {
            "sender": sender
        })  # fmt: skip
    else:
        yield Finding(
            level="error",
            text=_("%(sender)s: the phone is not connected.") % {"sender": sender},
            hint=_("Pair it by QR code."),
        )
