"""Messages as CSV, streamed: nothing in it can run as a formula."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..models import Message
from . import numbers

_BATCH: Final = 2000

#: What spreadsheets take for the beginning of a formula.
_STARTERS: Final = "=+-@"

_COLUMNS: Final = (
    _("Id"),
    _("Created"),
    _("Direction"),
    _("Status"),
    _("Contact"),
    _("Number"),
    _("Sender"),
    _("Kind"),
    _("Text"),
    _("Error"),
    _("Error code"),
    _("The gateway's words"),
    _("Author"),
    _("Scheduled for"),
    _("Sent"),
    _("Delivered"),
    _("Read"),
    _("Id at the gateway"),
)


def guard(value: Any) -> str:
    """The value as text that no spreadsheet reads as a formula, or as a number that loses its
    plus sign: with an apostrophe before it."""
    text = "" if value is None else str(value)
    start = unicodedata.normalize("NFKC", text).lstrip()
    if start[:1] in tuple(_STARTERS) or text[:1] in ("\t", "\r", "\n"):
        return f"'{text}"
    return text


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, value: str) -> str:
        return value


def response(rows: QuerySet[Message], *, full: bool) -> StreamingHttpResponse:
    """The rows as a download, read in batches while it is sent."""
    answer = StreamingHttpResponse(_lines(rows, full=full), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="messages.csv"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _lines(rows: QuerySet[Message], *, full: bool) -> Iterator[str]:
    writer = csv.writer(_Echo())
    # Without this mark, Excel takes UTF-8 for something else.
    yield "\ufeff" + writer.writerow([guard(column) for column in _COLUMNS])
    last: int | None = None
    rows = rows.select_related("conversation__address__contact", "sender").order_by("-pk")
    while batch := list((rows if last is None else rows.filter(pk__lt=last))[:_BATCH]):
        for message in batch:
            yield writer.writerow([guard(value) for value in _cells(message, full=full)])
        last = batch[-1].pk


def _cells(message: Message, *, full: bool) -> list[Any]:
    address = message.conversation.address
    number = address.value if full else numbers.mask(address.value)
    words = message.error_text if full else numbers.mask_text(message.error_text)
    return [
        message.pk,
        _time(message.created_at),
        message.get_direction_display(),
        message.get_status_display(),
        address.contact.name,
        number,
        message.sender.name,
        message.get_kind_display(),
        message.text,
        message.get_error_class_display(),
        message.error_code,
        words,
        message.author_name,
        _time(message.scheduled_at),
        _time(message.sent_at),
        _time(message.delivered_at),
        _time(message.read_at),
        message.external_id,
    ]


def _time(value: Any) -> str:
    return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S") if value else ""
