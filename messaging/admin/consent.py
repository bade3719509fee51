"""Recording by hand that a person wants no more messages, or wants them again: whose, and how
anybody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.contrib.admin.widgets import AdminTextInputWidget
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import outbox
from ..models import ConsentSource, Contact, ContactAddress
from . import numbers

if TYPE_CHECKING:
    from .contacts import ContactAdmin

_ALL: Final = "all"

#: Leaves room for the name of who wrote it down.
_LONGEST: Final = 200


class ConsentForm(forms.Form):
    """Whom it is about, and the evidence."""

    whom = forms.ChoiceField(label=gettext_lazy("Whom"))
    evidence = forms.CharField(
        label=gettext_lazy("Evidence"),
        max_length=_LONGEST,
        widget=AdminTextInputWidget(),
        help_text=gettext_lazy(
            "What was said, when and to whom: a call, a letter, a visit. Kept with your name."
        ),
    )
    fieldsets = [(None, {"fields": ["whom", "evidence"]})]

    def __init__(self, data: Any, whom: list[tuple[str, str]]) -> None:
        super().__init__(data)
        field = self.fields["whom"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = whom


class ConsentPage:
    """One request to the page that records an opt-out, or its end."""

    def __init__(self, screen: ContactAdmin, request: HttpRequest, contact: Contact) -> None:
        self._screen = screen
        self._request = request
        self._contact = contact

    def opt_out(self) -> HttpResponse:
        form = self._form(opted_out=False)
        if not form.is_valid():
            return self._show(form, _("Record an opt-out"))
        row = self._row(form)
        if outbox.opt_out(row, **self._said(form)):
            self._log(_("Recorded an opt-out of %(whom)s: %(evidence)s"), row, form)
        text = _("Noted. What still waits for %(whom)s is not sent.")
        if isinstance(row, Contact):
            text = _("Noted. This person is not written to any more; what still waits is not sent.")
        return self._done(text % {"whom": self._name(row)})

    def opt_in(self) -> HttpResponse:
        form = self._form(opted_out=True)
        if not form.is_valid():
            return self._show(form, _("Record that they agree to messages again"))
        row = self._row(form)
        if outbox.opt_in(row, **self._said(form)):
            self._log(_("Recorded that %(whom)s agree to messages again: %(evidence)s"), row, form)
        return self._done(_("Noted. This person may be written to again."))

    # Parts

    def _form(self, *, opted_out: bool) -> ConsentForm:
        """Only what would change is offered; no single number of a person who is out as such."""
        data = self._request.POST if self._request.method == "POST" else None
        whom = [(_ALL, _("the person, at all their numbers"))]
        rows = list(self._contact.addresses.order_by("pk"))
        if len(rows) > 1 and self._contact.opted_out_at is None:
            whom += [
                (str(row.pk), self._name(row))
                for row in rows
                if (row.opted_out_at is not None) == opted_out
            ]
        return ConsentForm(data, whom)

    def _row(self, form: ConsentForm) -> ContactAddress | Contact:
        chosen = form.cleaned_data["whom"]
        if chosen == _ALL:
            return self._contact
        return self._contact.addresses.select_related("contact").get(pk=chosen)

    def _said(self, form: ConsentForm) -> dict[str, Any]:
        return {
            "source": ConsentSource.PERSON,
            "evidence": form.cleaned_data["evidence"],
            "by": self._request.user,
        }

    def _name(self, row: ContactAddress | Contact) -> str:
        return numbers.label(row, full=numbers.may_see(self._request))

    def _log(self, text: str, row: ContactAddress | Contact, form: ConsentForm) -> None:
        # Masked, as everywhere in the history: it is read by more people than the page is.
        whom = numbers.label(row, full=False)
        words = text % {"whom": whom, "evidence": form.cleaned_data["evidence"]}
        self._screen.log_change(self._request, self._contact, words)

    def _done(self, text: str) -> HttpResponse:
        self._screen.message_user(self._request, text, messages.SUCCESS)
        return HttpResponseRedirect(self._screen.url("change", self._contact.pk))

    def _show(self, form: ConsentForm, title: str) -> HttpResponse:
        response: HttpResponse = self._screen.page(
            self._request,
            "contact/consent.html",
            {
                "title": title,
                "person": self._name(self._contact),
                "adminform": AdminForm(form, form.fieldsets, {}),  # type: ignore[arg-type]
                "errors": form.errors,
                "back": self._screen.url("change", self._contact.pk),
            },
        )
        return response
