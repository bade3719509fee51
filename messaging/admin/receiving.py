"""What comes in, on the pages of providers and senders: polling, fetching, the webhook's address.

Everything here asks a gateway or changes a secret, so it is a POST, and pressing twice does no
more than pressing once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import clock, conf, health, inbox, polling, sync
from ..errors import ConfigurationError, GatewayError, MessagingError
from ..inbox.tokens import OVERLAP
from ..models import DeliveryState, Provider, Sender, WebhookDelivery, WebhookToken
from .accounts import adapter_of
from .base import Button, forget_banners, model_url
from .lanes import MANAGE, MOST_CALLS, LaneAdmin, moment

#: How long one press goes on to the next sender, in seconds: a browser is waiting.
_PATIENCE: Final = 20.0

#: What only polling found is counted so far back.
_POLLED_DAYS: Final = timedelta(days=7)

POLL: Final = Button(
    name="poll",
    label=gettext_lazy("Poll now"),
    permission=MANAGE,
    method="poll_one",
    shown="can_poll",
)


def receives(obj: Provider) -> bool:
    """Whether this provider's gateway can post to us."""
    cls = adapter_of(obj.adapter)
    return cls is not None and cls.supports("parse_webhook")


class ReceivingAdmin(LaneAdmin):
    """Base of both screens."""

    actions = [*LaneAdmin.actions, "poll_selected"]
    #: Offered in a section of their own: beside the title there is room for few.
    receiving_buttons: Sequence[Button] = ()

    class Media:
        css = {"all": ["messaging/receiving.css"]}

    def shown_buttons(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        apart = {button.name for button in self.receiving_buttons}
        return [row for row in super().shown_buttons(request, obj) if row["name"] not in apart]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        if obj is not None and obj.pk:
            apart = {button.name for button in self.receiving_buttons if not button.page}
            every = super().shown_buttons(request, obj)
            context["messaging_receiving"] = [row for row in every if row["name"] in apart]
        return super().render_change_form(request, context, *args, **kwargs)

    def can_poll(self, request: HttpRequest, obj: Provider | Sender) -> bool:
        cls = adapter_of(obj.adapter_slug())
        return cls is not None and (cls.supports("fetch_inbox") or cls.supports("fetch_statuses"))

    @admin.action(
        description=gettext_lazy("Poll now: read inbox and reports"), permissions=["manage"]
    )
    def poll_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, self.poll_one, self.can_poll)

    def poll_one(self, request: HttpRequest, obj: Provider | Sender) -> None:
        """Ask the sender, or every sender of the provider that is in use."""
        if not self.can_poll(request, obj):
            text = _("%(row)s: this gateway has no inbox and no report to ask for.")
            self.message_user(request, text % {"row": obj}, messages.WARNING)
            return
        senders = [obj] if isinstance(obj, Sender) else list(_in_use(obj))
        if not senders:
            self.message_user(request, _("There is no active sender to ask."), messages.WARNING)
        end = time.monotonic() + _PATIENCE
        for number, sender in enumerate(senders):
            if number == MOST_CALLS or time.monotonic() > end:
                left = ", ".join(row.name for row in senders[number:][:MOST_CALLS])
                text = _("Not asked yet: %(names)s. Poll again to go on.") % {"names": left}
                self.message_user(request, text, messages.WARNING)
                break
            self._poll(request, sender)
        forget_banners()

    def _poll(self, request: HttpRequest, sender: Sender) -> None:
        def ask() -> str:
            done = polling.poll_now(sender)
            new = ngettext("%(count)d new message", "%(count)d new messages", done.received)
            changed = ngettext(
                "%(count)d message changed its state",
                "%(count)d messages changed their state",
                done.changed,
            )
            parts = (new % {"count": done.received}, changed % {"count": done.changed})
            return ", ".join(parts) + "."

        self._ask(request, sender, ask)

    def _ask(self, request: HttpRequest, row: Provider | Sender, ask: Callable[[], str]) -> None:
        """Ask a gateway and say how it went. What it found before it failed is kept."""
        try:
            self.message_user(request, f"{row}: {ask()}", messages.SUCCESS)
        except GatewayError as error:
            self.message_user(request, f"{row}: {health.explain(error)}", messages.ERROR)
        except MessagingError as error:
            self.message_user(request, f"{row}: {error}", messages.ERROR)


def _in_use(provider: Provider) -> QuerySet[Sender]:
    rows = Sender.objects.filter(provider=provider, is_active=True)
    return rows.select_related("provider").order_by("name")


def _said(done: sync.Synced) -> str:
    """What a fetch brought."""
    return _("%(listed)d listed by the gateway, %(new)d new here, %(changed)d changed.") % {
        "listed": done.listed,
        "new": done.new,
        "changed": done.changed,
    }


