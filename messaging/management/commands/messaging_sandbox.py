"""`messaging_sandbox`: a gateway on this machine to try everything with."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import CommandError

from messaging import conf
from messaging.i18n import gettext as _
from messaging.management import playground
from messaging.management.base import MessagingCommand, UsageError
from messaging.sandbox import accounts, run

_STEPS: Final = ("sent", "delivered", "read")


class Command(MessagingCommand):
    help = (
        "Run a gateway on this machine that speaks every gateway's own language and sends nothing. "
        "It stops with Ctrl-C and forgets everything then."
    )
    speaks_json = False
    # A sandbox is wanted where the set-up is not right yet, too.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
        parser.add_argument("--port", type=int, default=8900, help="0 takes any free port")
        for step in _STEPS:
            parser.add_argument(
                f"--{step}-after",
                type=float,
                metavar="SECONDS",
                help="age at which a message gets there; negative: never by itself",
            )
        parser.add_argument(
            "--webhook",
            metavar="GATEWAY=URL",
            action="append",
            default=[],
            help=(
                "where the sandbox's whatsapp_http or intellisoftware posts what comes in, an "
                "address on this machine; may be given for both"
            ),
        )
        parser.add_argument(
            "--make-providers",
            action="store_true",
            help="add (or correct) providers, senders and templates that speak to it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], _free_port(options["host"], options["port"])
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        if options["make_providers"]:
            for name, sender in playground.make_accounts(url).items():
                self.say(_("Ready: %(name)s as “%(sender)s”") % {"name": name, "sender": sender})
        self._explain(url)
        self._warn_of_private_host(host, port)
        self.stdout.flush()
        arguments = ["--host", host, "--port", str(port)]
        for step in _STEPS:
            if (delay := options[f"{step}_after"]) is not None:
                arguments.append(f"--{step}-after={delay}")
        for webhook in options["webhook"]:
            arguments.append(f"--webhook={webhook}")
        run(arguments)

    def _explain(self, url: str) -> None:
        """How to point a provider at it. These credentials are made up and open nothing."""
        rows = {
            "WhatsApp HTTP API": {
                _("base URL"): url,
                _("instance id"): accounts.WH_TOKEN,
                _("number"): f"+{accounts.WH_NUMBER}",
            },
            "IntelliSoftware": {
                _("base URL"): url,
                _("access key"): accounts.IS_ACCESS_KEY,
                _("secret key"): accounts.IS_SECRET_KEY,
                _("number"): f"+{accounts.IS_NUMBER}",
            },
            "Intellixent": {
                _("base URL"): playground.base_url("intellixent", url),
                _("API key"): accounts.IX_API_KEY,
                _("sender id"): str(accounts.IX_ONLINE_SENDER),
            },
        }
        for gateway, values in rows.items():
            self.say(gateway, "MIGRATE_HEADING")
            for label, value in values.items():
                self.say(f"  {label:12} {value}")

    def _warn_of_private_host(self, host: str, port: int) -> None:
        allowed = conf.get("ALLOWED_PRIVATE_HOSTS")
        if not {host, f"{host}:{port}"} & set(allowed):
            self.note(
                _(
                    "This site does not speak to private addresses. Add “%(host)s” to "
                    "MESSAGING['ALLOWED_PRIVATE_HOSTS'] (here: the variable "
                    "MESSAGING_ALLOWED_PRIVATE_HOSTS) to use the sandbox."
                )
                % {"host": host}
            )


def _free_port(host: str, port: int) -> int:
    """The port, or any free one for 0: known before the sandbox runs, because rows need it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OverflowError, socket.gaierror):
        raise UsageError(_("“%(host)s” port %(port)d is no address.") % {
            "host": host, "port": port
        }) from None  # fmt: skip
    except OSError as error:
        raise CommandError(
            _("Port %(port)d cannot be used: %(reason)s. Choose another with --port.")
            % {"port": port, "reason": error.strerror}
        ) from None
