"""The one door out: what is queued here is sent, once; what is not may leave by no other way.

Content, capability, window, consent and approval are checked here, before a row exists, whoever
asks. The row joins the caller's transaction: a rollback sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.db import router, transaction
from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Left

from .. import clock, conf
from ..adapters.base import Validation
from ..content import Content, TemplateMessage
from ..errors import KeyConflict, Refused
from ..events import Direction, Status
from ..i18n import gettext as _
from ..models import Attachment, Contact, ContactAddress, Conversation, Message, Priority, Sender
from .bell import ring_on_commit
from .places import Place, Places
from .rules import HOLD_WINDOW, Rules

_CHUNK: Final = 1000
_LONGEST_KEY: Final = 200

To = str | Contact | ContactAddress | Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One message to queue; the arguments of `queue`, for `queue_many`."""

    content: Content
    to: To
    sender: Sender | None = None
    key: str | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    hold: str | None = None
    priority: int | None = None
    author: Any = None
    broadcast_id: int | None = None
    resend_of: Message | None = None

    def __post_init__(self) -> None:
        """Mistakes of the program that queues; what a clerk may get wrong is `Refused`."""
        if self.hold not in (None, HOLD_WINDOW):
            raise ValueError(f"hold={self.hold!r}: only {HOLD_WINDOW!r} is known")
        if self.priority is not None and self.priority not in Priority.values:
            raise ValueError(f"priority={self.priority!r}: use one of Priority")
        if self.key and (len(self.key) > _LONGEST_KEY or "\x00" in self.key):
            raise ValueError(f"a key has at most {_LONGEST_KEY} characters, none of them NUL")
        for name in ("send_at", "expires_at"):
            value = getattr(self, name)
            if value is not None and value.tzinfo is None:
                raise ValueError(f"{name} needs a time zone")


@dataclass(slots=True)
class Queued:
    """What `queue_many` did: a message per draft, in order, None where it was refused."""

    messages: list[Message | None] = field(default_factory=list)
    refused: list[tuple[int, Refused]] = field(default_factory=list)


def queue(
    content: Content,
    *,
    to: To,
    sender: Sender | None = None,
    key: str | None = None,
    send_at: datetime | None = None,
    expires_at: datetime | None = None,
    author: Any = None,
    hold: str | None = None,
    priority: int | None = None,
) -> Message:
    """Queue one message; it leaves once a worker has it and the caller's transaction committed.

    `to` is a phone number in any usual spelling, a Contact, a ContactAddress or a Conversation.
    `sender` defaults to the conversation's, else the default one. `key` makes the call safe to
    repeat: the same key gives the same row. `send_at` schedules it; `expires_at` is when it is
    too late (MESSAGING["EXPIRE_HOURS"] after it is due, unless given). `hold="window"` keeps
    free-form content until the customer writes, where the reply window is closed. `priority` is a
    `Priority`: a person's reply (the default with an `author`) overtakes all else.

    Raises a subclass of `errors.Refused`, whose text is for the person who wanted to send:
    InvalidAddress, InvalidContent, NotSupported, NoSender, WindowClosed, OptedOut,
    TemplateNotApproved, KeyConflict.
    """
    draft = Draft(
        content=content,
        to=to,
        sender=sender,
        key=key,
        send_at=send_at,
        expires_at=expires_at,
        author=author,
        hold=hold,
        priority=priority,
    )
    return queue_draft(draft)


def queue_draft(draft: Draft) -> Message:
    """Queue one draft; raises what `queue` raises."""
    return _only(queue_many([draft]))


def _only(queued: Queued) -> Message:
    if queued.refused:
        raise queued.refused[0][1]
    message = queued.messages[0]
    assert message is not None
    return message


def queue_own(draft: Draft) -> Message:
    """Queue one draft under a key of ours; raises what `queue` raises."""
    return _only(_queue_all([draft], Rules(ours=True)))


