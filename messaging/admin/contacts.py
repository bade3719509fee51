"""Contacts, their addresses and tags."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import Contact, ContactAddress, Conversation, Message
from . import numbers, search
from .base import Button, Labelled, MessagingAdmin, PeopleMixin, model_url
from .consent import ConsentPage
from .forms import AddressForm, ContactForm
from .lanes import moment
from .paging import TagFilter


def opt_out_words(row: ContactAddress | Contact) -> str:
    """Since when, how we know and what was said, with no number in it: all see this page."""
    words = _("since %(date)s (%(source)s)") % {
        "date": moment(row.opted_out_at),
        "source": row.get_opt_out_source_display() or _("source not known"),
    }
    return f"{words}: {numbers.mask_text(row.opt_out_evidence)}" if row.opt_out_evidence else words


class AddressInline(admin.TabularInline):
    model = ContactAddress
    form = AddressForm
    fk_name = "contact"
    fields = ["value", "kind", "opt_out"]
    readonly_fields = ["kind", "opt_out"]
    extra = 0
    verbose_name = gettext_lazy("number")
    verbose_name_plural = gettext_lazy("numbers")

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj and obj.addresses.exists() else 1

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A number with conversations stays: they go on at the address they have."""
        return super().has_delete_permission(request, obj) and (
            obj is None or not Conversation.objects.filter(address__contact=obj).exists()
        )

    @admin.display(description=gettext_lazy("opted out"))
    def opt_out(self, obj: ContactAddress) -> str:
        if obj.opted_out_at is None:
            return (
                _("not reachable since %(date)s") % {"date": moment(obj.invalid_at)}
                if (obj.invalid_at)
                else _("no")
            )
        return opt_out_words(obj)


