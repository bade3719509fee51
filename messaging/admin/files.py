"""The files of a message: listed on its page, handed out, and fetched once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from .. import media
from ..models import Attachment, Message
from . import numbers
from .base import outside_transactions

if TYPE_CHECKING:
    from .messages import MessageAdmin

SETTLE: Final = "messaging.settle_message"


def urls(screen: MessageAdmin) -> list[URLPattern]:
    def show(request: HttpRequest, message_id: int, key: str) -> HttpResponseBase:
        return _download(screen, request, message_id, key)

    def fetch(request: HttpRequest, message_id: int, key: str) -> HttpResponse:
        return _fetch_again(screen, request, message_id, key)

    view = screen.admin_site.admin_view
    page = "<int:message_id>/file/<uuid:key>/"
    return [
        path(page, view(show), name="messaging_message_file"),
        path(
            f"{page}fetch/", view(outside_transactions(fetch)), name="messaging_message_file_fetch"
        ),
    ]


def rows_of(screen: MessageAdmin, request: HttpRequest, message: Message) -> list[dict[str, Any]]:
    """The files of a message, as its page lists them."""
    may_fetch = request.user.has_perm(SETTLE)
    found = []
    for row in message.attachments.order_by("pk"):
        keys = (message.pk, row.key)
        lost = not row.file and row.link and row.fetch_due_at is None
        found.append(
            {
                "name": _name(request, row),
                "size": row.size,
                "error": row.error,
                "waiting": not row.file and row.fetch_due_at is not None,
                "url": screen.url("file", *keys) if row.file else "",
                "again": screen.url("file_fetch", *keys) if lost and may_fetch else "",
            }
        )
    return found


def _name(request: HttpRequest, row: Attachment) -> str:
    """Gateways like to name files after the number they are from."""
    name = row.filename or _("file")
    return name if numbers.may_see(request) else numbers.mask_text(name)


def _find(
    screen: MessageAdmin, request: HttpRequest, message_id: int, key: str
) -> tuple[Message, Attachment]:
    """A file of a message this person may see; whatever else it is, it is not found."""
    if not screen.has_view_permission(request):
        raise PermissionDenied
    message = screen.get_queryset(request).filter(pk=message_id).first()
    row = message.attachments.filter(key=key).first() if message else None
    if message is None or row is None:
        raise Http404
    return message, row


def _download(
    screen: MessageAdmin, request: HttpRequest, message_id: int, key: str
) -> HttpResponseBase:
    """The file, to be saved: never shown, never run, never kept on the way."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    _message, row = _find(screen, request, message_id, key)
    try:
        file = row.file.open("rb")
    except (OSError, ValueError):
        raise Http404 from None
    response = FileResponse(
        file,
        as_attachment=True,
        filename=_name(request, row),
        content_type=row.content_type or "application/octet-stream",
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "private, no-store"
    return response


def _fetch_again(
    screen: MessageAdmin, request: HttpRequest, message_id: int, key: str
) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    message, row = _find(screen, request, message_id, key)
    if not request.user.has_perm(SETTLE):
        raise PermissionDenied
    if media.fetch_again(row):
        row.refresh_from_db()
        screen.log_change(request, message, _("Tried to fetch its file again."))
    if media.fetch(row):
        screen.message_user(request, _("The file is here."), messages.SUCCESS)
    else:
        text = row.error or _("The file is being fetched.")
        screen.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(screen.url("change", message.pk))
