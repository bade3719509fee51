"""Makes the demo's database: tables, logins, accounts that speak to the sandbox, and data.

    python -m project.demo.prepare SANDBOX_URL [--kept | --bare]    passwords as JSON on input

Its last line says in JSON where a phone can be paired: our page, and the sandbox's phone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import django


def main(arguments: Sequence[str]) -> None:
    django.setup()
    from django.core.management import call_command
    from django.db import transaction
    from django.urls import reverse

    from messaging.management.playground import make_accounts
    from messaging.sandbox import SandboxClient

    from .people import NAMES
    from .seed import Seed, make_users, open_sessions
    from .wiring import let_customers_answer, make_new_phone, phone_page, set_webhooks

    call_command("migrate", verbosity=0)
    url, *flags = arguments
    with transaction.atomic():
        senders = make_accounts(url, NAMES)
        if "--bare" in flags:
            return
        call_command("messaging_groups")
        users = make_users(json.loads(sys.stdin.readline()))
        if "--kept" not in flags:
            seed = Seed(senders, users["agent"])
            seed.run()
            seed.send()
        new_phone = make_new_phone(senders)
    sandbox = SandboxClient(url)
    open_sessions(sandbox)
    set_webhooks(sandbox, senders)
    let_customers_answer(sandbox)
    pages = [reverse("admin:messaging_sender_pair", args=[new_phone.pk]), phone_page(url)]
    sys.stdout.write(json.dumps(pages) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
