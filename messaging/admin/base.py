"""What all our screens share: who may do what, buttons that POST, quick lists, the staff banner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import django
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.utils import quote, unquote
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from .. import health
from ..errors import GatewayError, MessagingError
from . import numbers
from .paging import CappedPaginator

Words = str | Promise

BANNER_SECONDS: Final = 5

_View = TypeVar("_View", bound=Callable[..., Any])


def outside_transactions(view: _View) -> _View:
    """Keep a view that talks to a gateway out of ATOMIC_REQUESTS, on every database."""
    for alias in settings.DATABASES:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A step one can take on a row, as a button on its page.

    `method` names the admin's method that takes it: `(request, obj) -> HttpResponse | None`.
    `shown` names one that says whether it makes sense for the row. A button POSTs, unless it
    opens a `page` of its own, which is asked by GET and answered by POST.
    """

    name: str
    label: Words
    permission: str
    method: str
    shown: str = ""
    page: bool = False


class HostFieldsMixin(BaseModelAdmin):
    """Relations to the host's users and groups: an autocomplete where their admin is on this site
    and open to this person, else an id to type. They stand in `raw_id_fields` too."""

    host_fields: Sequence[str] = ()

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        offered = [name for name in self.host_fields if self._is_offered(request, name)]
        return [*super().get_autocomplete_fields(request), *offered]

    def _is_offered(self, request: HttpRequest, name: str) -> bool:
        model: Any = self.model._meta.get_field(name).related_model
        if not self.admin_site.is_registered(model):
            return False
        screen = self.admin_site.get_model_admin(model)
        return bool(screen.get_search_fields(request) and screen.has_view_permission(request))


