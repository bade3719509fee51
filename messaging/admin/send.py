"""The send page: to whom, from where, what and when; then a look at it; then it is queued.

Everything before the last step is in the page's address or its form, so it works without
JavaScript. The form carries a number of its own, which becomes the messages' key: pressing twice,
or reloading, sends once.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.forms.utils import ErrorDict
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    QueryDict,
)
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import clock, outbox
from ..errors import Refused
from ..models import Message, Sender, Template
from . import kinds, scope, search
from .audience import (
    Audience,
    Checked,
    ChosenContacts,
    Outcome,
    TypedNumber,
    Wish,
    from_request,
    send_to_contacts,
)
from .base import log_all, model_url
from .send_forms import DeliveryForm, TemplateChoice

#: Above this many people, sending is a permission of its own and the number is typed.
MANY: Final = 50

#: More than this many people are not queued within one request.
MOST: Final = 10_000


class SendPage:
    """One request to the send page."""

    def __init__(self, model_admin: Any, request: HttpRequest) -> None:
        self.admin = model_admin
        self.request = request
        self.audience: Audience = from_request(request, model_admin.admin_site)
        kind = request.GET.get("kind", "text")
        self.kind = kind if kind in kinds.SENDABLE else "text"
        self.template = self._template()

    @property
    def is_many(self) -> bool:
        return self.audience.count > MANY

    def _template(self) -> Template | None:
        pk = self.request.GET.get("template", "")
        if self.kind != "template" or not pk.isdecimal():
            return None
        return Template.objects.select_related("provider").filter(pk=int(pk)).first()

    def respond(self) -> HttpResponse:
        if self.request.method not in ("GET", "POST"):
            return HttpResponseNotAllowed(["GET", "POST"])
        if self.is_many and not self.request.user.has_perm("messaging.send_broadcast"):
            raise PermissionDenied
        if self.audience.count > MOST:
            text = _("More than %(most)d people cannot be written to at once. Choose fewer.")
            self.admin.message_user(self.request, text % {"most": MOST}, messages.ERROR)
            return HttpResponseRedirect(self.admin.url("changelist"))
        if self.kind == "template" and self.template is None:
            return self._render("choose_template.html", {"form": TemplateChoice(page=self)})
        return self._post() if self.request.method == "POST" else self._show(*self._forms())

    # The forms

    def _forms(self, data: Any = None, files: Any = None) -> tuple[Any, DeliveryForm]:
        content = kinds.content_form(
            self.kind,
            data,
            files,
            user=self.request.user,
            template=self.template,
            more=bool(data) and "_more" in self.request.POST,
        )
        initial = {"nonce": uuid4(), "sender": self._first_sender(), "to": self._typed()}
        return content, DeliveryForm(data, initial=initial, page=self)

    def _typed(self) -> str:
        return self.request.GET.get("to", "")

    def _first_sender(self) -> int | None:
        """The sender named in the address, the template's own, else the default."""
        rows = scope.senders(self.request.user)
        pk = self.request.GET.get("sender", "")
        if pk.isdecimal():
            return rows.filter(pk=int(pk)).values_list("pk", flat=True).first()
        if self.template is not None:
            rows = rows.filter(provider=self.template.provider_id)
            if self.template.sender_id:
                return self.template.sender_id
            found = list(rows.order_by("-is_default").values_list("pk", "is_default")[:2])
            return found[0][0] if len(found) == 1 or (found and found[0][1]) else None
        return rows.filter(is_default=True).values_list("pk", flat=True).first()

    def _post(self) -> HttpResponse:
        data, files = self.request.POST, self.request.FILES
        content, delivery = self._forms(data, files)
        if "_more" in data:
            return self._show(unjudged(content), unjudged(delivery))
        if not (content.is_valid() & delivery.is_valid()):
            return self._show(content, delivery)
        wish = self._wish(content, delivery)
        if not self._may_use(wish.sender):
            raise PermissionDenied
        checked = self.audience.check(wish, delivery.cleaned_data.get("to"))
        mark = self._mark(wish, delivery)
        same = constant_time_compare(delivery.cleaned_data["checked"], mark)
        if "_send" in data and same and self._confirmed(delivery, checked):
            try:
                return self._send(wish, delivery)
            except Refused as error:
                # Something happened since the look at it. What was typed is kept.
                checked = Checked(checked.count, refusals=[str(error)])
        if "_send" in data and not same:
            text = _(
                "Something changed since the check. Here is the new one; nothing was sent yet."
            )
            self.admin.message_user(self.request, text, messages.WARNING)
        return self._show(content, delivery, checked=checked, wish=wish, mark=mark)

    def _may_use(self, sender: Sender | None) -> bool:
        try:
            sender = sender or outbox.resolve_sender()
        except Refused:
            # Nothing to send from: the look at it says so.
            return True
        return scope.may_use(self.request.user, sender)

    def _wish(self, content: Any, delivery: DeliveryForm) -> Wish:
        data = delivery.cleaned_data
        return Wish(
            content=content.content(),
            sender=self.audience.sender or data.get("sender"),
            send_at=data.get("send_at"),
            hold=outbox.HOLD_WINDOW if data.get("hold") else None,
        )

    def _mark(self, wish: Wish, delivery: DeliveryForm) -> str:
        """What was looked at, in one word: sending something else needs another look."""
        parts = [
            wish.content.to_json(),
            wish.sender.pk if wish.sender else None,
            str(wish.send_at),
            wish.hold,
            self.audience.identity(),
            delivery.cleaned_data.get("to", ""),
        ]
        text = json.dumps(parts, sort_keys=True)
        return salted_hmac("messaging.admin.send", text, algorithm="sha256").hexdigest()

    def _confirmed(self, delivery: DeliveryForm, checked: Checked) -> bool:
        if not self.is_many:
            return True
        if delivery.cleaned_data.get("confirm") == checked.count:
            return True
        text = _("Type the number of people, %(count)d, to send.") % {"count": checked.count}
        delivery.add_error("confirm", text)
        return False

    # Sending

    def _send(self, wish: Wish, delivery: DeliveryForm) -> HttpResponse:
        key = _key(delivery)
        if isinstance(self.audience, ChosenContacts) and not self.audience.is_one:
            return self._send_to_many(self.audience, wish, key)
        to = self._single_target(delivery)
        known = Message.objects.filter(key=f"{key}:0").exists()
        message = outbox.queue(
            wish.content,
            to=to,
            sender=wish.sender,
            key=f"{key}:0",
            send_at=wish.send_at,
            author=self.request.user,
            hold=wish.hold,
        )
        if not known:
            self.admin.log_addition(self.request, message, _("Queued on the send page."))
        self.admin.message_user(self.request, _said(message), messages.SUCCESS)
        return HttpResponseRedirect(self._after(message))

    def _single_target(self, delivery: DeliveryForm) -> Any:
        if isinstance(self.audience, TypedNumber):
            return delivery.cleaned_data["to"]
        if isinstance(self.audience, ChosenContacts):
            return self.audience.rows.get()
        return self.audience.conversation  # type: ignore[attr-defined]

    def _send_to_many(self, audience: ChosenContacts, wish: Wish, key: str) -> HttpResponse:
        known = _is_used(key)
        with transaction.atomic(using=router.db_for_write(Message)):
            outcome = send_to_contacts(audience, wish, key=key, author=self.request.user)
            if outcome.queued and not known:
                rows = [wish.sender or outbox.resolve_sender()]
                text = _("Queued for %(count)d contacts.") % {"count": outcome.queued}
                log_all(self.request, rows, text)
        return self._render("sent.html", self._outcome(outcome))

    def _outcome(self, outcome: Outcome) -> dict[str, Any]:
        queued = ngettext(
            "%(count)d message is queued.", "%(count)d messages are queued.", outcome.queued
        )
        return {
            "title": _("Queued") if outcome.queued else _("Nothing was sent"),
            "queued": queued % {"count": outcome.queued},
            "reasons": outcome.by_reason(),
            "left_out": len(outcome.left_out),
            "messages_url": self.admin.url("changelist"),
        }

    def _after(self, message: Message) -> str:
        if self.admin.has_view_permission(self.request, message):
            return str(self.admin.url("change", message.pk))
        return str(self.request.get_full_path())

    # The page

    def _show(
        self,
        content: Any,
        delivery: DeliveryForm,
        *,
        checked: Checked | None = None,
        wish: Wish | None = None,
        mark: str = "",
    ) -> HttpResponse:
        if delivery.is_bound:
            self._renew(delivery, mark)
        context = {
            "title": _("Send a message"),
            "places": AdminForm(delivery, delivery.rows("to", "sender"), {}),  # type: ignore[arg-type]
            "contents": AdminForm(content, content.fieldsets, {}),
            "times": AdminForm(delivery, delivery.rows("send_at", "hold"), {}),  # type: ignore[arg-type]
            "hidden": [*delivery.hidden_fields(), *content.hidden_fields()],
            "errors": content.errors or delivery.errors,
            "media": self.admin.media + content.media + delivery.media,
            "can_add_card": getattr(content, "can_add", False),
            "checked": checked,
            "preview": wish.content.preview() if wish else "",
            "confirm": delivery["confirm"] if "confirm" in delivery.fields else None,
            "send_label": self._send_label(checked),
        }
        return self._render("send.html", context)

    def _renew(self, delivery: DeliveryForm, mark: str) -> None:
        """Write the mark of this look into the form; and a new number, where the old one has
        already sent something."""
        data: Any = delivery.data
        data = data.copy()
        data["checked"] = mark
        if delivery.cleaned_data.get("nonce") and _is_used(_key(delivery)):
            data["nonce"] = str(uuid4())
            text = _("You have already sent a message from this page. Sending now sends one more.")
            self.admin.message_user(self.request, text, messages.WARNING)
        delivery.data = data

    def _send_label(self, checked: Checked | None) -> str:
        if checked is None or self.audience.is_one:
            return _("Send")
        count = checked.count - len(checked.left_out) - checked.left_out_more
        return ngettext("Send to %(count)d person", "Send to %(count)d people", count) % {
            "count": count
        }

    def _tab(self, kind: str) -> dict[str, Any]:
        query: QueryDict = self.request.GET.copy()
        query["kind"] = kind
        query.pop("template", None)
        return {
            "label": kinds.label(kind),
            "url": f"?{query.urlencode()}",
            "current": kind == self.kind,
        }

    def _render(self, name: str, context: dict[str, Any]) -> HttpResponse:
        base = {
            "title": _("Send a message"),
            "audience": self.audience,
            "tabs": [self._tab(kind) for kind in kinds.SENDABLE],
            "query": [(key, value) for key, value in self.request.GET.items() if key != "kind"],
        }
        response: HttpResponse = self.admin.page(
            self.request, f"message/{name}", {**base, **context}
        )
        return response


def send_url(site: Any, **query: Any) -> str:
    """The address of the send page with its audience and kind."""
    url = model_url(site, Message, "send")
    return f"{url}?{urlencode(query)}" if query else url


def _key(delivery: DeliveryForm) -> str:
    return f"admin:{delivery.cleaned_data['nonce']}"


def _is_used(key: str) -> bool:
    """Whether the page with this key has queued something already."""
    return Message.objects.filter(search.starts(Message, "key", f"{key}:")).exists()


def unjudged(form: Any) -> Any:
    """The form with what was typed and without a word on it, which was not asked for yet."""
    form._errors = ErrorDict()
    form.cleaned_data = {}
    return form


def _said(message: Message) -> str:
    if message.held:
        return _("Kept. It is sent when they next write.")
    if message.is_scheduled(clock.now()):
        return _("Scheduled. Until then you can change or cancel it here.")
    return _("Queued. It leaves as soon as a worker has it; this page shows what becomes of it.")
