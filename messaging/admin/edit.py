"""Changing what still waits, and the page that warns before something is sent once more."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import clock, outbox
from ..content import Content
from ..errors import Refused
from ..events import Status
from ..models import Message
from . import kinds, numbers

KEEP, NOW, AT = "keep", "now", "at"


class WhenForm(forms.Form):
    """When it is sent."""

    when = forms.ChoiceField(
        label=gettext_lazy("When"),
        choices=[
            (KEEP, gettext_lazy("as it is")),
            (AT, gettext_lazy("at this time:")),
            (NOW, gettext_lazy("now")),
        ],
        initial=KEEP,
    )
    send_at = forms.SplitDateTimeField(
        label=gettext_lazy("Time"), required=False, widget=AdminSplitDateTime()
    )
    fieldsets = [(None, {"fields": ["when", "send_at"]})]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("when") == KEEP and "send_at" in self.changed_data and data.get("send_at"):
            # Whoever types a time means it.
            data["when"] = AT
        if data.get("when") == AT and "send_at" not in self.errors:
            if data.get("send_at") is None:
                self.add_error("send_at", _("Enter the day and the time."))
            elif data["send_at"] <= clock.now():
                self.add_error("send_at", _("This time has passed. Choose “now” to send it now."))
        return data

    def send_at_value(self) -> Any:
        when = self.cleaned_data["when"]
        if when == KEEP:
            return outbox.KEEP
        return self.cleaned_data["send_at"] if when == AT else None


class EditPage:
    """One request to the page that changes a scheduled or held message."""

    def __init__(self, model_admin: Any, request: HttpRequest, message: Message) -> None:
        self.admin = model_admin
        self.request = request
        self.message = message

    def respond(self) -> HttpResponse:
        if not self.admin.can_edit(self.request, self.message):
            text = _("This message is on its way or done; it cannot be changed.")
            self.admin.message_user(self.request, text, messages.WARNING)
            return self._back()
        data = self.request.POST if self.request.method == "POST" else None
        content = self._content_form(data)
        at = self.message.scheduled_at
        # As it is shown, or it would count as changed.
        when = WhenForm(data, initial={"send_at": at.replace(microsecond=0) if at else None})
        if data is not None and "_more" not in data and content.is_valid() & when.is_valid():
            try:
                return self._save(content, when)
            except Refused as error:
                when.add_error(None, ValidationError(str(error).split("\n")))
        return self._show(content, when)

    def _content_form(self, data: Any) -> Any:
        return kinds.content_form(
            self.message.kind,
            data,
            self.request.FILES if data is not None else None,
            user=self.request.user,
            content=self.message.value,
            template=self.message.template,
            more="_more" in (data or {}),
        )

    def _save(self, content: Any, when: WhenForm) -> HttpResponse:
        changed: Content | None = content.content() if content.has_changed() else None
        outbox.edit(
            self.message, content=changed, send_at=when.send_at_value(), by=self.request.user
        )
        text = _("Changed before it was sent.")
        self.admin.log_change(self.request, self.message, text)
        self.admin.message_user(self.request, _("Changed."), messages.SUCCESS)
        return self._back()

    def _back(self) -> HttpResponse:
        return HttpResponseRedirect(self.admin.url("change", self.message.pk))

    def _show(self, content: Any, when: WhenForm) -> HttpResponse:
        context = {
            "title": _("Change the message"),
            "forms": [
                AdminForm(content, content.fieldsets, {}),
                AdminForm(when, when.fieldsets, {}),  # type: ignore[arg-type]
            ],
            "hidden": content.hidden_fields(),
            "errors": content.errors or when.errors,
            "problems": when.non_field_errors(),
            "can_add_card": getattr(content, "can_add", False),
            "media": self.admin.media + content.media + when.media,
        }
        return self._render("edit.html", context)

    def confirm_again(self) -> HttpResponse:
        """Ask, with the risk in plain words, before a message is sent once more."""
        context = {
            "title": _("Send this message again?"),
            "is_unknown": self.message.status == Status.UNKNOWN,
        }
        return self._render("again.html", context)

    def _render(self, name: str, context: dict[str, Any]) -> HttpResponse:
        full = numbers.may_see(self.request)
        base = {
            "message_row": self.message,
            "person": numbers.label(self.message.conversation, full=full),
            "back": self.admin.url("change", self.message.pk),
        }
        response: HttpResponse = self.admin.page(
            self.request, f"message/{name}", {**base, **context}
        )
        return response
