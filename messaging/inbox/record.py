"""Recording what came in: messages and reports, each once, in any order."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final

from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    router,
    transaction,
)

from .. import background, clock, conf, consent, delivery, media, outbox
from ..adapters.base import Adapter
from ..errors import ConfigurationError
from ..events import Direction, Inbound, Source, Status, StatusUpdate
from ..i18n import gettext as _
from ..models import (
    Attachment,
    ConsentSource,
    Conversation,
    ConversationKind,
    Message,
    MessageKind,
    Provider,
    Sender,
)
from ..signals import message_received
from . import people, sql
from .aside import freeze, set_aside

logger = logging.getLogger("messaging")

_KINDS: Final = frozenset(MessageKind.values)

_CHUNK: Final = 500

#: What says nothing of whether the customer is there.
_SILENT: Final = frozenset({MessageKind.SYSTEM.value})

#: What may hold a word that ends or begins consent.
_WORDS: Final = frozenset({MessageKind.TEXT.value, MessageKind.BUTTON_REPLY.value})

#: Clocks differ, and gateways tell whole seconds: only what is older than this was found late.
_LATE: Final = timedelta(minutes=5)


class _Unplaced(Exception):
    """An event nobody can place: a person has to look at it."""


@dataclass(slots=True)
class Recorded:
    """What became of a batch: new messages, messages whose state changed, what needs a person.

    `failed` are events that raised; recording the same batch again is safe.
    """

    messages: list[Message] = field(default_factory=list)
    changed: int = 0
    problems: list[str] = field(default_factory=list)
    failed: list[Inbound] = field(default_factory=list)


def record(
    provider: Provider,
    events: Sequence[Inbound | StatusUpdate],
    source: Source,
    *,
    origin: str = "",
    sender: Sender | None = None,
) -> Recorded:
    """Record events of this provider in one transaction, each in its own savepoint.

    `origin` names the request they came in, so that messages without an id of their own are told
    apart; `sender` is whose they are where that is known (a report is asked of one sender). One
    bad event harms no other. Raises only where the database is away, or where the only event of
    a batch cannot be recorded.
    """
    batch = Batch(provider, events, source, origin=origin, sender=sender)
    with transaction.atomic(using=router.db_for_write(Message)):
        return batch.record()


class Batch:
    """Events made ready, so that the transaction they are recorded in is short."""

    def __init__(
        self,
        provider: Provider,
        events: Sequence[Inbound | StatusUpdate],
        source: Source,
        *,
        origin: str = "",
        sender: Sender | None = None,
    ) -> None:
        self._provider = provider
        self._source = source
        self._updates = [event for event in events if isinstance(event, StatusUpdate)]
        self._inbound = [event for event in events if isinstance(event, Inbound)]
        self._door = _Door(provider, source, origin, sender)
        named = any(update.to for update in self._updates)
        if sender is None and (self._inbound or named):
            self._door.open()

    def record(self) -> Recorded:
        """Record them, in the caller's transaction. Raises as `record` does."""
        done = Recorded()
        alone = len(self._inbound) == 1 and not self._updates
        self._refuse_strangers(done)
        if self._updates:
            done.changed = self._apply(alone=len(self._updates) == 1 and not self._inbound)
        for number, event in enumerate(self._inbound):
            _let_in(self._door, number, event, done, alone=alone)
        return done

    def _refuse_strangers(self, done: Recorded) -> None:
        """Leave out reports that name a sender which is none of ours."""
        ours = [update for update in self._updates if not update.to or self._door.knows(update)]
        if len(ours) < len(self._updates):
            done.problems.append(_("A report came from a phone that is none of ours."))
            self._updates = ours

    def _apply(self, *, alone: bool) -> int:
        """Apply reports; where one of them cannot be, the others all the same."""
        if alone:
            return delivery.apply(self._provider, self._updates, self._source)
        try:
            with transaction.atomic(using=router.db_for_write(Message)):
                return delivery.apply(self._provider, self._updates, self._source)
        except (OperationalError, InterfaceError):
            raise
        except DatabaseError:
            return sum(self._apply_one(update) for update in self._updates)

    def _apply_one(self, update: StatusUpdate) -> int:
        try:
            with transaction.atomic(using=router.db_for_write(Message)):
                return delivery.apply(self._provider, [update], self._source)
        except (OperationalError, InterfaceError):
            raise
        except DatabaseError:
            logger.exception("A report on a message could not be applied.")
            return 0


