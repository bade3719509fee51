"""Recording an opt-out or its end by hand: for whom, with what evidence, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging.models import Contact, ContactAddress, Message

from .conftest import Office

OUT = {"whom": "all", "evidence": "Told us on the phone on 3 May."}
IN = {"whom": "all", "evidence": "Signed the form at the desk."}
RIGHTS = ("view_contact", "change_contact", "view_full_number")


def url(name: str, contact: Contact) -> str:
    return reverse(f"admin:messaging_contact_{name}", args=[contact.pk])


def text_of(response: Any) -> str:
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


@pytest.fixture
def second(office: Office) -> ContactAddress:
    return ContactAddress.objects.create(contact=office.contact, value="+447700900124")


@pytest.mark.parametrize("evidence", ["", "   ", "x" * 201, None])
@pytest.mark.parametrize("step", ["opt-out", "opt-in"])
def test_nothing_is_recorded_without_evidence(
    step: str, evidence: str | None, boss: Client, office: Office
) -> None:
    if step == "opt-in":
        ContactAddress.objects.update(opted_out_at=timezone.now())
    before = list(ContactAddress.objects.values())
    data = {"whom": "all"} if evidence is None else {"whom": "all", "evidence": evidence}
    assert "errornote" in text_of(boss.post(url(step, office.contact), data))
    assert list(ContactAddress.objects.values()) == before
    assert not Contact.objects.exclude(opted_out_at=None).exists()
    assert not LogEntry.objects.exists()


def test_a_person_is_out_everywhere_and_the_page_says_why(
    boss: Client, office: Office, second: ContactAddress
) -> None:
    waiting = office.message("Still waiting")
    assert "+44 7700 900124" in text_of(boss.get(url("opt-out", office.contact)))
    assert boss.post(url("opt-out", office.contact), OUT).status_code == 302
    office.contact.refresh_from_db()
    assert office.contact.opt_out_source == "person"
    assert office.contact.opt_out_evidence == "Told us on the phone on 3 May. (boss)"
    text = text_of(boss.get(url("change", office.contact)))
    assert "Told us on the phone on 3 May. (boss)" in text
    assert "Record an opt-out" not in text
    # Nobody is written to about it.
    assert list(Message.objects.all()) == [waiting]
    log = LogEntry.objects.get()
    assert "Told us on the phone" in log.change_message
    assert log.object_id == str(office.contact.pk)
    # Once.
    boss.post(url("opt-out", office.contact), OUT)
    assert LogEntry.objects.count() == 1


def test_one_number_alone(boss: Client, office: Office, second: ContactAddress) -> None:
    first = office.contact.addresses.order_by("pk")[0]
    chosen = {"whom": str(second.pk), "evidence": "That is the office's number."}
    boss.post(url("opt-out", office.contact), chosen)
    office.contact.refresh_from_db()
    assert office.contact.opted_out_at is None
    assert list(ContactAddress.objects.exclude(opted_out_at=None)) == [second]
    assert "+44 •••• 124" in LogEntry.objects.get().change_message
    page = text_of(boss.get(url("change", office.contact)))
    assert "office&#x27;s number" in page
    assert "Record an opt-out" in page  # for the other one
    # Only what would change is offered.
    assert "+44 7700 900124" not in text_of(boss.get(url("opt-out", office.contact)))
    assert "+44 7700 900123" not in text_of(boss.get(url("opt-in", office.contact)))
    text = text_of(boss.post(url("opt-in", office.contact), {**chosen, "whom": str(first.pk)}))
    assert "Select a valid choice" in text
    boss.post(url("opt-in", office.contact), chosen)
    assert not ContactAddress.objects.exclude(opted_out_at=None).exists()
    office.contact.refresh_from_db()
    assert office.contact.consent_source == "person"
    assert "office's number. (boss)" in office.contact.notes


def test_a_person_who_is_out_comes_back_as_such(
    boss: Client, office: Office, second: ContactAddress
) -> None:
    boss.post(url("opt-out", office.contact), OUT)
    ContactAddress.objects.update(opted_out_at=timezone.now(), opt_out_source="message")
    offered = text_of(boss.get(url("opt-in", office.contact)))
    assert "at all their numbers" in offered
    assert f'<option value="{second.pk}"' not in offered
    assert boss.post(url("opt-in", office.contact), IN).status_code == 302
    office.contact.refresh_from_db()
    assert (office.contact.opted_out_at, office.contact.opt_out_evidence) == (None, "")
    assert not ContactAddress.objects.exclude(opted_out_at=None).exists()
    assert "Signed the form at the desk. (boss)" in office.contact.notes
    assert LogEntry.objects.count() == 2


def test_the_number_of_somebody_else_is_no_choice(boss: Client, office: Office) -> None:
    other = Contact.objects.create(name="Ben")
    foreign = ContactAddress.objects.create(contact=other, value="+447700900777")
    data = {"whom": str(foreign.pk), "evidence": "x"}
    assert "Select a valid choice" in text_of(boss.post(url("opt-out", office.contact), data))
    foreign.refresh_from_db()
    assert foreign.opted_out_at is None


@pytest.mark.parametrize("left_out", RIGHTS)
@pytest.mark.parametrize("step", ["opt-out", "opt-in"])
def test_it_needs_the_right_to_change_and_to_see_numbers(
    step: str, left_out: str, office: Office, as_role: Callable[..., Client]
) -> None:
    browser = as_role(*(right for right in RIGHTS if right != left_out))
    if left_out == "view_contact":
        # Who may change a contact may see it, by Django's own rule.
        assert browser.get(url(step, office.contact)).status_code == 200
        return
    for method in (browser.get, browser.post):
        assert method(url(step, office.contact), OUT).status_code == 403
    office.contact.refresh_from_db()
    assert office.contact.opted_out_at is None


def test_asking_changes_nothing(boss: Client, office: Office) -> None:
    for step in ("opt-out", "opt-in"):
        boss.get(url(step, office.contact), OUT)
        assert boss.put(url(step, office.contact)).status_code == 405
    assert not Contact.objects.exclude(opted_out_at=None).exists()
    assert not Contact.objects.exclude(consented_at=None).exists()


def test_evidence_shows_no_number_to_those_who_may_see_none(
    office: Office, as_role: Callable[..., Client]
) -> None:
    Contact.objects.update(
        opted_out_at=timezone.now(), opt_out_evidence="STOP from 447700900123 <b>now</b>"
    )
    text = text_of(as_role("view_contact").get(url("change", office.contact)))
    assert "STOP from •••• 123" in text
    assert "447700900123" not in text
    assert "<b>now" not in text
