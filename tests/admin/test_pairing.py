"""The pairing page: its states, its code, who may see it, and what the script is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging import inbox
from messaging.errors import ErrorClass
from messaging.models import Pairing, Sender

from .conftest import Office
from .phone import CODE, OTHER_CODE, TOKEN, Phone, gateway, phone

__all__ = ["gateway", "phone"]


@pytest.fixture(autouse=True)
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


def page(sender: Sender, name: str = "pair") -> str:
    return reverse(f"admin:messaging_sender_{name}", args=[sender.pk])


def text(client: Client, sender: Sender) -> str:
    response = client.get(page(sender))
    assert response.status_code == 200
    return response.content.decode()


def status(client: Client, sender: Sender, state: str = "waiting") -> dict[str, Any]:
    response = client.post(page(sender, "pair_status"), {"state": state})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return dict(response.json())


def begin(client: Client, sender: Sender) -> None:
    assert client.post(page(sender), {"start": "1"}).status_code == 302


# The states


def test_unpaired_asks_nothing_until_somebody_begins(
    boss: Client, phone: Sender, gateway: Phone
) -> None:
    found = text(boss, phone)
    assert "Not paired" in found
    assert ">Pair</button>" in found
    assert gateway.asked == 0
    assert not Pairing.objects.exists()


def test_waiting_shows_the_code_the_time_and_the_warning(
    boss: Client, phone: Sender, gateway: Phone
) -> None:
    begin(boss, phone)
    found = text(boss, phone)
    assert "Waiting for the scan" in found
    assert "Anyone who scans this code controls this sender." in found
    assert "5 min 0 s left" in found
    assert f"{page(phone, 'pair_code')}?serial=" in found
    assert found.count("<h1") == 1
    assert 'role="status"' in found
    assert gateway.asked == 1  # by the POST; showing the page asks nothing
    assert LogEntry.objects.filter(change_message__startswith="Asked for the code").count() == 1


def test_beginning_twice_goes_on_with_what_is_under_way(
    boss: Client, phone: Sender, gateway: Phone
) -> None:
    for _again in range(3):
        begin(boss, phone)
    assert Pairing.objects.count() == 1
    assert gateway.asked == 1
    assert LogEntry.objects.count() == 1


def test_many_who_look_make_one_asker(
    boss: Client, phone: Sender, gateway: Phone, traveller: time_machine.Coordinates
) -> None:
    begin(boss, phone)
    for _second in range(10):
        traveller.shift(1)
        for _person in range(5):
            status(boss, phone)
    assert gateway.asked == 6


def test_the_code_changes_with_its_serial(
    boss: Client, phone: Sender, gateway: Phone, traveller: time_machine.Coordinates
) -> None:
    begin(boss, phone)
    first = status(boss, phone)["code"]
    assert boss.get(first).content == CODE
    gateway.show(OTHER_CODE)
    traveller.shift(2)
    told = status(boss, phone)
    assert told["code"] != first
    assert boss.get(told["code"]).content == OTHER_CODE
    assert told["left"] == 298
    assert "panel" not in told


def test_connected_is_told_once_with_the_panel(
    boss: Client, phone: Sender, gateway: Phone, traveller: time_machine.Coordinates
) -> None:
    begin(boss, phone)
    gateway.scan()
    traveller.shift(2)
    told = status(boss, phone)
    assert (told["state"], told["words"], told["code"]) == ("connected", "Connected", "")
    for words in ("Acme Clinic", "+44 7700 900555", "4300", "699", "MD", "not set"):
        assert words in told["panel"], words
    assert re.search(r"Battery</th><td>–", told["panel"])
    assert "panel" not in status(boss, phone, "connected")
    found = text(boss, phone)
    assert "Pharmacy can send and receive now." in found
    assert "Open the inbox" in found
    assert boss.get(page(phone, "pair_code")).status_code == 404


def test_whether_the_webhook_points_here(boss: Client, phone: Sender, gateway: Phone) -> None:
    words = {
        inbox.address_of(phone.provider, "https://desk.example.com"): "points here",
        "https://elsewhere.example.com/hook": "points elsewhere",
        "": "not set",
    }
    for webhook, shown in words.items():
        gateway.scan(webhook=webhook, battery=82)
        begin(boss, phone)
        found = text(boss, phone)
        assert shown in found
        assert ("Show the address" in found) == (shown != "points here")
        assert "82 %" in found
        assert "elsewhere.example.com" not in found
        Pairing.objects.all().delete()


def test_another_number_than_the_senders_is_said(
    boss: Client, phone: Sender, gateway: Phone
) -> None:
    Sender.objects.update(address="+447700900100")
    gateway.scan()
    begin(boss, phone)
    found = text(boss, phone)
    assert "The phone that scanned has the number" in found
    assert '<bdi dir="ltr">+44 7700 900555</bdi>' in found


def test_expired_after_five_minutes(
    boss: Client, phone: Sender, gateway: Phone, traveller: time_machine.Coordinates
) -> None:
    begin(boss, phone)
    traveller.shift(301)
    assert "Show a new code" in text(boss, phone)
    told = status(boss, phone)
    assert told["state"] == "expired"
    assert "Show a new code" in told["panel"]
    assert boss.get(page(phone, "pair_code")).status_code == 404
    assert gateway.asked == 1
    begin(boss, phone)
    assert "Waiting for the scan" in text(boss, phone)


def test_a_refused_token_fails_in_words(boss: Client, phone: Sender, gateway: Phone) -> None:
    gateway.fail(ErrorClass.AUTHENTICATION)
    begin(boss, phone)
    found = text(boss, phone)
    assert "The gateway refused the credentials." in found
    assert "Try again" in found


def test_a_gateway_that_is_down_is_asked_again(
    boss: Client, phone: Sender, gateway: Phone, traveller: time_machine.Coordinates
) -> None:
    gateway.fail(ErrorClass.TRANSIENT)
    begin(boss, phone)
    found = text(boss, phone)
    assert "Waiting for the scan" in found
    assert "The gateway could not be reached." in found
    assert "It is asked again every few seconds." in found
    gateway.show(CODE)
    traveller.shift(2)
    told = status(boss, phone)
    assert (told["error"], bool(told["code"])) == ("", True)


def test_a_phone_that_was_lost_can_be_paired_again(
    boss: Client, phone: Sender, gateway: Phone
) -> None:
    gateway.scan()
    begin(boss, phone)
    Sender.objects.update(connection="disconnected")
    found = text(boss, phone)
    assert "was connected and is not any more" in found
    assert ">Pair</button>" in found


def test_asking_a_connected_phone_again_says_where_it_fails(
    boss: Client, phone: Sender, gateway: Phone
) -> None:
    gateway.scan()
    begin(boss, phone)
    gateway.fail(ErrorClass.AUTHENTICATION)
    begin(boss, phone)
    found = text(boss, phone)
    assert "Pharmacy can send and receive now." in found
    assert "It could not be asked again: The gateway refused the credentials." in found


def test_without_a_script_look_again_does_it(
    boss: Client, phone: Sender, gateway: Phone, traveller: time_machine.Coordinates
) -> None:
    begin(boss, phone)
    assert 'name="look"' in text(boss, phone)
    gateway.scan()
    traveller.shift(2)
    assert boss.post(page(phone), {"look": "1"}).status_code == 302
    assert "Pharmacy can send and receive now." in text(boss, phone)
    assert LogEntry.objects.count() == 1


# The picture


def test_the_picture_is_kept_nowhere(boss: Client, phone: Sender, gateway: Phone) -> None:
    assert boss.get(page(phone, "pair_code")).status_code == 404
    begin(boss, phone)
    response = boss.get(page(phone, "pair_code") + "?serial=1")
    assert response.content == CODE
    assert response["Content-Type"] == "image/png"
    assert "no-store" in response["Cache-Control"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert boss.post(page(phone, "pair_code")).status_code == 405


def test_the_page_obeys_a_strict_policy(boss: Client, phone: Sender, gateway: Phone) -> None:
    begin(boss, phone)
    body = text(boss, phone)
    main = body[body.index('id="content-main"') :]
    assert " style=" not in main
    assert "data:image" not in body
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", main)
    assert "messaging/pairing.js" in body
    assert TOKEN not in body


# Who may


@pytest.mark.parametrize("permissions", [(), ("view_sender",), ("pair_sender",)])
def test_who_may_not_pair(
    permissions: tuple[str, ...], phone: Sender, gateway: Phone, as_role: Callable[..., Client]
) -> None:
    browser = as_role(*permissions)
    assert browser.get(page(phone)).status_code == 403
    assert browser.post(page(phone), {"start": "1"}).status_code == 403
    assert browser.post(page(phone, "pair_status")).status_code == 403
    assert browser.get(page(phone, "pair_code")).status_code == 403
    assert gateway.asked == 0


def test_pairing_needs_no_more_than_its_permission(
    phone: Sender, gateway: Phone, as_role: Callable[..., Client]
) -> None:
    browser = as_role("view_sender", "pair_sender")
    begin(browser, phone)
    assert status(browser, phone)["code"]
    gateway.scan()
    Pairing.objects.update(asked_at=None)
    panel = status(browser, phone)["panel"]
    # Links lead only where one may go.
    assert "Open the inbox" not in panel
    assert "Show the address" not in panel


def test_strangers_and_forged_posts(phone: Sender, gateway: Phone, client: Client) -> None:
    for name in ("pair", "pair_status", "pair_code"):
        assert client.post(page(phone, name)).status_code == 302
    forged = Client(enforce_csrf_checks=True)
    assert forged.post(page(phone, "pair_status")).status_code in (302, 403)
    assert gateway.asked == 0


def test_what_is_no_phone_cannot_be_paired(boss: Client, office: Office) -> None:
    response = boss.get(page(office.sender), follow=True)
    assert "is no phone that could be paired." in response.content.decode()
    assert boss.post(page(office.sender, "pair_status")).status_code == 404
    assert boss.get(page(office.sender, "pair_code")).status_code == 404
    change = reverse("admin:messaging_sender_change", args=[office.sender.pk])
    assert "Pair a phone" not in boss.get(change).content.decode()
    assert boss.get(page(Sender(pk=999_999)), follow=True).status_code == 200
    assert boss.get(page(Sender(pk=999_999), "pair_code")).status_code == 404


def test_links_to_it(
    boss: Client, phone: Sender, as_role: Callable[..., Client], office: Office
) -> None:
    change = reverse("admin:messaging_sender_change", args=[phone.pk])
    lists = reverse("admin:messaging_sender_changelist")
    assert page(phone) in boss.get(change).content.decode()
    found = boss.get(lists).content.decode()
    assert page(phone) in found
    assert page(office.sender) not in found
    reader = as_role("view_sender")
    for url in (change, lists):
        assert page(phone) not in reader.get(url).content.decode()


def test_the_picture_is_over_when_its_time_is(boss: Client, phone: Sender, gateway: Phone) -> None:
    begin(boss, phone)
    Pairing.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert boss.get(page(phone, "pair_code")).status_code == 404