class ContactAdmin(PeopleMixin, MessagingAdmin):
    form = ContactForm
    list_display = ["name_or_number", "masked_number", "tag_names", "opted_out", "created_at"]
    list_filter = [TagFilter]
    search_fields = ["name", "addresses__value"]
    search_help_text = gettext_lazy("A name, or the beginning of a number.")
    autocomplete_fields = ["tags"]
    inlines = [AddressInline]
    ordering = ["-id"]
    actions = ["send_to_selected"]
    buttons = [
        Button(
            name="send",
            label=gettext_lazy("Send a message"),
            permission="messaging.send_message",
            method="open_send",
            page=True,
        ),
        Button(
            name="opt-out",
            label=gettext_lazy("Record an opt-out"),
            permission="messaging.change_contact",
            method="opt_out",
            shown="may_be_written_to",
            page=True,
        ),
        Button(
            name="opt-in",
            label=gettext_lazy("They agree to messages again"),
            permission="messaging.change_contact",
            method="opt_in",
            shown="is_opted_out",
            page=True,
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Contact]:
        rows = super().get_queryset(request)
        if request.path == self.url("changelist"):
            rows = rows.select_related("preferred_address").prefetch_related("addresses", "tags")
        return rows

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never somebody who opted out: the next import would bring them back as willing."""
        if obj is not None and self.is_opted_out(request, obj):
            return False
        return super().has_delete_permission(request, obj)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        full = numbers.may_see(request)
        return [
            "full_number" if full and name == "masked_number" else name
            for name in self.list_display
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        full = numbers.may_see(request)
        return search.contacts(queryset, search_term, full=full), False

    # Columns

    def action_checkbox(self, obj: Contact) -> SafeString:
        """The stock box with a label that is never a number, nor a query for one."""
        return super().action_checkbox(Labelled(obj.pk, obj.name or str(obj.pk)))

    def _value(self, obj: Contact) -> str:
        """The preferred number, else the oldest, from what the list has loaded."""
        if obj.preferred_address:
            return obj.preferred_address.value
        found = sorted(obj.addresses.all(), key=lambda row: row.pk)
        return found[0].value if found else ""

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def name_or_number(self, obj: Contact) -> str:
        return obj.name or _("(no name)")

    @admin.display(description=gettext_lazy("number"))
    def full_number(self, obj: Contact) -> str:
        return numbers.shown(self._value(obj), full=True) or _("none")

    @admin.display(description=gettext_lazy("number"))
    def masked_number(self, obj: Contact) -> str:
        return numbers.shown(self._value(obj), full=False) or _("none")

    @admin.display(description=gettext_lazy("tags"))
    def tag_names(self, obj: Contact) -> str:
        return ", ".join(tag.name for tag in obj.tags.all())

    @admin.display(description=gettext_lazy("opted out"))
    def opted_out(self, obj: Contact) -> str:
        times = [obj.opted_out_at, *(row.opted_out_at for row in obj.addresses.all())]
        found = min((at for at in times if at), default=None)
        return _("since %(date)s") % {"date": moment(found)} if found else ""

    # The page

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return list(self.inlines) if numbers.may_see(request) else []

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["masked_numbers", "opt_out_details", "conversation_links", "created_at"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        full = numbers.may_see(request)
        person = ["name", "language", "tags"] + ([] if full else ["masked_numbers"])
        if full and obj and obj.addresses.count() > 1:
            person.append("preferred_address")
        consent: list[Any] = [("consented_at", "consent_source")]
        more = ["attributes", "notes"]
        if obj:
            consent.append("opt_out_details")
            more += ["conversation_links", "created_at"]
        return [
            (None, {"fields": person}),
            (_("Consent"), {"fields": consent}),
            (_("More"), {"fields": more}),
        ]

    @admin.display(description=gettext_lazy("numbers"))
    def masked_numbers(self, obj: Contact) -> str:
        rows = ((numbers.shown(row.value, full=False),) for row in obj.addresses.all())
        return format_html_join(", ", "{}", rows) or _("none")

    @admin.display(description=gettext_lazy("opted out"))
    def opt_out_details(self, obj: Contact) -> str:
        lines = [opt_out_words(obj)] if obj.opted_out_at else []
        lines += [
            f"{numbers.mask(row.value)}: {opt_out_words(row)}"
            for row in obj.addresses.all()
            if row.opted_out_at
        ]
        return "\n".join(lines) or _("No. They may be written to.")

    @admin.display(description=gettext_lazy("conversations"))
    def conversation_links(self, obj: Contact) -> str:
        rows = Conversation.objects.filter(address__contact=obj).select_related("sender")[:20]
        links = (
            (model_url(self.admin_site, Conversation, "change", row.pk), row.sender.name)
            for row in rows
        )
        return format_html_join(", ", '<a href="{}">{}</a>', links) or _("none yet")

    # Steps

    def is_opted_out(self, request: HttpRequest, obj: Contact) -> bool:
        return bool(obj.opted_out_at) or obj.addresses.filter(opted_out_at__isnull=False).exists()

    def may_be_written_to(self, request: HttpRequest, obj: Contact) -> bool:
        """By some number at least: a person may be out at one and in at another."""
        rows = obj.addresses.filter(opted_out_at=None)
        return not obj.opted_out_at and (rows.exists() or not obj.addresses.exists())

    def opt_out(self, request: HttpRequest, obj: Contact) -> HttpResponse:
        return ConsentPage(self, request, obj).opt_out()

    def opt_in(self, request: HttpRequest, obj: Contact) -> HttpResponse:
        return ConsentPage(self, request, obj).opt_in()

    def _may_press(self, request: HttpRequest, obj: Any, button: Button) -> bool:
        if button.permission == "messaging.change_contact":
            return self.has_change_permission(request, obj)
        return super()._may_press(request, obj, button)

    def open_send(self, request: HttpRequest, obj: Contact) -> HttpResponse:
        return self._to_send_page({"contacts": str(obj.pk)})

    @admin.action(description=gettext_lazy("Send a message…"), permissions=["send"])
    def send_to_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """On to the send page: with the contacts, or with what found them where all were meant."""
        if request.POST.get("select_across") == "1":
            return self._to_send_page({"found": request.GET.urlencode() or "all=1"})
        ids = queryset.order_by("pk").values_list("pk", flat=True)
        return self._to_send_page({"contacts": ",".join(str(pk) for pk in ids)})

    def _to_send_page(self, query: dict[str, str]) -> HttpResponse:
        url = model_url(self.admin_site, Message, "send")
        return HttpResponseRedirect(f"{url}?{urlencode(query)}")


class NameAdmin(MessagingAdmin):
    """Tags and labels: a name, found by typing its beginning."""

    list_display = ["name"]
    search_fields = ["name"]
    ordering = ["name"]
    bulk_delete = True

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """The rows alone: the stock page also loads and lists everything that wears them."""
        names = [str(row) for row in objs]
        return names, {str(self.opts.verbose_name_plural): len(names)}, set(), []