def queue_many(drafts: Iterable[Draft]) -> Queued:
    """Queue thousands in a few statements per thousand; refusals are returned, not raised.

    All rows join the caller's transaction, or one of their own.
    """
    return _queue_all(drafts, Rules())


def _queue_all(drafts: Iterable[Draft], rules: Rules) -> Queued:
    done = Queued()
    changed: set[int] = set()
    alias = router.db_for_write(Message)
    with transaction.atomic(using=alias):
        for chunk in _chunks(drafts):
            changed |= _queue_chunk(chunk, rules, done)
        if changed:
            transaction.on_commit(partial(_touch, changed), using=alias, robust=True)
        if any(done.messages):
            ring_on_commit()
    return done


def check(
    content: Content,
    *,
    to: To | None = None,
    sender: Sender | None = None,
    hold: str | None = None,
    send_at: datetime | None = None,
) -> Validation:
    """What `queue` would refuse, and what it would send with a warning. No row, no network."""
    rules = Rules()
    try:
        if to is None:
            return rules.validate(content, rules.sender(sender))
        draft = Draft(content=content, to=to, sender=sender, hold=hold, send_at=send_at)
        place = Places([draft], rules).of(0)
        validation = rules.validate(content, place.sender)
        rules.admit(draft, place, clock.now())
    except Refused as refused:
        refusals = tuple(str(refused).split("\n"))
        return Validation(refusals=refusals)
    return Validation(
        refusals=validation.refusals,
        warnings=(*validation.warnings, *rules.time_warnings(draft, place)),
    )


def _chunks(drafts: Iterable[Draft]) -> Iterable[list[Draft]]:
    chunk: list[Draft] = []
    for draft in drafts:
        chunk.append(draft)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _queue_chunk(drafts: Sequence[Draft], rules: Rules, done: Queued) -> set[int]:
    """Queue one chunk; the conversations it wrote to."""
    offset = len(done.messages)
    found: list[Message | None] = [None] * len(drafts)
    refused: dict[int, Refused] = {}
    now = clock.now()
    known = _known_keys(drafts)
    places = Places(drafts, rules, refused)
    rows: dict[int, Message] = {}
    for number, draft in enumerate(drafts):
        if number in refused:
            continue
        try:
            rules.admit_key(draft.key)
            place = places.of(number)
            if draft.key and draft.key in known:
                found[number] = _same(known[draft.key], draft, place)
                continue
            held = rules.admit(draft, place, now)
            rows[number] = _row(draft, place, now, rules, held=held)
        except Refused as error:
            refused[number] = error
    _insert(rows, drafts, places, found, refused)
    done.messages += found
    done.refused += [(offset + number, error) for number, error in sorted(refused.items())]
    return {row.conversation_id for row in rows.values()}


def _known_keys(drafts: Sequence[Draft]) -> dict[str, Message]:
    keys = [draft.key for draft in drafts if draft.key]
    if not keys:
        return {}
    rows = Message.objects.filter(key__in=keys).select_related("conversation__address")
    return {str(row.key): row for row in rows}


def _same(row: Message, draft: Draft, place: Place) -> Message:
    """The row this key already made; KeyConflict where it says something else."""
    # A default sender may be another one by now: only one that was asked for has to be the same.
    chosen = draft.sender is not None or isinstance(draft.to, Conversation)
    same_sender = not chosen or row.sender_id == place.sender.pk
    same_place = row.conversation.address.value == place.value
    if not (same_sender and same_place and _says(row.content, draft.content)):
        raise KeyConflict(
            _("The key “%(key)s” was already used for another message.") % {"key": draft.key}
        )
    return row


def _says(stored: dict[str, Any], content: Content) -> bool:
    """Whether a row says the same. A template is its id: its texts may be synchronised anew."""
    wanted = content.to_json()
    if isinstance(content, TemplateMessage):
        stored = {**stored, "template": (stored.get("template") or {}).get("pk")}
        wanted = {**wanted, "template": content.template.pk}
    return stored == wanted


