"""Who may do what: one table of roles and pages, asked by GET and by POST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group as StaffGroup
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from messaging.models import (
    Contact,
    Conversation,
    Group,
    Message,
    Pairing,
    Provider,
    ProviderCall,
    Sender,
    WebhookDelivery,
    WebhookToken,
)

from .conftest import CANARY, Office

ROLES: dict[str, dict[str, Any]] = {
    "nothing": {"permissions": ()},
    "viewer": {
        "permissions": (
            "view_message",
            "view_contact",
            "view_conversation",
            "view_sender",
            "view_provider",
            "view_template",
            "view_providercall",
            "view_webhookdelivery",
            "view_group",
        )
    },
    # Who may change a provider by Django's own permissions, and still not manage one.
    "stock": {
        "permissions": (
            *(
                f"{act}_{model}"
                for act in ("view", "add", "change", "delete")
                for model in ("message", "contact", "conversation", "sender", "provider")
            ),
        )
    },
    "agent": {"group": "agents"},
    "supervisor": {"group": "supervisors"},
    "manager": {"group": "managers"},
}

VIEW = {"viewer", "stock", "agent", "supervisor", "manager"}
STAFF = {"agent", "supervisor", "manager"}
SUPERVISORS = {"supervisor", "manager"}
MANAGERS = {"manager"}
NOBODY: set[str] = set()

#: (page, its row, who may open it). Pages are names of `admin:messaging_<name>`.
PAGES: list[tuple[str, str, set[str]]] = [
    ("message_changelist", "", VIEW),
    ("message_change", "message", VIEW),
    ("message_export", "", VIEW),
    ("message_add", "", NOBODY),
    ("message_delete", "message", NOBODY),
    ("message_send", "", STAFF),
    ("message_edit", "scheduled", STAFF),
    ("message_again", "failed", SUPERVISORS),
    ("contact_changelist", "", VIEW),
    ("contact_add", "", STAFF),
    ("contact_change", "contact", VIEW),
    ("contact_delete", "contact", SUPERVISORS),
    ("contact_history", "contact", STAFF),
    ("contact_opt-out", "contact", STAFF),
    ("contact_opt-in", "contact", STAFF),
    ("conversation_changelist", "", VIEW),
    ("conversation_change", "conversation", VIEW),
    ("conversation_add", "", NOBODY),
    ("conversation_delete", "conversation", NOBODY),
    ("sender_changelist", "", VIEW),
    ("sender_change", "sender", VIEW),
    ("sender_add", "", MANAGERS),
    ("sender_send", "sender", STAFF),
    ("sender_pair", "phone", MANAGERS),
    ("provider_changelist", "", VIEW - {"agent"}),
    ("provider_change", "provider", VIEW - {"agent"}),
    ("provider_add", "", MANAGERS),
    ("provider_webhook", "provider", MANAGERS),
    ("webhookdelivery_changelist", "", {"viewer"} | SUPERVISORS),
    ("webhookdelivery_change", "delivery", {"viewer"} | SUPERVISORS),
    ("webhookdelivery_add", "", NOBODY),
    ("webhookdelivery_delete", "delivery", NOBODY),
    ("group_changelist", "", {"viewer"} | SUPERVISORS),
    ("group_change", "group", {"viewer"} | SUPERVISORS),
    ("group_add", "", NOBODY),
    ("group_delete", "group", NOBODY),
    ("template_changelist", "", VIEW - {"stock"}),
    ("template_add", "", SUPERVISORS),
    ("template_send", "template", STAFF),
    ("providercall_changelist", "", MANAGERS),
    ("providercall_change", "call", MANAGERS),
]

#: (step, its row, who may take it). All by POST alone.
STEPS: list[tuple[str, str, set[str]]] = [
    ("message_cancel", "scheduled", STAFF),
    ("message_check", "unknown", SUPERVISORS),
    ("message_arrived", "unknown", SUPERVISORS),
    ("sender_test", "sender", MANAGERS),
    ("sender_balance", "sender", MANAGERS),
    ("sender_pause", "sender", SUPERVISORS),
    ("sender_resume", "sender", SUPERVISORS),
    ("provider_test", "provider", MANAGERS),
    ("provider_balance", "provider", MANAGERS),
    ("provider_pause", "provider", SUPERVISORS),
    ("provider_resume", "provider", SUPERVISORS),
    ("template_duplicate", "template", SUPERVISORS),
    ("sender_poll", "sender", MANAGERS),
    ("sender_fetch-contacts", "sender", MANAGERS),
    ("sender_fetch-groups", "sender", MANAGERS),
    ("sender_fetch-templates", "sender", MANAGERS),
    ("provider_poll", "provider", MANAGERS),
    ("provider_fetch-senders", "provider", MANAGERS),
    ("webhookdelivery_replay", "delivery", MANAGERS),
    ("conversation_ask-window", "conversation", STAFF),
]

#: (list, action, who may run it)
ACTIONS: list[tuple[str, str, set[str]]] = [
    ("message", "cancel_selected", STAFF),
    ("message", "check_selected", SUPERVISORS),
    ("message", "delete_selected", NOBODY),
    ("contact", "send_to_selected", STAFF),
    ("contact", "delete_selected", NOBODY),
    ("sender", "pause_selected", SUPERVISORS),
    ("sender", "resume_selected", SUPERVISORS),
    ("sender", "test_selected", MANAGERS),
    ("sender", "refresh_selected", MANAGERS),
    ("sender", "delete_selected", NOBODY),
    ("provider", "pause_selected", SUPERVISORS),
    ("provider", "test_selected", MANAGERS),
    ("provider", "delete_selected", NOBODY),
    ("sender", "poll_selected", MANAGERS),
    ("provider", "poll_selected", MANAGERS),
    ("delivery", "replay_selected", MANAGERS),
    ("delivery", "delete_selected", NOBODY),
]


@pytest.fixture
def rows(office: Office) -> dict[str, Any]:
    from datetime import timedelta

    from django.utils import timezone

    later = timezone.now() + timedelta(days=1)
    return {
        "message": office.message(),
        "scheduled": office.message("Later", send_at=later),
        "failed": office.settled("failed"),
        "unknown": office.settled("unknown"),
        "contact": office.contact,
        "conversation": office.conversation,
        "sender": office.sender,
        "provider": office.provider,
        "template": office.template,
        "call": ProviderCall.objects.create(
            provider=office.provider, operation="send", method="POST", at=timezone.now()
        ),
        "delivery": WebhookDelivery.objects.create(
            provider=office.provider,
            body='{"body": "{}"}',
            state="quarantined",
            received_at=timezone.now(),
        ),
        "group": Group.objects.create(sender=office.sender, external_id="1@g.us", name="Family"),
        "phone": Sender.objects.create(
            provider=Provider.objects.create(name="Phones", adapter="whatsapp_http"), name="Phone"
        ),
    }


def address(name: str, row: Any) -> str:
    return reverse(f"admin:messaging_{name}", args=[row.pk] if row else [])


@pytest.mark.parametrize("role", ROLES)
def test_pages(role: str, rows: dict[str, Any], as_role: Callable[..., Client]) -> None:
    browser = as_role(*ROLES[role].get("permissions", ()), group=ROLES[role].get("group", ""))
    for name, row, allowed in PAGES:
        response = browser.get(address(name, rows.get(row)))
        opened = response.status_code in (200, 302)
        assert opened == (role in allowed), f"{role} {name}: {response.status_code}"
        if not opened:
            assert response.status_code == 403, f"{role} {name}"


@pytest.mark.parametrize("role", ROLES)
def test_steps(role: str, rows: dict[str, Any], as_role: Callable[..., Client]) -> None:
    browser = as_role(*ROLES[role].get("permissions", ()), group=ROLES[role].get("group", ""))
    for name, row, allowed in STEPS:
        before = state()
        response = browser.post(address(name, rows[row]))
        assert (response.status_code == 302) == (role in allowed), f"{role} {name}"
        if role not in allowed:
            assert response.status_code == 403, f"{role} {name}"
            assert state() == before, f"{role} {name} changed something"


@pytest.mark.parametrize("role", ROLES)
def test_actions(role: str, rows: dict[str, Any], as_role: Callable[..., Client]) -> None:
    browser = as_role(*ROLES[role].get("permissions", ()), group=ROLES[role].get("group", ""))
    for model, action, allowed in ACTIONS:
        before = state()
        kind = rows[model]._meta.model_name
        url = reverse(f"admin:messaging_{kind}_changelist")
        chosen = list(Message.objects.values_list("pk", flat=True))
        pks = chosen if model == "message" else [rows[model].pk]
        response = browser.post(url, {"action": action, "_selected_action": pks, "index": 0})
        if role not in allowed:
            assert response.status_code in (200, 302, 403)
            assert state() == before, f"{role} {action} changed something"
            if response.status_code == 302:
                # Back to the list with “no action selected”, not on to the send page.
                assert response.url.startswith(url), f"{role} {action}"
        else:
            assert response.status_code == 302, f"{role} {action}"


def state() -> list[Any]:
    """All that these steps could change."""
    return [
        list(Message.objects.order_by("pk").values_list("pk", "status", "due_at")),
        list(Sender.objects.values_list("pause_reason", "balance_checked_at")),
        list(Provider.objects.values_list("pause_reason", "balance_checked_at")),
        list(Contact.objects.values_list("opted_out_at")),
        list(WebhookDelivery.objects.values_list("attempts")),
        list(WebhookToken.objects.values_list("pk")),
        Pairing.objects.count(),
        Conversation.objects.count(),
    ]


@pytest.mark.parametrize(("name", "row"), [step[:2] for step in STEPS])
def test_steps_refuse_get(name: str, row: str, rows: dict[str, Any], boss: Client) -> None:
    before = state()
    assert boss.get(address(name, rows[row])).status_code == 405
    assert state() == before


@pytest.mark.parametrize("name", ["message_again", "message_edit"])
def test_pages_before_a_step_change_nothing_by_get(
    name: str, rows: dict[str, Any], boss: Client
) -> None:
    before = state()
    row = rows["failed" if name == "message_again" else "scheduled"]
    assert boss.get(address(name, row)).status_code == 200
    assert boss.put(address(name, row)).status_code == 405
    assert state() == before


def test_strangers_are_sent_to_the_login(rows: dict[str, Any], client: Client) -> None:
    for name, row, _allowed in (*PAGES, *STEPS):
        response = client.post(address(name, rows.get(row)))
        assert response.status_code == 302
        assert response.url.startswith(reverse("admin:login")), name


def test_nobody_posts_messages_through_stock_forms(rows: dict[str, Any], boss: Client) -> None:
    count = Message.objects.count()
    row = rows["message"]
    assert boss.post(address("message_add", None), {"text": "x"}).status_code == 403
    assert boss.post(address("message_change", row), {"text": "x"}).status_code == 403
    assert boss.post(address("message_delete", row), {"post": "yes"}).status_code == 403
    row.refresh_from_db()
    assert (row.text, Message.objects.count()) == ("Hello", count)


def test_the_provider_form_is_no_way_around_the_permission(
    rows: dict[str, Any], as_role: Callable[..., Client]
) -> None:
    """Django's own change permission alone must not let anybody point secrets elsewhere."""
    browser = as_role(*ROLES["stock"]["permissions"])
    row = rows["provider"]
    data = {"name": "Mine", "base_url": "https://evil.example", "time_zone": "UTC"}
    assert browser.post(address("provider_change", row), data).status_code == 403
    assert browser.post(address("provider_delete", row), {"post": "yes"}).status_code == 403
    assert browser.post(address("sender_change", rows["sender"]), data).status_code == 403
    row.refresh_from_db()
    assert row.base_url != "https://evil.example"


