"""What a stranger's file is, by its first bytes alone.

A short list of what customers really send. Everything else is bytes: above all HTML, SVG and XML,
which a browser would run.
"""

from __future__ import annotations

import codecs
import os
import re
from typing import Final

#: How much of a file is looked at.
HEAD: Final = 65_536

BYTES: Final = "application/octet-stream"

_STARTS: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"#!AMR\n", "audio/amr"),
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"ID3", "audio/mpeg"),
    *((b"\xff" + second, "audio/mpeg") for second in (b"\xfb", b"\xfa", b"\xf3", b"\xf2")),
    *((b"\xff" + second, "audio/aac") for second in (b"\xf1", b"\xf9")),
)

#: By the brand of an ISO media file.
_BRANDS: Final = {
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    **dict.fromkeys(
        (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash"),
        "video/mp4",
    ),
}

_OPENXML: Final = "application/vnd.openxmlformats-officedocument."
_OFFICE: Final = {
    b"word": _OPENXML + "wordprocessingml.document",
    b"xl": _OPENXML + "spreadsheetml.sheet",
    b"ppt": _OPENXML + "presentationml.presentation",
}
_ZIPPED_OFFICE: Final = re.compile(rb"PK\x03\x04.{26}(word|xl|ppt)/", re.DOTALL)
_OPEN_DOCUMENT: Final = re.compile(
    rb"PK\x03\x04.{26}mimetype(application/vnd\.oasis\.opendocument\."
    rb"(?:text|spreadsheet|presentation))",
    re.DOTALL,
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS: Final = (
    ("WordDocument".encode("utf-16-le"), "application/msword"),
    ("Workbook".encode("utf-16-le"), "application/vnd.ms-excel"),
    ("PowerPoint Document".encode("utf-16-le"), "application/vnd.ms-powerpoint"),
)

#: Something a browser might take for a tag, anywhere.
_MARKUP: Final = re.compile(r"<[a-z!?/]", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")

#: Containers that hold either sound or pictures: there the sender's word decides which.
_EITHER: Final = {"video/mp4": "audio/mp4", "video/3gpp": "audio/3gpp"}

_ENDINGS: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "video/3gpp": ".3gp",
    "video/quicktime": ".mov",
    "audio/mp4": ".m4a",
    "audio/3gpp": ".3gp",
    "audio/ogg": ".ogg",
    "audio/mpeg": ".mp3",
    "audio/amr": ".amr",
    "audio/amr-wb": ".awb",
    "audio/aac": ".aac",
    "audio/wav": ".wav",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/vcard": ".vcf",
}


def content_type(head: bytes, claim: str = "") -> str:
    """The type of a file that begins like this; `application/octet-stream` where it is not known.

    `claim` is what the sender said; it is heard only between a film and its sound.
    """
    found = _by_start(head) or _container(head) or _office(head) or _text(head) or BYTES
    said = claim.partition(";")[0].strip().lower()
    return said if said and _EITHER.get(found) == said else found


def _by_start(head: bytes) -> str:
    return next((found for start, found in _STARTS if head.startswith(start)), "")


def _container(head: bytes) -> str:
    kind = head[8:12]
    if head[4:8] == b"ftyp":
        return "video/3gpp" if kind[:2] == b"3g" else _BRANDS.get(kind, "")
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(kind, "")
    # Voice notes; a film in the same container stays bytes.
    spoken = any(codec in head[28:40] for codec in (b"OpusHead", b"\x01vorbis", b"Speex"))
    return "audio/ogg" if head[:4] == b"OggS" and spoken else ""


def _office(head: bytes) -> str:
    if head.startswith(_OLE):
        found = (kind for name, kind in _OLE_STREAMS if name in head)
        return next(found, "application/x-ole-storage")
    if match := _OPEN_DOCUMENT.match(head):
        return match[1].decode()
    if head.startswith(b"PK\x03\x04") and (match := _ZIPPED_OFFICE.search(head)):
        return _OFFICE[match[1]]
    return ""


def _text(head: bytes) -> str:
    """Plain text, and nothing that could be taken for markup or hides what it is."""
    try:
        # The last character may be cut.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return ""
    if not text.strip() or _CONTROL.search(text):
        return ""
    if text.lstrip()[:11].upper() == "BEGIN:VCARD":
        return "text/vcard"
    return "" if _MARKUP.search(text) else "text/plain"


def with_ending(filename: str, kind: str) -> str:
    """The name with an ending, where it came without one and its type is known."""
    has_one = bool(os.path.splitext(filename)[1])
    return filename if has_one else filename + _ENDINGS.get(kind, "")
