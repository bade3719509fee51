"""One content to many addresses."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class BroadcastStatus(models.TextChoices):
    DRAFT = "draft", _("draft")
    SCHEDULED = "scheduled", _("scheduled")
    SENDING = "sending", _("sending")
    PAUSING = "pausing", _("pausing")
    PAUSED = "paused", _("paused")
    FINISHED = "finished", _("finished")
    CANCELLED = "cancelled", _("cancelled")


class Broadcast(models.Model):
    name = models.CharField(_("name"), max_length=200)
    sender = models.ForeignKey("Sender", models.PROTECT, related_name="broadcasts")
    template = models.ForeignKey(
        "Template", models.SET_NULL, null=True, blank=True, related_name="broadcasts"
    )
    content = models.JSONField(_("content"), default=dict, blank=True)
    audience = models.JSONField(_("audience"), default=dict, blank=True)
    parameters = models.JSONField(_("variables"), default=dict, blank=True)
    status = models.CharField(
        _("status"), max_length=10, choices=BroadcastStatus, default=BroadcastStatus.DRAFT
    )
    pause_reason = models.CharField(max_length=255, blank=True)
    scheduled_at = models.DateTimeField(_("scheduled for"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_by_name = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("broadcast")
        verbose_name_plural = _("broadcasts")
        ordering = ["-id"]
        permissions = [("send_broadcast", _("Can start, pause and cancel broadcasts"))]

    def __str__(self) -> str:
        return self.name


class LeftOut(models.TextChoices):
    OPTED_OUT = "opted_out", _("opted out")
    NO_CONSENT = "no_consent", _("has not agreed to messages")
    DUPLICATE = "duplicate", _("chosen twice")
    INVALID = "invalid", _("number not valid")
    RECENT = "recent", _("was written to recently")
    MISSING_VALUE = "missing_value", _("a value is missing")
    WINDOW_CLOSED = "window_closed", _("reply window closed")
    REFUSED = "refused", _("refused")
    CANCELLED = "cancelled", _("cancelled before its turn")


class Recipient(models.Model):
    """One address of a broadcast: ends as a message, or as left out with a reason."""

    broadcast = models.ForeignKey(Broadcast, models.CASCADE, related_name="recipients")
    contact = models.ForeignKey("Contact", models.SET_NULL, null=True, blank=True, related_name="+")
    address = models.ForeignKey(
        "ContactAddress", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    value = models.CharField(max_length=100)
    variables = models.JSONField(default=dict, blank=True)
    message = models.OneToOneField(
        "Message", models.SET_NULL, null=True, blank=True, related_name="recipient"
    )
    left_out = models.CharField(_("left out"), max_length=15, blank=True, choices=LeftOut)
    left_out_text = models.CharField(max_length=255, blank=True)
    answered_at = models.DateTimeField(_("answered"), null=True, blank=True)

    class Meta:
        verbose_name = _("recipient")
        verbose_name_plural = _("recipients")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["broadcast", "value"], name="recipient_unique")
        ]
        indexes = [models.Index(fields=["broadcast", "left_out", "id"], name="recipient_left_out")]

    def __str__(self) -> str:
        return self.value
