"""Files on their way out: what staff uploaded, handed to gateways as bytes or signed links."""

from __future__ import annotations

import mimetypes
import os
from typing import Any, BinaryIO, Final, cast
from urllib.parse import urljoin

from django.core import signing
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.urls import reverse

from .. import conf
from ..adapters.base import Adapter, Upload
from ..content import Content, Media
from ..errors import InvalidContent
from ..i18n import gettext as _
from ..models import Attachment

_SALT: Final = "messaging.media"

#: Larger files are taken by no gateway we speak (protocols: documents by link, 100 MB).
MAX_BYTES: Final = 100_000_000

_NEVER: Final = {".exe", ".bat", ".cmd", ".com", ".scr", ".js", ".vbs", ".msi", ".ps1", ".sh"}


def store(upload: File[Any], *, filename: str = "") -> Attachment:
    """Keep a file that staff uploaded; refer to it by `Media(kind, file=str(attachment.key))`.

    Raises InvalidContent where it is empty, too large or of a kind no gateway takes.
    """
    name = plain_name(filename or upload.name or "")
    size = int(upload.size or 0)
    if size == 0:
        raise InvalidContent(_("The file “%(name)s” is empty.") % {"name": name})
    if size > MAX_BYTES:
        raise InvalidContent(_("The file “%(name)s” is larger than 100 MB.") % {"name": name})
    if os.path.splitext(name)[1].lower() in _NEVER:
        raise InvalidContent(_("Programs cannot be sent: “%(name)s”.") % {"name": name})
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    row = Attachment(filename=name, content_type=content_type, size=size)
    row.file.save(name, upload, save=False)
    row.save()
    return row


def plain_name(path: str) -> str:
    """The name alone, as headers take it and as no system reads an ending that is not shown."""
    name = os.path.basename(path.replace("\\", "/"))
    name = "".join(character for character in name if character.isprintable()).strip(" .")
    stem, ending = os.path.splitext(name)
    return (stem[: 255 - len(ending)] + ending)[:255] or "file"


def attachment(key: str) -> Attachment:
    """The file of that key. Raises InvalidContent where it is gone."""
    try:
        return Attachment.objects.get(key=key)
    except (Attachment.DoesNotExist, ValidationError, ValueError):
        raise InvalidContent(_("The file is no longer there. Choose it again.")) from None


def refusals(content: Content, cls: type[Adapter]) -> tuple[str, ...]:
    """Why the file in this content cannot be handed over; empty where it can or there is none."""
    media = content.media
    if media is None or not media.file:
        return ()
    try:
        row = attachment(media.file)
    except InvalidContent as error:
        return (str(error),)
    if refusal := cls.upload_refusal(content, _upload(row, media)):
        return (refusal,)
    if not cls.takes_uploads and not conf.get("PUBLIC_BASE_URL"):
        return (
            _(
                "This gateway fetches files by link, and this site has no public address "
                "(PUBLIC_BASE_URL). Give a link instead of a file."
            ),
        )
    return ()


def resolve(content: Content, cls: type[Adapter]) -> tuple[Content, Upload | None]:
    """The content as it leaves: with the file's bytes beside it, or a signed link inside.

    Raises InvalidContent where the file is gone.
    """
    media = content.media
    if media is None or not media.file:
        return content, None
    row = attachment(media.file)
    upload = _upload(row, media)
    if cls.takes_uploads:
        return content, upload
    link = Media(media.kind, link=public_link(row), filename=upload.filename, caption=media.caption)
    return content.with_media(link), None


def _upload(row: Attachment, media: Media) -> Upload:
    return Upload(
        filename=media.filename or row.filename,
        content_type=row.content_type,
        size=row.size,
        open=lambda: cast(BinaryIO, row.file.storage.open(str(row.file.name), "rb")),
    )


def public_link(row: Attachment) -> str:
    """An address that gives this one file to whoever holds it, until it expires."""
    token = signing.dumps(str(row.key), salt=_SALT, compress=False)
    path = reverse("messaging:media", args=[token])
    return urljoin(str(conf.get("PUBLIC_BASE_URL")).rstrip("/") + "/", path.lstrip("/"))


def read_token(token: str) -> Attachment | None:
    """The file a signed link is for; None where it is forged, expired or the file is gone."""
    try:
        key = signing.loads(token, salt=_SALT, max_age=conf.get("MEDIA_LINK_SECONDS"))
    except signing.BadSignature:
        return None
    return Attachment.objects.filter(key=key).first()
