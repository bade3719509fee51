"""Webhook requests as they came: a quick list, what each held, and working on one again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import inbox
from ..errors import ConfigurationError
from ..models import DeliveryState, Provider, WebhookDelivery
from . import numbers, scope
from .base import Button, MessagingAdmin, forget_banners, outside_transactions
from .history import pretty
from .lanes import moment
from .paging import CreatedFilter

VIEW: Final = "messaging.view_webhookdelivery"
REPLAY: Final = "messaging.replay_webhookdelivery"

#: Requests one press works on again, before the page answers.
MOST: Final = 200

#: Those that wait for a person, or for the next try.
WAITING: Final = (DeliveryState.QUARANTINED, DeliveryState.FAILED)

#: Badges count no further.
_ENOUGH: Final = 1000


class StateFilter(admin.SimpleListFilter):
    """By state, on its index; and those that need a look."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("waiting", _("Needs a look")), *DeliveryState.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value == "waiting":
            return queryset.filter(state__in=WAITING)
        return queryset.filter(state=value) if value in DeliveryState.values else queryset


class ProviderFilter(admin.SimpleListFilter):
    """The first providers by name."""

    title = gettext_lazy("provider")
    parameter_name = "provider"
    most: Final = 20

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = Provider.objects.order_by("name").values_list("pk", "name")[: self.most]
        return [(str(pk), name) for pk, name in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(provider=int(value)) if value and value.isdecimal() else queryset


class ReceivedFilter(CreatedFilter):
    title = gettext_lazy("received")
    parameter_name = "received"
    field = "received_at"


class WebhookDeliveryAdmin(MessagingAdmin):
    """Read only. What serves as a credential is masked, and so are numbers where they must be."""

    list_display = ["received", "provider", "state_pill", "reason", "attempts"]
    list_filter = [StateFilter, ProviderFilter, ReceivedFilter]
    list_select_related = ["provider"]
    # No index serves another order on a large table.
    sortable_by = ()
    ordering = ["-id"]
    actions = ["replay_selected"]
    buttons = [
        Button(
            name="replay",
            label=gettext_lazy("Process again"),
            permission=REPLAY,
            method="replay_one",
        ),
    ]

    class Media:
        css = {"all": ["messaging/receiving.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(VIEW)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(REPLAY)

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        """Without the bodies, which may be millions of characters to decrypt."""
        return super().get_queryset(request).select_related("provider").defer("body")

    def get_ordering(self, request: HttpRequest) -> Any:
        # One state's rows are read in the order of the index that finds them.
        one = request.GET.get("state") in DeliveryState.values
        return ["-received_at", "-id"] if one else ["-id"]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        full = numbers.may_see(request)
        names: list[Any] = list(self.list_display)
        return names if full else ["masked_reason" if name == "reason" else name for name in names]

    @outside_transactions
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {"messaging_states": self._badges(), **(extra_context or {})}
        return super().changelist_view(request, context)

    def _badges(self) -> list[dict[str, Any]]:
        """How many wait, by state, each a link to them."""
        found = []
        for state in WAITING:
            count = WebhookDelivery.objects.filter(state=state)[: _ENOUGH + 1].count()
            if count:
                shown = f"{_ENOUGH}+" if count > _ENOUGH else str(count)
                found.append({"state": state.value, "label": state.label, "count": shown})
        return found

    @admin.display(description=gettext_lazy("received"))
    def received(self, obj: WebhookDelivery) -> str:
        at = timezone.localtime(obj.received_at)
        return format_html(
            '<time datetime="{}">{}</time>', at.isoformat(), _exactly(obj.received_at)
        )

    @admin.display(description=gettext_lazy("state"))
    def state_pill(self, obj: WebhookDelivery) -> str:
        looks = {"quarantined": "unknown", "failed": "failed", "processed": "delivered"}
        return format_html(
            '<span class="messaging-pill messaging-{}">{}</span>',
            looks.get(obj.state, obj.state),
            obj.get_state_display(),
        )

    @admin.display(description=gettext_lazy("reason"))
    def reason(self, obj: WebhookDelivery) -> str:
        return _short(obj.error)

    @admin.display(description=gettext_lazy("reason"))
    def masked_reason(self, obj: WebhookDelivery) -> str:
        return numbers.mask_text(_short(obj.error))

    # One of them

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        full = numbers.may_see(request)
        names = ["received", "provider", "state_pill", "reasons" if full else "masked_reasons"]
        times = ["attempts", "processed", "next_try", "remote_address", "content_type"]
        if not self._may_read(request):
            content = "hidden_content"
        else:
            content = "content" if full else "masked_content"
        return [
            (None, {"fields": [*names, *times]}),
            (_("What came in"), {"fields": [content]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [
            name for _title, part in self.get_fieldsets(request, obj) for name in part["fields"]
        ]

    def _may_read(self, request: HttpRequest) -> bool:
        """One request may hold messages of anybody's conversations."""
        return request.user.has_perm("messaging.view_message") and scope.sees_all(request.user)

    @admin.display(description=gettext_lazy("reason"))
    def reasons(self, obj: WebhookDelivery) -> str:
        return obj.error or "–"

    @admin.display(description=gettext_lazy("reason"))
    def masked_reasons(self, obj: WebhookDelivery) -> str:
        return numbers.mask_text(self.reasons(obj))

    @admin.display(description=gettext_lazy("processed"))
    def processed(self, obj: WebhookDelivery) -> str:
        return moment(obj.processed_at) or "–"

    @admin.display(description=gettext_lazy("tried again"))
    def next_try(self, obj: WebhookDelivery) -> str:
        if obj.due_at is None:
            return _("not by itself")
        return _("by itself, at %(time)s") % {"time": moment(obj.due_at)}

    @admin.display(description=gettext_lazy("content"))
    def content(self, obj: WebhookDelivery) -> str:
        return self._content(obj, full=True)

    @admin.display(description=gettext_lazy("content"))
    def masked_content(self, obj: WebhookDelivery) -> str:
        return self._content(obj, full=False)

    @admin.display(description=gettext_lazy("content"))
    def hidden_content(self, obj: WebhookDelivery) -> str:
        return _("It may hold anybody's messages. You may not see everybody's conversations.")

    def _content(self, obj: WebhookDelivery, *, full: bool) -> str:
        try:
            text = pretty(inbox.redacted(obj))
        except ConfigurationError as error:
            return str(error)
        text = text if full else numbers.mask_text(text)
        return format_html('<pre class="messaging-call" dir="ltr">{}</pre>', text)

    # Working on them again

    def replay_one(self, request: HttpRequest, obj: WebhookDelivery) -> None:
        ends = self._replay(request, [obj.pk])
        self._tell(request, ends)

    @admin.action(description=gettext_lazy("Process again"), permissions=["replay"])
    def replay_selected(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]
    ) -> HttpResponse | None:
        # The oldest first, as they came.
        pks = sorted(queryset.values_list("pk", flat=True)[: MOST + 1])
        self._tell(request, self._replay(request, pks[:MOST]))
        if len(pks) > MOST:
            text = _("Only %(count)d were worked on. Repeat it, or use messaging_replay.")
            self.message_user(request, text % {"count": MOST}, messages.WARNING)
        return None

    def _replay(self, request: HttpRequest, pks: Iterable[int]) -> dict[str, int]:
        def rows() -> Iterator[WebhookDelivery]:
            for pk in pks:
                row = WebhookDelivery.objects.select_related("provider").filter(pk=pk).first()
                if row is not None:
                    yield row
                    # Back here it has been worked on.
                    text = _("Processed again: %(state)s.")
                    self.log_change(request, row, text % {"state": row.get_state_display()})

        ends = inbox.replay(rows())
        forget_banners()
        return ends

    def _tell(self, request: HttpRequest, ends: dict[str, int]) -> None:
        labels = dict(DeliveryState.choices)
        good = ends.pop(DeliveryState.PROCESSED.value, 0)
        if good:
            text = ngettext("%(count)d was processed.", "%(count)d were processed.", good)
            self.message_user(request, text % {"count": good}, messages.SUCCESS)
        for state, count in ends.items():
            text = ngettext(
                "%(count)d is %(state)s; its page says why.",
                "%(count)d are %(state)s; their pages say why.",
                count,
            )
            self.message_user(
                request, text % {"count": count, "state": labels[state]}, messages.WARNING
            )


def _short(error: str) -> str:
    line = error.partition("\n")[0]
    return line[:100] + "…" if len(line) > 100 else line


def _exactly(value: Any) -> str:
    """A time to the second: gateways repeat what was not answered within a few."""
    at = timezone.localtime(value)
    return f"{date_format(at, 'SHORT_DATE_FORMAT')} {date_format(at, 'H:i:s')}"