class SenderReceiving(ReceivingAdmin):
    """Polling and fetching on the sender's page."""

    #: One for each of `sync.supported`; the balance has a button of its own.
    receiving_buttons = [
        POLL,
        *(
            Button(
                name=f"fetch-{what}",
                label=label,
                permission=MANAGE,
                method=f"fetch_{what}",
                shown=f"has_{what}",
            )
            for what, label in (
                ("contacts", gettext_lazy("Fetch contacts")),
                ("groups", gettext_lazy("Fetch groups")),
                ("templates", gettext_lazy("Fetch templates")),
            )
        ),
    ]

    def has_contacts(self, request: HttpRequest, obj: Sender) -> bool:
        return self._supports(obj, "contacts")

    def has_groups(self, request: HttpRequest, obj: Sender) -> bool:
        return self._supports(obj, "groups")

    def has_templates(self, request: HttpRequest, obj: Sender) -> bool:
        return self._supports(obj, "templates")

    def _supports(self, obj: Sender, what: str) -> bool:
        return adapter_of(obj.adapter_slug()) is not None and what in sync.supported(obj)

    def fetch_contacts(self, request: HttpRequest, obj: Sender) -> None:
        self._ask(request, obj, lambda: _said(sync.sync_contacts(obj)))

    def fetch_groups(self, request: HttpRequest, obj: Sender) -> None:
        self._ask(request, obj, lambda: _said(sync.sync_groups(obj)))

    def fetch_templates(self, request: HttpRequest, obj: Sender) -> None:
        self._ask(request, obj, lambda: _said(sync.sync_templates(obj)))

    @admin.display(description=gettext_lazy("receiving"))
    def receiving(self, obj: Sender) -> str:
        """When the inbox was read, and what no webhook brought although one should."""
        cls = adapter_of(obj.adapter_slug())
        if cls is None or not cls.supports("fetch_inbox"):
            return _("By webhook only: this gateway has no inbox to read.")
        read = moment(obj.inbox_polled_at) or _("not yet")
        parts = [_("Inbox last read: %(time)s.") % {"time": read}]
        found = polling.only_polled(obj, clock.now() - _POLLED_DAYS)
        if found and cls.supports("parse_webhook"):
            text = ngettext(
                "%(count)d message of the last 7 days was found only by polling: check the "
                "webhook.",
                "%(count)d messages of the last 7 days were found only by polling: check the "
                "webhook.",
                found,
            )
            url = model_url(self.admin_site, Provider, "change", obj.provider_id)
            parts.append(format_html('<a href="{}#webhook">{}</a>', url, text % {"count": found}))
        return format_html("{} {}", parts[0], parts[1] if len(parts) > 1 else "")


class ProviderReceiving(ReceivingAdmin):
    """Polling, fetching senders and the webhook's address on the provider's page."""

    receiving_buttons = [
        POLL,
        Button(
            name="fetch-senders",
            label=gettext_lazy("Fetch senders"),
            permission=MANAGE,
            method="fetch_senders",
            shown="has_senders",
        ),
        # Its link stands beside the address.
        Button(
            name="webhook",
            label=gettext_lazy("Change the address…"),
            permission=MANAGE,
            method="change_address",
            page=True,
        ),
    ]

    def has_senders(self, request: HttpRequest, obj: Provider) -> bool:
        cls = adapter_of(obj.adapter)
        return cls is not None and cls.supports("fetch_senders")

    def fetch_senders(self, request: HttpRequest, obj: Provider) -> None:
        def ask() -> str:
            done = sync.sync_senders(obj)
            hint = _("New senders are switched off until you switch them on.") if done.new else ""
            return f"{_said(done)} {hint}".strip()

        self._ask(request, obj, ask)

    # The webhook's address: a secret, for those who may manage providers

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        if obj is not None and obj.pk and request.user.has_perm(MANAGE) and receives(obj):
            context["messaging_webhook"] = self._webhook(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _webhook(self, request: HttpRequest, obj: Provider) -> dict[str, Any]:
        try:
            address = inbox.address_of(obj, request.build_absolute_uri("/"))
        except ConfigurationError as error:
            return {"problem": str(error)}
        cls = adapter_of(obj.adapter)
        waiting = WebhookDelivery.objects.filter(
            provider=obj, state__in=[DeliveryState.QUARANTINED, DeliveryState.FAILED]
        )
        return {
            "address": address,
            "help": cls.webhook_help if cls else "",
            "guessed": not conf.get("PUBLIC_BASE_URL"),
            "older": _last_end(obj),
            "change": self.url("webhook", obj.pk),
            "deliveries": model_url(self.admin_site, WebhookDelivery, "changelist")
            if request.user.has_perm("messaging.view_webhookdelivery")
            else "",
            "waiting": waiting[:1000].count(),
        }

    def change_address(self, request: HttpRequest, obj: Provider) -> HttpResponse | None:
        """Confirm, then change. A form sent twice changes once."""
        if not receives(obj):
            text = _("%(provider)s: this gateway posts nothing to us.") % {"provider": obj}
            self.message_user(request, text, messages.WARNING)
            return None
        present = inbox.token_of(obj)
        if request.method != "POST":
            context = {
                "title": _("Change the webhook address of %(provider)s") % {"provider": obj},
                "original": obj,
                "present": present.pk,
                "days": OVERLAP.days,
                "back": self.url("change", obj.pk),
            }
            return self.page(request, "provider/change_address.html", context)
        if request.POST.get("present") != str(present.pk):
            self.message_user(
                request, _("The address was changed already. It is shown below."), messages.WARNING
            )
            return None
        inbox.rotate(obj)
        self.log_change(request, obj, _("Changed the webhook address."))
        self.message_user(
            request,
            _(
                "The address was changed. Paste the new one in the gateway's panel; until %(time)s "
                "the old one goes on working."
            )
            % {"time": moment(_last_end(obj))},
            messages.SUCCESS,
        )
        return None


def _last_end(obj: Provider) -> Any:
    """Until when an address from before is still good; None where there is none."""
    rows = WebhookToken.objects.filter(provider=obj, expires_at__gt=clock.now())
    return rows.order_by("-expires_at").values_list("expires_at", flat=True).first()
