"""Forms for templates, contacts and their addresses."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import addresses, conf
from ..errors import InvalidAddress
from ..models import AddressKind, Contact, ContactAddress, Template

#: Buttons a template's form offers; one that was fetched with more shows them all.
BUTTONS: Final = 3

BUTTON_TYPES: Final = [
    ("", "---------"),
    ("quick_reply", gettext_lazy("Reply to tap")),
    ("url", gettext_lazy("Web address")),
    ("call", gettext_lazy("Phone number")),
    ("copy_code", gettext_lazy("Code to copy")),
]


def button_fields(count: int) -> dict[str, forms.Field]:
    """One line of fields per button: what it is, what it says, where it leads."""
    found: dict[str, forms.Field] = {}
    for number in range(1, count + 1):
        found[f"button{number}_type"] = forms.ChoiceField(
            label=_("Button %(number)d") % {"number": number},
            choices=BUTTON_TYPES,
            required=False,
        )
        found[f"button{number}_text"] = forms.CharField(
            label=_("Text on it"),
            max_length=25,
            required=False,
            widget=AdminTextInputWidget({"size": 25}),
        )
        found[f"button{number}_value"] = forms.CharField(
            label=_("Address or number"),
            required=False,
            widget=AdminTextInputWidget({"size": 40}),
            help_text=_("An address may end in {{1}}."),
        )
    return found


def sample_fields(names: list[str]) -> dict[str, forms.Field]:
    """One field per variable, for the values a gateway shows to whoever approves the template."""
    return {
        f"sample_{name}": forms.CharField(
            label=f"{{{{{name}}}}}", required=False, widget=AdminTextInputWidget()
        )
        for name in names
    }


class TemplateForm(forms.ModelForm):
    """A template; its buttons and sample values as fields instead of JSON."""

    button_count = BUTTONS

    class Meta:
        model = Template
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets name them

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.touched: set[str] = set()
        for number, button in enumerate(self.instance.buttons or [], start=1):
            for part in ("type", "text", "value"):
                self.initial[f"button{number}_{part}"] = button.get(part, "")
        for name, value in (self.instance.samples or {}).items():
            self.initial[f"sample_{name}"] = value

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if "button1_type" in self.fields:
            self._store("buttons", self._buttons())
        given = {
            name.removeprefix("sample_"): data.get(name, "")
            for name in self.fields
            if name.startswith("sample_")
        }
        if given:
            kept = {**(self.instance.samples or {}), **given}
            self._store("samples", {name: value for name, value in kept.items() if value})
        if data.get("header_kind") == "text" and not data.get("header"):
            self.add_error("header", _("A text header needs its text."))
        # The names in the texts change with them, and are stored beside them.
        self.touched.add("variables")
        return data

    def _store(self, name: str, value: Any) -> None:
        if value != getattr(self.instance, name):
            setattr(self.instance, name, value)
            self.touched.add(name)

    def _buttons(self) -> list[dict[str, str]]:
        found = []
        for number in range(1, self.button_count + 1):
            kind, text, value = (
                str(self.cleaned_data.get(f"button{number}_{part}") or "").strip()
                for part in ("type", "text", "value")
            )
            if not kind and (text or value):
                self.add_error(f"button{number}_type", _("Say what this button does."))
            if not kind:
                continue
            self._check_button(number, kind, text, value)
            button = {"type": kind, "text": text, "value": value}
            found.append({name: part for name, part in button.items() if part})
        return found

    def _check_button(self, number: int, kind: str, text: str, value: str) -> None:
        if not text and kind != "copy_code":
            self.add_error(f"button{number}_text", _("Enter the text on the button."))
        if kind == "url" and not re.match(r"https?://", value):
            self.add_error(
                f"button{number}_value", _("Enter a full web address, starting with https://.")
            )
        if kind == "call" and not value:
            self.add_error(f"button{number}_value", _("Enter the phone number it calls."))


def template_form(instance: Template | None) -> type[TemplateForm]:
    """The form with as many button lines and sample fields as this template has."""
    count = max(BUTTONS, len(instance.buttons or []) if instance else 0)
    names = list(instance.variables or []) if instance else []
    fields = {"button_count": count, **button_fields(count), **sample_fields(names)}
    return type("TemplateForm", (TemplateForm,), fields)


class PairsField(forms.CharField):
    """A dict of texts as lines `name: value`."""

    widget = AdminTextareaWidget

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return "\n".join(f"{name}: {_written(part)}" for name, part in value.items())

    def to_python(self, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        found: dict[str, Any] = {}
        for line in str(value or "").splitlines():
            if not line.strip():
                continue
            name, colon, part = line.partition(":")
            if not colon or not name.strip():
                raise ValidationError(
                    _("Write one per line, as name: value. Not understood: “%(line)s”.")
                    % {"line": line[:50]}
                )
            found[name.strip()] = _read(part.strip())
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((initial or {}) != self.to_python(data))
        except ValidationError:
            return True


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(text: str) -> Any:
    """Lists and objects a program stored stay what they are; all else is text."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


class ContactForm(forms.ModelForm):
    """A person. Which address is preferred is chosen among their own."""

    attributes = PairsField(
        label=gettext_lazy("Attributes"),
        widget=AdminTextareaWidget({"rows": 3}),
        help_text=gettext_lazy("One per line, as name: value. Templates can use them."),
    )

    class Meta:
        model = Contact
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets name them

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "notes" in self.fields:
            self.fields["notes"].widget.attrs["rows"] = 3
        field = self.fields.get("preferred_address")
        if isinstance(field, forms.ModelChoiceField):
            own = ContactAddress.objects.filter(contact=self.instance.pk)
            field.queryset = own if self.instance.pk else own.none()
            field.empty_label = _("the oldest")
            field.label_from_instance = _number_of  # type: ignore[method-assign, assignment]


def _number_of(row: ContactAddress) -> str:
    return row.value


class AddressForm(forms.ModelForm):
    """Where a person is reached, typed in any usual spelling."""

    class Meta:
        model = ContactAddress
        fields = ["value"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.touched: set[str] = set()
        if "value" in self.fields:
            self.fields["value"].label = _("Number")
            self.fields["value"].help_text = _("In any spelling: 07700 900123, +44 7700 900123.")

    def clean_value(self) -> str:
        if self.cleaned_data["value"] == self.initial.get("value"):
            return str(self.cleaned_data["value"])
        self.touched.add("kind")
        value = self._canonical(str(self.cleaned_data["value"]).strip())
        taken = ContactAddress.objects.filter(value=value).exclude(pk=self.instance.pk)
        if (other := taken.select_related("contact").first()) is not None:
            raise ValidationError(
                _("%(number)s already belongs to %(contact)s (contact %(id)d).")
                % {"number": value, "contact": other.contact, "id": other.contact_id}
            )
        return value

    def _canonical(self, value: str) -> str:
        for suffix, kind in (
            (addresses.GROUP_SUFFIX, AddressKind.GROUP),
            (addresses.LID_SUFFIX, AddressKind.LID),
        ):
            if value.endswith(suffix):
                self.instance.kind = kind
                return value
        try:
            found = addresses.parse_phone(value, str(conf.get("DEFAULT_REGION")))
        except InvalidAddress as error:
            raise ValidationError(str(error)) from error
        if not addresses.is_phone(found):
            raise ValidationError(
                _("“%(number)s” is not a complete phone number.") % {"number": value}
            )
        self.instance.kind = AddressKind.PHONE
        return found


__all__ = ["AddressForm", "ContactForm", "TemplateForm", "template_form"]
