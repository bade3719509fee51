"""Move every stored secret to the first of the configured keys."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from cryptography.fernet import Fernet
from django.apps import apps
from django.core.management.base import CommandError
from django.db import IntegrityError, models, router, transaction
from django.db.models import ExpressionWrapper, F, QuerySet, TextField, Value
from tqdm import tqdm

from messaging.errors import DecryptionError
from messaging.i18n import gettext as _
from messaging.management.base import FAILED, MessagingCommand
from messaging.models import LaneBase, Provider, Suppression, account_digests
from messaging.models.fields import (
    EncryptedDictField,
    EncryptedTextField,
    Secrets,
    encryption_keys,
    rotate,
)

BATCH: Final = 200
#: How often a row is looked at that somebody keeps changing.
TRIES: Final = 5

Row = dict[str, Any]


@dataclass(slots=True)
class Report:
    """What became of the stored secrets; the lists name a row and what is the matter with it."""

    rotated: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)
    same_account: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    suppressed: int = 0

    @property
    def problems(self) -> int:
        return len(self.unreadable) + len(self.same_account) + len(self.busy)


@dataclass(slots=True)
class Step:
    """What one row needs: new tokens by column, and perhaps another digest."""

    tokens: dict[str, str] = field(default_factory=dict)
    digest: dict[str, str | None] = field(default_factory=dict)
    current: int = 0
    unreadable: list[str] = field(default_factory=list)


class Table:
    """One model with encrypted columns, read and written as they are stored."""

    def __init__(self, model: type[models.Model], columns: list[str]) -> None:
        self.model = model
        self.columns = columns
        self.alias = router.db_for_write(model)
        # Wrapped, a column is not decrypted on its way out.
        raws = {raw(name): ExpressionWrapper(F(name), TextField()) for name in columns}
        self.rows = model._base_manager.using(self.alias).annotate(**raws)
        self.stored = ["pk", *raws]
        self.adapter = ""
        if issubclass(model, LaneBase):
            self.stored.append("account_digest")
            self.adapter = "adapter" if model is Provider else "provider__adapter"

    def batches(self) -> Iterator[list[Row]]:
        rows = self._read().order_by("pk")
        batch = list(rows[:BATCH])
        while batch:
            yield batch
            batch = list(rows.filter(pk__gt=batch[-1]["pk"])[:BATCH])

    def again(self, row: Row) -> Row | None:
        """The row as it is now; None where it is gone."""
        return self._read().filter(pk=row["pk"]).first()

    def _read(self) -> QuerySet[Any, Row]:
        return self.rows.values(*self.stored, *filter(None, [self.adapter]))

    def examine(self, row: Row) -> Step:
        step = Step()
        for column in self.columns:
            if token := row[raw(column)]:
                self._examine_token(step, row, column, token)
        if self.adapter and not step.unreadable:
            secrets = Secrets(token=row[raw("credentials")])
            wanted = account_digests(row[self.adapter], secrets)[0] or None
            if wanted != row["account_digest"]:
                step.digest = {"account_digest": wanted}
        return step

    def _examine_token(self, step: Step, row: Row, column: str, token: str) -> None:
        try:
            rotated = rotate(token)
        except DecryptionError:
            step.unreadable.append(f"{self.label(row)} {column}")
            return
        if rotated == token:
            step.current += 1
        else:
            step.tokens[column] = rotated

    def write(self, row: Row, step: Step) -> bool:
        """False where somebody changed the row since it was read; then nothing is written."""
        unchanged = {name: row[name] for name in self.stored}
        # As expressions, the values are not encrypted a second time on their way in.
        tokens = {name: Value(token, TextField()) for name, token in step.tokens.items()}
        with transaction.atomic(self.alias):
            return bool(self.rows.filter(**unchanged).update(**tokens, **step.digest))

    def label(self, row: Row) -> str:
        return f"{self.model._meta.label} {row['pk']}"


def raw(column: str) -> str:
    return f"raw_{column}"


def tables() -> list[Table]:
    """Every model that holds secrets, ours or the host's."""
    found = []
    for model in apps.get_models():
        columns = [
            column.name
            for column in model._meta.local_concrete_fields
            if isinstance(column, EncryptedDictField | EncryptedTextField)
        ]
        if columns and model._meta.managed and not model._meta.proxy:
            found.append(Table(model, columns))
    return found


class Rotation:
    """One run over all tables. What is done stays done: it may be interrupted and repeated."""

    def __init__(self) -> None:
        self.report = Report()

    def run(self, found: list[Table], bar: tqdm[Any]) -> Report:
        for table in found:
            for batch in table.batches():
                # A statement a row: nobody's work waits for a lock of ours.
                for row in batch:
                    self._insist(table, row)
                bar.update(len(batch))
        self.report.suppressed = Suppression.objects.count()
        return self.report

    def _insist(self, table: Table, row: Row) -> None:
        """Move a row, looking again where it was changed between reading and writing."""
        present: Row | None = row
        for _try in range(TRIES):
            if present is None or self._move(table, present):
                return
            present = table.again(row)
        self.report.busy.append(table.label(row))

    def _move(self, table: Table, row: Row) -> bool:
        """Bring one row to the first key. False where somebody was quicker."""
        step = table.examine(row)
        if (step.tokens or step.digest) and not self._write(table, row, step):
            return False
        self.report.rotated += len(step.tokens)
        self.report.current += step.current
        self.report.unreadable += step.unreadable
        return True

    def _write(self, table: Table, row: Row, step: Step) -> bool:
        try:
            return table.write(row, step)
        except IntegrityError:
            # The same account was entered twice under different keys. The secrets still move;
            # the digest stays, so that the two are not forgotten.
            step.digest = {}
            if step.tokens and not table.write(row, step):
                return False
            self.report.same_account.append(table.label(row))
            return True


class Command(MessagingCommand):
    help = (
        "Re-encrypt every stored secret with the first of MESSAGING['ENCRYPTION_KEYS']. Put the "
        "new key first, keep the old ones behind it, restart everything, then run this. It may "
        "be interrupted and repeated, and run while people work."
    )
    # The first key is made before there is one, so the checks must not stand in its way.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--new-key", action="store_true", help="print a new key, do no more")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new_key"]:
            key = Fernet.generate_key().decode()
            self.emit({"key": key})
            self.say(key)
            return
        encryption_keys()  # says at once where there is none
        found = tables()
        with self.progress(sum(table.rows.count() for table in found), "rows") as bar:
            report = Rotation().run(found, bar)
        self.emit(asdict(report))
        self._tell(report)
        if report.problems:
            text = _("Not everything was moved: keep the old keys listed.")
            raise CommandError(text, returncode=FAILED)

    def _tell(self, report: Report) -> None:
        self.say(_("Moved to the first key: %(count)d.") % {"count": report.rotated}, "SUCCESS")
        self.say(_("There already: %(count)d.") % {"count": report.current})
        troubles = {
            _("%(row)s cannot be read with the configured keys."): report.unreadable,
            _("%(row)s is an account that is stored twice."): report.same_account,
            _("%(row)s changes all the time; run this again."): report.busy,
        }
        for sentence, rows in troubles.items():
            for row in rows:
                self.say(sentence % {"row": row}, "ERROR")
        if report.suppressed and len(encryption_keys()) > 1:
            text = _(
                "Opt-outs of erased people that are stored as digests only and cannot be moved: "
                "%(count)d. They count as long as the key they were made with is listed."
            )
            self.say(text % {"count": report.suppressed}, "WARNING")
