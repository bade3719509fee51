"""What a customer writes, as the control API takes it."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from typing import Any

from .accounts import OptionError

MEDIA = ("image", "video", "audio", "document", "sticker")
_TYPES = {"image": "image/jpeg", "video": "video/mp4", "audio": "audio/ogg",
          "document": "application/pdf", "sticker": "image/webp"}  # fmt: skip


@dataclass
class Writing:
    """One message of a customer. Only `phone` is needed (or `group`, or `lid`)."""

    phone: str = ""
    text: str = ""
    """The text, or a media message's caption."""
    kind: str = "text"
    """`text`, `button`, `reply`, one of `MEDIA`, or any other the receiver is to cope with."""
    sender: Any = None
    """Who of ours is written to: a number, a token, an access key or a sender id."""
    to: str | None = None
    """Our number as the body names it, when that is not the account's own."""
    name: str = ""
    channel: str = ""
    """intellisoftware: `whatsapp` unless `ud` or `form` make it `sms`."""
    at: float | None = None
    sent: str | None = None
    """The time as the body writes it, in place of `at`: bad dates go here."""
    file: bytes | None = None
    content_type: str = ""
    filename: str | None = None
    """None: one that suits the type; "": a file part without a name."""
    link: str = ""
    media_path: str = ""
    reply_id: str = ""
    title: str = ""
    group: str = ""
    lid: str = ""
    ud: str = ""
    value: Any = None
    """whatsapp_http: the webhook's `value` as it is."""
    msgobject: Any = None
    """intellisoftware: the message object as it is."""
    form: bool = False
    bare: bool = False
    """The old form with the document's fields only, which name no sender."""
    networkcode: str = ""
    id: str = ""
    """The gateway's id, to write the same message twice."""
    webhook: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.file, str):
            self.file = base64.b64decode(self.file, validate=True)
        self.phone = str(self.phone).lstrip("+")
        if not (self.phone or self.group or self.lid):
            raise OptionError("who writes? give phone, group or lid")
        if self.kind in MEDIA and not self.content_type:
            self.content_type = _TYPES[self.kind]

    @property
    def upload_name(self) -> str:
        """The name the file part gets."""
        if self.filename is not None:
            return self.filename
        return f"{self.kind}{mimetypes.guess_extension(self.content_type) or '.bin'}"
