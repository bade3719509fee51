"""Files of customers: what came in a webhook, and what a link leads to.

A link is a stranger's word. It is fetched from public hosts only, over https, without redirects,
up to a size and within a time; never inside a transaction, and by one worker at a time: each try
is counted in the row before it begins, and its result counts only where no later try has begun.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from django.core.files.base import ContentFile, File
from django.db import router, transaction
from django.db.models import F

from .. import clock, conf
from ..adapters.http import Http, TransportError
from ..i18n import gettext as _
from ..models import Attachment, Conversation
from . import sniff
from .files import plain_name

logger = logging.getLogger(__name__)

#: Between one try and the next.
DELAYS: Final = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))

_LONGEST_LINK: Final = 2000
_LONGEST_ERROR: Final = 255


class _Failed(Exception):
    """Why there is no file, in words."""


def keep_upload(file: File[Any], filename: str = "", content_type: str = "") -> Attachment:
    """Keep a file that came with a message. What is not kept leaves a row that says why."""
    size = int(file.size or 0)
    if size == 0 or size > _most_bytes():
        name = plain_name(filename)
        return Attachment.objects.create(filename=name, size=size, error=_unkept(size))
    file.seek(0)
    kind = sniff.content_type(file.read(sniff.HEAD), content_type)
    file.seek(0)
    name = sniff.with_ending(plain_name(filename), kind)
    row = Attachment(filename=name, content_type=kind, size=size)
    row.file.save(name, file, save=False)
    row.save()
    return row


def keep_link(link: str, filename: str = "", content_type: str = "") -> Attachment:
    """A row for a file that is still where a link leads; `fetch_due` gets it.

    `content_type` is what the sender says; it stands until the file is here.
    """
    name = plain_name(filename or unquote(_path(link)))
    usable = link.isprintable() and 0 < len(link) <= _LONGEST_LINK
    error = "" if usable else _no_address()
    return Attachment.objects.create(
        filename=name,
        content_type=content_type.partition(";")[0].strip().lower()[:100],
        link="" if error else link,
        error=error,
        fetch_due_at=None if error else clock.now(),
    )


def _path(link: str) -> str:
    """The path in a link; empty where it is none."""
    try:
        return urlsplit(link).path
    except ValueError:
        return ""


def _no_address() -> str:
    return _("The link is no usable web address.")


def _most_bytes() -> int:
    return int(conf.get("MEDIA_MAX_BYTES"))


def _unkept(size: int) -> str:
    return _("The file is empty.") if size == 0 else _too_large()


def _too_large() -> str:
    return _("The file is larger than %(most)s MB and was not kept.") % {
        "most": f"{_most_bytes() / 1_000_000:g}"
    }


# Fetching


def fetch_due(limit: int = 20, seconds: float = 20.0) -> int:
    """Fetch files that are due, longest waiting first; how many are here now.

    No fetch begins after so many seconds.
    """
    end = time.monotonic() + seconds
    rows = Attachment.objects.filter(fetch_due_at__lte=clock.now()).order_by("fetch_due_at", "id")
    done = 0
    for row in list(rows[:limit]):
        if time.monotonic() >= end:
            break
        done += fetch(row)
    return done


def fetch(attachment: Attachment) -> bool:
    """Fetch one file, if it is due and nobody else is at it; whether it is here now.

    Must not be called inside a transaction. The row given is brought up to date.
    """
    row = attachment
    if _lease(row):
        try:
            _take(row)
        except _Failed as failed:
            _give_up(row, str(failed))
        _touch(row)
    row.refresh_from_db()
    return bool(row.file)


def fetch_again(attachment: Attachment) -> bool:
    """Put a file that could not be fetched back in line; False where it is there, or in line."""
    lost = Attachment.objects.filter(pk=attachment.pk, file="", fetch_due_at=None)
    return bool(lost.exclude(link="").update(fetch_due_at=clock.now(), fetch_attempts=0))


def _lease(row: Attachment) -> bool:
    """Count this try in the row and keep others away until its time is over."""
    now = clock.now()
    due = Attachment.objects.filter(pk=row.pk, file="", fetch_due_at__lte=now)
    due = due.filter(fetch_attempts=row.fetch_attempts)
    # A transaction that goes on would keep the lease from everybody else.
    with transaction.atomic(using=router.db_for_write(Attachment), durable=True):
        if row.fetch_attempts > len(DELAYS):
            # The last try never ended: its worker died, and another one might as well.
            due.update(fetch_due_at=None, error=_("Fetching the file was interrupted."))
            return False
        end = now + timedelta(seconds=2 * float(conf.get("TOTAL_TIMEOUT")) + 60)
        if not due.update(fetch_due_at=end, fetch_attempts=F("fetch_attempts") + 1):
            return False
    row.fetch_attempts += 1
    return True


def _mine(row: Attachment) -> Any:
    """The row, while no later try has begun."""
    return Attachment.objects.filter(pk=row.pk, file="", fetch_attempts=row.fetch_attempts)


def _take(row: Attachment) -> None:
    """Fetch and store the file. Raises _Failed."""
    body = _download(row.link)
    kind = sniff.content_type(body[: sniff.HEAD], row.content_type)
    name = sniff.with_ending(row.filename, kind)
    try:
        row.file.save(name, ContentFile(body), save=False)
    except Exception:
        # A full disk or a storage of the host's: whatever it was, the next try may succeed.
        logger.exception("The file of attachment %s could not be stored.", row.pk)
        raise _Failed(_("The file could not be stored here.")) from None
    stored = _mine(row).update(
        file=row.file.name,
        filename=name,
        content_type=kind,
        size=len(body),
        error="",
        fetch_due_at=None,
    )
    if not stored:
        row.file.storage.delete(str(row.file.name))


def _download(link: str) -> bytes:
    try:
        status, _headers, body = _client().download(link, _most_bytes())
    except TransportError as error:
        raise _Failed(_in_words(error)) from None
    if 300 <= status < 400:
        raise _Failed(_("The link leads on to another address, which is not followed."))
    if status != 200:
        text = _("The server that keeps the file refused it (HTTP %(status)s).")
        raise _Failed(text % {"status": status})
    if not body:
        raise _Failed(_unkept(0))
    return body


def _in_words(error: TransportError) -> str:
    known = {
        "private_address": _("The link leads into a private network and is not followed."),
        "plain_http": _("The link is not https and is not followed."),
        "bad_address": _no_address(),
        "too_large": _too_large(),
        "dns": _("The server that keeps the file was not found."),
        "tls": _("No secure connection to the server that keeps the file was possible."),
    }
    other = _("The server that keeps the file did not deliver it.")
    return known.get(error.failure.code, other)


def _client() -> Http:
    names = ("CONNECT_TIMEOUT", "READ_TIMEOUT", "TOTAL_TIMEOUT")
    return _http(tuple(conf.get("ALLOWED_PRIVATE_HOSTS")), tuple(conf.get(name) for name in names))


@lru_cache(maxsize=4)
def _http(allowed: tuple[str, ...], timeouts: tuple[float, ...]) -> Http:
    """Not the gateways' client: strangers' hosts would crowd out what it knows of theirs."""
    connect, read, total = timeouts
    return Http(
        allowed_private_hosts=allowed,
        connect_timeout=connect,
        read_timeout=read,
        total_timeout=total,
    )


def _give_up(row: Attachment, error: str) -> None:
    """For now, or for good after the last try."""
    _mine(row).update(error=error[:_LONGEST_ERROR], fetch_due_at=_next_try(row, clock.now()))


def _next_try(row: Attachment, now: datetime) -> datetime | None:
    tried = row.fetch_attempts
    return now + DELAYS[tried - 1] if tried <= len(DELAYS) else None


def _touch(row: Attachment) -> None:
    """Let screens see it. `delivery` has a function for this, and is our neighbour."""
    if row.message_id is not None:
        Conversation.objects.filter(messages=row.message_id).update(version=F("version") + 1)
