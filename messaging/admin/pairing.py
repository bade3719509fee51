"""Pairing a phone: the page with the code, its state while somebody looks, and the picture.

The page works without JavaScript by its buttons; with it, a script asks for the state every two
seconds. Whoever sees the code can take over the sender, so all of it is for those who may pair,
and the picture comes from here alone and is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.forms import Media
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
)
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import clock, pairing
from ..errors import NotPossible
from ..models import Connection, Conversation, Message, Pairing, PairingState, Provider, Sender
from .accounts import adapter_of
from .base import Button, MessagingAdmin, forget_banners, model_url, outside_transactions
from .lanes import MANAGE
from .numbers import shown

PAIR: Final = "messaging.pair_sender"

UNPAIRED: Final = "unpaired"

#: What is said, also to those who listen, when the state changes.
_WORDS: Final = {
    UNPAIRED: gettext_lazy("Not paired"),
    PairingState.WAITING: gettext_lazy("Waiting for the scan"),
    PairingState.CONNECTED: gettext_lazy("Connected"),
    PairingState.EXPIRED: gettext_lazy("The code expired"),
    PairingState.FAILED: gettext_lazy("No code could be shown"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How the pairing of a sender stands now, for the page and its script."""

    state: str
    row: Pairing | None
    now: datetime

    @property
    def words(self) -> str:
        return str(_WORDS[self.state])

    @property
    def seconds_left(self) -> int:
        if self.state != PairingState.WAITING or self.row is None:
            return 0
        return max(0, round((self.row.expires_at - self.now).total_seconds()))

    @property
    def trouble(self) -> str:
        """What is the matter while the gateway is asked again and again."""
        if self.state != PairingState.WAITING or self.row is None or not self.row.error:
            return ""
        return f"{self.row.error} {_('It is asked again every few seconds.')}"

    @property
    def time_left(self) -> str:
        """How long codes go on being shown."""
        minutes, seconds = divmod(self.seconds_left, 60)
        if not minutes:
            text = ngettext("%(count)d second left", "%(count)d seconds left", seconds)
            return text % {"count": seconds}
        return _("%(minutes)d min %(seconds)d s left") % {"minutes": minutes, "seconds": seconds}


def standing(sender: Sender, row: Pairing | None) -> Standing:
    """What a page says of this row, as the phone's own state stands by now."""
    now = clock.now()
    is_connected = sender.connection == Connection.CONNECTED
    if row is not None and row.state == PairingState.WAITING:
        state = PairingState.WAITING if row.expires_at > now else PairingState.EXPIRED
    elif is_connected:
        state = PairingState.CONNECTED
    elif row is None or row.state == PairingState.CONNECTED:
        # Paired once, and lost since.
        return Standing(UNPAIRED, row, now)
    else:
        state = PairingState(row.state)
    return Standing(state, row, now)


