"""What the database itself refuses, and that a stored secret is shown by nothing."""

from __future__ import annotations

import copy
import io
import json
import pickle
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.contrib.auth.models import Group as StaffGroup
from django.contrib.auth.models import User
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DataError, IntegrityError, connection, models, transaction
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.errors import ConfigurationError, DecryptionError
from messaging.models import (
    Attachment,
    Broadcast,
    CannedReply,
    Contact,
    ContactAddress,
    Conversation,
    Group,
    GroupMember,
    Heartbeat,
    Label,
    Message,
    Note,
    Pace,
    Pairing,
    ParkedStatus,
    Provider,
    Recipient,
    Segment,
    Sender,
    SenderAccess,
    Suppression,
    Tag,
    Template,
    WebhookDelivery,
    WebhookToken,
    account_digests,
)
from messaging.models.fields import Secrets, decrypt, encrypt

from .conftest import KEY

CANARY = "canary-5b1e02"

pytestmark = pytest.mark.django_db


class World(SimpleNamespace):
    """One row of everything; its methods make another like it, changed as told."""

    def provider_like(self, **values: Any) -> Provider:
        return Provider.objects.create(
            **{
                "name": f"Provider {uuid.uuid4()}",
                "adapter": "intellisoftware",
                "base_url": "https://gateway.example",
                **values,
            }
        )

    def sender_like(self, **values: Any) -> Sender:
        return Sender.objects.create(**{"provider": self.provider, "name": "Desk", **values})

    def message_like(self, **values: Any) -> Message:
        return Message.objects.create(
            **{
                "conversation": self.conversation,
                "sender": self.sender,
                "direction": "outbound",
                "kind": "text",
                "status": "queued",
                "created_at": timezone.now(),
                **values,
            }
        )

    def template_like(self, **values: Any) -> Template:
        return Template.objects.create(
            **{"provider": self.provider, "name": "reminder", "language": "en", **values}
        )

    def pairing_like(self, **values: Any) -> Pairing:
        now = timezone.now()
        return Pairing.objects.create(
            **{"sender": self.sender, "started_at": now, "expires_at": now, **values}
        )

    def parked_like(self, **values: Any) -> ParkedStatus:
        given = {"provider": self.provider, "external_id": "x", "digest": "d", **values}
        return ParkedStatus.objects.create(created_at=timezone.now(), **given)

    def recipient_like(self, **values: Any) -> Recipient:
        return Recipient.objects.create(
            **{"broadcast": self.broadcast, "value": str(uuid.uuid4()), **values}
        )


@pytest.fixture
def world() -> World:
    it = World()
    it.user = User.objects.create(username="ada")
    it.staff = StaffGroup.objects.create(name="Desk")
    it.provider = it.provider_like(name="Official", credentials={"accesskey": CANARY})
    it.sender = it.sender_like(
        address="+447700900100", is_default=True, credentials={"token": CANARY}
    )
    it.contact = Contact.objects.create(name="Grace")
    it.address = ContactAddress.objects.create(contact=it.contact, value="+447700900200")
    it.conversation = Conversation.objects.create(sender=it.sender, address=it.address)
    it.message = it.message_like(key="k", external_id="out-1", status="accepted")
    it.received = it.message_like(direction="inbound", status="received", external_id="in-1")
    it.template = it.template_like()
    it.sender_template = it.template_like(sender=it.sender)
    it.token = WebhookToken.objects.create(provider=it.provider, digest="d", token=CANARY)
    it.delivery = WebhookDelivery.objects.create(
        provider=it.provider, digest="d", body=CANARY, received_at=timezone.now()
    )
    it.group = Group.objects.create(sender=it.sender, external_id="1@g.us")
    it.member = GroupMember.objects.create(group=it.group, address=it.address)
    it.broadcast = Broadcast.objects.create(name="Spring", sender=it.sender)
    it.recipient = it.recipient_like(value="+447700900200", message=it.message)
    it.attachment = Attachment.objects.create(message=it.message)
    it.user_access = SenderAccess.objects.create(sender=it.sender, user=it.user)
    it.group_access = SenderAccess.objects.create(sender=it.sender, group=it.staff)
    for model, values in NAMED.items():
        model.objects.create(**values)
    return it


