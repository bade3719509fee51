"""Accounts with gateways and the numbers messages leave from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .. import adapters
from ..adapters.base import (
    INBOUND_ONLY,
    INBOUND_OR_TEMPLATE,
    NO_WINDOW,
    SMS,
    WHATSAPP,
    Account,
    Adapter,
)
from ..content import is_web_link
from .fields import EncryptedDictField, EncryptedTextField, keyed_digests


class Channel(models.TextChoices):
    WHATSAPP = WHATSAPP, "WhatsApp"
    SMS = SMS, "SMS"


class WindowPolicy(models.TextChoices):
    INBOUND_ONLY = INBOUND_ONLY, _("24 hours after the customer wrote")
    INBOUND_OR_TEMPLATE = INBOUND_OR_TEMPLATE, _("24 hours after the customer wrote or a template")
    NONE = NO_WINDOW, _("No window: free text at any time")


class PauseReason(models.TextChoices):
    """Why a lane sends nothing. All but PERSON are tried again by themselves."""

    PERSON = "person", _("paused by a person")
    AUTHENTICATION = "authentication", _("the gateway refused the credentials")
    QUOTA = "quota", _("the balance or allowance is used up")
    CONFIGURATION = "configuration", _("the account or sender is not set up at the gateway")
    DISCONNECTED = "disconnected", _("the phone is not connected")
    RATE_LIMIT = "rate_limit", _("the gateway asked us to slow down")
    UNREACHABLE = "unreachable", _("the gateway cannot be reached")


def validate_web_link(value: str) -> None:
    """Refuse what is not an absolute http or https address. Which hosts may be reached is
    decided when a connection is made (MESSAGING["ALLOWED_PRIVATE_HOSTS"])."""
    if not is_web_link(value):
        raise ValidationError(_("Enter a full web address, starting with https://."))


class LaneBase(models.Model):
    """What belongs to the row whose credentials sign a call: pace, pause and balance."""

    credentials = EncryptedDictField(_("credentials"))
    account_digest = models.CharField(
        max_length=64, null=True, blank=True, unique=True, editable=False
    )
    rate = models.FloatField(
        _("calls per second"),
        null=True,
        blank=True,
        help_text=_("At most this many calls a second. Empty: what the gateway documents."),
    )
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True, editable=False)
    pause_reason = models.CharField(
        _("pause reason"), max_length=20, blank=True, choices=PauseReason, editable=False
    )
    pause_text = models.CharField(max_length=255, blank=True, editable=False)
    pause_seconds = models.PositiveIntegerField(default=0, editable=False)
    balance = models.CharField(_("balance"), max_length=50, blank=True, editable=False)
    balance_checked_at = models.DateTimeField(
        _("balance checked"), null=True, blank=True, editable=False
    )
    plan_expires_at = models.DateTimeField(_("plan expires"), null=True, blank=True, editable=False)
    used_today = models.PositiveIntegerField(_("used today"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(rate__isnull=True) | Q(rate__gt=0), name="%(class)s_rate_positive"
            )
        ]

    @property
    def lane_key(self) -> str:
        """The lane's name in the pace table: `p7` or `s12`."""
        return f"{self._meta.model_name[0]}{self.pk}"  # type: ignore[index]

    def is_paused(self, now: datetime) -> bool:
        """True while nothing may leave. Past `paused_until` one message is tried."""
        return bool(self.pause_reason) and (self.paused_until is None or self.paused_until > now)

    def adapter_slug(self) -> str:
        raise NotImplementedError

    def update_digest(self) -> None:
        """Set `account_digest` from the credentials, so that one account is not kept twice."""
        self.account_digest = account_digests(self.adapter_slug(), self.credentials)[0] or None


def account_digests(adapter: str, credentials: Mapping[str, str]) -> list[str]:
    """The digests one account may be stored under, first the present one; [""] for none."""
    values = {name: value for name, value in credentials.items() if value}
    if not values:
        return [""]
    return keyed_digests("account", json.dumps([adapter, values], sort_keys=True))


