"""`messaging_rotate_keys`: every secret reaches the first key, and no edit is lost."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from messaging.management.commands.messaging_rotate_keys import BATCH, Step, Table
from messaging.models import (
    Provider,
    Sender,
    Suppression,
    WebhookDelivery,
    WebhookToken,
    account_digests,
)

from .conftest import KEY

NEW = Fernet.generate_key().decode()
CANARY = "canary-7f3a91"

pytestmark = pytest.mark.django_db

Configure = Callable[..., None]


@pytest.fixture
def configure(settings: Any) -> Configure:
    """Set the keys, first the one that encrypts."""

    def change(*keys: str) -> None:
        settings.MESSAGING = {**settings.MESSAGING, "ENCRYPTION_KEYS": list(keys)}

    return change


def rotate(**options: Any) -> str:
    out = io.StringIO()
    call_command("messaging_rotate_keys", stdout=out, **options)
    return out.getvalue()


def report() -> dict[str, Any]:
    return json.loads(rotate(json=True))


def provider(number: int = 1) -> Provider:
    return Provider.objects.create(
        name=f"Provider {number}",
        adapter="intellixent",
        base_url="https://gateway.example/api",
        credentials={"api_key": f"{CANARY}-{number}"},
    )


def stored(row: Any, column: str = "credentials") -> str:
    """The column as it is in the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {row._meta.db_table} WHERE id = %s", [row.pk])
        return cursor.fetchone()[0]


def test_new_key_is_printed_even_where_no_settings_are_right(settings: Any) -> None:
    settings.MESSAGING = {"ENCRYPTION_KEYS": "broken"}
    key = rotate(new_key=True).strip()
    Fernet(key)
    assert key != rotate(new_key=True).strip()


def test_every_column_moves_and_the_old_key_may_go(configure: Configure) -> None:
    account = provider()
    sender = Sender.objects.create(provider=account, name="Desk", credentials={"token": CANARY})
    token = WebhookToken.objects.create(provider=account, digest="d", token=CANARY)
    delivery = WebhookDelivery.objects.create(
        provider=account, digest="d", body=CANARY, received_at=timezone.now()
    )
    silent = Sender.objects.create(provider=account, name="No credentials of its own")

    configure(NEW, KEY)
    output = rotate()
    assert output.startswith("Moved to the first key: 4.")
    assert CANARY not in output

    configure(NEW)
    assert dict(Provider.objects.get(pk=account.pk).credentials) == {"api_key": f"{CANARY}-1"}
    assert Sender.objects.get(pk=sender.pk).credentials["token"] == CANARY
    assert WebhookToken.objects.get(pk=token.pk).token == CANARY
    assert WebhookDelivery.objects.get(pk=delivery.pk).body == CANARY
    assert stored(silent) == ""


def test_digests_follow_so_that_an_account_is_still_refused_twice(configure: Configure) -> None:
    account = provider()
    before = account.account_digest
    configure(NEW, KEY)
    rotate()
    account.refresh_from_db()
    assert account.account_digest != before
    assert account.account_digest == account_digests("intellixent", account.credentials)[0]


def test_run_again_finds_nothing_to_do(configure: Configure) -> None:
    account = provider()
    configure(NEW, KEY)
    assert report()["rotated"] == 1
    token = stored(account)
    again = report()
    assert (again["rotated"], again["current"]) == (0, 1)
    assert stored(account) == token


def test_more_rows_than_a_batch(configure: Configure) -> None:
    account = provider()
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(provider=account, digest="d", body="x", received_at=timezone.now())
        for _ in range(2 * BATCH + 1)
    )
    configure(NEW, KEY)
    assert report()["rotated"] == 2 * BATCH + 2


def test_unreadable_rows_are_named_and_stop_nothing(configure: Configure) -> None:
    configure(Fernet.generate_key().decode())
    lost = provider(1)
    configure(KEY)
    damaged, good = provider(2), provider(3)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_provider SET credentials = 'clear text' WHERE id = %s", [damaged.pk]
        )
    before = stored(lost)

    configure(NEW, KEY)
    out = io.StringIO()
    with pytest.raises(CommandError, match="keep the old keys"):
        call_command("messaging_rotate_keys", stdout=out, json=True)
    assert json.loads(out.getvalue()) == {
        "rotated": 1,
        "current": 0,
        "unreadable": [
            f"messaging.Provider {lost.pk} credentials",
            f"messaging.Provider {damaged.pk} credentials",
        ],
        "same_account": [],
        "busy": [],
        "suppressed": 0,
    }
    assert stored(lost) == before
    assert stored(damaged) == "clear text"
    configure(NEW)
    good.refresh_from_db()
    assert good.credentials["api_key"] == f"{CANARY}-3"


def test_an_edit_in_between_is_not_lost(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = provider()
    configure(NEW, KEY)
    examine, edits = Table.examine, [{"api_key": "edited meanwhile"}]

    def edited(self: Table, row: Any) -> Step:
        step = examine(self, row)
        if edits:
            account.credentials = edits.pop()
            account.save()
        return step

    monkeypatch.setattr(Table, "examine", edited)
    assert report()["busy"] == []
    configure(NEW)
    account.refresh_from_db()
    assert dict(account.credentials) == {"api_key": "edited meanwhile"}


def test_a_row_that_never_rests_is_named(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = provider()
    configure(NEW, KEY)
    out = io.StringIO()
    monkeypatch.setattr(Table, "write", lambda *args: False)
    with pytest.raises(CommandError):
        call_command("messaging_rotate_keys", stdout=out)
    assert f"messaging.Provider {account.pk} changes all the time" in out.getvalue()


def test_a_row_deleted_in_between_is_no_problem(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider()
    configure(NEW, KEY)
    examine = Table.examine

    def deleted(self: Table, row: Any) -> Step:
        step = examine(self, row)
        Provider.objects.all().delete()
        return step

    monkeypatch.setattr(Table, "examine", deleted)
    assert report()["busy"] == []


def test_interrupted_and_repeated(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        provider(number)
    configure(NEW, KEY)
    write, left = Table.write, [2]

    def interrupted(self: Table, row: Any, step: Step) -> bool:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return write(self, row, step)

    monkeypatch.setattr(Table, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rotate()
    monkeypatch.undo()
    again = report()
    assert (again["rotated"], again["current"]) == (1, 2)


def test_one_account_stored_under_two_keys(configure: Configure) -> None:
    first = provider()
    configure(NEW, KEY)
    # The form refuses this; a program that skips it does not.
    second = Provider.objects.create(
        name="Again", adapter="intellixent", credentials=dict(first.credentials)
    )
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("messaging_rotate_keys", stdout=out)
    assert f"messaging.Provider {first.pk} is an account that is stored twice." in out.getvalue()
    configure(NEW)
    for row in (first, second):
        row.refresh_from_db()
        assert row.credentials["api_key"] == f"{CANARY}-1"


def test_opt_outs_that_cannot_move_are_told(configure: Configure) -> None:
    Suppression.objects.create(digest="d")
    assert "Opt-outs" not in rotate()
    configure(NEW, KEY)
    assert "cannot be moved: 1." in rotate()
    assert report()["suppressed"] == 1


def test_without_keys_it_says_so(configure: Configure) -> None:
    configure()
    with pytest.raises(CommandError, match="is empty"):
        rotate()


def test_nothing_but_the_report_is_written_where_no_terminal_is(
    configure: Configure, capfd: pytest.CaptureFixture[str]
) -> None:
    provider()
    configure(NEW, KEY)
    rotate()
    assert capfd.readouterr() == ("", "")
