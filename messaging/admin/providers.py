"""Providers with their senders."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import conditional_escape, format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import adapters
from ..adapters.base import Adapter
from ..models import Provider, Sender
from .accounts import (
    MOVED,
    POLICY_HELP,
    RATE_HELP,
    RECEIVING,
    RECIPIENTS_HELP,
    SenderFormSet,
    adapter_of,
    credential_names,
    option_names,
    options_of,
    provider_form,
    sender_form,
)
from .base import model_url, save_changed
from .lanes import MANAGE, LaneAdmin, moment
from .receiving import ProviderReceiving

#: A provider with more senders shows a link to them instead of their forms.
MOST_INLINE = 25


def chosen_adapter(request: HttpRequest, obj: Provider | None) -> type[Adapter] | None:
    """The gateway picked in the address (before a provider is made, or to change it), else the
    row's own."""
    picked = request.GET.get("adapter", "")
    if picked and (obj is None or _may_change_adapter(obj)):
        return adapter_of(picked)
    return adapter_of(obj.adapter) if obj else None


def _may_change_adapter(obj: Provider) -> bool:
    return not Sender.objects.filter(provider=obj, messages__isnull=False).exists()


class SenderInline(admin.StackedInline):
    model = Sender
    formset = SenderFormSet
    can_delete = False
    show_change_link = True
    extra = 0

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj and obj.senders.exists() else 1

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        cls = chosen_adapter(request, obj)
        own = credential_names(cls.sender_credentials) if cls else []
        secrets = own if self.has_change_permission(request, obj) else []
        return [
            (None, {"fields": [("name", "channel"), ("address", "external_id"), *secrets]}),
            (None, {"fields": [("is_active", "is_default"), *(["rate"] if own else [])]}),
        ]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        kwargs["form"] = sender_form(chosen_adapter(request, obj))
        return super().get_formset(request, obj, **kwargs)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request, obj) and request.user.has_perm(MANAGE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and request.user.has_perm(MANAGE)


class ProviderAdmin(ProviderReceiving):
    list_display = ["name", "gateway", "base_url", "sender_count", "state", "balance"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    inlines = [SenderInline]
    ordering = ["name"]
    buttons = [*ProviderReceiving.receiving_buttons, *LaneAdmin.buttons]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        rows = super().get_queryset(request)
        return rows.annotate(_senders=Count("senders")) if self._is_list(request) else rows

    def _is_list(self, request: HttpRequest) -> bool:
        return request.path == self.url("changelist")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only while nothing hangs on it: what was sent stays on record. Switch it off instead."""
        if obj is not None and (obj.senders.exists() or obj.calls.exists()):
            return False
        return super().has_delete_permission(request, obj)

    # Columns

    @admin.display(description=gettext_lazy("gateway"), ordering="adapter")
    def gateway(self, obj: Provider) -> str:
        cls = adapter_of(obj.adapter)
        return str(cls.label) if cls else _("%(slug)s (not installed)") % {"slug": obj.adapter}

    @admin.display(description=gettext_lazy("senders"))
    def sender_count(self, obj: Provider) -> str:
        count = getattr(obj, "_senders", None)
        count = obj.senders.count() if count is None else count
        url = model_url(self.admin_site, Sender, "changelist")
        text = ngettext("%(count)d sender", "%(count)d senders", count) % {"count": count}
        return format_html('<a href="{}?provider__id__exact={}">{}</a>', url, obj.pk, text)

    @admin.display(description=gettext_lazy("gateway"))
    def gateway_details(self, obj: Provider) -> str:
        if not obj.pk or not _may_change_adapter(obj):
            return self.gateway(obj)
        return format_html(
            '{} <a href="?choose=1">{}</a>', self.gateway(obj), _("Change the gateway")
        )

    @admin.display(description=gettext_lazy("created"))
    def created(self, obj: Provider) -> str:
        return moment(obj.created_at)

    # The form

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        many = obj is not None and obj.senders.count() > MOST_INLINE
        return [] if many else list(self.inlines)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["gateway_details", "state_details", "balance_details", "sender_count"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        cls = chosen_adapter(request, obj)
        may_change = (
            self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        )
        account = ["name", "gateway_details", "base_url"]
        if cls and may_change:
            account += [*credential_names(cls.provider_credentials), *option_names(cls.options)]
        # Where the credentials are the senders' own, so are the pace and the balance.
        is_lane = not (cls and cls.sender_credentials)
        sending = ["window_policy", *(["rate"] if is_lane else [])]
        if cls and cls.max_recipients > 1:
            sending.append("recipients_per_call")
        help_text = conditional_escape(cls.setup_help) if cls else ""
        found = [
            (None, {"fields": account, "description": help_text}),
            (_("Sending"), {"fields": [*sending, "default_region", "time_zone", "is_active"]}),
        ]
        if obj:
            balance = ["balance_details"] if is_lane else []
            shown = ["state_details", *balance, "sender_count"]
            found.append((_("State"), {"fields": shown}))
        if cls and may_change and len(options_of(cls)) > len(cls.options):
            found.append((_("Receiving"), {"fields": option_names(RECEIVING)}))
        return found

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        cls = chosen_adapter(request, obj)
        default = cls.default_recipients if cls else 1
        kwargs["form"] = provider_form(cls)
        kwargs["help_texts"] = {
            "rate": RATE_HELP,
            "window_policy": POLICY_HELP,
            "recipients_per_call": str(RECIPIENTS_HELP) % {"count": default},
        }
        if self.has_view_permission(request, obj) and not self._edits(request, obj):
            del kwargs["form"]
        return super().get_form(request, obj, change, **kwargs)

    def _edits(self, request: HttpRequest, obj: Any) -> bool:
        if obj is None:
            return self.has_add_permission(request)
        return self.has_change_permission(request, obj)

    # Choosing the gateway first, so that its fields show without JavaScript

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if object_id is None and adapter_of(request.GET.get("adapter", "")) is None:
            if not self.has_add_permission(request):
                return super().changeform_view(request, object_id, form_url, extra_context)
            return self._choose(request, None)
        if request.GET.get("choose") and object_id is not None:
            obj = self.get_object(request, object_id)
            if obj and self.has_change_permission(request, obj) and _may_change_adapter(obj):
                return self._choose(request, obj)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _choose(self, request: HttpRequest, obj: Provider | None) -> HttpResponse:
        context = {
            "title": _("Which gateway?"),
            "original": obj,
            "gateways": [
                {"slug": slug, "label": cls.label, "help": cls.setup_help}
                for slug, cls in adapters.adapter_classes().items()
            ],
        }
        return self.page(request, "provider/choose_gateway.html", context)

    # Saving

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if change and getattr(form.instance, MOVED, False):
            self._drop_secrets(request, form, formsets)

    def _drop_secrets(self, request: HttpRequest, form: Any, formsets: Any) -> None:
        """The address changed: what was entered for the old one is forgotten, everywhere."""
        renewed = {row.instance.pk for formset in formsets for row in formset.forms if row.given()}
        cleared = 0
        for sender in Sender.objects.filter(provider=form.instance).exclude(pk__in=renewed):
            if sender.credentials:
                sender.credentials = {}
                sender.save(update_fields=["credentials"])
                cleared += 1
        if not cleared and (form.given() or not form.specs):
            return
        self.message_user(
            request,
            _(
                "The gateway's address changed, so the credentials stored for the old one were "
                "removed, also those of its senders. Enter them again; until then nothing is sent."
            ),
            messages.WARNING,
        )

    def save_inline(self, obj: Any, form: Any, *, change: bool) -> None:
        save_sender(obj, form, change=change)

    def response_change(self, request: HttpRequest, obj: Provider) -> HttpResponse:
        if request.GET.get("adapter"):
            # The page's own address still says which gateway was picked.
            self.message_user(
                request,
                _("The gateway is now %(gateway)s.") % {"gateway": self.gateway(obj)},
                messages.SUCCESS,
            )
            return HttpResponseRedirect(self.url("change", obj.pk))
        return super().response_change(request, obj)


def save_sender(sender: Sender, form: Any, *, change: bool) -> None:
    """Save a sender; a new default takes the place of the old one."""
    if sender.is_default:
        Sender.objects.filter(is_default=True).exclude(pk=sender.pk).update(is_default=False)
    save_changed(sender, form, change=change)