#: Rows whose only rule is that there is one of them.
NAMED: dict[type[models.Model], dict[str, Any]] = {
    Tag: {"name": "vip"},
    Label: {"name": "urgent"},
    Segment: {"name": "all"},
    CannedReply: {"shortcut": "hi", "text": "Hello"},
    Suppression: {"digest": "d"},
    Heartbeat: {"name": "worker"},
    Pace: {"lane": "s1"},
}

Case = Callable[[World], object]

#: What must fail, by the name of the constraint (or model and unique field) that forbids it.
FORBIDDEN: dict[str, Case] = {
    **{
        f"{model.__name__}.{next(iter(values))}": (
            lambda it, model=model, values=values: model.objects.create(**values)
        )
        for model, values in NAMED.items()
    },
    "Provider.name": lambda it: it.provider_like(name="Official"),
    "Provider.account_digest": lambda it: it.provider_like(credentials={"accesskey": CANARY}),
    "Sender.account_digest": lambda it: it.sender_like(credentials={"token": CANARY}),
    "provider_rate_positive": lambda it: it.provider_like(rate=0),
    "sender_rate_positive": lambda it: it.sender_like(rate=-1),
    "sender_unique_address": lambda it: it.sender_like(address="+447700900100"),
    "sender_one_default": lambda it: it.sender_like(is_default=True),
    "senderaccess_user_or_group": lambda it: SenderAccess.objects.create(sender=it.sender),
    "senderaccess_unique_user": lambda it: SenderAccess.objects.create(
        sender=it.sender, user=it.user
    ),
    "senderaccess_unique_group": lambda it: SenderAccess.objects.create(
        sender=it.sender, group=it.staff
    ),
    "WebhookToken.digest": lambda it: WebhookToken.objects.create(
        provider=it.provider, digest="d", token="another"
    ),
    "ContactAddress.value": lambda it: ContactAddress.objects.create(
        contact=Contact.objects.create(), value="+447700900200"
    ),
    "contactaddress_value_filled": lambda it: ContactAddress.objects.create(
        contact=it.contact, value=""
    ),
    "group_unique": lambda it: Group.objects.create(sender=it.sender, external_id="1@g.us"),
    "groupmember_unique": lambda it: GroupMember.objects.create(group=it.group, address=it.address),
    "conversation_unique": lambda it: Conversation.objects.create(
        sender=it.sender, address=it.address
    ),
    "message_unique_outbound": lambda it: it.message_like(external_id="out-1"),
    "message_unique_inbound": lambda it: it.message_like(
        direction="inbound", status="received", external_id="in-1"
    ),
    "message_status_fits_direction": lambda it: it.message_like(status="received"),
    "message_priority_known": lambda it: it.message_like(priority=5),
    "message_sending_is_claimed": lambda it: it.message_like(
        status="sending", due_at=timezone.now()
    ),
    "message_unique_key": lambda it: it.message_like(key="k"),
    "Message.resend_of": lambda it: [it.message_like(resend_of=it.message) for _ in range(2)],
    "template_unique_of_provider": lambda it: it.template_like(),
    "template_unique_of_sender": lambda it: it.template_like(sender=it.sender),
    "recipient_unique": lambda it: it.recipient_like(value="+447700900200"),
    "Recipient.message": lambda it: it.recipient_like(message=it.message),
    "Pairing.sender": lambda it: [it.pairing_like() for _ in range(2)],
    "parked_once": lambda it: [it.parked_like() for _ in range(2)],
    "Attachment.key": lambda it: Attachment.objects.create(key=it.attachment.key),
}

#: Further ways to break one of them.
ALSO_FORBIDDEN: dict[str, Case] = {
    "inbound and queued": lambda it: it.message_like(direction="inbound", status="queued"),
    "a direction of its own": lambda it: it.message_like(direction="sideways"),
    "sending without lease": lambda it: it.message_like(status="sending", claim=uuid.uuid4()),
    "user and group at once": lambda it: SenderAccess.objects.create(
        sender=it.sender_like(), user=it.user, group=it.staff
    ),
    "external ids are the sender's": lambda it: it.message_like(
        conversation=Conversation.objects.create(
            sender=it.sender,
            address=ContactAddress.objects.create(contact=it.contact, value="+447700900201"),
        ),
        direction="inbound",
        status="received",
        external_id="in-1",
    ),
}

