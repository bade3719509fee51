"""People, where they are reached, and what they agreed to."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..addresses import GROUP_SUFFIXES, LID_SUFFIX


class ConsentSource(models.TextChoices):
    MESSAGE = "message", _("a message they sent")
    PERSON = "person", _("entered by staff")
    IMPORT = "import", _("imported")
    GATEWAY = "gateway", _("told by the gateway")
    CODE = "code", _("set by a program")


class Contact(models.Model):
    """A person."""

    name = models.CharField(_("name"), max_length=255, blank=True)
    language = models.CharField(_("language"), max_length=15, blank=True)
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    tags: models.ManyToManyField[Tag, models.Model] = models.ManyToManyField(
        "Tag", verbose_name=_("tags"), blank=True
    )
    consented_at = models.DateTimeField(_("agreed to messages"), null=True, blank=True)
    consent_source = models.CharField(
        _("source of consent"), max_length=20, blank=True, choices=ConsentSource
    )
    opted_out_at = models.DateTimeField(_("opted out"), null=True, blank=True)
    opt_out_source = models.CharField(
        _("source of the opt-out"), max_length=20, blank=True, choices=ConsentSource
    )
    opt_out_evidence = models.CharField(
        _("evidence of the opt-out"),
        max_length=255,
        blank=True,
        help_text=_("What was said, when and to whom: a message's text, a call, a letter."),
    )
    preferred_address = models.ForeignKey(
        "ContactAddress",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("preferred address"),
    )
    notes = models.TextField(_("notes"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        ordering = ["-id"]
        permissions = [("view_full_number", _("Can see full phone numbers"))]
        indexes = [models.Index(fields=["name"], name="contact_name")]

    def __str__(self) -> str:
        return self.name or self.phone or str(_("Contact %(id)s")) % {"id": self.pk}

    @property
    def address(self) -> ContactAddress | None:
        """The preferred address, else the oldest one."""
        return self.preferred_address or self.addresses.order_by("id").first()

    @property
    def phone(self) -> str:
        """The preferred address as text, empty where there is none."""
        address = self.address
        return address.value if address else ""


class Tag(models.Model):
    name = models.CharField(_("name"), max_length=100, unique=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class AddressKind(models.TextChoices):
    PHONE = "phone", _("phone number")
    GROUP = "group", _("WhatsApp group")
    LID = "lid", _("hidden WhatsApp id")

    @classmethod
    def of(cls, value: str) -> AddressKind:
        """What sort of address this is. Channels of many readers are groups to us."""
        if value.endswith(GROUP_SUFFIXES):
            return cls.GROUP
        return cls.LID if value.endswith(LID_SUFFIX) else cls.PHONE


class ContactAddress(models.Model):
    """Where a person is reached: `+E164`, `…@g.us` or `…@lid`. Unique over all contacts."""

    contact = models.ForeignKey(
        Contact, models.CASCADE, related_name="addresses", verbose_name=_("contact")
    )
    value = models.CharField(_("address"), max_length=100, unique=True)
    kind = models.CharField(
        _("kind"), max_length=10, choices=AddressKind, default=AddressKind.PHONE
    )
    invalid_at = models.DateTimeField(
        _("not reachable since"), null=True, blank=True, editable=False
    )
    invalid_reason = models.CharField(max_length=255, blank=True, editable=False)
    opted_out_at = models.DateTimeField(_("opted out"), null=True, blank=True)
    opt_out_source = models.CharField(
        _("source of the opt-out"), max_length=20, blank=True, choices=ConsentSource
    )
    opt_out_evidence = models.CharField(
        _("evidence of the opt-out"),
        max_length=255,
        blank=True,
        help_text=_("What was said, when and to whom: a message's text, a call, a letter."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("address")
        verbose_name_plural = _("addresses")
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=~Q(value=""), name="contactaddress_value_filled")
        ]

    def __str__(self) -> str:
        return self.value

    @property
    def opted_out(self) -> datetime | None:
        """When this address or its person opted out; None where neither did."""
        return self.opted_out_at or self.contact.opted_out_at


class Suppression(models.Model):
    """The keyed hash of an address that opted out and was erased: never to be written to."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("suppressed address")
        verbose_name_plural = _("suppressed addresses")

    def __str__(self) -> str:
        return f"{self.digest[:8]}…"


class Segment(models.Model):
    """A saved choice of contacts."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    rules = models.JSONField(_("rules"), default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("segment")
        verbose_name_plural = _("segments")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Group(models.Model):
    """A WhatsApp group of a paired phone. Read only: no document tells how to write to one."""

    sender = models.ForeignKey("Sender", models.CASCADE, related_name="groups")
    external_id = models.CharField(_("id at the gateway"), max_length=100)
    name = models.CharField(_("name"), max_length=255, blank=True)
    synced_at = models.DateTimeField(_("synchronised"), null=True, blank=True)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["sender", "external_id"], name="group_unique")
        ]

    def __str__(self) -> str:
        return self.name or self.external_id


class GroupMember(models.Model):
    group = models.ForeignKey(Group, models.CASCADE, related_name="members")
    address = models.ForeignKey(ContactAddress, models.CASCADE, related_name="group_memberships")

    class Meta:
        verbose_name = _("group member")
        verbose_name_plural = _("group members")
        constraints = [
            models.UniqueConstraint(fields=["group", "address"], name="groupmember_unique")
        ]

    def __str__(self) -> str:
        return str(self.address)
