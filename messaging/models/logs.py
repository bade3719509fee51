"""What came in and went out, and who is alive."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .fields import EncryptedTextField


class ProviderCall(models.Model):
    """A call that went out, redacted while it was built."""

    provider = models.ForeignKey("Provider", models.CASCADE, related_name="calls")
    operation = models.CharField(_("operation"), max_length=40)
    method = models.CharField(max_length=7)
    url = models.CharField(_("address"), max_length=500)
    request = models.JSONField(_("request"), default=dict, blank=True)
    status_code = models.PositiveSmallIntegerField(_("HTTP status"), default=0)
    response = models.JSONField(_("answer"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=500, blank=True)
    duration = models.FloatField(_("seconds"), default=0)
    at = models.DateTimeField(_("time"), db_index=True)

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.operation} {self.status_code or self.error}"


class DeliveryState(models.TextChoices):
    STORED = "stored", _("stored")
    PROCESSED = "processed", _("processed")
    QUARANTINED = "quarantined", _("quarantined")
    FAILED = "failed", _("failed")


class WebhookDelivery(models.Model):
    """A raw request that came in, stored before anything else."""

    provider = models.ForeignKey("Provider", models.CASCADE, related_name="deliveries")
    # Of the body as it came, keyed: repetitions of the same request are seen to be the same.
    digest = models.CharField(max_length=64, editable=False)
    content_type = models.CharField(max_length=200, blank=True)
    body = EncryptedTextField(blank=True)
    state = models.CharField(
        _("state"), max_length=12, choices=DeliveryState, default=DeliveryState.STORED
    )
    error = models.TextField(_("error"), blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    remote_address = models.CharField(max_length=64, blank=True)
    received_at = models.DateTimeField(_("received"))
    processed_at = models.DateTimeField(_("processed"), null=True, blank=True)
    # When the sweep looks at it; NULL once it is done with, or waits for a person.
    due_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-id"]
        permissions = [("replay_webhookdelivery", _("Can process webhook deliveries again"))]
        indexes = [
            models.Index(fields=["state", "received_at"], name="delivery_state"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="delivery_due"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.received_at:%Y-%m-%d %H:%M:%S}"


class Heartbeat(models.Model):
    """Proof of life, or a lease: who does a job, and until when nobody else may.

    `beat_at` is written by the work itself. `stop` asks the holder to finish.
    """

    name = models.CharField(max_length=100, unique=True)
    holder = models.CharField(max_length=100, blank=True)
    beat_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    stop = models.BooleanField(default=False)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")

    def __str__(self) -> str:
        return self.name


class Pace(models.Model):
    """The time up to which a lane's calls are spoken for, in seconds since the epoch."""

    lane = models.CharField(max_length=30, unique=True)
    tat = models.FloatField(default=0)

    class Meta:
        verbose_name = _("pace")
        verbose_name_plural = _("paces")

    def __str__(self) -> str:
        return self.lane