def record_page(sender: Sender, events: Sequence[Inbound]) -> int:
    """Record a page of a sender's inbox report; how many messages were new.

    What cannot be recorded is set aside and tried again by the sweep, so that the cursor can move
    on: a report is not asked for twice because of one bad row.
    """
    found = 0
    for start in range(0, len(events), _CHUNK):
        chunk = _news(sender, events[start : start + _CHUNK])
        done = Recorded()
        door = _Door(sender.provider, Source.POLL, f"s{sender.pk}", sender)
        for number, event in enumerate(chunk):
            _let_in(door, number, event, done, alone=False)
        for event in done.failed:
            set_aside(sender.provider, freeze(event, sender), _("It could not be recorded."))
        found += len(done.messages)
    return found


def _news(sender: Sender, events: Sequence[Inbound]) -> list[Inbound]:
    """Those of a page that tell us anything: most of it came by webhook before."""
    known = Message.objects.filter(
        sender=sender,
        direction=Direction.INBOUND.value,
        external_id__in=[event.external_id for event in events if event.external_id],
    )
    refs = dict(known.values_list("external_id", "external_ref"))
    return [
        event
        for event in events
        if event.external_id not in refs or (event.external_ref and not refs[event.external_id])
    ]


def _let_in(door: _Door, number: int, event: Inbound, done: Recorded, *, alone: bool) -> None:
    try:
        # One alone needs no savepoint: it is its whole transaction.
        guard = nullcontext() if alone else transaction.atomic(using=router.db_for_write(Message))
        with guard:
            message = door.receive(number, event)
    except _Unplaced as problem:
        done.problems.append(str(problem))
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if alone:
            raise
        logger.exception("An inbound message could not be recorded.")
        done.failed.append(event)
    else:
        if message is not None:
            done.messages.append(message)


