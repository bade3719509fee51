"""Taking over what a gateway knows: address book, groups, templates, senders, balance, window.

Harmless to repeat. Nothing people entered is overwritten: a name is filled in where there is none,
and what the gateway no longer lists stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from . import clock, delivery, health
from .adapters.base import GroupInfo, SenderInfo, TemplateInfo
from .addresses import is_phone, variants
from .errors import NotPossible
from .i18n import gettext as _
from .models import (
    AddressKind,
    Connection,
    Contact,
    ContactAddress,
    Conversation,
    Group,
    GroupMember,
    Provider,
    Sender,
    Template,
    TemplateCategory,
    TemplateStatus,
)
from .outbox import make_addresses

_CHUNK: Final = 500


@dataclass(slots=True)
class Synced:
    """How many the gateway listed, and how many of them were new or changed here."""

    listed: int = 0
    new: int = 0
    changed: int = 0


def supported(sender: Sender) -> list[str]:
    """What can be fetched for this sender: some of contacts, groups, templates, balance."""
    cls = sender.provider.adapter_class
    jobs = {
        "contacts": "fetch_contacts",
        "groups": "fetch_groups",
        "templates": "fetch_templates",
        "balance": "balance",
    }
    return [name for name, operation in jobs.items() if cls.supports(operation)]


def sync_contacts(sender: Sender) -> Synced:
    """Take over the address book of the paired phone. Raises GatewayError and NotPossible."""
    _require(sender, "fetch_contacts")
    people = {
        info.address: info.name
        for info in sender.connect().fetch_contacts()
        if is_phone(info.address)
    }
    done = Synced(listed=len(people))
    for values in _chunks(sorted(people)):
        with transaction.atomic():
            known = _known(values)
            new = {value: people[value] for value in values if value not in known}
            done.new += len(make_addresses(new))
            done.changed += _name({row.contact_id: people[value] for value, row in known.items()})
    return done


def _name(names: dict[int, str]) -> int:
    """Name these contacts where nobody has; how many."""
    wanted = {pk: name[:255] for pk, name in names.items() if name}
    nameless = Contact.objects.select_for_update(no_key=True).filter(pk__in=wanted, name="")
    rows = list(nameless.order_by("pk"))
    for row in rows:
        row.name = wanted[row.pk]
    Contact.objects.bulk_update(rows, ["name"])
    return len(rows)


def sync_groups(sender: Sender) -> Synced:
    """Take over the groups of the paired phone with their members.

    Raises GatewayError and NotPossible.
    """
    _require(sender, "fetch_groups")
    infos = sender.connect().fetch_groups()
    done = Synced(listed=len(infos))
    for info in infos:
        with transaction.atomic():
            _take_group(sender, info, done)
    return done


def _take_group(sender: Sender, info: GroupInfo, done: Synced) -> None:
    group, made = Group.objects.get_or_create(
        sender=sender, external_id=info.address, defaults={"name": info.name[:255]}
    )
    done.new += made
    members = {value for value in info.members if value}
    known = _known(members)
    addresses = {row.pk for row in known.values()}
    made_here = make_addresses(dict.fromkeys(sorted(members - set(known)), ""))
    addresses |= {row.pk for row in made_here.values()}
    present = set(group.members.values_list("address_id", flat=True))
    if group.name != info.name[:255] or present != addresses:
        done.changed += not made
    group.members.exclude(address__in=addresses).delete()
    GroupMember.objects.bulk_create(
        [GroupMember(group=group, address_id=pk) for pk in sorted(addresses - present)],
        ignore_conflicts=True,
    )
    group.name, group.synced_at = info.name[:255], clock.now()
    group.save(update_fields=["name", "synced_at"])
    # The group's conversation shows its name.
    Contact.objects.filter(
        addresses__value=info.address, addresses__kind=AddressKind.GROUP, name=""
    ).update(name=group.name)


def sync_templates(sender: Sender) -> Synced:
    """Take over the templates of this sender and their states. Raises GatewayError, NotPossible."""
    _require(sender, "fetch_templates")
    infos = sender.connect().fetch_templates()
    done = Synced(listed=len(infos))
    for info in infos:
        with transaction.atomic():
            _take_template(sender, info, done)
    return done


def _take_template(sender: Sender, info: TemplateInfo, done: Synced) -> None:
    own = Template.objects.filter(provider=sender.provider).filter(
        Q(sender=sender) | Q(sender=None)
    )
    row = own.filter(external_id=info.external_id).order_by("-sender_id").first()
    if row is None:
        # One entered by hand before: the same name and language, without an id.
        row = own.filter(name=info.name, language=info.language, external_id="").first()
    made = row is None
    if row is None:
        row = Template(provider=sender.provider, sender=sender)
    before = _state(row)
    row.name, row.language, row.external_id = info.name, info.language[:15], info.external_id
    row.category = info.category if info.category in TemplateCategory.values else ""
    if info.body:
        row.body = info.body
    row.status = info.status if info.status in TemplateStatus.values else TemplateStatus.UNKNOWN
    row.status_text = info.raw_status[:255]
    row.synced_at = clock.now()
    row.save()
    done.new += made
    done.changed += not made and before != _state(row)


def _state(row: Template) -> tuple[Any, ...]:
    return (row.name, row.language, row.external_id, row.category, row.body, row.status)


def sync_senders(provider: Provider) -> Synced:
    """Take over the account's senders; new ones are switched off until somebody wants them.

    Raises GatewayError and NotPossible.
    """
    if not provider.adapter_class.supports("fetch_senders"):
        raise NotPossible(
            _("%(gateway)s does not list senders.") % {"gateway": provider.adapter_class.label}
        )
    infos = provider.connect().fetch_senders()
    done = Synced(listed=len(infos))
    for info in infos:
        with transaction.atomic():
            _take_sender(provider, info, done)
    return done


def _take_sender(provider: Provider, info: SenderInfo, done: Synced) -> None:
    rows = Sender.objects.filter(provider=provider)
    row = rows.filter(external_id=info.external_id).first()
    if row is None and info.address:
        row = rows.filter(address=info.address, external_id="").first()
    made = row is None
    if row is None:
        row = Sender(provider=provider, name=(info.name or info.address)[:100], is_active=False)
    before = (row.external_id, row.address, row.connection)
    row.external_id = info.external_id
    if not row.address and not rows.filter(address=info.address).exclude(pk=row.pk).exists():
        row.address = info.address
    if info.online is not None:
        row.connection = Connection.CONNECTED if info.online else Connection.DISCONNECTED
    row.save()
    done.new += made
    done.changed += not made and before != (row.external_id, row.address, row.connection)


def sync_balance(sender: Sender) -> health.ConnectionTest:
    """Ask for the balance and keep it."""
    return health.refresh_balance(sender)


def ask_window(conversation: Conversation) -> bool:
    """Ask the gateway whether the reply window is open, and keep what extends it; is it open?

    The gateway's word informs and may extend; only a refused message closes. Raises GatewayError
    and NotPossible.
    """
    sender = conversation.sender
    _require(sender, "session_status")
    answer = sender.connect().session_status(conversation.address.value)
    expires_at = answer.expires_at if answer.is_open else None
    delivery.extend_window(conversation.pk, expires_at, answer.last_inbound_at, clock.now())
    conversation.refresh_from_db()
    return answer.is_open


def _require(sender: Sender, operation: str) -> None:
    cls = sender.provider.adapter_class
    if not cls.supports(operation):
        raise NotPossible(_("%(gateway)s has nothing to fetch.") % {"gateway": cls.label})


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _known(values: Iterable[str]) -> dict[str, ContactAddress]:
    """The addresses there are, under the spelling asked for: one number may have two."""
    spellings = {other: value for value in values for other in reversed(variants(value))}
    rows = ContactAddress.objects.filter(value__in=spellings).select_related("contact")
    found: dict[str, ContactAddress] = {}
    for row in rows:
        value = spellings[row.value]
        if value not in found or row.value == value:
            found[value] = row
    return found
