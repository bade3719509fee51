"""Messages: a quick list, and a page that tells everything of one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import clock, outbox, polling
from ..errors import MessagingError
from ..events import Status
from ..models import Conversation, Message
from . import export, files, numbers, scope, search
from .base import (
    Button,
    MessagingAdmin,
    in_words,
    log_all,
    log_note,
    model_url,
    outside_transactions,
)
from .edit import EditPage
from .history import calls_of, pretty, steps_of, template_instead, warnings_of
from .lanes import MOST_CALLS, moment
from .paging import CAP, CappedChangeList, CreatedFilter, ErrorFilter, SenderFilter, with_people
from .send import SendPage

CANCEL = "messaging.cancel_message"
SETTLE = "messaging.settle_message"
RESEND = "messaging.resend_message"
SEND = "messaging.send_message"

_LEFT = (Status.UNKNOWN, Status.ACCEPTED, Status.SENT, Status.DELIVERED)
_UNSURE = (Status.UNKNOWN, Status.ACCEPTED, Status.SENT, Status.FAILED)


class MessageAdmin(MessagingAdmin):
    list_display = ["snippet", "masked_person", "state"]
    list_filter = [CreatedFilter, "status", "direction", "kind", ErrorFilter, SenderFilter]
    search_fields = ["text"]
    search_help_text = gettext_lazy(
        "The beginning of a number, a name, or words of one of the newest 20,000 messages."
    )
    ordering = ["-created_at", "-id"]
    actions = ["cancel_selected", "check_selected"]
    buttons = [
        Button(
            name="edit",
            label=gettext_lazy("Change"),
            permission=SEND,
            method="edit_one",
            shown="can_edit",
            page=True,
        ),
        Button(
            name="cancel",
            label=gettext_lazy("Cancel it"),
            permission=CANCEL,
            method="cancel_one",
            shown="can_cancel",
        ),
        Button(
            name="check",
            label=gettext_lazy("Check with the gateway"),
            permission=SETTLE,
            method="check_one",
            shown="can_check",
        ),
        Button(
            name="arrived",
            label=gettext_lazy("It arrived"),
            permission=SETTLE,
            method="arrived_one",
            shown="can_settle",
        ),
        Button(
            name="again",
            label=gettext_lazy("Send again…"),
            permission=RESEND,
            method="send_again",
            shown="can_resend",
            page=True,
        ),
    ]

    # What a message allows by itself: nothing. It is sent, and changed, by the outbox.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CANCEL)

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(SETTLE)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # The stock rule lets whoever may change view; nobody may change, so it is asked here.
        return request.user.has_perm(f"{self.opts.app_label}.view_message")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows = scope.messages(request.user, super().get_queryset(request))
        return with_people(rows) if request.path == self.url("changelist") else rows

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("send/", site.admin_view(self.send_view), name="messaging_message_send"),
            path("export/", site.admin_view(self.export_view), name="messaging_message_export"),
            *files.urls(self),
            *super().get_urls(),
        ]

    # The list

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        full = numbers.may_see(request)
        return [
            "full_person" if full and name == "masked_person" else name
            for name in self.list_display
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        return search.messages(queryset, search_term, full=numbers.may_see(request)), False

    @outside_transactions
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {
            **self._list_title(request),
            "messaging_send_url": self.url("send") if self.has_send_permission(request) else "",
            "messaging_export_url": f"{self.url('export')}?{request.GET.urlencode()}",
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def _list_title(self, request: HttpRequest) -> dict[str, str]:
        """Whose messages these are, where the list is a conversation's."""
        pk = request.GET.get("conversation__id__exact", "")
        rows = scope.conversations(request.user, Conversation.objects.all())
        rows = rows.select_related("address__contact", "sender")
        found = rows.filter(pk=int(pk)).first() if pk.isdecimal() else None
        if found is None:
            return {}
        label = numbers.label(found, full=numbers.may_see(request))
        return {"title": _("Messages with %(label)s") % {"label": label}}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CappedChangeList

    @admin.display(description=gettext_lazy("message"), ordering="-created_at")
    def snippet(self, obj: Message) -> str:
        text = obj.text[:70] + "…" if len(obj.text) > 70 else obj.text
        return format_html(
            '{} <span dir="auto">{}</span><br><span class="messaging-small">{} · {}</span>',
            "←" if obj.direction == "inbound" else "→",
            text or obj.get_kind_display(),
            moment(obj.created_at),
            obj.sender.name,
        )

    @admin.display(description=gettext_lazy("contact"))
    def full_person(self, obj: Message) -> str:
        return self._person(obj, full=True)

    @admin.display(description=gettext_lazy("contact"))
    def masked_person(self, obj: Message) -> str:
        return self._person(obj, full=False)

    def _person(self, obj: Message, *, full: bool) -> str:
        address = obj.conversation.address
        number = numbers.shown(address.value, full=full)
        name = address.contact.name
        return format_html("{}<br>{}", name, number) if name else number

    @admin.display(description=gettext_lazy("status"))
    def state(self, obj: Message) -> str:
        return format_html(
            '<span class="messaging-pill messaging-{}">{}</span>', obj.status, self._state(obj)
        )

    def _state(self, obj: Message) -> str:
        if obj.held:
            return _("until they write")
        if obj.is_scheduled(clock.now()):
            return _("scheduled %(time)s") % {"time": moment(obj.scheduled_at)}
        return str(obj.get_status_display())

    # One message

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        full = numbers.may_see(request)
        person, error = ("full_person", "error") if full else ("masked_person", "masked_error")
        what = ["preview", "state", person, "sender", "kind", "direction"]
        when = ["created_at", "author_name", "scheduled_at", "due_at", "expires_at", "occurred_at"]
        found = [
            (None, {"fields": what}),
            (_("Times"), {"fields": [name for name in when if getattr(obj, name, None)]}),
        ]
        if obj and obj.direction == "outbound":
            gateway = ["external_id", error, "attempts"]
            if obj.kind != "text":
                what.insert(1, "details")
            found.append((_("At the gateway"), {"fields": gateway}))
            what += [name for name in ("resend_of", "resent") if self._has(obj, name)]
        return found

    def _has(self, obj: Message, name: str) -> bool:
        return bool(obj.resend_of_id if name == "resend_of" else hasattr(obj, "resent_as"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    @admin.display(description=gettext_lazy("message"))
    def preview(self, obj: Message) -> str:
        return format_html('<div class="messaging-bubble" dir="auto">{}</div>', obj.text or "–")

    @admin.display(description=gettext_lazy("error"))
    def error(self, obj: Message) -> str:
        if not obj.error_class:
            return _("none")
        words = " ".join(part for part in (obj.error_code, obj.error_text) if part)
        text = str(obj.get_error_class_display())
        return f"{text} ({words})" if words else text

    @admin.display(description=gettext_lazy("error"))
    def masked_error(self, obj: Message) -> str:
        return numbers.mask_text(self.error(obj))

    @admin.display(description=gettext_lazy("in full"))
    def details(self, obj: Message) -> str:
        return format_html(
            '<details><summary>{}</summary><pre class="messaging-call">{}</pre></details>',
            _("Show all its parts"),
            pretty(obj.content),
        )

    @admin.display(description=gettext_lazy("sent again as"))
    def resent(self, obj: Message) -> str:
        again = obj.resent_as
        return format_html('<a href="{}">{}</a>', self.url("change", again.pk), again.pk)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        obj = self.get_object(request, object_id)
        context: dict[str, Any] = {"title": _("Message")}
        if obj is not None and self.has_view_permission(request, obj):
            full = numbers.may_see(request)
            context |= {
                "messaging_steps": steps_of(obj, full=full),
                "messaging_calls": calls_of(obj, full=full),
                "messaging_warnings": warnings_of(obj),
                "messaging_template": template_instead(obj),
                "messaging_files": files.rows_of(self, request, obj),
                "messaging_conversation": model_url(
                    self.admin_site, Conversation, "change", obj.conversation_id
                ),
            }
        context |= extra_context or {}
        return super().change_view(request, object_id, form_url, context)

    # Steps

    def _may_press(self, request: HttpRequest, obj: Any, button: Button) -> bool:
        """What sends needs the right to write from the message's sender as well."""
        allowed = super()._may_press(request, obj, button)
        return allowed and (not button.page or scope.may_use(request.user, obj.sender))

    def can_edit(self, request: HttpRequest, obj: Message) -> bool:
        return obj.held or obj.is_scheduled(clock.now())

    def can_cancel(self, request: HttpRequest, obj: Message) -> bool:
        return obj.status == Status.QUEUED

    def can_check(self, request: HttpRequest, obj: Message) -> bool:
        return obj.direction == "outbound" and obj.status in _LEFT

    def can_settle(self, request: HttpRequest, obj: Message) -> bool:
        return obj.direction == "outbound" and obj.status in _UNSURE

    def can_resend(self, request: HttpRequest, obj: Message) -> bool:
        return obj.status in (Status.UNKNOWN, Status.FAILED) and not self._has(obj, "resent")

    def cancel_one(self, request: HttpRequest, obj: Message) -> None:
        if outbox.cancel([obj], by=request.user):
            self.log_change(request, obj, _("Cancelled."))
            self.message_user(request, _("Cancelled. It is not sent."), messages.SUCCESS)
            return
        text = _("Nothing was cancelled: the message is on its way, or done.")
        self.message_user(request, text, messages.WARNING)

    def check_one(self, request: HttpRequest, obj: Message) -> None:
        found = polling.check_message(obj, by=request.user)
        self.log_change(request, obj, _("Checked with the gateway."))
        if found.status == Status.UNKNOWN:
            text = _("The gateway's report does not settle it. It stays “may have been sent”.")
            self.message_user(request, text, messages.WARNING)
            return
        text = _("The gateway says: %(status)s.") % {"status": found.get_status_display()}
        self.message_user(request, text, messages.SUCCESS)

    def arrived_one(self, request: HttpRequest, obj: Message) -> None:
        before = obj.status
        found = outbox.mark_arrived(obj, by=request.user)
        if found.status != before:
            self.log_change(request, obj, _("Marked as arrived."))
        self.message_user(request, _("Noted: it arrived."), messages.SUCCESS)

    def edit_one(self, request: HttpRequest, obj: Message) -> HttpResponse:
        return EditPage(self, request, obj).respond()

    def send_again(self, request: HttpRequest, obj: Message) -> HttpResponse:
        if request.method == "POST":
            known = hasattr(obj, "resent_as")
            again = outbox.send_again(obj, by=request.user)
            if not known:
                self.log_change(request, obj, _("Sent again as %(id)s.") % {"id": again.pk})
            text = _("Queued once more, as a new message. This page shows what becomes of it.")
            self.message_user(request, text, messages.SUCCESS)
            return HttpResponseRedirect(self.url("change", again.pk))
        if not self.can_resend(request, obj):
            text = _("This message cannot be sent again: it was already, or it did not fail.")
            self.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(self.url("change", obj.pk))
        return EditPage(self, request, obj).confirm_again()

    # Several at once

    @admin.action(description=gettext_lazy("Cancel what still waits"), permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        rows = list(queryset.filter(status=Status.QUEUED)[:CAP])
        count = outbox.cancel(rows, by=request.user)
        done = Message.objects.filter(pk__in=[row.pk for row in rows], status=Status.CANCELLED)
        log_all(request, list(done), _("Cancelled."))
        text = ngettext(
            "%(count)d message is cancelled and is not sent.",
            "%(count)d messages are cancelled and are not sent.",
            count,
        )
        level = messages.SUCCESS if count else messages.WARNING
        self.message_user(request, text % {"count": count}, level)

    @admin.action(description=gettext_lazy("Check with the gateway"), permissions=["settle"])
    def check_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        left = queryset.filter(direction="outbound", status__in=_LEFT)
        rows = list(left.select_related("sender__provider")[: MOST_CALLS + 1])
        checked = []
        for row in rows[:MOST_CALLS]:
            try:
                checked.append(polling.check_message(row, by=request.user))
            except MessagingError as error:
                self.message_user(request, in_words(error), messages.ERROR)
                break
        log_all(request, checked, _("Checked with the gateway."))
        text = ngettext(
            "%(count)d message was checked.", "%(count)d messages were checked.", len(checked)
        ) % {"count": len(checked)}
        if len(rows) > MOST_CALLS:
            text += " " + _("Choose at most %(most)d at a time.") % {"most": MOST_CALLS}
        self.message_user(request, text, messages.SUCCESS if checked else messages.WARNING)

    # Pages of their own

    def send_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_send_permission(request):
            raise PermissionDenied
        return SendPage(self, request).respond()

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).get_queryset(request)
        log_note(request, Message, _("Exported messages as CSV."))
        return export.response(rows, full=numbers.may_see(request))
