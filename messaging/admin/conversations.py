"""Conversations: a list, and what there is to know of one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import clock, health, sync
from ..errors import GatewayError
from ..models import (
    Contact,
    ContactAddress,
    Conversation,
    ConversationKind,
    Message,
    Sender,
)
from ..window import Window
from . import numbers, scope, search
from .accounts import adapter_of
from .base import Button, MessagingAdmin, PeopleMixin, model_url
from .lanes import moment
from .paging import SenderFilter

#: Messages shown on a conversation's page; all of them are a link away.
LATEST = 20


class ConversationAdmin(PeopleMixin, MessagingAdmin):
    list_display = ["masked_person", "last_message", "window", "assignee", "status"]
    list_filter = ["status", "kind", SenderFilter]
    search_fields = ["address__contact__name", "address__value"]
    search_help_text = gettext_lazy("A name, or the beginning of a number.")
    ordering = ["-last_message_at", "-id"]
    autocomplete_fields = ["labels"]
    raw_id_fields = ["assignee"]
    host_fields = ["assignee"]
    actions = None
    buttons = [
        Button(
            name="send",
            label=gettext_lazy("Send a message"),
            permission="messaging.send_message",
            method="open_send",
            page=True,
        ),
        Button(
            name="ask-window",
            label=gettext_lazy("Ask the gateway"),
            permission="messaging.send_message",
            method="ask_window",
            shown="can_ask_window",
        ),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A conversation begins with a message."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        rows = scope.conversations(request.user, super().get_queryset(request))
        if request.path != self.url("changelist"):
            return rows
        return rows.prefetch_related(
            Prefetch("address", ContactAddress.objects.select_related("contact")),
            Prefetch("sender", Sender.objects.select_related("provider")),
            "assignee",
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        full = numbers.may_see(request)
        return search.conversations(queryset, search_term, full=full), False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        full = numbers.may_see(request)
        return [
            "full_person" if full and name == "masked_person" else name
            for name in self.list_display
        ]

    # Columns

    @admin.display(description=gettext_lazy("contact"))
    def full_person(self, obj: Conversation) -> str:
        return self._person(obj, full=True)

    @admin.display(description=gettext_lazy("contact"))
    def masked_person(self, obj: Conversation) -> str:
        return self._person(obj, full=False)

    def _person(self, obj: Conversation, *, full: bool) -> str:
        number = numbers.shown(obj.address.value, full=full)
        name = obj.address.contact.name
        text = format_html("{}<br>{}", name, number) if name else number
        if not obj.unread_count:
            return text
        return format_html(
            '<strong>{}</strong> <span class="messaging-pill messaging-unread">{}</span>',
            text,
            _("%(count)d new") % {"count": obj.unread_count},
        )

    @admin.display(description=gettext_lazy("last message"), ordering="-last_message_at")
    def last_message(self, obj: Conversation) -> str:
        text = obj.last_message_text
        text = text[:38] + "…" if len(text) > 38 else text
        return format_html(
            '<span dir="auto">{}</span><br>{} · {}',
            text,
            moment(obj.last_message_at),
            obj.sender.name,
        )

    @admin.display(description=gettext_lazy("reply window"))
    def window(self, obj: Conversation) -> str:
        found = _window_of(obj)
        if not found.limited:
            return _("no limit")
        if found.ends_at is None:
            return _("template only")
        if found.is_open(clock.now()):
            return _("open until %(time)s") % {"time": moment(found.ends_at)}
        return _("template only (closed %(time)s)") % {"time": moment(found.ends_at)}

    # The page

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fixed = ["contact", "sender", "kind", "window", "last_inbound_at", "latest"]
        if not request.user.has_perm("messaging.assign_conversation"):
            fixed.append("assignee")
        return fixed

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (None, {"fields": ["contact", "sender", "window", "last_inbound_at"]}),
            (_("Work"), {"fields": ["status", "assignee", "labels"]}),
            (_("Latest messages"), {"fields": ["latest"]}),
        ]

    @admin.display(description=gettext_lazy("contact"))
    def contact(self, obj: Conversation) -> str:
        url = model_url(self.admin_site, Contact, "change", obj.address.contact_id)
        name = obj.address.contact.name or _("(no name)")
        return format_html('<a href="{}">{}</a>', url, name)

    @admin.display(description=gettext_lazy("latest messages"))
    def latest(self, obj: Conversation) -> str:
        rows = list(obj.messages.order_by("-pk")[:LATEST])
        url = model_url(self.admin_site, Message, "changelist")
        lines = format_html_join(
            "",
            '<p>{} {} <a href="{}" dir="auto">{}</a> ({})</p>',
            (
                (
                    "←" if row.direction == "inbound" else "→",
                    moment(row.created_at),
                    model_url(self.admin_site, Message, "change", row.pk),
                    row.text[:100] or row.get_kind_display(),
                    row.get_status_display(),
                )
                for row in rows
            ),
        )
        return format_html(
            '<div class="messaging-latest">{}</div><a href="{}?conversation__id__exact={}">{}</a>',
            lines,
            url,
            obj.pk,
            _("Show all its messages"),
        )

    def open_send(self, request: HttpRequest, obj: Conversation) -> HttpResponse:
        url = model_url(self.admin_site, Message, "send")
        return HttpResponseRedirect(f"{url}?conversation={obj.pk}")

    def can_ask_window(self, request: HttpRequest, obj: Conversation) -> bool:
        cls = adapter_of(obj.sender.adapter_slug())
        return cls is not None and cls.supports("session_status") and _window_of(obj).limited

    def ask_window(self, request: HttpRequest, obj: Conversation) -> None:
        """Ask whether the reply window is open; what the gateway says may extend it."""
        try:
            is_open = sync.ask_window(obj)
        except GatewayError as error:
            self.message_user(request, health.explain(error), messages.ERROR)
            return
        said = (
            _("The gateway says that the reply window is open.")
            if is_open
            else _("The gateway says that the reply window is closed.")
        )
        here = _("Here: %(window)s.") % {"window": self.window(obj)}
        self.message_user(request, f"{said} {here}", messages.SUCCESS)


def _window_of(obj: Conversation) -> Window:
    return Window(
        policy=obj.sender.provider.window_policy,
        channel=obj.sender.channel,
        is_group=obj.kind == ConversationKind.GROUP,
        last_inbound_at=obj.last_inbound_at,
        expires_at=obj.window_expires_at,
        opened_by=obj.window_opened_by,
    )
