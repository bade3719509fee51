"""From whom and to whom: senders and recipients as people write them on a command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from .. import outbox
from ..addresses import parse_phone
from ..errors import InvalidAddress, NoSender
from ..i18n import gettext as _
from ..models import Provider, Sender
from .base import UsageError


def find_sender(text: str | None) -> Sender:
    """A sender by name, id or number, else the default one. Raises UsageError."""
    try:
        if not text:
            return outbox.resolve_sender()
        return outbox.resolve_sender(named_sender(text))
    except NoSender as error:
        raise UsageError(str(error)) from None


def named_sender(text: str) -> Sender:
    """A sender by name, id or number, whether it may be used or not. Raises UsageError."""
    rows = list(Sender.objects.select_related("provider"))
    for fits in (_by_name, _by_id, _by_address):
        found = [row for row in rows if fits(row, text.strip())]
        if len(found) == 1:
            return found[0]
        if found:
            rows = found
            break
    else:
        found = []
    listed = ", ".join(f"{row.pk} {row} {row.get_channel_display()}" for row in rows)
    problem = (
        _("“%(text)s” is more than one sender. Use the id: %(senders)s.")
        if found
        else _("There is no sender “%(text)s”. There are: %(senders)s.")
    )
    raise UsageError(problem % {"text": text, "senders": listed or "–"})


def named_provider(text: str) -> Provider:
    """A provider by name or id. Raises UsageError."""
    rows = list(Provider.objects.order_by("pk"))
    wanted = text.strip()
    by_name = [row for row in rows if row.name.casefold() == wanted.casefold()]
    found = by_name or [row for row in rows if str(row.pk) == wanted]
    if found:
        return found[0]
    listed = ", ".join(f"{row.pk} {row}" for row in rows)
    problem = _("There is no provider “%(text)s”. There are: %(providers)s.")
    raise UsageError(problem % {"text": text, "providers": listed or "–"})


def _by_name(sender: Sender, text: str) -> bool:
    return sender.name.casefold() == text.casefold()


def _by_id(sender: Sender, text: str) -> bool:
    return str(sender.pk) == text


def _by_address(sender: Sender, text: str) -> bool:
    if not sender.address:
        return False
    try:
        return sender.address in (text, parse_phone(text, outbox.region_of(sender)))
    except InvalidAddress:
        return False


def recipients(texts: list[str], sender: Sender) -> Iterator[tuple[str, str, str]]:
    """(as written, number, why it is none): each number once, whatever its spellings."""
    region = outbox.region_of(sender)
    seen: set[str] = set()
    for text in texts:
        try:
            number, problem = parse_phone(text, region), ""
        except InvalidAddress as error:
            number, problem = "", str(error)
        if problem or number not in seen:
            seen.add(number)
            yield text, number, problem


def read_numbers(source: str) -> list[str]:
    """The numbers of a file, one a line; empty lines and those that begin with # are none."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "") or _("it is not text")
        raise UsageError(
            _("“%(source)s” cannot be read: %(reason)s.") % {"source": source, "reason": reason}
        ) from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