class MessagingAdmin(HostFieldsMixin, admin.ModelAdmin):
    """Base of the screens over large tables."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    list_max_show_all = 200
    buttons: Sequence[Button] = ()
    #: A permission that changing anything here needs besides the stock ones.
    manage_permission = ""
    #: The stock action lists, and so loads, everything that hangs on the chosen rows.
    bulk_delete = False

    class Media:
        css = {"all": ["messaging/admin.css"]}

    # Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and self._may_manage(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_manage(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_manage(request)

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("messaging.send_message")

    def _may_manage(self, request: HttpRequest) -> bool:
        return not self.manage_permission or request.user.has_perm(self.manage_permission)

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        # Django 6.1 asks for one of two places; 5.2 knows only the list.
        where = {} if action_location is None else {"action_location": action_location}
        actions = super().get_actions(request, **where)
        if not self.bulk_delete:
            actions.pop("delete_selected", None)
        return actions

    # Addresses of pages

    def url(self, name: str, *args: Any) -> str:
        """The address of one of this model's pages on this admin site."""
        return model_url(self.admin_site, self.model, name, *args)

    def get_urls(self) -> list[URLPattern]:
        own = [self._button_url(button) for button in self.buttons]
        return [*own, *super().get_urls()]

    def _button_url(self, button: Button) -> URLPattern:
        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            return self.press(request, object_id, button)

        return path(
            f"<path:object_id>/{button.name}/",
            self.admin_site.admin_view(outside_transactions(view)),
            name=f"{self.opts.app_label}_{self.opts.model_name}_{button.name}",
        )

    def page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> TemplateResponse:
        """A page of our own inside this admin site."""
        request.current_app = self.admin_site.name
        base = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": self.has_view_permission(request),
            "crumbs_are_a_list": django.VERSION >= (6, 1),
        }
        return TemplateResponse(request, f"admin/messaging/{name}", {**base, **context})

    # Buttons

    def press(self, request: HttpRequest, object_id: str, button: Button) -> HttpResponse:
        """Take a button's step, after asking anew whether this person may."""
        allowed = ["GET", "POST"] if button.page else ["POST"]
        if request.method not in allowed:
            return HttpResponseNotAllowed(allowed)
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._gone(request, object_id)
        if not self._may_press(request, obj, button):
            raise PermissionDenied
        try:
            response = getattr(self, button.method)(request, obj)
        except MessagingError as error:
            self.message_user(request, in_words(error), messages.ERROR)
            response = None
        return response or HttpResponseRedirect(self.url("change", obj.pk))

    def _gone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the stock pages answer: back to the start, with a word on it."""
        parts = (request, self.opts, object_id)
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(*parts)  # type: ignore[attr-defined]
        return answer

    def _may_press(self, request: HttpRequest, obj: Any, button: Button) -> bool:
        return self.has_view_permission(request, obj) and request.user.has_perm(button.permission)

    def shown_buttons(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        return [
            {
                "label": button.label,
                "url": self.url(button.name, obj.pk),
                "page": button.page,
                "name": button.name,
            }
            for button in self.buttons
            if self._may_press(request, obj, button)
            and (not button.shown or getattr(self, button.shown)(request, obj))
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        if obj is not None and obj.pk:
            context["messaging_buttons"] = self.shown_buttons(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {
            "messaging_banners": banners(),
            "title": capfirst(self.opts.verbose_name_plural),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    # Saving

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        save_changed(obj, form, change=change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        saved = formset.save(commit=False)
        for row in formset.deleted_objects:
            row.delete()
        forms = {id(row.instance): row for row in formset.forms}
        for row in saved:
            self.save_inline(row, forms[id(row)], change=not row._state.adding)
        formset.save_m2m()

    def save_inline(self, obj: Any, form: Any, *, change: bool) -> None:
        save_changed(obj, form, change=change)


class PeopleMixin(MessagingAdmin):
    """For rows whose `str()` may be a phone number: whoever may not see those reads masked ones,
    and edits nothing, since a form, its history and its messages show what they are about."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and numbers.may_see(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and numbers.may_see(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and numbers.may_see(request)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if (obj := kwargs.get("obj")) is not None and obj.pk:
            text = numbers.label(obj, full=numbers.may_see(request))
            context |= {"original": Labelled(obj.pk, text), "subtitle": text}
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not numbers.may_see(request):
            raise PermissionDenied
        return super().history_view(request, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if request.path.endswith("/autocomplete/") and not numbers.may_see(request):
            rows._iterable_class = _masked(rows._iterable_class)
        return rows


@dataclass(frozen=True, slots=True)
class Labelled:
    """Stands for a row in stock templates, which print it and link to its key."""

    pk: Any
    text: str

    @property
    def id(self) -> Any:
        return self.pk

    def __str__(self) -> str:
        return self.text


def _masked(iterable: type[Any]) -> type[Any]:
    """Rows as the site's autocomplete prints them, by `str()`, with their numbers masked. Only
    for that view, which prints and never saves."""

    class Masked(iterable):
        def __iter__(self) -> Any:
            for row in super().__iter__():
                yield Labelled(row.pk, numbers.label(row, full=False))

    return Masked


def in_words(error: MessagingError) -> str:
    """An error as a sentence for the person who took the step."""
    if isinstance(error, GatewayError):
        return _("The gateway could not be asked (%(reason)s). Nothing was changed.") % {
            "reason": error
        }
    return str(error)


def banners() -> list[str]:
    """What staff should see on top of our lists, kept for a moment: every list asks for it."""
    return cache.get_or_set(_banner_key(), health.banners, BANNER_SECONDS) or []


def forget_banners() -> None:
    """Let the next page look anew, after a step that changes what they say."""
    cache.delete_many([_banner_key(code) for code, _name in settings.LANGUAGES])


def _banner_key(language: str = "") -> str:
    return f"messaging.admin.banners.{language or get_language()}"


def model_url(site: admin.AdminSite, model: type[Model], name: str, *args: Any) -> str:
    """The address of a model's admin page on this site."""
    opts = model._meta
    keys = [quote(arg) for arg in args]
    return reverse(f"{site.name}:{opts.app_label}_{opts.model_name}_{name}", args=keys)


def save_changed(obj: Any, form: ModelForm[Any], *, change: bool) -> None:
    """Save a row; one that existed only in the fields the form changed, since workers write
    pauses, balances and cursors to the same row at any moment."""
    if not change:
        obj.save()
        return
    concrete = {field.name for field in obj._meta.concrete_fields}
    names = (set(form.changed_data) & concrete) | set(getattr(form, "touched", ()))
    if names:
        obj.save(update_fields=names)


def log_all(request: HttpRequest, rows: Sequence[Model], message: str) -> None:
    """One line in the admin's history for each row of one kind."""
    if rows:
        LogEntry.objects.log_actions(_user_id(request), rows, CHANGE, change_message=message)


def _user_id(request: HttpRequest) -> Any:
    return request.user.pk


def log_note(request: HttpRequest, model: type[Model], message: str) -> None:
    """A line in the admin's history that is about no single row."""
    LogEntry.objects.create(
        user_id=_user_id(request),
        content_type=ContentType.objects.get_for_model(model),
        object_repr=str(model._meta.verbose_name_plural)[:200],
        action_flag=CHANGE,
        change_message=message,
    )