# Numbers

NUMBERS = ("447700900123", "7700 900123", "7700900123")


@pytest.mark.parametrize("name", ["Amina Nakato", ""])
def test_whoever_may_not_see_numbers_sees_none(
    name: str, office: Office, as_role: Callable[..., Client]
) -> None:
    Contact.objects.update(name=name)
    message = office.settled("failed", error_text="number 447700900123 is not valid")
    call = ProviderCall.objects.create(
        provider=office.provider,
        operation="send",
        method="POST",
        url="https://gw.example/send",
        request={"to": "447700900123"},
        at=message.created_at,
    )
    message.events.create(
        status="failed", source="send", at=message.created_at, call=call, text="to 447700900123"
    )
    browser = as_role(
        *ROLES["stock"]["permissions"], "send_message", "view_all_conversations", "resend_message"
    )
    pages = [
        address("message_changelist", None),
        address("message_change", message),
        address("message_again", message),
        address("message_history", message),
        address("message_export", None),
        address("contact_changelist", None),
        address("contact_change", office.contact),
        address("conversation_changelist", None),
        address("conversation_change", office.conversation),
        address("message_changelist", None) + f"?conversation__id__exact={office.conversation.pk}",
        address("message_send", None) + f"?conversation={office.conversation.pk}",
        address("message_send", None) + f"?contacts={office.contact.pk}",
    ]
    for url in pages:
        response = browser.get(url)
        assert response.status_code == 200, url
        text = response.getvalue().decode()
        assert not any(number in text for number in NUMBERS), url
    assert "+44 •••• 123" in browser.get(pages[0]).content.decode()
    for view in ("history", "delete"):
        for row, kind in ((office.contact, "contact"), (office.conversation, "conversation")):
            assert browser.get(address(f"{kind}_{view}", row)).status_code == 403


