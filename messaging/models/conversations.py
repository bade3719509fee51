"""What one sender and one address have said to each other."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ConversationKind(models.TextChoices):
    PERSON = "person", _("person")
    GROUP = "group", _("group")


class ConversationStatus(models.TextChoices):
    OPEN = "open", _("open")
    DONE = "done", _("done")


class WindowOpenedBy(models.TextChoices):
    """What opened (or shut) the reply window last. The policy decides what counts, on reading."""

    INBOUND = "inbound", _("the customer wrote")
    TEMPLATE = "template", _("our template")
    SESSION = "session", _("the gateway says so")
    CLOSED = "closed", _("the gateway refused a message")


class Label(models.Model):
    name = models.CharField(_("name"), max_length=50, unique=True)
    color = models.CharField(_("colour"), max_length=20, blank=True)

    class Meta:
        verbose_name = _("label")
        verbose_name_plural = _("labels")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Conversation(models.Model):
    """Sender × address, for ever: a reply goes here whatever happens to the contact."""

    # Every message writes to its conversation: no index that another one serves as well.
    sender = models.ForeignKey(
        "Sender",
        models.PROTECT,
        related_name="conversations",
        verbose_name=_("sender"),
        db_index=False,
    )
    address = models.ForeignKey(
        "ContactAddress", models.PROTECT, related_name="conversations", verbose_name=_("address")
    )
    kind = models.CharField(
        _("kind"), max_length=10, choices=ConversationKind, default=ConversationKind.PERSON
    )
    status = models.CharField(
        _("status"), max_length=10, choices=ConversationStatus, default=ConversationStatus.OPEN
    )
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("assignee"),
        db_index=False,
    )
    labels = models.ManyToManyField(Label, verbose_name=_("labels"), blank=True)
    unread_count = models.PositiveIntegerField(_("unread"), default=0)
    last_message_at = models.DateTimeField(_("last message"), null=True, blank=True)
    last_message_text = models.CharField(max_length=100, blank=True)
    last_inbound_at = models.DateTimeField(_("customer last wrote"), null=True, blank=True)
    window_expires_at = models.DateTimeField(_("reply window ends"), null=True, blank=True)
    window_opened_by = models.CharField(max_length=10, blank=True, choices=WindowOpenedBy)
    version = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ["-last_message_at", "-id"]
        permissions = [
            ("send_message", _("Can send messages")),
            ("add_note_to_conversation", _("Can write notes")),
            ("assign_conversation", _("Can assign conversations")),
            ("view_all_conversations", _("Can see everybody's conversations")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["sender", "address"], name="conversation_unique")
        ]
        indexes = [
            models.Index(fields=["status", "-last_message_at", "-id"], name="conv_status_last"),
            models.Index(fields=["-last_message_at", "-id"], name="conv_last"),
            models.Index(
                fields=["assignee", "-last_message_at"],
                condition=Q(assignee__isnull=False),
                name="conv_assignee_last",
            ),
            models.Index(
                fields=["window_expires_at"],
                condition=Q(window_expires_at__isnull=False),
                name="conv_window",
            ),
        ]

    def __str__(self) -> str:
        return str(self.address.contact)


class Note(models.Model):
    """What staff say to each other about a conversation; the customer never sees it."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="notes")
    text = models.TextField(_("text"))
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    author_name = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("note")
        verbose_name_plural = _("notes")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text[:50]


class CannedReply(models.Model):
    """A ready-made answer, opened with `/` in the composer."""

    shortcut = models.CharField(_("shortcut"), max_length=50, unique=True)
    text = models.TextField(_("text"))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("canned reply")
        verbose_name_plural = _("canned replies")
        ordering = ["shortcut"]

    def __str__(self) -> str:
        return f"/{self.shortcut}"
