"""What providers and senders have in common on screen: pause, connection test, balance."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import clock, delivery, health
from ..errors import MessagingError
from ..models import LaneBase, PauseReason, Provider, Sender
from .accounts import adapter_of
from .base import Button, MessagingAdmin, forget_banners, outside_transactions

MANAGE = "messaging.manage_provider"
PAUSE = "messaging.pause_sender"

#: Rows an action talks to the gateway for, one after another, before the page answers.
MOST_CALLS = 20


def moment(value: datetime | None) -> str:
    """A time as the reader's language and zone write it."""
    return date_format(timezone.localtime(value), "SHORT_DATETIME_FORMAT") if value else ""


class LaneAdmin(MessagingAdmin):
    """Base of the provider's and the sender's screens."""

    manage_permission = MANAGE
    actions = ["pause_selected", "resume_selected", "test_selected", "refresh_selected"]
    buttons = [
        Button(
            name="test",
            label=gettext_lazy("Test connection"),
            permission=MANAGE,
            method="test_one",
            shown="can_test",
        ),
        Button(
            name="balance",
            label=gettext_lazy("Refresh balance"),
            permission=MANAGE,
            method="refresh_one",
            shown="has_balance",
        ),
        Button(
            name="pause",
            label=gettext_lazy("Pause"),
            permission=PAUSE,
            method="pause_one",
            shown="can_pause",
        ),
        Button(
            name="resume",
            label=gettext_lazy("Resume"),
            permission=PAUSE,
            method="resume_one",
            shown="is_paused",
        ),
    ]

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PAUSE)

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(MANAGE)

    @outside_transactions
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return super().changelist_view(request, extra_context)

    # What makes sense for a row

    def can_test(self, request: HttpRequest, obj: Provider | Sender) -> bool:
        """Where the credentials are the senders' own, there is nothing to test without one."""
        cls = adapter_of(obj.adapter_slug())
        return cls is not None and (isinstance(obj, Sender) or not cls.sender_credentials)

    def has_balance(self, request: HttpRequest, obj: Provider | Sender) -> bool:
        cls = adapter_of(obj.adapter_slug())
        return cls is not None and cls.supports("balance") and self.can_test(request, obj)

    def can_pause(self, request: HttpRequest, obj: LaneBase) -> bool:
        return obj.pause_reason != PauseReason.PERSON

    def is_paused(self, request: HttpRequest, obj: LaneBase) -> bool:
        return bool(obj.pause_reason)

    # Columns

    @admin.display(description=gettext_lazy("state"))
    def state(self, obj: LaneBase) -> str:
        if not obj.pause_reason:
            return _("sending") if getattr(obj, "is_active", True) else _("switched off")
        reason = obj.get_pause_reason_display()
        if not obj.is_paused(clock.now()):
            return _("trying again (%(reason)s)") % {"reason": reason}
        if obj.paused_until is None:
            return _("paused: %(reason)s") % {"reason": reason}
        return _("paused until %(time)s: %(reason)s") % {
            "time": moment(obj.paused_until),
            "reason": reason,
        }

    @admin.display(description=gettext_lazy("state"))
    def state_details(self, obj: LaneBase) -> str:
        return "\n".join(part for part in (self.state(obj), obj.pause_text) if part)

    @admin.display(description=gettext_lazy("balance"))
    def balance_details(self, obj: LaneBase) -> str:
        parts = [obj.balance or _("not known")]
        if obj.balance_checked_at:
            parts.append(_("checked %(time)s") % {"time": moment(obj.balance_checked_at)})
        if obj.plan_expires_at:
            parts.append(_("plan ends %(time)s") % {"time": moment(obj.plan_expires_at)})
        if obj.used_today is not None:
            parts.append(_("%(count)d used today") % {"count": obj.used_today})
        return " · ".join(parts)

    # Steps on one row

    def test_one(self, request: HttpRequest, obj: Provider | Sender) -> None:
        result = health.test_connection(obj)
        level = messages.SUCCESS if result.ok else messages.ERROR
        self.message_user(request, f"{obj}: {result.text}", level)
        self.log_change(request, obj, _("Tested the connection."))
        # A test that passes ends a pause for refused credentials.
        forget_banners()

    def refresh_one(self, request: HttpRequest, obj: Provider | Sender) -> None:
        result = health.refresh_balance(obj)
        level = messages.SUCCESS if result.ok else messages.ERROR
        self.message_user(request, f"{obj}: {result.text}", level)

    def pause_one(self, request: HttpRequest, obj: Provider | Sender) -> None:
        if obj.pause_reason != PauseReason.PERSON:
            text = _("Paused by %(name)s.") % {"name": request.user.get_username()}
            delivery.pause(obj, PauseReason.PERSON, text=text, by=request.user)
            self.log_change(request, obj, _("Paused sending."))
        forget_banners()
        self.message_user(
            request,
            _("“%(name)s” is paused. Its messages wait and are sent when you resume it.")
            % {"name": obj.name},
            messages.SUCCESS,
        )

    def resume_one(self, request: HttpRequest, obj: Provider | Sender) -> None:
        if delivery.resume(obj, by=request.user):
            self.log_change(request, obj, _("Resumed sending."))
        forget_banners()
        self.message_user(
            request, _("“%(name)s” sends again.") % {"name": obj.name}, messages.SUCCESS
        )

    # The same on several rows

    @admin.action(description=gettext_lazy("Pause sending"), permissions=["pause"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, self.pause_one)

    @admin.action(description=gettext_lazy("Resume sending"), permissions=["pause"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, self.resume_one)

    @admin.action(description=gettext_lazy("Test connection"), permissions=["manage"])
    def test_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, self.test_one, self.can_test)

    @admin.action(description=gettext_lazy("Refresh balance"), permissions=["manage"])
    def refresh_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, self.refresh_one, self.has_balance)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Any], step: Any, possible: Any = None
    ) -> None:
        rows = list(queryset[: MOST_CALLS + 1])
        for row in rows[:MOST_CALLS]:
            if possible is not None and not possible(request, row):
                text = _("%(row)s: there is nothing to ask here. Try its senders.") % {"row": row}
                self.message_user(request, text, messages.WARNING)
                continue
            try:
                step(request, row)
            except MessagingError as error:
                self.message_user(request, f"{row}: {error}", messages.ERROR)
        if len(rows) > MOST_CALLS:
            self.message_user(
                request,
                ngettext(
                    "Only the first %(count)d was done. Choose fewer at a time.",
                    "Only the first %(count)d were done. Choose fewer at a time.",
                    MOST_CALLS,
                )
                % {"count": MOST_CALLS},
                messages.WARNING,
            )
