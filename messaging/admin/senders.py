"""Senders on a page of their own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import conditional_escape, format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..adapters.base import Adapter
from ..models import Message, Provider, Sender, SenderAccess
from .accounts import RATE_HELP, adapter_of, credential_names, sender_form
from .base import Button, HostFieldsMixin, model_url
from .lanes import MANAGE, LaneAdmin
from .numbers import shown
from .pairing import PAIR, PairingAdmin
from .providers import save_sender
from .receiving import SenderReceiving


class AccessInline(HostFieldsMixin, admin.TabularInline):
    """Who may write from this sender; nobody named means everybody."""

    model = SenderAccess
    extra = 0
    raw_id_fields = ["user", "group"]
    host_fields = ["user", "group"]
    verbose_name_plural = gettext_lazy("who may write from here (nobody listed: everybody)")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MANAGE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MANAGE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MANAGE)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MANAGE)


class SenderAdmin(PairingAdmin, SenderReceiving):
    list_display = ["name", "number", "channel", "provider", "connection", "state"]
    list_filter = ["channel", "connection", "is_active"]
    list_select_related = ["provider"]
    search_fields = ["name", "address"]
    ordering = ["name"]
    inlines = [AccessInline]
    buttons = [
        Button(
            name="send",
            label=gettext_lazy("Send a message"),
            permission="messaging.send_message",
            method="open_send",
            shown="can_send",
            page=True,
        ),
        *PairingAdmin.pairing_buttons,
        *SenderReceiving.receiving_buttons,
        *LaneAdmin.buttons,
    ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only while it has said nothing: conversations stay on record. Switch it off instead."""
        if obj is not None and obj.conversations.exists():
            return False
        return super().has_delete_permission(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return list(self.inlines) if obj else []

    # Columns

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        if not request.user.has_perm(PAIR):
            return list(self.list_display)
        return [
            "connection_and_link" if name == "connection" else name for name in self.list_display
        ]

    @admin.display(description=gettext_lazy("number"), ordering="address")
    def number(self, obj: Sender) -> str:
        return shown(obj.address, full=True)

    @admin.display(description=gettext_lazy("messages"))
    def messages_link(self, obj: Sender) -> str:
        url = model_url(self.admin_site, Message, "changelist")
        return format_html('<a href="{}?sender={}">{}</a>', url, obj.pk, _("Show its messages"))

    # The form

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        state = ["connection", "state_details", "balance_details", "receiving", "messages_link"]
        return ["provider", *state]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        cls = self._adapter(request, obj)
        own = credential_names(cls.sender_credentials) if cls else []
        secrets = own if self._edits(request, obj) else []
        fields = ["name", "channel", "address", "external_id", *secrets]
        if obj is None:
            return [(None, {"fields": [*fields, ("is_active", "is_default")]})]
        rate = ["rate"] if own else []
        state = ["connection", "state_details", "balance_details", "receiving", "messages_link"]
        return [
            (
                None,
                {
                    "fields": ["provider", *fields, *rate, ("is_active", "is_default")],
                    "description": conditional_escape(cls.setup_help) if cls and own else "",
                },
            ),
            (_("State"), {"fields": state}),
        ]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        preset = None if obj else self._provider(request)
        if self._edits(request, obj):
            kwargs["form"] = sender_form(self._adapter(request, obj), preset)
        kwargs["help_texts"] = {"rate": RATE_HELP}
        return super().get_form(request, obj, change, **kwargs)

    def _edits(self, request: HttpRequest, obj: Any) -> bool:
        if obj is None:
            return self.has_add_permission(request)
        return self.has_change_permission(request, obj)

    def _adapter(self, request: HttpRequest, obj: Sender | None) -> type[Adapter] | None:
        provider = obj.provider if obj else self._provider(request)
        return adapter_of(provider.adapter) if provider else None

    def _provider(self, request: HttpRequest) -> Provider | None:
        """The provider a new sender is for, as the page's address says."""
        pk = request.GET.get("provider", "")
        return Provider.objects.filter(pk=int(pk)).first() if pk.isdecimal() else None

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        provider = self._provider(request)
        if provider is None and self.has_add_permission(request):
            return self._choose(request)
        if provider is not None:
            title = _("Add a sender to %(provider)s") % {"provider": provider}
            extra_context = {"title": title, **(extra_context or {})}
        return super().add_view(request, form_url, extra_context)

    def _choose(self, request: HttpRequest) -> HttpResponse:
        context = {
            "title": _("Which provider?"),
            "providers": Provider.objects.order_by("name")[:100],
            "add_provider": model_url(self.admin_site, Provider, "add"),
        }
        return self.page(request, "sender/choose_provider.html", context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        save_sender(obj, form, change=change)

    # Sending from it

    def can_send(self, request: HttpRequest, obj: Sender) -> bool:
        return obj.is_active

    def open_send(self, request: HttpRequest, obj: Sender) -> HttpResponse:
        url = model_url(self.admin_site, Message, "send")
        return HttpResponseRedirect(f"{url}?sender={obj.pk}")