#: What looks similar and must be possible.
ALLOWED: dict[str, Case] = {
    "parked reports from before digests": lambda it: [it.parked_like(digest="") for _ in range(2)],
    "two senders without an address": lambda it: [it.sender_like() for _ in range(2)],
    "one number on two channels": lambda it: it.sender_like(address="+447700900100", channel="sms"),
    "one number at two providers": lambda it: it.sender_like(
        provider=it.provider_like(), address="+447700900100"
    ),
    "two providers without credentials": lambda it: [it.provider_like() for _ in range(2)],
    "the same words at another gateway": lambda it: it.provider_like(
        adapter="intellixent", credentials={"accesskey": CANARY}
    ),
    "two messages the gateway gave no id": lambda it: [
        it.message_like(direction=direction, status=status)
        for direction, status in [("outbound", "unknown"), ("inbound", "received")] * 2
    ],
    "an id in both directions": lambda it: it.message_like(external_id="in-1"),
    "two messages without key": lambda it: [it.message_like() for _ in range(2)],
    "claimed and leased": lambda it: it.message_like(
        status="sending", claim=uuid.uuid4(), due_at=timezone.now()
    ),
    "a template in another language": lambda it: it.template_like(language="de"),
    "a template of another sender": lambda it: it.template_like(sender=it.sender_like()),
    "two people left out of a broadcast": lambda it: [it.recipient_like() for _ in range(2)],
}


def our_models() -> list[type[models.Model]]:
    return list(apps.get_app_config("messaging").get_models())


def test_every_constraint_has_a_failing_case() -> None:
    present = set()
    for model in our_models():
        present |= {constraint.name for constraint in model._meta.constraints}
        present |= {
            f"{model.__name__}.{field.name}"
            for field in model._meta.local_fields
            if field.unique and not field.primary_key
        }
    assert present == set(FORBIDDEN)


@pytest.mark.parametrize("case", [*FORBIDDEN, *ALSO_FORBIDDEN])
def test_the_database_refuses(world: World, case: str) -> None:
    make = FORBIDDEN.get(case) or ALSO_FORBIDDEN[case]
    with pytest.raises(IntegrityError), transaction.atomic():
        make(world)


@pytest.mark.parametrize("case", ALLOWED)
def test_the_database_allows(world: World, case: str) -> None:
    with transaction.atomic():
        ALLOWED[case](world)


@pytest.mark.parametrize("case", ["sender_unique_address", "sender_one_default"])
def test_a_form_says_it_before_the_database_does(world: World, case: str) -> None:
    values = {"address": "+447700900100"} if "address" in case else {"is_default": True}
    with pytest.raises(ValidationError):
        Sender(provider=world.provider, name="Desk", **values).full_clean()


@pytest.mark.parametrize("sender", ["no sender", "a sender"])
def test_a_form_refuses_a_template_twice(world: World, sender: str) -> None:
    copy_of = world.template if sender == "no sender" else world.sender_template
    copied = Template(
        provider=copy_of.provider, sender=copy_of.sender, name="reminder", language="en"
    )
    with pytest.raises(ValidationError, match="name and language already"):
        copied.full_clean()


@pytest.mark.parametrize("name", ["provider", "sender", "conversation", "address"])
def test_what_has_history_cannot_be_deleted(world: World, name: str) -> None:
    with pytest.raises(ProtectedError):
        getattr(world, name).delete()


def test_a_message_sent_again_keeps_its_origin(world: World) -> None:
    world.message_like(resend_of=world.message)
    with pytest.raises(ProtectedError):
        world.message.delete()


def test_deleted_users_leave_their_names(world: World) -> None:
    message = world.message_like(author=world.user, author_name="Ada")
    note = Note.objects.create(
        conversation=world.conversation, text="x", author=world.user, author_name="Ada"
    )
    world.user.delete()
    for row in (message, note):
        row.refresh_from_db()
        assert (row.author, row.author_name) == (None, "Ada")


def test_deleted_templates_leave_their_messages(world: World) -> None:
    message = world.message_like(template=world.sender_template)
    world.sender_template.delete()
    message.refresh_from_db()
    assert message.template is None


@pytest.mark.postgres
def test_too_long_is_refused(world: World) -> None:
    with pytest.raises(DataError), transaction.atomic():
        world.message_like(external_id="x" * 201)


