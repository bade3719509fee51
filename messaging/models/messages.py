"""Messages: the outbound row is the outbox."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..content import Content, from_json
from ..errors import ErrorClass
from ..events import Direction, Source, Status
from .conversations import Conversation
from .providers import Sender
from .templates import Template


class MessageDirection(models.TextChoices):
    INBOUND = Direction.INBOUND.value, _("received")
    OUTBOUND = Direction.OUTBOUND.value, _("sent by us")


class MessageStatus(models.TextChoices):
    QUEUED = Status.QUEUED.value, _("waiting")
    SENDING = Status.SENDING.value, _("being sent")
    ACCEPTED = Status.ACCEPTED.value, _("taken by the gateway")
    SENT = Status.SENT.value, _("sent")
    DELIVERED = Status.DELIVERED.value, _("delivered")
    READ = Status.READ.value, _("read")
    FAILED = Status.FAILED.value, _("failed")
    UNKNOWN = Status.UNKNOWN.value, _("may have been sent")
    CANCELLED = Status.CANCELLED.value, _("cancelled")
    EXPIRED = Status.EXPIRED.value, _("too late to send")
    RECEIVED = Status.RECEIVED.value, _("received")


class MessageKind(models.TextChoices):
    TEXT = "text", _("text")
    TEMPLATE = "template", _("template")
    IMAGE = "image", _("picture")
    VIDEO = "video", _("video")
    AUDIO = "audio", _("audio")
    DOCUMENT = "document", _("document")
    STICKER = "sticker", _("sticker")
    LOCATION = "location", _("location")
    CONTACTS = "contacts", _("contact cards")
    BUTTONS = "buttons", _("buttons")
    LIST = "list", _("list")
    BUTTON_REPLY = "button_reply", _("button tapped")
    REACTION = "reaction", _("reaction")
    BINARY = "binary", _("binary SMS")
    SYSTEM = "system", _("system message")
    UNSUPPORTED = "unsupported", _("unsupported")


class Priority(models.IntegerChoices):
    """Within a lane, lower goes first."""

    REPLY = 0, _("a person's reply")
    AUTOMATIC = 10, _("automatic")
    BROADCAST = 20, _("broadcast")


class MessageError(models.TextChoices):
    AUTHENTICATION = ErrorClass.AUTHENTICATION.value, _("credentials refused")
    CONFIGURATION = ErrorClass.CONFIGURATION.value, _("account or sender not set up")
    QUOTA = ErrorClass.QUOTA.value, _("balance used up")
    RATE_LIMIT = ErrorClass.RATE_LIMIT.value, _("too fast")
    INVALID_RECIPIENT = ErrorClass.INVALID_RECIPIENT.value, _("number not reachable")
    INVALID_CONTENT = ErrorClass.INVALID_CONTENT.value, _("content refused")
    TEMPLATE = ErrorClass.TEMPLATE.value, _("template refused")
    WINDOW_CLOSED = ErrorClass.WINDOW_CLOSED.value, _("reply window closed")
    MEDIA = ErrorClass.MEDIA.value, _("file refused")
    TRANSIENT = ErrorClass.TRANSIENT.value, _("gateway trouble")
    AMBIGUOUS = ErrorClass.AMBIGUOUS.value, _("outcome not known")
    UNKNOWN_REJECTION = ErrorClass.UNKNOWN_REJECTION.value, _("refused by the gateway")
    OPTED_OUT = ErrorClass.OPTED_OUT.value, _("opted out")
    INTERNAL = ErrorClass.INTERNAL.value, _("a fault of ours")


class EventSource(models.TextChoices):
    SEND = Source.SEND.value, _("sending")
    WEBHOOK = Source.WEBHOOK.value, _("webhook")
    POLL = Source.POLL.value, _("report")
    PERSON = Source.PERSON.value, _("person")


class Message(models.Model):
    """One message, in or out. Only `outbox`, `delivery` and `inbox` change its state."""

    # Without indexes of their own: those of Meta begin with these columns.
    conversation = models.ForeignKey(
        Conversation,
        models.PROTECT,
        related_name="messages",
        verbose_name=_("conversation"),
        db_index=False,
    )
    sender = models.ForeignKey(
        Sender,
        models.PROTECT,
        related_name="messages",
        verbose_name=_("sender"),
        db_index=False,
    )
    direction = models.CharField(_("direction"), max_length=8, choices=MessageDirection)
    kind = models.CharField(_("kind"), max_length=15, choices=MessageKind)
    content = models.JSONField(_("content"), default=dict)
    text = models.TextField(_("text"), blank=True)
    status = models.CharField(_("status"), max_length=10, choices=MessageStatus)
    # Most messages have none of template, key, author and broadcast, and every step of every
    # message would write their indexes: the indexes of Meta leave the empty ones out.
    template = models.ForeignKey(
        Template, models.SET_NULL, null=True, blank=True, related_name="messages", db_index=False
    )

    priority = models.SmallIntegerField(_("priority"), choices=Priority, default=Priority.AUTOMATIC)
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    scheduled_at = models.DateTimeField(_("scheduled for"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    retries = models.PositiveSmallIntegerField(default=0)

    external_id = models.CharField(_("id at the gateway"), max_length=200, blank=True)
    external_ref = models.CharField(max_length=200, blank=True)
    external_data = models.JSONField(default=dict, blank=True)
    error_class = models.CharField(_("error"), max_length=20, blank=True, choices=MessageError)
    error_code = models.CharField(_("error code"), max_length=50, blank=True)
    error_text = models.TextField(_("the gateway's words"), blank=True)

    # NULL where there is none: unique over the others, and out of their index.
    key = models.CharField(_("key"), max_length=200, null=True, blank=True)  # noqa: DJ001
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("author"),
        db_index=False,
    )
    author_name = models.CharField(max_length=255, blank=True)
    broadcast = models.ForeignKey(
        "Broadcast",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="messages",
        db_index=False,
    )
    resend_of = models.OneToOneField(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="resent_as",
        verbose_name=_("sent again from"),
    )

    # Of what came in: what brought it. A webhook's word replaces a poll's, so that what only
    # polling found can be counted.
    source = models.CharField(_("found by"), max_length=8, blank=True, choices=EventSource)

    created_at = models.DateTimeField(_("created"))
    occurred_at = models.DateTimeField(_("time by the gateway"), null=True, blank=True)
    sending_at = models.DateTimeField(_("call started"), null=True, blank=True)
    accepted_at = models.DateTimeField(_("taken by the gateway at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    delivered_at = models.DateTimeField(_("delivered at"), null=True, blank=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    failed_at = models.DateTimeField(_("failed at"), null=True, blank=True)
    unknown_at = models.DateTimeField(_("unknown since"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    expired_at = models.DateTimeField(_("expired at"), null=True, blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["-created_at", "-id"]
        permissions = [
            ("cancel_message", _("Can cancel waiting messages")),
            ("settle_message", _("Can say what became of a message")),
            ("resend_message", _("Can send a message again")),
        ]
        constraints = [
            # The id comes first: reports are matched by it.
            models.UniqueConstraint(
                fields=["external_id", "conversation"],
                condition=Q(direction="outbound") & ~Q(external_id=""),
                name="message_unique_outbound",
            ),
            models.UniqueConstraint(
                fields=["external_id", "sender"],
                condition=Q(direction="inbound") & ~Q(external_id=""),
                name="message_unique_inbound",
            ),
            models.UniqueConstraint(
                fields=["key"], condition=Q(key__isnull=False), name="message_unique_key"
            ),
            models.CheckConstraint(
                condition=Q(direction="inbound", status="received")
                | (Q(direction="outbound") & ~Q(status="received")),
                name="message_status_fits_direction",
            ),
            models.CheckConstraint(
                condition=Q(priority__in=[0, 10, 20]), name="message_priority_known"
            ),
            models.CheckConstraint(
                condition=~Q(status="sending") | Q(claim__isnull=False, due_at__isnull=False),
                name="message_sending_is_claimed",
            ),
        ]
        indexes = [
            # The claim: one sender and priority at a time, oldest due first.
            models.Index(
                fields=["sender", "priority", "due_at", "id"],
                condition=Q(status="queued"),
                name="message_due",
            ),
            # What stands before a message of the same conversation.
            models.Index(
                fields=["conversation", "id"],
                condition=Q(status__in=["queued", "sending"]),
                name="message_ahead",
            ),
            # Calls whose worker died, and unknown ones a report may settle.
            models.Index(
                fields=["due_at"], condition=Q(status="sending"), name="message_in_flight"
            ),
            models.Index(
                fields=["sender", "sending_at"],
                condition=Q(status="unknown"),
                name="message_unknown",
            ),
            models.Index(
                fields=["sender", "accepted_at"],
                condition=Q(status__in=["accepted", "sent", "delivered"], direction="outbound"),
                name="message_reportable",
            ),
            models.Index(
                fields=["template"], condition=Q(template__isnull=False), name="message_template"
            ),
            models.Index(
                fields=["author"], condition=Q(author__isnull=False), name="message_author"
            ),
            models.Index(
                fields=["broadcast"],
                condition=Q(broadcast__isnull=False),
                name="message_broadcast",
            ),
            # What only polling found.
            models.Index(
                fields=["sender", "created_at"], condition=Q(source="poll"), name="message_polled"
            ),
            models.Index(fields=["-created_at", "-id"], name="message_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="message_by_status"),
            models.Index(fields=["conversation", "-id"], name="message_thread"),
        ]

    def __str__(self) -> str:
        return self.text[:50] or self.get_kind_display()

    @property
    def value(self) -> Content:
        """The content as a value. Raises InvalidContent for kinds only others can send."""
        return from_json(self.content)

    @property
    def held(self) -> bool:
        """True while the message waits for the customer to write."""
        return self.status == Status.QUEUED and self.due_at is None

    def is_scheduled(self, now: datetime) -> bool:
        """True while the message waits for a time somebody chose."""
        return (
            self.status == Status.QUEUED
            and self.scheduled_at is not None
            and self.scheduled_at > now
        )


class MessageEvent(models.Model):
    """One step in a message's history."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="events")
    call = models.ForeignKey(
        "ProviderCall", models.SET_NULL, null=True, blank=True, related_name="events"
    )
    status = models.CharField(_("status"), max_length=10, choices=MessageStatus)
    source = models.CharField(_("source"), max_length=8, choices=EventSource)
    at = models.DateTimeField(_("time"))
    text = models.TextField(_("details"), blank=True)
    actor_name = models.CharField(_("by"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("history")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_status_display()} · {self.get_source_display()}"


class ParkedStatus(models.Model):
    """A report for a message not known yet; matched when its id appears."""

    sender = models.ForeignKey(
        Sender, models.CASCADE, null=True, blank=True, related_name="parked_statuses"
    )
    provider = models.ForeignKey("Provider", models.CASCADE, related_name="parked_statuses")
    external_id = models.CharField(max_length=200)
    update = models.JSONField(default=dict)
    # Of the update: the same report comes again and again, and is parked once.
    digest = models.CharField(max_length=64, blank=True, editable=False)
    source = models.CharField(max_length=8, choices=EventSource)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("parked status")
        verbose_name_plural = _("parked statuses")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "external_id", "digest"],
                condition=~Q(digest=""),
                name="parked_once",
            )
        ]
        indexes = [models.Index(fields=["provider", "external_id"], name="parked_by_id")]

    def __str__(self) -> str:
        return self.external_id


def attachment_path(instance: Attachment, filename: str) -> str:
    """A random name: what a stranger called the file never reaches the disk."""
    return f"messaging/{instance.key.hex[:2]}/{instance.key.hex}"


class Attachment(models.Model):
    """A file inside a message, in or out. Served only by our own view."""

    key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey(
        Message, models.CASCADE, null=True, blank=True, related_name="attachments"
    )
    file = models.FileField(upload_to=attachment_path, max_length=200)
    filename = models.CharField(_("file name"), max_length=255, blank=True)
    content_type = models.CharField(_("type"), max_length=100, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0)
    link = models.CharField(max_length=2000, blank=True)
    error = models.CharField(max_length=255, blank=True)
    # When its link is fetched next; NULL once the file is here or nobody tries any more.
    fetch_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    fetch_attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        indexes = [
            models.Index(
                fields=["fetch_due_at"],
                condition=Q(fetch_due_at__isnull=False),
                name="attachment_due",
            )
        ]

    def __str__(self) -> str:
        return self.filename or str(self.key)
