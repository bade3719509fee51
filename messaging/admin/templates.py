"""Templates: what was approved, written down, copied and sent."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import Message, Template, TemplateStatus
from .base import Button, MessagingAdmin, model_url
from .forms import BUTTONS, template_form


class TemplateAdmin(MessagingAdmin):
    list_display = ["name", "language", "status", "category", "account", "body_start"]
    list_filter = ["status", "category", "header_kind"]
    list_select_related = ["provider", "sender"]
    search_fields = ["name", "body"]
    autocomplete_fields = ["provider", "sender"]
    bulk_delete = True
    ordering = ["name", "language"]
    buttons = [
        Button(
            name="send",
            label=gettext_lazy("Send this template…"),
            permission="messaging.send_message",
            method="open_send",
            shown="is_approved",
            page=True,
        ),
        Button(
            name="duplicate",
            label=gettext_lazy("Duplicate"),
            permission="messaging.add_template",
            method="duplicate",
        ),
    ]

    # Columns

    @admin.display(description=gettext_lazy("provider"), ordering="provider__name")
    def account(self, obj: Template) -> str:
        return f"{obj.provider} · {obj.sender}" if obj.sender else str(obj.provider)

    @admin.display(description=gettext_lazy("body"))
    def body_start(self, obj: Template) -> str:
        return obj.body[:60] + "…" if len(obj.body) > 60 else obj.body

    @admin.display(description=gettext_lazy("variables"))
    def variable_names(self, obj: Template) -> str:
        return ", ".join(obj.variables or []) or _("none")

    @admin.display(description=gettext_lazy("status at the gateway"))
    def status_details(self, obj: Template) -> str:
        return obj.status_text or _("nothing more is known")

    @admin.display(description=gettext_lazy("preview"))
    def preview(self, obj: Template) -> str:
        header = obj.header if obj.header_kind == "text" else obj.get_header_kind_display()
        parts = [header, obj.body, obj.footer]
        text = "\n".join(part for part in parts if part)
        return format_html('<div class="messaging-bubble" dir="auto">{}</div>', text)

    # The form

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["variable_names", "status_details", "preview"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        whose = ["provider", "sender", "name", "language", "category", "external_id"]
        texts = [("header_kind", "header"), "body", "footer", "parameter_format"]
        status = ["status", *(["status_details"] if obj and obj.status_text else [])]
        found: list[Any] = [(None, {"fields": [*whose, *status]})]
        if not self._edits(request, obj):
            return [*found, (_("Text"), {"fields": [*texts, "preview", "variable_names"]})]
        found.append((_("Text"), {"fields": [*texts, *(["preview"] if obj else [])]}))
        count = max(BUTTONS, len(obj.buttons or []) if obj else 0)
        lines = [
            (f"button{number}_type", f"button{number}_text", f"button{number}_value")
            for number in range(1, count + 1)
        ]
        found.append((_("Buttons"), {"fields": lines, "classes": ["messaging-rows"]}))
        if obj and obj.variables:
            samples = [f"sample_{name}" for name in obj.variables]
            found.append((_("Sample values"), {"fields": samples, "classes": ["collapse"]}))
        return found

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if self._edits(request, obj):
            kwargs["form"] = template_form(obj)
        kwargs["help_texts"] = {
            "status": _(
                "Set it by hand where the gateway tells nothing. Only approved ones leave."
            ),
            "body": _("Variables are written {{1}}, {{2}} … or {{name}}."),
        }
        return super().get_form(request, obj, change, **kwargs)

    def _edits(self, request: HttpRequest, obj: Any) -> bool:
        if obj is None:
            return self.has_add_permission(request)
        return self.has_change_permission(request, obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        queryset, distinct = super().get_search_results(request, queryset, search_term)
        if request.path.endswith("/autocomplete/") and request.GET.get("model_name") == "message":
            # Chosen for sending: what is not approved would only be refused.
            queryset = queryset.filter(status=TemplateStatus.APPROVED)
        return queryset, distinct

    # Steps

    def is_approved(self, request: HttpRequest, obj: Template) -> bool:
        return obj.status == TemplateStatus.APPROVED

    def open_send(self, request: HttpRequest, obj: Template) -> HttpResponse:
        url = model_url(self.admin_site, Message, "send")
        return HttpResponseRedirect(f"{url}?kind=template&template={obj.pk}")

    def duplicate(self, request: HttpRequest, obj: Template) -> HttpResponse:
        """A copy to change and have approved: under a free name, approved by nobody."""
        copy = Template.objects.get(pk=obj.pk)
        copy.pk = None
        copy._state.adding = True
        copy.name = self._free_name(obj)
        copy.external_id, copy.status, copy.status_text = "", TemplateStatus.UNKNOWN, ""
        copy.synced_at = None
        copy.save()
        self.log_addition(request, copy, _("Duplicated from %(name)s.") % {"name": obj.name})
        self.message_user(
            request,
            _("This is a copy of “%(name)s”. Give it its name; it can be sent once approved.")
            % {"name": obj.name},
            messages.SUCCESS,
        )
        return HttpResponseRedirect(self.url("change", copy.pk))

    def _free_name(self, obj: Template) -> str:
        base = f"{obj.name[:500]}_copy"
        siblings = Template.objects.filter(provider=obj.provider_id, name__startswith=base)
        taken = set(siblings.values_list("name", flat=True))
        numbered = (f"{base}_{number}" for number in range(2, len(taken) + 3))
        return next(name for name in (base, *numbered) if name not in taken)