def test_autocomplete_masks_numbers_too(office: Office, as_role: Callable[..., Client]) -> None:
    Contact.objects.update(name="")
    query = "?app_label=messaging&model_name=contactaddress&field_name=contact&term="
    url = reverse("admin:autocomplete") + query
    masked = as_role("view_contact").get(url).json()["results"]
    assert [row["text"] for row in masked] == ["+44 •••• 123"]
    assert masked[0]["id"] == str(office.contact.pk)
    full = as_role("view_contact", "view_full_number").get(url).json()["results"]
    assert [row["text"] for row in full] == ["+447700900123"]


def test_numbers_cannot_be_guessed_by_searching_for_their_beginning(
    office: Office, as_role: Callable[..., Client]
) -> None:
    office.message()
    for model in ("contact", "conversation", "message"):
        browser = as_role(f"view_{model}", "view_all_conversations")
        url = reverse(f"admin:messaging_{model}_changelist")
        assert len(browser.get(url, {"q": "+44770"}).context["cl"].result_list) == 0
        assert len(browser.get(url, {"q": "07700 900123"}).context["cl"].result_list) == 1
    lookup = {"addresses__value__startswith": "+44770"}
    response = as_role("view_contact").get(reverse("admin:messaging_contact_changelist"), lookup)
    assert response.status_code == 400


