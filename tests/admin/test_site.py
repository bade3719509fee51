"""On any admin site, under any name, and polite in its pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import clear_url_caches, include, path, reverse

import messaging
from messaging.admin import register
from messaging.admin.kinds import SENDABLE
from messaging.models import Message, Provider

from .conftest import Office

backoffice = admin.AdminSite(name="backoffice")
register(backoffice)

urlpatterns = [
    path("office/", backoffice.urls),
    path("admin/", admin.site.urls),
    path("messaging/", include("messaging.urls")),
]


@pytest.fixture
def other_site(settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    clear_url_caches()
    yield
    clear_url_caches()


def test_registering_twice_keeps_what_is_there() -> None:
    before = dict(backoffice._registry)
    register(backoffice)
    assert backoffice._registry == before
    own = admin.AdminSite(name="own")
    own.register(Provider)
    register(own)
    assert type(own._registry[Provider]) is admin.ModelAdmin


def test_the_default_site_has_the_screens() -> None:
    assert admin.site.is_registered(Message)


@pytest.mark.usefixtures("other_site")
def test_every_link_stays_on_its_site(boss: Client, office: Office) -> None:
    """The other site has no user admin either: users are typed there."""
    message = office.message()
    rows = {
        "message": message,
        "contact": office.contact,
        "conversation": office.conversation,
        "sender": office.sender,
        "provider": office.provider,
        "template": office.template,
    }
    pages = [reverse(f"backoffice:messaging_{model}_changelist") for model in rows]
    pages += [
        reverse(f"backoffice:messaging_{model}_change", args=[row.pk])
        for model, row in rows.items()
    ]
    pages += [reverse("backoffice:app_list", args=["messaging"])]
    pages += [reverse("backoffice:messaging_message_send") + f"?kind={kind}" for kind in SENDABLE]
    for page in pages:
        text = boss.get(page).content.decode()
        links = re.findall(r'(?:href|action)="(/[^"]*)"', text)
        assert links
        strangers = [link for link in links if link.startswith("/admin/")]
        assert not strangers, page
    response = boss.post(reverse("backoffice:messaging_message_cancel", args=[message.pk]))
    assert response.url.startswith("/office/")


@pytest.mark.usefixtures("other_site")
def test_sending_stays_on_its_site(boss: Client, office: Office) -> None:
    from .test_send import look

    page = reverse("backoffice:messaging_message_send")
    _response, form = look(boss, page, {"c-body": "Hello", "to": "07700 900999"})
    assert boss.post(page, form).url.startswith("/office/messaging/message/")


def test_the_index_offers_to_send(boss: Client, as_role: Any, office: Office) -> None:
    page = reverse("admin:app_list", args=["messaging"])
    link = f'href="{reverse("admin:messaging_message_send")}"'
    assert link in boss.get(page).content.decode()
    assert link not in as_role("view_message").get(page).content.decode()


def test_pages_run_under_a_strict_policy(boss: Client, office: Office) -> None:
    """No script, style or style attribute of ours inside a page, nothing from another host."""
    message = office.settled("unknown")
    ours = [
        reverse("admin:messaging_message_changelist"),
        reverse("admin:messaging_message_change", args=[message.pk]),
        reverse("admin:messaging_message_again", args=[message.pk]),
        reverse("admin:messaging_provider_add"),
        *(reverse("admin:messaging_message_send") + f"?kind={kind}" for kind in SENDABLE),
    ]
    for page in ours:
        text = boss.get(page).content.decode()
        assert not re.search(r'\sstyle="', text), page
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text), page
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", text), page


def test_nothing_of_ours_is_marked_safe() -> None:
    root = Path(messaging.__file__).parent
    for path_ in (*(root / "admin").rglob("*.py"), *(root / "templates" / "admin").rglob("*.html")):
        text = path_.read_text()
        assert "mark_safe" not in text, path_
        assert "|safe" not in text, path_
        assert "autoescape off" not in text, path_


def test_what_a_stranger_wrote_is_escaped(boss: Client, office: Office) -> None:
    evil = "<script>alert('x')</script>"
    office.contact.name = evil
    office.contact.save()
    message = office.message(evil)
    pages = [
        reverse("admin:messaging_message_changelist"),
        reverse("admin:messaging_message_change", args=[message.pk]),
        reverse("admin:messaging_conversation_changelist"),
        reverse("admin:messaging_conversation_change", args=[office.conversation.pk]),
        reverse("admin:messaging_contact_changelist"),
        reverse("admin:messaging_contact_change", args=[office.contact.pk]),
        reverse("admin:messaging_message_send") + f"?conversation={office.conversation.pk}",
        reverse("admin:messaging_message_send") + f"?contacts={office.contact.pk}",
    ]
    for page in pages:
        text = boss.get(page).content.decode()
        assert "<script>alert" not in text, page
        assert "&lt;script&gt;alert" in text, page


@pytest.mark.parametrize("language", ["de", "ar"])
def test_pages_open_in_other_languages(
    boss: Client, office: Office, settings: Any, language: str
) -> None:
    settings.LANGUAGE_CODE = language
    settings.LANGUAGES = [(language, language)]
    message = office.message()
    for page in (
        reverse("admin:messaging_message_changelist"),
        reverse("admin:messaging_message_change", args=[message.pk]),
        reverse("admin:messaging_message_send"),
    ):
        response = boss.get(page)
        assert response.status_code == 200
        assert f'lang="{language}"' in response.content.decode()


def test_the_staff_banner(boss: Client, office: Office, monkeypatch: Any) -> None:
    from django.core.cache import cache

    from messaging import health

    cache.clear()
    monkeypatch.setattr(health, "banners", lambda: ["The worker is <silent>."])
    text = boss.get(reverse("admin:messaging_contact_changelist")).content.decode()
    assert "The worker is &lt;silent&gt;." in text


def test_users_of_any_model_are_named(office: Office) -> None:
    """Only what every user model has is asked of it."""
    user = get_user_model().objects.create_user("ann")
    assert office.message(author=user).author_name == "ann"
