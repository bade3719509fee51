"""What may leave: the rules of the door, with what they have looked up kept for one batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from .. import adapters, clock, conf, consent, media
from ..adapters.base import Adapter, Validation
from ..content import Content, Media, TemplateMessage
from ..errors import (
    ConfigurationError,
    InvalidAddress,
    InvalidContent,
    NoSender,
    NotSupported,
    OptedOut,
    TemplateNotApproved,
    WindowClosed,
)
from ..i18n import gettext as _
from ..models import AddressKind, Conversation, Sender, Suppression, Template, TemplateStatus
from ..models.fields import keyed_digests
from ..window import Window

if TYPE_CHECKING:
    from .door import Draft
    from .places import Place

HOLD_WINDOW: Final = "window"

#: Contents whose JSON is kept for the next draft: where each has its own, keeping is no use.
_MOST_STORED: Final = 1000


class Rules:
    """The checks of one batch. Equal contents are checked once per sender."""

    def __init__(self, *, ours: bool = False) -> None:
        self._ours = ours
        self._senders: dict[int, Sender | None] = {}
        self._adapters: dict[int, Adapter] = {}
        self._files: dict[tuple[type[Adapter], str, Media], tuple[str, ...]] = {}
        self._checked: dict[tuple[int, Content], Validation] = {}
        self._last: tuple[Content, Sender, Validation] | None = None
        self._stored: dict[int, tuple[Content, dict[str, Any], str]] = {}
        self._templates: dict[int, Template | None] = {}

    def sender(self, sender: Sender | None) -> Sender:
        """The sender to use, read anew; NoSender where there is none, or it is switched off."""
        row = self._default if sender is None else self._read(sender)
        if not (row.is_active and row.provider.is_active):
            raise NoSender(_("The sender “%(name)s” is switched off.") % {"name": row.name})
        if not adapters.is_known(row.provider.adapter):
            raise NoSender(_("The gateway of “%(name)s” is not installed.") % {"name": row.name})
        return row

    def _read(self, sender: Sender) -> Sender:
        if sender.pk not in self._senders:
            rows = Sender.objects.select_related("provider")
            self._senders[sender.pk] = rows.filter(pk=sender.pk).first()
        row = self._senders[sender.pk]
        if row is None:
            raise NoSender(_("The sender “%(name)s” is no longer there.") % {"name": sender.name})
        return row

    @cached_property
    def _default(self) -> Sender:
        active = Sender.objects.filter(is_active=True, provider__is_active=True)
        active = active.select_related("provider").order_by("-is_default", "id")
        found = list(active[:2])
        if not found:
            raise NoSender(_("There is no sender yet. Add one under Senders."))
        if len(found) > 1 and not found[0].is_default:
            raise NoSender(_("Choose a sender, or mark one of them as the default."))
        return found[0]

    def adapter(self, sender: Sender) -> Adapter:
        if sender.pk not in self._adapters:
            try:
                self._adapters[sender.pk] = sender.connect()
            except ConfigurationError as error:
                raise NoSender(
                    _("The sender “%(name)s” cannot be used: %(reason)s")
                    % {"name": sender.name, "reason": error}
                ) from None
        return self._adapters[sender.pk]

    def stored(self, content: Content) -> tuple[dict[str, Any], str]:
        """The content as its row keeps it, and its text; one content may go to thousands."""
        found = self._stored.get(id(content))
        if found is None:
            if len(self._stored) >= _MOST_STORED:
                self._stored.clear()
            # The content is kept too, so that its id stays its own.
            found = self._stored[id(content)] = (content, content.to_json(), content.preview())
        return found[1], found[2]

    def validate(self, content: Content, sender: Sender) -> Validation:
        """Generic rules, the gateway's limits and where its files come from."""
        if self._last is not None and self._last[0] is content and self._last[1] is sender:
            return self._last[2]
        validation = self._validate_once(content, sender)
        self._last = (content, sender, validation)
        return validation

    def _validate_once(self, content: Content, sender: Sender) -> Validation:
        known = (sender.pk, content)
        if known not in self._checked:
            self._checked[known] = self._validate(content, sender)
        return self._checked[known]

    def _validate(self, content: Content, sender: Sender) -> Validation:
        if problems := content.problems():
            return Validation(refusals=tuple(problems))
        cls = sender.provider.adapter_class
        if content.kind not in cls.kinds.get(sender.channel, frozenset()):
            raise NotSupported(
                _("%(gateway)s cannot send this kind of message (%(kind)s).")
                % {"gateway": cls.label, "kind": content.kind}
            )
        validation = self.adapter(sender).validate(content)
        return Validation(
            refusals=(*validation.refusals, *self._file_refusals(content, cls)),
            warnings=validation.warnings,
        )

    def _file_refusals(self, content: Content, cls: type[Adapter]) -> tuple[str, ...]:
        """Looked up once per file: a thousand contents may carry the same one."""
        if content.media is None or not content.media.file:
            return ()
        key = (cls, content.kind, replace(content.media, caption=""))
        if key not in self._files:
            self._files[key] = media.refusals(content, cls)
        return self._files[key]

    def admit_key(self, key: str | None) -> None:
        """Our own keys let a message pass where others may not: nobody else has them."""
        # In any letter case: SQLite's LIKE knows none.
        if key and key.lower().startswith(consent.OUR_KEYS) and not self._ours:
            raise InvalidContent(
                _("A key cannot begin with “%(start)s”.") % {"start": consent.OUR_KEYS}
            )

    def admit(self, draft: Draft, place: Place, now: datetime) -> bool:
        """Let a draft pass or raise why not. True where it is to be held for the window."""
        self._admit_place(draft, place)
        if refusals := self.validate(draft.content, place.sender).refusals:
            raise InvalidContent("\n".join(refusals))
        if isinstance(draft.content, TemplateMessage):
            self._admit_template(draft.content, place.sender)
            return False
        return self._admit_freeform(draft, place, now)

    def _admit_place(self, draft: Draft, place: Place) -> None:
        if place.kind == AddressKind.GROUP:
            raise InvalidAddress(_("Messages to groups cannot be sent."))
        if place.kind != AddressKind.PHONE:
            raise InvalidAddress(
                _("This person's number is hidden by WhatsApp; they cannot be written to.")
            )
        if place.address is not None and consent.is_confirmation(draft.key, place.address.pk):
            return
        if reason := consent.refusal(*place.opted_out_at, suppressed=place.suppressed):
            raise OptedOut(reason)

    @cached_property
    def _has_suppressions(self) -> bool:
        return Suppression.objects.exists()

    def suppressed(self, values: Iterable[str]) -> set[str]:
        """Those addresses that opted out before their person was erased."""
        if not self._has_suppressions:
            return set()
        by_digest = {
            digest: value for value in values for digest in keyed_digests("address", value)
        }
        found = Suppression.objects.filter(digest__in=by_digest).values_list("digest", flat=True)
        return {by_digest[digest] for digest in found}

    def _admit_template(self, content: TemplateMessage, sender: Sender) -> None:
        row = self._template(content)
        if row is None or row.provider_id != sender.provider_id:
            raise TemplateNotApproved(
                _("“%(name)s” is not a template of this sender's account.")
                % {"name": content.template.name}
            )
        if row.sender_id not in (None, sender.pk):
            raise TemplateNotApproved(
                _("“%(name)s” belongs to another sender.") % {"name": content.template.name}
            )
        if row.status != TemplateStatus.APPROVED:
            raise TemplateNotApproved(
                _("“%(name)s” is not approved (%(status)s).")
                % {"name": row.name, "status": row.get_status_display()}
            )

    def _template(self, content: TemplateMessage) -> Template | None:
        pk = content.template.pk
        if pk is None:
            return None
        if pk not in self._templates:
            self._templates[pk] = Template.objects.filter(pk=pk).first()
        return self._templates[pk]

    def _admit_freeform(self, draft: Draft, place: Place, now: datetime) -> bool:
        window = place.window
        if window.is_open(now):
            return False
        if draft.hold == HOLD_WINDOW:
            return True
        raise WindowClosed(_closed_text(window))

    def time_warnings(self, draft: Draft, place: Place) -> list[str]:
        """What may go wrong later although it may be queued now."""
        if isinstance(draft.content, TemplateMessage) or not place.window.limited:
            return []
        if draft.hold == HOLD_WINDOW and not place.window.is_open(clock.now()):
            return [_("The message waits until the customer writes.")]
        ends_at = place.window.ends_at
        if draft.send_at and ends_at and draft.send_at >= ends_at:
            return [
                _(
                    "The reply window closes before the chosen time. Unless the customer writes "
                    "again, the message will not be sent."
                )
            ]
        return []


def _closed_text(window: Window) -> str:
    if window.ends_at is None:
        return _("This customer has not written yet, so only an approved template can be sent.")
    return _(
        "The 24-hour reply window is closed. Only an approved template can be sent until the "
        "customer writes again."
    )


def region_of(sender: Sender) -> str:
    """The country of numbers written without a code."""
    return sender.provider.default_region or str(conf.get("DEFAULT_REGION"))


def resolve_sender(
    sender: Sender | None = None, *, conversation: Conversation | None = None
) -> Sender:
    """The sender a message would leave from. Raises NoSender."""
    return Rules().sender(sender or (conversation.sender if conversation else None))
