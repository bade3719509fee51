"""What the send page asks besides the content: to whom, from where, when; and which template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib.admin.widgets import (
    AdminSplitDateTime,
    AdminTextInputWidget,
    AutocompleteSelect,
)
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import clock
from ..models import Message, Sender, Template, TemplateStatus
from . import scope

if TYPE_CHECKING:
    from .send import SendPage

#: Up to this many senders or templates are offered in a plain list, which needs no JavaScript.
_LISTED: Final = 50


class DeliveryForm(forms.Form):
    """From where, to whom and when."""

    to = forms.CharField(
        label=gettext_lazy("To"),
        max_length=40,
        widget=AdminTextInputWidget({"dir": "ltr"}),
        help_text=gettext_lazy("A phone number in any spelling: 07700 900123, +44 7700 900123."),
    )
    sender = forms.ModelChoiceField(
        label=gettext_lazy("From"),
        queryset=Sender.objects.none(),
        required=False,
        empty_label=gettext_lazy("the default sender"),
    )
    send_at = forms.SplitDateTimeField(
        label=gettext_lazy("When"),
        required=False,
        widget=AdminSplitDateTime(),
        help_text=gettext_lazy("Empty: now."),
    )
    hold = forms.BooleanField(
        label=gettext_lazy("Keep until they write"),
        required=False,
        help_text=gettext_lazy("If the reply window is closed. If it is open, it is sent now."),
    )
    confirm = forms.IntegerField(label=gettext_lazy("Number of people"), required=False)
    nonce = forms.UUIDField(widget=forms.HiddenInput())
    checked = forms.CharField(required=False, widget=forms.HiddenInput())

    def __init__(self, *args: Any, page: SendPage, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not page.audience.asks_number:
            del self.fields["to"]
        if page.audience.sender is not None:
            del self.fields["sender"]
        else:
            self._offer_senders(page)
        if page.kind == "template":
            del self.fields["hold"]
        if not page.is_many:
            del self.fields["confirm"]

    def _offer_senders(self, page: SendPage) -> None:
        field = self.fields["sender"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = scope.senders(page.request.user).order_by("name")
        if field.queryset.count() > _LISTED:
            relation = Message._meta.get_field("sender")
            field.widget = AutocompleteSelect(relation, page.admin.admin_site)
            field.widget.choices = field.choices

    def clean_send_at(self) -> Any:
        value = self.cleaned_data["send_at"]
        if value is not None and value <= clock.now():
            raise ValidationError(_("This time has passed. Leave it empty to send now."))
        return value

    def rows(self, *names: str) -> list[Any]:
        """Those of these fields that this page asks for, as a fieldset."""
        found = [name for name in names if name in self.fields]
        return [(None, {"fields": found})] if found else []


def _with_account(row: Template) -> str:
    return f"{row} · {row.provider}"


class TemplateChoice(forms.Form):
    """Which template: asked by GET, before the page that asks for its values."""

    template = forms.ModelChoiceField(
        label=gettext_lazy("Template"), queryset=Template.objects.none()
    )

    def __init__(self, *args: Any, page: SendPage, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Template.objects.filter(status=TemplateStatus.APPROVED)
        if page.audience.sender is not None:
            rows = rows.filter(provider=page.audience.sender.provider_id)
        field = self.fields["template"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = rows.select_related("provider").order_by("name", "language")
        # Two accounts may have templates of one name.
        field.label_from_instance = _with_account  # type: ignore[method-assign, assignment]
        self.empty = not rows.exists()
        if rows.count() > _LISTED:
            relation = Message._meta.get_field("template")
            field.widget = AutocompleteSelect(relation, page.admin.admin_site)
            field.widget.choices = field.choices