def test_every_filtered_word_has_choices() -> None:
    """The admin filters on these; without choices each filter would scan the table."""
    words = {"status", "direction", "kind", "channel", "adapter", "error_class", "connection"}
    fields = [
        field for model in our_models() for field in model._meta.local_fields if field.name in words
    ]
    assert len(fields) > 10
    assert [str(field) for field in fields if not field.choices] == []


# Migrations


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_primary_keys_are_big() -> None:
    assert {type(model._meta.pk).__name__ for model in our_models()} == {"BigAutoField"}


def test_every_constraint_exists_in_this_database() -> None:
    """A constraint the database cannot express is left out with a warning only."""
    with connection.cursor() as cursor:
        for model in our_models():
            found = connection.introspection.get_constraints(cursor, model._meta.db_table)
            wanted = {item.name for item in [*model._meta.constraints, *model._meta.indexes]}
            assert wanted <= set(found)


# Encrypted columns


@pytest.fixture
def other_key(settings: Any) -> str:
    """Another key than the one the rows were written with."""
    settings.MESSAGING = {
        **settings.MESSAGING,
        "ENCRYPTION_KEYS": [Fernet.generate_key().decode()],
    }
    return settings.MESSAGING["ENCRYPTION_KEYS"][0]


def test_secrets_come_back_as_they_were(world: World) -> None:
    world.provider.refresh_from_db()
    assert world.provider.credentials == {"accesskey": CANARY}
    assert dict(world.provider.credentials) == {"accesskey": CANARY}
    world.token.refresh_from_db()
    assert world.token.token == CANARY


def test_nothing_clear_is_in_the_database(world: World) -> None:
    with connection.cursor() as cursor:
        for table, column in [
            ("messaging_provider", "credentials"),
            ("messaging_sender", "credentials"),
            ("messaging_webhooktoken", "token"),
            ("messaging_webhookdelivery", "body"),
        ]:
            cursor.execute(f"SELECT {column} FROM {table} WHERE {column} <> ''")
            [(stored,)] = cursor.fetchall()
            assert stored.startswith("fernet:")
            assert CANARY not in stored


def test_equal_secrets_look_different(world: World) -> None:
    assert encrypt(CANARY) != encrypt(CANARY)


def test_without_the_key_the_row_loads_and_its_secret_does_not(
    world: World, other_key: str
) -> None:
    row = Provider.objects.get(pk=world.provider.pk)
    assert row.name == "Official"
    assert bool(row.credentials)
    for use in (dict, len, list, lambda secrets: secrets["accesskey"], lambda s: s == {}):
        with pytest.raises(DecryptionError):
            use(row.credentials)
    with pytest.raises(DecryptionError):
        row.account()


def test_without_the_key_a_row_is_saved_with_its_secret_untouched(
    world: World, settings: Any, other_key: str
) -> None:
    row = Provider.objects.get(pk=world.provider.pk)
    row.name = "Renamed"
    row.save(update_fields=["name"])
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": [KEY]}
    row.refresh_from_db()
    assert (row.name, row.credentials["accesskey"]) == ("Renamed", CANARY)


def test_without_the_key_a_text_column_gives_an_error_and_no_value(
    world: World, other_key: str
) -> None:
    with pytest.raises(DecryptionError):
        WebhookToken.objects.get(pk=world.token.pk)
    with pytest.raises(DecryptionError):
        list(WebhookDelivery.objects.values("body"))
    # What does not need it can be had.
    assert WebhookToken.objects.defer("token").get(pk=world.token.pk).digest == "d"


@pytest.mark.parametrize("token", ["clear text", "fernet:", "fernet:gAAAA", "fernet:x" * 20])
def test_damaged_secrets_are_errors(token: str) -> None:
    with pytest.raises(DecryptionError):
        decrypt(token)


def test_an_error_quotes_neither_secret_nor_key(world: World, other_key: str) -> None:
    row = Provider.objects.get(pk=world.provider.pk)
    with pytest.raises(DecryptionError) as caught:
        dict(row.credentials)
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    assert "fernet:" not in shown
    assert other_key not in shown


def test_a_bad_key_is_not_quoted(settings: Any) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": [CANARY]}
    with pytest.raises(ConfigurationError) as caught:
        encrypt("x")
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__}"


