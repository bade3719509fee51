"""Calls that went out, for whoever manages providers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from ..models import ProviderCall
from . import numbers
from .base import MessagingAdmin
from .history import pretty
from .lanes import MANAGE


class ProviderCallAdmin(MessagingAdmin):
    """Read only. Secrets were taken out while the call was built."""

    list_display = ["at", "operation", "provider", "status_code", "error", "seconds"]
    list_select_related = ["provider"]
    ordering = ["-id"]
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Its provider's keeper, who may also see the numbers that stand in it."""
        return request.user.has_perm(MANAGE) and numbers.may_see(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderCall]:
        return super().get_queryset(request).defer("request", "response")

    @admin.display(description=gettext_lazy("seconds"))
    def seconds(self, obj: ProviderCall) -> str:
        return f"{obj.duration:.2f}"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        names = ["at", "provider", "operation", "method", "url", "status_code", "error", "seconds"]
        return [(None, {"fields": [*names, "sent", "received"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["seconds", "sent", "received"]

    @admin.display(description=gettext_lazy("request"))
    def sent(self, obj: ProviderCall) -> str:
        return format_html('<pre class="messaging-call">{}</pre>', pretty(obj.request))

    @admin.display(description=gettext_lazy("answer"))
    def received(self, obj: ProviderCall) -> str:
        return format_html('<pre class="messaging-call">{}</pre>', pretty(obj.response))
