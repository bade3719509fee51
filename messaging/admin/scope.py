"""Which rows a person may see and use, in one place for every screen."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from ..models import Conversation, Message, Sender, SenderAccess


def sees_all(user: Any) -> bool:
    return bool(user.has_perm("messaging.view_all_conversations"))


def conversations(user: Any, rows: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """Everybody's for those who may see them, else one's own and those nobody has."""
    if sees_all(user):
        return rows
    return rows.filter(Q(assignee=None) | Q(assignee=user.pk))


def messages(user: Any, rows: QuerySet[Message]) -> QuerySet[Message]:
    """The messages of the conversations this person may see."""
    if sees_all(user):
        return rows
    # Asked of each row in the list's own order: a join would tempt a planner to sort the table.
    own = conversations(user, Conversation.objects.filter(pk=OuterRef("conversation_id")))
    return rows.filter(Exists(own))


def senders(user: Any) -> QuerySet[Sender]:
    """The senders this person may write from: those open to all, and those they are named for."""
    rows = Sender.objects.filter(is_active=True, provider__is_active=True)
    rows = rows.select_related("provider")
    if _is_superuser(user):
        return rows
    named = SenderAccess.objects.filter(sender=OuterRef("pk"))
    return rows.filter(~Exists(named) | Exists(named.filter(_names(user))))


def may_use(user: Any, sender: Sender) -> bool:
    """Whether this person may write from this sender; one that is switched off counts too, so
    that the door can say so in its own words."""
    if _is_superuser(user) or not SenderAccess.objects.filter(sender=sender).exists():
        return True
    return SenderAccess.objects.filter(_names(user), sender=sender).exists()


def _names(user: Any) -> Q:
    """Rows that name this person or a group of theirs; not every user model has groups."""
    groups = getattr(user, "groups", None)
    mine = Q(user=user.pk)
    return mine if groups is None else mine | Q(group__in=groups.all())


def _is_superuser(user: Any) -> bool:
    return bool(getattr(user, "is_superuser", False))