# Conversations of others


def test_other_peoples_conversations_and_messages_are_not_shown(
    office: Office, as_role: Callable[..., Client], django_user_model: Any
) -> None:
    other = django_user_model.objects.create_user("other")
    Conversation.objects.update(assignee=other)
    message = office.message("Private words")
    rights = ("view_message", "view_conversation", "cancel_message")
    browser = as_role(*rights)
    for name, row in (("message", message), ("conversation", office.conversation)):
        assert b"Private words" not in browser.get(address(f"{name}_changelist", None)).content
        assert browser.get(address(f"{name}_change", row)).status_code == 302
    assert browser.post(address("message_cancel", message)).status_code == 302
    message.refresh_from_db()
    assert message.status == "queued"
    assert b"Private words" not in browser.get(address("message_export", None)).getvalue()
    everybodys = as_role(*rights, "view_all_conversations")
    assert b"Private words" in everybodys.get(address("message_changelist", None)).content


# The ready-made groups


def test_the_groups_are_made_once_and_keep_what_was_added() -> None:
    call_command("messaging_groups", verbosity=0)
    agents = StaffGroup.objects.get(name="Messaging: agents")
    extra = Permission.objects.get(codename="resend_message")
    agents.permissions.add(extra)
    agents.permissions.remove(Permission.objects.get(codename="send_message"))
    call_command("messaging_groups", verbosity=0)
    assert StaffGroup.objects.filter(name__startswith="Messaging: ").count() == 3
    held = set(agents.permissions.values_list("codename", flat=True))
    assert {"resend_message", "send_message"} <= held


def test_the_groups_hold_nothing_of_the_queue_and_no_stock_right_on_messages() -> None:
    call_command("messaging_groups", verbosity=0)
    held = Permission.objects.filter(group__name__startswith="Messaging: ")
    assert set(held.values_list("content_type__app_label", flat=True)) == {"messaging"}
    assert not held.filter(
        codename__in=["add_message", "change_message", "delete_message"]
    ).exists()


def test_the_groups_name_only_permissions_that_exist() -> None:
    from messaging.management.commands.messaging_groups import GROUPS

    known = set(
        Permission.objects.filter(content_type__app_label="messaging").values_list(
            "codename", flat=True
        )
    )
    assert set().union(*GROUPS.values()) <= known
    assert GROUPS["Messaging: agents"] < GROUPS["Messaging: supervisors"]
    assert GROUPS["Messaging: supervisors"] < GROUPS["Messaging: managers"]


def test_no_page_shows_a_secret(rows: dict[str, Any], office: Office, boss: Client) -> None:
    for row in (office.provider, office.sender):
        row.credentials = {"token": CANARY}
        row.save()
    for name, row, _allowed in PAGES:
        if name.endswith("_delete") or name == "message_add":
            continue
        response = boss.get(address(name, rows.get(row)), follow=True)
        assert CANARY not in response.getvalue().decode(), name