def test_without_any_key_nothing_is_stored(settings: Any) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": []}
    with pytest.raises(ConfigurationError):
        encrypt("x")
    settings.DEBUG = True
    assert decrypt(encrypt("x")) == "x"


def test_every_listed_key_decrypts_and_the_first_encrypts(settings: Any, other_key: str) -> None:
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": [KEY]}
    old = encrypt("x")
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": [other_key, KEY]}
    new = encrypt("x")
    assert decrypt(old) == decrypt(new) == "x"
    settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": [other_key]}
    assert decrypt(new) == "x"


def shown(value: Any) -> str:
    return f"{value!r} {value!s} {value:}"


def test_secrets_are_shown_by_nothing(world: World) -> None:
    row = Provider.objects.get(pk=world.provider.pk)
    read = row.credentials["accesskey"]
    assert read == CANARY
    copied = copy.deepcopy(row.credentials)
    for value in (row.credentials, copied, Secrets({"a": CANARY}), row, [row.credentials]):
        assert CANARY not in shown(value) + json.dumps(value, default=str)
    values = Provider.objects.filter(pk=row.pk).values("credentials").get()
    assert CANARY not in shown(values)


def test_secrets_are_pickled_encrypted(world: World) -> None:
    row = Provider.objects.get(pk=world.provider.pk)
    assert row.credentials["accesskey"] == CANARY
    data = pickle.dumps(row)
    assert CANARY.encode() not in data
    assert pickle.loads(data).credentials["accesskey"] == CANARY


@pytest.mark.parametrize("format_", ["json", "xml", "jsonl", "python"])
def test_secrets_are_in_no_fixture(world: World, format_: str) -> None:
    rows = [world.provider, world.sender, world.token, world.delivery]
    text = str(serializers.serialize(format_, rows))
    assert CANARY not in text
    assert "fernet:" not in text


def test_dumpdata_holds_no_secret(world: World) -> None:
    out = io.StringIO()
    call_command("dumpdata", "messaging", stdout=out)
    assert "Official" in out.getvalue()
    assert CANARY not in out.getvalue()


def test_secrets_are_parameters_and_encrypted_ones(world: World) -> None:
    """What Django logs and shows of its queries holds no clear text."""
    with CaptureQueriesContext(connection) as captured:
        world.provider_like(credentials={"accesskey": f"{CANARY}-2"})
        world.provider.save()
        account_digests("intellisoftware", {"accesskey": CANARY})
    assert captured.captured_queries
    assert CANARY not in str(captured.captured_queries)


def test_no_form_field_is_made_of_a_secret() -> None:
    fields = [
        field
        for model in our_models()
        for field in model._meta.local_fields
        if field.name in {"credentials", "token"}
    ]
    assert fields
    assert not any(field.editable for field in fields)


@pytest.mark.parametrize("change", [{"credentials": {}}, {"credentials": {"accesskey": ""}}])
def test_without_credentials_there_is_no_digest(world: World, change: dict[str, Any]) -> None:
    assert world.provider.account_digest
    world.provider.credentials = change["credentials"]
    world.provider.save(update_fields=["credentials"])
    world.provider.refresh_from_db()
    assert world.provider.account_digest is None


def test_other_credentials_in_another_order_are_the_same_account(world: World) -> None:
    world.provider_like(credentials={"accesskey": "a", "secretkey": "b"})
    with pytest.raises(IntegrityError), transaction.atomic():
        world.provider_like(credentials={"secretkey": "b", "accesskey": "a"})


@pytest.mark.parametrize("value", ["accesskey=x", 7, [("accesskey", "x")]])
def test_what_is_not_a_dict_is_no_secret(value: Any) -> None:
    with pytest.raises(ValidationError):
        Provider(name="Official", adapter="intellisoftware", credentials=value)


def test_a_new_row_shows_its_secret_as_little_as_a_stored_one() -> None:
    row = Provider(name="Official", adapter="intellisoftware", credentials={"accesskey": CANARY})
    assert row.credentials["accesskey"] == CANARY
    assert CANARY not in shown(row.credentials) + shown(vars(row))
    assert CANARY.encode() not in pickle.dumps(row)
    assert not Provider(name="Official").credentials
