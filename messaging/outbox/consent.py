"""Opting out and in: what a customer's word, a gateway or a person changes.

An opt-out holds from the moment it is committed: what still waits fails at the recheck before it
is sent. One answer goes out after it, to say that it was heard.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

from django.db import router, transaction
from django.utils import translation

from .. import clock, conf, consent
from ..content import Text
from ..delivery import touch
from ..errors import Refused
from ..i18n import gettext as _
from ..models import (
    ConsentSource,
    Contact,
    ContactAddress,
    Conversation,
    Priority,
    Suppression,
)
from ..models.fields import keyed_digests
from .door import Draft, author_name, queue_own

_LONGEST_EVIDENCE: Final = 255

_NOBODY: Final[dict[str, Any]] = {
    "opted_out_at": None,
    "opt_out_source": "",
    "opt_out_evidence": "",
}


def opt_out(
    address: ContactAddress | Contact,
    *,
    source: str,
    evidence: str = "",
    by: Any = None,
    confirm_in: Conversation | None = None,
) -> bool:
    """Write to this address no more, or to this person at any of theirs; whether that is new.

    `source` is a ConsentSource; `evidence` what was said, kept with the name of `by`. A repeat
    keeps what is there. With `confirm_in` the person is told so there, once, as
    MESSAGING["CONFIRM_OPT_OUT"] wants it.
    """
    now = clock.now()
    model = type(address)
    with transaction.atomic(using=router.db_for_write(ContactAddress)):
        new = model._default_manager.filter(pk=address.pk, opted_out_at=None).update(
            opted_out_at=now,
            opt_out_source=ConsentSource(source).value,
            opt_out_evidence=_evidence(evidence, by),
        )
        if new and confirm_in is not None and not _person_is_out(address):
            key = consent.confirmation_key(confirm_in.address_id, now)
            _confirm(confirm_in, key, "OPT_OUT_TEXT", _opt_out_text)
    _touch_later(address)
    address.refresh_from_db(fields=list(_NOBODY))
    return bool(new)


def opt_in(
    address: ContactAddress | Contact,
    *,
    source: str,
    evidence: str = "",
    by: Any = None,
    confirm_in: Conversation | None = None,
) -> bool:
    """Write to this address and its person again, or to all of a person's; whether that is new.

    The person's own word (`source` "message") also lifts what was kept when they were erased.
    The consent is noted with its time and source, its evidence among the contact's notes. With
    `confirm_in` they are told so there, once.
    """
    now = clock.now()
    source = ConsentSource(source).value
    contact = address if isinstance(address, Contact) else address.contact
    with transaction.atomic(using=router.db_for_write(ContactAddress)):
        new = bool(_restore(address, contact))
        if source == ConsentSource.MESSAGE and isinstance(address, ContactAddress):
            new = bool(_lift(address)) or new
        agreed = Contact.objects.filter(pk=contact.pk)
        if not new:  # who never opted out may still agree, once
            agreed = agreed.filter(consented_at=None)
        changed = agreed.update(consented_at=now, consent_source=source)
        if changed and source != ConsentSource.MESSAGE:  # a message is its own evidence
            _note(contact, now, _evidence(evidence, by))
        if new and confirm_in is not None:
            key = _opt_in_key(confirm_in.address_id, now)
            _confirm(confirm_in, key, "OPT_IN_TEXT", _opt_in_text)
    _touch_later(address)
    contact.refresh_from_db(fields=[*_NOBODY, "consented_at", "consent_source", "notes"])
    if isinstance(address, ContactAddress):
        address.refresh_from_db(fields=list(_NOBODY))
    return new


def _restore(address: ContactAddress | Contact, contact: Contact) -> int:
    rows = ContactAddress.objects.exclude(opted_out_at=None)
    if isinstance(address, Contact):
        changed = rows.filter(contact=address.pk).update(**_NOBODY)
    else:
        changed = rows.filter(pk=address.pk).update(**_NOBODY)
    people = Contact.objects.filter(pk=contact.pk).exclude(opted_out_at=None)
    return changed + people.update(**_NOBODY)


def _note(contact: Contact, at: datetime, evidence: str) -> None:
    """Consent given outside a conversation is kept in words, beside what is there."""
    line = _("%(date)s: agreed to messages. %(evidence)s") % {
        "date": at.date().isoformat(),
        "evidence": evidence,
    }
    row = Contact.objects.select_for_update(no_key=True).only("notes").get(pk=contact.pk)
    notes = "\n".join(part for part in (row.notes, line.strip()) if part)
    Contact.objects.filter(pk=contact.pk).update(notes=notes)


def _touch_later(address: ContactAddress | Contact) -> None:
    """Let screens see it: after the commit, since the caller may hold a conversation already."""
    own = {"address__contact" if isinstance(address, Contact) else "address": address.pk}
    ids = list(Conversation.objects.filter(**own).values_list("pk", flat=True))
    transaction.on_commit(partial(touch, ids), using=router.db_for_write(Conversation), robust=True)


def _lift(address: ContactAddress) -> int:
    digests = keyed_digests("address", address.value)
    return Suppression.objects.filter(digest__in=digests).delete()[0]


def _person_is_out(address: ContactAddress | Contact) -> bool:
    """A person who is written to at no address knows, or did not ask by a message."""
    if isinstance(address, Contact):
        return False
    return Contact.objects.filter(pk=address.contact_id).exclude(opted_out_at=None).exists()


def _evidence(evidence: str, by: Any) -> str:
    """What was said, and who wrote it down; whatever is cut, the name stays."""
    evidence = " ".join(evidence.split())
    name = author_name(by)
    if not name:
        return evidence[:_LONGEST_EVIDENCE]
    tail = f" ({name})" if evidence else name
    return evidence[: max(0, _LONGEST_EVIDENCE - len(tail))] + tail[:_LONGEST_EVIDENCE]


# What the person is told


def _opt_in_key(address_id: int, at: datetime) -> str:
    return f"{consent.OUR_KEYS}opt-in:{address_id}:{int(at.timestamp())}"


def _confirm(conversation: Conversation, key: str, setting: str, default: Any) -> None:
    if not conf.get("CONFIRM_OPT_OUT"):
        return
    language = conversation.address.contact.language
    with _in_language(language):
        text = conf.get(setting) or default()
    # Where nothing may be sent (a closed window, a group), the word counts all the same.
    with suppress(Refused):
        queue_own(Draft(content=Text(text), to=conversation, key=key, priority=Priority.REPLY))


def _in_language(language: str) -> Any:
    """Inside, the person's language, as far as there is one we know."""
    try:
        code = translation.get_supported_language_variant(language.replace("_", "-").lower())
    except LookupError:
        code = translation.get_language() or "en"
    return translation.override(code)


def _opt_out_text() -> str:
    return _("You will get no more messages from us. To get them again, reply START.")


def _opt_in_text() -> str:
    return _("You will get our messages again. To stop them, reply STOP.")