class PairingAdmin(MessagingAdmin):
    """The pairing pages of senders that are phones."""

    pairing_buttons = [
        Button(
            name="pair",
            label=gettext_lazy("Pair a phone"),
            permission=PAIR,
            method="pair_one",
            shown="can_pair",
            page=True,
        ),
    ]

    def can_pair(self, request: HttpRequest, obj: Sender) -> bool:
        cls = adapter_of(obj.adapter_slug())
        return cls is not None and cls.needs_pairing

    def get_urls(self) -> list[URLPattern]:
        return [
            self._pairing_url("status", self.pairing_status),
            self._pairing_url("code", self.pairing_code),
            *super().get_urls(),
        ]

    def _pairing_url(self, name: str, view: Callable[..., HttpResponse]) -> URLPattern:
        return path(
            f"<path:object_id>/pair/{name}/",
            self.admin_site.admin_view(outside_transactions(_plain(view))),
            name=f"messaging_sender_pair_{name}",
        )

    # The page

    def pair_one(self, request: HttpRequest, obj: Sender) -> HttpResponse:
        """Show how it stands; POST begins, goes on with what is under way, or looks again."""
        if not self.can_pair(request, obj):
            raise NotPossible(_("%(sender)s is no phone that could be paired.") % {"sender": obj})
        if request.method == "POST":
            self._step(request, obj)
            return HttpResponseRedirect(self.url("pair", obj.pk))
        row = Pairing.objects.filter(sender=obj).first()
        found = standing(obj, row)
        context = {
            "title": _("Pair %(sender)s") % {"sender": obj.name},
            "original": obj,
            "found": found,
            "panel": self._panel(request, obj, found),
            "status_url": self.url("pair_status", obj.pk),
            "media": self.media
            + Media(css={"all": ["messaging/receiving.css"]}, js=["messaging/pairing.js"]),
        }
        response = self.page(request, "sender/pair.html", context)
        # A picture, or a number, must not come back from a cache after signing out.
        response["Cache-Control"] = "no-store"
        return response

    def _step(self, request: HttpRequest, obj: Sender) -> None:
        if "look" in request.POST:
            pairing.look(obj)
            return
        before = Pairing.objects.filter(sender=obj).first()
        under_way = standing(obj, before).state == PairingState.WAITING
        pairing.start(obj)
        if not under_way:
            self.log_change(request, obj, _("Asked for the code to pair a phone."))
        forget_banners()

    def _panel(self, request: HttpRequest, obj: Sender, found: Standing) -> str:
        """The part of the page that changes with the state, as HTML."""
        context: dict[str, Any] = {"found": found, "sender": obj, "number": _number(obj.address)}
        if found.state == PairingState.CONNECTED:
            context |= self._connected(request, obj, found)
        elif found.state == PairingState.WAITING and found.row is not None:
            context["code_url"] = self._code_url(obj, found.row)
        return render_to_string("admin/messaging/sender/pair_panel.html", context, request)

    def _connected(self, request: HttpRequest, obj: Sender, found: Standing) -> dict[str, Any]:
        row = found.row
        known = row is not None and row.state == PairingState.CONNECTED
        user = request.user
        inbox_url = model_url(self.admin_site, Conversation, "changelist")
        send_url = model_url(self.admin_site, Message, "send")
        return {
            "phone": row.details if known and row else {},
            "phone_number": _number(str(row.details.get("address", ""))) if known and row else "",
            "lane": obj.lane,
            "provider_url": model_url(self.admin_site, Provider, "change", obj.provider_id)
            if user.has_perm(MANAGE)
            else "",
            "inbox_url": f"{inbox_url}?sender={obj.pk}"
            if user.has_perm("messaging.view_conversation")
            else "",
            "send_url": f"{send_url}?sender={obj.pk}"
            if user.has_perm("messaging.send_message")
            else "",
        }

    def _code_url(self, obj: Sender, row: Pairing) -> str:
        return f"{self.url('pair_code', obj.pk)}?serial={row.serial}" if row.code else ""

    # What its script asks for

    def pairing_status(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How it stands, as JSON. A POST, since the gateway may be asked."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        obj = self._phone(request, object_id)
        row = pairing.look(obj)
        obj.refresh_from_db(fields=["connection", "address", "inbox_polled_at"])
        found = standing(obj, row)
        waiting = found.state == PairingState.WAITING and row is not None
        data = {
            "state": found.state,
            "words": found.words,
            "left": found.seconds_left,
            "time": found.time_left if waiting else "",
            "code": self._code_url(obj, row) if waiting and row else "",
            "error": found.trouble,
        }
        if request.POST.get("state") != found.state:
            forget_banners()
            obj = self._phone(request, object_id)  # its lane as it is now
            data["panel"] = self._panel(request, obj, found)
        response = JsonResponse(data)
        response["Cache-Control"] = "no-store"
        return response

    def pairing_code(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The picture to scan; 404 where there is none now."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET"])
        row = Pairing.objects.filter(sender=self._phone(request, object_id)).first()
        code = pairing.code_of(row) if row is not None else b""
        response = HttpResponse(code, content_type="image/png", status=200 if code else 404)
        response["Cache-Control"] = "no-store"
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    def _phone(self, request: HttpRequest, object_id: str) -> Sender:
        """The sender, for whoever may pair it. Raises Http404 and PermissionDenied."""
        obj = self.get_object(request, object_id)
        if not request.user.has_perm(PAIR) or not self.has_view_permission(request, obj):
            raise PermissionDenied
        if not isinstance(obj, Sender) or not self.can_pair(request, obj):
            raise Http404
        return obj

    # On the list

    def connection_and_link(self, obj: Sender) -> str:
        """The connection, with the way to mend it."""
        text = obj.get_connection_display()
        cls = adapter_of(obj.adapter_slug())
        if cls is None or not cls.needs_pairing or obj.connection == Connection.CONNECTED:
            return str(text)
        return format_html('{} <a href="{}">{}</a>', text, self.url("pair", obj.pk), _("Pair now"))

    connection_and_link.short_description = gettext_lazy("connection")  # type: ignore[attr-defined]
    connection_and_link.admin_order_field = "connection"  # type: ignore[attr-defined]


def _number(value: str) -> str:
    return shown(value, full=True) if value else ""


def _plain(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A bound method takes no attributes; a function does."""

    def call(request: HttpRequest, object_id: str) -> HttpResponse:
        return view(request, object_id)

    return call
