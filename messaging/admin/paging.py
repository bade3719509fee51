"""Lists that stay quick whatever their tables hold: capped counts, capped depth, cheap filters."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from .. import clock
from ..events import Status
from ..models import Conversation, Message, MessageError
from . import scope

#: A list shows its newest rows up to here; what is older is found by search and filters.
CAP: Final = 1000


class CappedPaginator(Paginator):
    """Counts, and pages, no further than CAP rows."""

    capped = False

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            found = len(rows)
        else:
            found = rows.order_by().values("pk")[: CAP + 1].count()
        self.capped = found > CAP
        return min(found, CAP)


def first(rows: QuerySet[Any], limit: int = CAP) -> QuerySet[Any]:
    """The first rows of a query as a query of their own, which may be filtered further."""
    ids = list(rows.values_list("pk", flat=True)[:limit])
    return rows.model._default_manager.filter(pk__in=ids)


class CreatedFilter(admin.SimpleListFilter):
    """Today, 7 days, 30 days: by the reader's midnight, on the index of the newest rows."""

    title = _("created")
    parameter_name = "created"
    field = "created_at"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("Today")), ("7", _("Past 7 days")), ("30", _("Past 30 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value not in ("1", "7", "30"):
            return queryset
        since = _midnight() - timedelta(days=int(value) - 1)
        return queryset.filter(**{f"{self.field}__gte": since})


def _midnight() -> datetime:
    now = timezone.localtime(clock.now())
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


class ErrorFilter(admin.SimpleListFilter):
    """Why messages failed, read off the index of their status."""

    title = _("error")
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(MessageError.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (value := self.value()):
            return queryset
        return queryset.filter(status__in=[Status.FAILED, Status.UNKNOWN], error_class=value)


def with_people(rows: QuerySet[Message]) -> QuerySet[Message]:
    """A page of messages with whom they are about, in two queries by key. Not by a join: SQLite,
    once it knows the tables' sizes, then reads and sorts them all for one page."""
    talks = Conversation.objects.select_related("address__contact")
    return rows.prefetch_related(Prefetch("conversation", talks), "sender")


class SenderFilter(admin.SimpleListFilter):
    """The senders one may use, as far as they fit beside a list."""

    title = _("sender")
    parameter_name = "sender"
    most: Final = 20

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = list(scope.senders(request.user).order_by("name")[: self.most])
        return [(str(sender.pk), sender.name) for sender in found] if len(found) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(sender=int(value)) if value and value.isdecimal() else queryset


class TagFilter(admin.SimpleListFilter):
    """The first tags by name; others are found by search."""

    title = _("tag")
    parameter_name = "tag"
    most: Final = 30

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tags: type[Model] = model_admin.model._meta.get_field("tags").related_model
        found = tags._default_manager.order_by("name")[: self.most]
        return [(str(tag.pk), str(tag)) for tag in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(tags=int(value)) if value and value.isdecimal() else queryset


class CappedChangeList(ChangeList):
    """A list whose “select all” means what it shows: its newest rows, and no others."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        rows = super().get_queryset(request, *args, **kwargs)
        if request.method == "POST" and request.POST.get("select_across") == "1":
            ids = list(rows.values_list("pk", flat=True)[:CAP])
            return self.model._default_manager.filter(pk__in=ids).order_by("-created_at", "-id")
        return rows
