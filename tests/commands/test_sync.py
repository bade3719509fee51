"""`messaging_sync`: what is fetched from whom, told once, harmless to repeat."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.models import Contact, Group, GroupMember, Sender, Template
from messaging.sandbox import SandboxClient

from .conftest import run

SYNC = "messaging_sync"

pytestmark = pytest.mark.django_db


def jobs(*arguments: str) -> list[dict[str, Any]]:
    return list(run(SYNC, "--json", *arguments).json["jobs"])


def test_everything_there_is(senders: dict[str, Sender]) -> None:
    result = run(SYNC)
    assert result.code == 0, result
    assert Contact.objects.exists()
    assert Group.objects.exists()
    assert GroupMember.objects.exists()
    for words in ("contacts", "groups", "templates", "balance", "senders"):
        assert f": {words}: " in result.out, words
    before = (Contact.objects.count(), Group.objects.count(), Sender.objects.count())
    again = jobs()
    assert not any(job["new"] or job["changed"] for job in again)
    assert before == (Contact.objects.count(), Group.objects.count(), Sender.objects.count())


def test_new_senders_are_switched_off(senders: dict[str, Sender]) -> None:
    known = set(Sender.objects.values_list("pk", flat=True))
    [job] = jobs("--senders")
    assert (job["job"], job["kind"], job["error"]) == ("senders", "provider", "")
    added = Sender.objects.exclude(pk__in=known)
    assert added.count() == job["new"] > 0
    assert not added.filter(is_active=True).exists()


def test_a_balance_is_asked_once_for_each_account(
    senders: dict[str, Sender], sandbox: SandboxClient
) -> None:
    # WhatsApp and SMS of one IntelliSoftware account share it.
    found = jobs("--balance")
    assert all(job["balance"] for job in found)
    assert sandbox.stats()["by_operation"]["intellisoftware.getbalance"] == 1


def test_one_sender(senders: dict[str, Sender], wh: Sender) -> None:
    found = jobs("--sender", wh.name, "--contacts")
    assert [(job["job"], job["id"]) for job in found] == [("contacts", wh.pk)]
    assert found[0]["listed"] > 0
    assert not Group.objects.exists()


def test_one_provider(senders: dict[str, Sender]) -> None:
    provider = senders["intellixent.whatsapp"].provider
    Template.objects.all().delete()
    found = jobs("--provider", provider.name, "--templates")
    assert {job["job"] for job in found} == {"templates"}
    assert Template.objects.exists()


def test_what_a_gateway_cannot_is_said_where_it_was_asked_for_by_name(
    senders: dict[str, Sender],
) -> None:
    sender = senders["intellixent.whatsapp"]
    result = run(SYNC, "--contacts", "--sender", str(sender.pk))
    assert result.code == 1
    assert "has nothing to fetch" in result.out
    # Without a name it is passed over.
    assert {job["id"] for job in jobs("--contacts")} == {senders["whatsapp_http.whatsapp"].pk}


def test_a_phone_that_is_away_harms_no_other(
    senders: dict[str, Sender], sandbox: SandboxClient
) -> None:
    sandbox.account("whatsapp_http", connected=False)
    result = run(SYNC)
    assert result.code == 1
    assert "failed." in result.problem
    done = [job for job in jobs() if not job["error"]]
    assert {"templates", "senders", "balance"} <= {job["job"] for job in done}


@pytest.mark.parametrize(
    "arguments",
    [("--sender", "Nobody"), ("--provider", "Nobody"), ("--senders", "--sender", "Sandbox phone")],
)
def test_what_makes_no_sense(
    senders: dict[str, Sender], sandbox: SandboxClient, arguments: tuple[str, ...]
) -> None:
    assert run(SYNC, *arguments).code == 2
    assert not sandbox.arrivals()


def test_nothing_to_fetch(db: None) -> None:
    result = run(SYNC)
    assert (result.code, result.out) == (0, "There is nothing that could be fetched.\n")
