"""WhatsApp groups of paired phones, as the gateway lists them. Nobody can write to one here."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from ..models import Contact, Group, GroupMember
from . import numbers
from .base import MessagingAdmin, PeopleMixin, model_url
from .lanes import moment
from .paging import SenderFilter

#: Members on one page.
MEMBERS: Final = 50


class GroupAdmin(PeopleMixin, MessagingAdmin):
    """Read only: fetched on the sender's page, or by messaging_sync."""

    list_display = ["masked_name", "sender", "size", "synced_at"]
    list_filter = [SenderFilter]
    list_select_related = ["sender"]
    search_fields = ["name"]
    ordering = ["name", "id"]
    actions = None

    class Media:
        css = {"all": ["messaging/receiving.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # The stock rule lets whoever may change view; nobody may change, so it is asked here.
        return request.user.has_perm("messaging.view_group")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        rows = super().get_queryset(request)
        if request.path != self.url("changelist"):
            return rows
        # Counted for the rows of a page, not for the table.
        members = GroupMember.objects.filter(group=OuterRef("pk")).order_by().values("group")
        count = Subquery(members.annotate(n=Count("pk")).values("n"), IntegerField())
        return rows.annotate(_size=Coalesce(count, 0))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        full = numbers.may_see(request)
        return [
            "full_name" if full and name == "masked_name" else name for name in self.list_display
        ]

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def full_name(self, obj: Group) -> str:
        return numbers.label(obj, full=True)

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def masked_name(self, obj: Group) -> str:
        return numbers.label(obj, full=False)

    @admin.display(description=gettext_lazy("members"))
    def size(self, obj: Group) -> int:
        count = getattr(obj, "_size", None)
        return obj.members.count() if count is None else int(count)

    @admin.display(description=gettext_lazy("fetched"))
    def fetched(self, obj: Group) -> str:
        return moment(obj.synced_at)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        name = "full_name" if numbers.may_see(request) else "masked_name"
        return [(None, {"fields": [name, "sender", "size", "fetched"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["full_name", "masked_name", "sender", "size", "fetched"]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        if obj is not None and obj.pk:
            context["messaging_members"] = self._members(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _members(self, request: HttpRequest, obj: Group) -> dict[str, Any]:
        """One page of the members: a group may have a thousand."""
        full = numbers.may_see(request)
        rows = obj.members.select_related("address__contact").order_by("pk")
        page = Paginator(rows, MEMBERS).get_page(request.GET.get("members"))
        may_open = request.user.has_perm("messaging.view_contact")
        return {
            "page": page,
            "rows": [
                {
                    "name": member.address.contact.name,
                    "number": numbers.shown(member.address.value, full=full),
                    "url": model_url(self.admin_site, Contact, "change", member.address.contact_id)
                    if may_open
                    else "",
                }
                for member in page
            ],
        }