class Provider(LaneBase):
    """One account with a gateway."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    adapter = models.CharField(_("gateway"), max_length=50, choices=adapters.choices)
    base_url = models.CharField(
        _("base URL"),
        max_length=255,
        blank=True,
        validators=[validate_web_link],
        help_text=_("Where the gateway's documents start their paths."),
    )
    window_policy = models.CharField(_("reply window"), max_length=30, choices=WindowPolicy)
    options = models.JSONField(_("options"), default=dict, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    default_region = models.CharField(
        _("default region"),
        max_length=2,
        blank=True,
        help_text=_("Country of numbers written without a country code, such as GB."),
    )
    time_zone = models.CharField(_("time zone"), max_length=50, default="UTC")
    recipients_per_call = models.PositiveSmallIntegerField(
        _("recipients per call"),
        null=True,
        blank=True,
        help_text=_("How many equal messages may share one call, where the gateway allows it."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(LaneBase.Meta):
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering = ["name"]
        permissions = [
            ("manage_provider", _("Can manage providers, senders and their credentials")),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.window_policy:
            self.window_policy = self.adapter_class.window_policy
        if not self.base_url:
            self.base_url = self.adapter_class.default_base_url
        if kwargs.get("update_fields") is None or "credentials" in kwargs["update_fields"]:
            self.update_digest()
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "account_digest"}
        super().save(*args, **kwargs)

    @property
    def adapter_class(self) -> type[Adapter]:
        return adapters.adapter_class(self.adapter)

    def adapter_slug(self) -> str:
        return self.adapter

    def clean(self) -> None:
        super().clean()
        most = self.adapter_class.max_recipients if adapters.is_known(self.adapter) else 1
        if self.recipients_per_call is not None and not 1 <= self.recipients_per_call <= most:
            raise ValidationError(
                {"recipients_per_call": _("This gateway takes 1 to %(most)d.") % {"most": most}}
            )

    def account(self, sender: Sender | None = None) -> Account:
        """What an adapter needs to speak for this provider, or for one of its senders."""
        credentials = dict(self.credentials)
        if sender is not None:
            credentials.update(sender.credentials)
        return Account(
            base_url=self.base_url.rstrip("/"),
            credentials=credentials,
            options=dict(self.options),
            channel=sender.channel if sender else WHATSAPP,
            name=sender.name if sender else self.name,
            address=sender.address if sender else "",
            external_id=sender.external_id if sender else "",
            instance_id=sender.instance_id if sender else "",
            time_zone=self.time_zone,
        )

    def connect(self) -> Adapter:
        """An adapter that speaks for the provider itself."""
        return adapters.connect(self.adapter, self.account())


class Connection(models.TextChoices):
    UNKNOWN = "unknown", _("not checked")
    DISCONNECTED = "disconnected", _("not connected")
    PAIRING = "pairing", _("waiting for the phone")
    CONNECTED = "connected", _("connected")


class Sender(LaneBase):
    """A number or id that messages leave from, on one channel."""

    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="senders", verbose_name=_("provider")
    )
    name = models.CharField(_("name"), max_length=100)
    channel = models.CharField(
        _("channel"), max_length=10, choices=Channel, default=Channel.WHATSAPP
    )
    address = models.CharField(
        _("number"), max_length=64, blank=True, help_text=_("With country code: +447700900100.")
    )
    external_id = models.CharField(
        _("id at the gateway"),
        max_length=100,
        blank=True,
        help_text=_("The sender id the gateway gave, where it has one."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    is_default = models.BooleanField(
        _("default"), default=False, help_text=_("Used where no sender is chosen.")
    )
    connection = models.CharField(
        _("connection"),
        max_length=12,
        choices=Connection,
        default=Connection.UNKNOWN,
        editable=False,
    )
    # The secret id by which the gateway's reports name this phone, as learnt from an answer.
    instance_id = EncryptedTextField(blank=True, editable=False)
    inbox_cursor = models.CharField(max_length=100, blank=True, editable=False)
    inbox_polled_at = models.DateTimeField(
        _("inbox last read"), null=True, blank=True, editable=False
    )
    connection_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    inbox_reconciled_at = models.DateTimeField(null=True, blank=True, editable=False)
    poll_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(LaneBase.Meta):
        verbose_name = _("sender")
        verbose_name_plural = _("senders")
        ordering = ["name"]
        permissions = [
            ("pair_sender", _("Can pair a phone")),
            ("pause_sender", _("Can pause and resume sending")),
        ]
        constraints = [
            *LaneBase.Meta.constraints,
            models.UniqueConstraint(
                fields=["provider", "channel", "address"],
                condition=~Q(address=""),
                name="sender_unique_address",
            ),
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True),
                name="sender_one_default",
                violation_error_message=_("Another sender is the default already."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.address else self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("update_fields") is None or "credentials" in kwargs["update_fields"]:
            self.update_digest()
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "account_digest"}
        super().save(*args, **kwargs)

    def adapter_slug(self) -> str:
        return self.provider.adapter

    @property
    def lane(self) -> LaneBase:
        """The row whose credentials sign this sender's calls."""
        return self if self.provider.adapter_class.sender_credentials else self.provider

    def connect(self) -> Adapter:
        """An adapter that speaks for this sender."""
        return adapters.connect(self.provider.adapter, self.provider.account(self))


class PairingState(models.TextChoices):
    WAITING = "waiting", _("waiting for the phone")
    CONNECTED = "connected", _("connected")
    EXPIRED = "expired", _("the code expired")
    FAILED = "failed", _("no code could be shown")


class Pairing(models.Model):
    """One attempt to pair a phone: the code to scan now, and until when it is asked for."""

    sender = models.OneToOneField(Sender, models.CASCADE, related_name="pairing")
    state = models.CharField(_("state"), max_length=10, choices=PairingState)
    code = EncryptedTextField(blank=True, editable=False)
    #: Grows with every new code, so that a page knows when to fetch it again.
    serial = models.PositiveIntegerField(default=0, editable=False)
    error = models.CharField(_("error"), max_length=255, blank=True)
    details = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField(_("started"))
    expires_at = models.DateTimeField(_("expires"))
    asked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("pairing")
        verbose_name_plural = _("pairings")

    def __str__(self) -> str:
        return f"{self.sender}: {self.get_state_display()}"


class WebhookToken(models.Model):
    """The secret in a provider's webhook address. An old one stays good until it expires."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="webhook_tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    token = EncryptedTextField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)

    class Meta:
        verbose_name = _("webhook token")
        verbose_name_plural = _("webhook tokens")
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(_("webhook token of %(provider)s")) % {"provider": self.provider}


class SenderAccess(models.Model):
    """Who may use a sender. A sender without rows here is open to all who may send."""

    sender = models.ForeignKey(Sender, models.CASCADE, related_name="access")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    group = models.ForeignKey("auth.Group", models.CASCADE, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = _("sender access")
        verbose_name_plural = _("sender access")
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True)
                | Q(user__isnull=True, group__isnull=False),
                name="senderaccess_user_or_group",
            ),
            models.UniqueConstraint(fields=["sender", "user"], name="senderaccess_unique_user"),
            models.UniqueConstraint(fields=["sender", "group"], name="senderaccess_unique_group"),
        ]

    def __str__(self) -> str:
        return f"{self.sender}: {self.user or self.group}"