def _row(draft: Draft, place: Place, now: datetime, rules: Rules, *, held: bool) -> Message:
    content, text = rules.stored(draft.content)
    due_at = None if held else max(draft.send_at or now, now)
    priority = draft.priority
    if priority is None:
        priority = Priority.REPLY if draft.author is not None else Priority.AUTOMATIC
    template = getattr(draft.content, "template", None)
    return Message(
        sender_id=place.sender.pk,
        direction=Direction.OUTBOUND.value,
        kind=draft.content.kind,
        content=content,
        text=text,
        status=Status.QUEUED.value,
        template_id=getattr(template, "pk", None),
        priority=int(priority),
        due_at=due_at,
        scheduled_at=draft.send_at,
        expires_at=draft.expires_at or default_expiry(due_at),
        key=draft.key or None,
        author=draft.author,
        author_name=author_name(draft.author),
        broadcast_id=draft.broadcast_id,
        resend_of=draft.resend_of,
        created_at=now,
    )


def default_expiry(due_at: datetime | None) -> datetime | None:
    """When a message is too late, where nobody said so."""
    hours = conf.get("EXPIRE_HOURS")
    return due_at + timedelta(hours=hours) if due_at and hours else None


def author_name(author: Any) -> str:
    """The name stored beside the author, so that it outlives the account."""
    if author is None:
        return ""
    return str(author.get_full_name() or author.get_username())[:255]


def _insert(
    rows: dict[int, Message],
    drafts: Sequence[Draft],
    places: Places,
    found: list[Message | None],
    refused: dict[int, Refused],
) -> None:
    """Make the rows. A key taken by somebody else in this moment gives their row."""
    if not rows:
        return
    places.make(rows)
    for number, row in rows.items():
        row.conversation = places.conversation(number)
    plain = [row for row in rows.values() if not row.key]
    keyed = [row for row in rows.values() if row.key]
    Message.objects.bulk_create(plain)
    mine = {str(row.key) for row in keyed}
    if keyed:
        Message.objects.bulk_create(keyed, ignore_conflicts=True)
    stored = {
        str(row.key): row
        for row in Message.objects.filter(key__in=mine).select_related("conversation__address")
    }
    for number, row in rows.items():
        try:
            found[number] = (
                _same(stored[row.key], drafts[number], places.of(number)) if row.key else row
            )
        except Refused as error:
            refused[number] = error
    _keep_files(found, drafts)


def _touch(conversation_ids: set[int]) -> None:
    """Let lists and screens see the new messages, in few statements.

    After the commit: these rows are what everybody who writes to a customer shares, and the
    caller's transaction may last. Locked by their ids, so that nobody waits in a ring.
    """
    newest = Message.objects.filter(conversation=OuterRef("pk")).order_by("-id")
    ids = sorted(conversation_ids)
    for start in range(0, len(ids), _CHUNK):
        rows = Conversation.objects.filter(pk__in=ids[start : start + _CHUNK]).order_by("pk")
        rows = rows.select_for_update(no_key=True)
        with transaction.atomic(using=router.db_for_write(Conversation)):
            Conversation.objects.filter(pk__in=rows.values("pk")).update(
                last_message_at=Subquery(newest.values("created_at")[:1]),
                last_message_text=Subquery(newest.values(start=Left("text", 100))[:1]),
                version=F("version") + 1,
            )


def _keep_files(found: Sequence[Message | None], drafts: Sequence[Draft]) -> None:
    """A file belongs to the first message that carries it."""
    first: dict[str, Message] = {}
    for row, draft in zip(found, drafts, strict=True):
        media = draft.content.media
        if row is not None and media is not None and media.file:
            first.setdefault(media.file, row)
    for key, row in first.items():
        Attachment.objects.filter(key=key, message=None).update(message=row)
