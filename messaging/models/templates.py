"""Pre-approved messages."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..content import NAMED, POSITIONAL, TemplateButton, TemplateRef
from ..errors import InvalidContent
from .providers import Provider, Sender


class TemplateStatus(models.TextChoices):
    APPROVED = "approved", _("approved")
    PENDING = "pending", _("waiting for approval")
    REJECTED = "rejected", _("rejected")
    PAUSED = "paused", _("paused")
    DISABLED = "disabled", _("disabled")
    BLOCKED = "blocked", _("blocked: the gateway refused it")
    UNKNOWN = "unknown", _("not known")


class TemplateCategory(models.TextChoices):
    MARKETING = "marketing", _("marketing")
    UTILITY = "utility", _("utility")
    AUTHENTICATION = "authentication", _("authentication")


class ParameterFormat(models.TextChoices):
    POSITIONAL = POSITIONAL, _("positions: {{1}}, {{2}}")
    NAMED = NAMED, _("names: {{order_no}}")


class HeaderKind(models.TextChoices):
    TEXT = "text", _("text")
    IMAGE = "image", _("picture")
    VIDEO = "video", _("video")
    DOCUMENT = "document", _("document")
    LOCATION = "location", _("location")


_SAME_NAME = _("There is a template of this name and language already.")


class Template(models.Model):
    """A pre-approved message of a provider, or of one of its senders."""

    provider = models.ForeignKey(
        Provider, models.CASCADE, related_name="templates", verbose_name=_("provider")
    )
    sender = models.ForeignKey(
        Sender,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="templates",
        verbose_name=_("sender"),
        help_text=_("Only where the template belongs to one sender."),
    )
    name = models.CharField(_("name"), max_length=512)
    language = models.CharField(_("language"), max_length=15, blank=True, help_text="en_GB")
    category = models.CharField(_("category"), max_length=20, blank=True, choices=TemplateCategory)
    external_id = models.CharField(
        _("id at the gateway"), max_length=100, blank=True, help_text=_("Where it has one.")
    )
    header_kind = models.CharField(_("header"), max_length=10, blank=True, choices=HeaderKind)
    header = models.CharField(_("header text"), max_length=60, blank=True)
    body = models.TextField(_("body"), blank=True, max_length=1024)
    footer = models.CharField(_("footer"), max_length=60, blank=True)
    buttons = models.JSONField(_("buttons"), default=list, blank=True)
    parameter_format = models.CharField(
        _("variables written as"),
        max_length=10,
        choices=ParameterFormat,
        default=ParameterFormat.POSITIONAL,
    )
    variables = models.JSONField(_("variables"), default=list, blank=True, editable=False)
    samples = models.JSONField(_("sample values"), default=dict, blank=True)
    status = models.CharField(
        _("status"), max_length=10, choices=TemplateStatus, default=TemplateStatus.UNKNOWN
    )
    status_text = models.CharField(max_length=255, blank=True, editable=False)
    synced_at = models.DateTimeField(_("synchronised"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        ordering = ["name", "language"]
        constraints = [
            # Two, because SQLite cannot say that no sender equals no sender.
            models.UniqueConstraint(
                fields=["provider", "sender", "name", "language"],
                name="template_unique_of_sender",
                violation_error_message=_SAME_NAME,
            ),
            models.UniqueConstraint(
                fields=["provider", "name", "language"],
                condition=Q(sender__isnull=True),
                name="template_unique_of_provider",
                violation_error_message=_SAME_NAME,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.language})" if self.language else self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.variables = list(self.ref().variables)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        try:
            self.ref()
        except InvalidContent as error:
            raise ValidationError({"buttons": str(error)}) from error
        if self.sender_id and self.provider_id and self.sender.provider_id != self.provider_id:  # type: ignore[union-attr]
            raise ValidationError({"sender": _("This sender belongs to another provider.")})

    def ref(self) -> TemplateRef:
        """What a message keeps of this template."""
        return TemplateRef(
            pk=self.pk,
            name=self.name,
            language=self.language,
            external_id=self.external_id,
            parameter_format=self.parameter_format,
            header_kind=self.header_kind,
            header=self.header,
            body=self.body,
            footer=self.footer,
            buttons=tuple(TemplateButton.load(button) for button in self.buttons or []),
        )