class _Door:
    """One batch's way in."""

    def __init__(
        self, provider: Provider, source: Source, origin: str, sender: Sender | None
    ) -> None:
        self._provider = provider
        self._source = source
        self._origin = origin
        self._sender = sender
        self._adapters: list[tuple[Sender, Adapter]] | None = None
        self._now = clock.now()

    def receive(self, number: int, event: Inbound) -> Message | None:
        """Record one message; None where it is known, or is not one we keep."""
        if event.external_data.get("ignored") and not conf.get("KEEP_STATUS_POSTS"):
            return None
        sender = self._sender or self._owner(event)
        if not event.address:
            raise _Unplaced(_("A message does not say whom it is from."))
        external_id = event.external_id or self._made_up_id(number, event)
        conversation = people.conversation_for(sender, event)
        message = self._insert(conversation, event, external_id)
        if message is None:
            self._add_to_known(sender, event, external_id)
            return None
        people.learn_name(conversation, event.name)
        self._keep_file(message, event)
        self._move_conversation(conversation, message, event)
        self._follow(conversation, message)
        transaction.on_commit(
            partial(message_received.send_robust, Message, message=message),
            using=router.db_for_write(Message),
        )
        return message

    # Whose it is

    def knows(self, update: StatusUpdate) -> bool:
        """Whether a report is of one of this provider's senders."""
        return any(adapter.owns(update) for _sender, adapter in self._speakers())

    def _owner(self, event: Inbound) -> Sender:
        """The sender it came to. Raises _Unplaced."""
        owners = [sender for sender, adapter in self._speakers() if adapter.owns(event)]
        if len(owners) == 1:
            return owners[0]
        if owners:
            raise _Unplaced(_("Several senders could have received a message."))
        if not event.to and not event.channel and len(self._speakers()) == 1:
            return self._speakers()[0][0]
        raise _Unplaced(
            _(
                "A message came to a number or phone that is none of this provider's senders. "
                "Add the sender, then process the delivery again."
            )
        )

    def open(self) -> None:
        """Read whose messages these may be."""
        self._speakers()

    def _speakers(self) -> list[tuple[Sender, Adapter]]:
        if self._adapters is None:
            self._adapters = []
            for sender in sql.senders(self._provider):
                sender.provider = self._provider
                try:
                    self._adapters.append((sender, sender.connect()))
                except ConfigurationError:
                    logger.warning("Sender %s cannot be used for what came in.", sender.pk)
        return self._adapters

    # The row

    def _made_up_id(self, number: int, event: Inbound) -> str:
        """An id for a message without one, the same however often the same event comes.

        Without a time nothing tells two equal messages apart but the request they came in.
        """
        when = event.occurred_at.isoformat() if event.occurred_at else f"{self._origin}:{number}"
        parts = [event.address, event.kind, event.text, when]
        digest = hashlib.sha256(json.dumps(parts).encode("utf-8", "replace")).hexdigest()
        return f"ours:{digest}"

    def _insert(
        self, conversation: Conversation, event: Inbound, external_id: str
    ) -> Message | None:
        """The new row; None where it is there already."""
        data = dict(event.external_data)
        if event.address != getattr(conversation, "address_value", event.address):
            data["from"] = event.address
        row = Message(
            conversation=conversation,
            sender_id=conversation.sender_id,
            direction=Direction.INBOUND.value,
            kind=event.kind if event.kind in _KINDS else MessageKind.UNSUPPORTED.value,
            content=dict(event.content),
            text=event.text,
            status=Status.RECEIVED.value,
            external_id=external_id,
            external_ref=event.external_ref[:200],
            external_data=data,
            source=self._source.value,
            created_at=self._now,
            occurred_at=event.occurred_at,
        )
        return row if sql.insert(row) else None

    def _add_to_known(self, sender: Sender, event: Inbound, external_id: str) -> None:
        """What the other way in knows more: an id, a file, that it came by webhook at all."""
        rows = Message.objects.select_for_update(of=("self",), no_key=True)
        row = rows.get(sender=sender, direction=Direction.INBOUND.value, external_id=external_id)
        changes: dict[str, Any] = {}
        if event.external_ref and not row.external_ref:
            changes["external_ref"] = event.external_ref[:200]
        if self._source is Source.WEBHOOK and row.source == Source.POLL:
            changes["source"] = Source.WEBHOOK.value
        if event.media is not None and not row.attachments.exists():
            self._keep_file(row, event)
        if changes:
            Message.objects.filter(pk=row.pk).update(**changes)

    def _keep_file(self, message: Message, event: Inbound) -> None:
        file = event.media
        if file is None:
            return
        if file.file:
            Attachment.objects.filter(key=file.file, message=None).update(message=message)
        elif file.link:
            row = media.keep_link(file.link, file.filename, file.content_type)
            Attachment.objects.filter(pk=row.pk).update(message=message)
            transaction.on_commit(
                partial(background.run, "fetch"), using=router.db_for_write(Message), robust=True
            )

    # What follows

    def _move_conversation(
        self, conversation: Conversation, message: Message, event: Inbound
    ) -> None:
        """Unread, on top, open again; and the reply window, where a person wrote."""
        opens = conversation.kind == ConversationKind.PERSON and message.kind not in _SILENT
        # A clock that goes ahead must not lengthen the window.
        wrote_at = min(event.occurred_at or self._now, self._now) if opens else None
        text = " ".join(event.text.split())[:100]
        sql.move_up(conversation.pk, text, self._now, wrote_at)

    def _follow(self, conversation: Conversation, message: Message) -> None:
        word = ""
        if conversation.kind == ConversationKind.PERSON and message.kind in _WORDS:
            word = consent.word(message.text)
        step: dict[str, Callable[..., Any]] = {"stop": outbox.opt_out, "start": outbox.opt_in}
        if word in step and not _has_changed_since(conversation, message):
            step[word](
                conversation.address,
                source=ConsentSource.MESSAGE,
                evidence=message.text[:255],
                confirm_in=conversation,
            )
        if word != "stop" and getattr(conversation, "has_held", False):
            outbox.release_held(conversation)


def _has_changed_since(conversation: Conversation, message: Message) -> bool:
    """Whether this person has said otherwise after this message, which was found late.

    What was said in this conversation is compared by the gateway's clock. What was noted in other
    ways has our own time: only for a message that is old can the two be told apart.
    """
    written_at = message.occurred_at or message.created_at
    since = Message.objects.filter(
        conversation=conversation,
        direction=Direction.INBOUND.value,
        kind__in=_WORDS,
        occurred_at__gt=written_at,
    )
    if any(map(consent.word, since.values_list("text", flat=True))):
        return True
    if message.created_at - written_at < _LATE:
        return False
    address = conversation.address
    later = (address.opted_out_at, address.contact.opted_out_at, address.contact.consented_at)
    return any(at is not None and at > written_at for at in later)
