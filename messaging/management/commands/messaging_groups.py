"""Make the ready-made groups of staff: agents, supervisors, managers."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any, Final

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand
from django.db import transaction


def _all(*models: str, acts: Iterable[str] = ("view", "add", "change", "delete")) -> set[str]:
    return {f"{act}_{model}" for model in models for act in acts}


#: Those who answer customers.
AGENT: Final = {
    "send_message",
    "cancel_message",
    "view_full_number",
    "add_note_to_conversation",
    "assign_conversation",
    "change_conversation",
    *_all("contact", "contactaddress", acts=("view", "add", "change")),
    *_all(
        "conversation",
        "message",
        "sender",
        "template",
        "tag",
        "label",
        "cannedreply",
        "attachment",
        acts=("view",),
    ),
    "view_note",
    "add_note",
}

#: Those who see everything, settle what went wrong and write to many.
SUPERVISOR: Final = AGENT | {
    "view_all_conversations",
    "settle_message",
    "resend_message",
    "pause_sender",
    "send_broadcast",
    "view_provider",
    *_all("tag", "label", "cannedreply", "segment", "template", "broadcast"),
    *_all("group", "groupmember", "recipient", "webhookdelivery", acts=("view",)),
    "delete_contact",
    "delete_contactaddress",
}

#: Those who keep the accounts with the gateways.
MANAGER: Final = SUPERVISOR | {
    "manage_provider",
    "pair_sender",
    "replay_webhookdelivery",
    *_all("provider", "sender", "webhooktoken", "senderaccess"),
    *_all("providercall", "webhookdelivery", acts=("view",)),
}

GROUPS: Final = {
    "Messaging: agents": AGENT,
    "Messaging: supervisors": SUPERVISOR,
    "Messaging: managers": MANAGER,
}


class Command(BaseCommand):
    help = (
        "Makes the groups “Messaging: agents”, “Messaging: supervisors” and “Messaging: "
        "managers”, or gives them what they lack. Permissions you added stay; run it again "
        "after an update."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            made = [self._make(name, wanted) for name, wanted in GROUPS.items()]
        if options["json"]:
            self.stdout.write(json.dumps(made))
            return
        for group in made:
            word = "made" if group["created"] else "there already"
            self.stdout.write(f"{group['name']}: {word}, {group['added']} permissions added")

    def _make(self, name: str, wanted: set[str]) -> dict[str, Any]:
        group, created = Group.objects.get_or_create(name=name)
        found = Permission.objects.filter(
            content_type__app_label=apps.get_app_config("messaging").label, codename__in=wanted
        )
        missing = found.exclude(pk__in=group.permissions.values("pk"))
        added = list(missing)
        group.permissions.add(*added)
        return {"name": name, "created": created, "added": len(added)}
