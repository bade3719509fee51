"""The paired phone behind the WhatsApp HTTP API: its code to scan, its state, and whom it knows."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from .base import Balance, Connection, ContactInfo, GroupInfo
from .gateway_codes import message_id
from .received import word
from .times import parse_time
from .whatsapp_answers import is_connected
from .whatsapp_inbox import chat_address, group_address
from .whatsapp_rows import lower_keys, rows_of

#: Bytes of the picture; a code takes less than two thousand.
CODE_CAP: Final = 200_000
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PREFIX: Final = re.compile(r"data:[\w/+.;=-]*?base64,", re.IGNORECASE)


def picture(data: object) -> bytes:
    """The picture in a `qrCode` answer, or b"" where it is no whole PNG file."""
    if not isinstance(data, str) or len(data) > 2 * CODE_CAP:
        return b""
    text = _PREFIX.sub("", "".join(data.split()), count=1)
    try:
        return checked(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (binascii.Error, ValueError):
        return b""


def checked(code: bytes) -> bytes:
    """The file if it is a PNG from beginning to end, of a size that can be a code; else b""."""
    whole = code.startswith(_PNG) and code[12:16] == b"IHDR" and code[-8:-4] == b"IEND"
    return code if whole and len(code) <= CODE_CAP else b""


def connection_of(body: Mapping[str, Any], shown: Any) -> Connection | None:
    """What an answer says of the phone, without the code; None where it says nothing.

    `shown` is the answer's `data`, redacted.
    """
    connected = is_connected(body)
    if connected is None:
        return None
    data = lower_keys(body.get("data"))
    info, words = lower_keys(data.get("info")), lower_keys(shown)
    number = chat_address(info.get("wid"))
    battery = _count(info.get("battery")) or 0
    return Connection(
        connected=connected,
        name=word(lower_keys(words.get("info")).get("pushname")) or word(words.get("name")),
        address=number if number.startswith("+") else "",
        platform=word(lower_keys(words.get("info")).get("platform")),
        # 0 is what it says of phones that do not tell.
        battery=battery if 0 < battery <= 100 else None,
        balance=_balance(data, words) if data else None,
        webhook=word(data.get("webhook"), 2000),
        instance_id=message_id(data.get("instanceid")),
        details=shown if data else {},
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _balance(data: Mapping[str, Any], shown: Mapping[str, Any]) -> Balance | None:
    """`quota` is what was bought and `usage` what is gone, as far as the samples tell.

    None where the status says nothing of credits.
    """
    quota = _count(data.get("quota"))
    if quota is None:
        return None
    left = quota - (_count(data.get("usage")) or 0)
    return Balance(
        amount=None if data.get("isunlimited") is True else str(left),
        expires_at=parse_time(data.get("expired")),
        used_today=_count(data.get("todayusage")),
        raw=shown,
    )


def contacts(data: object) -> list[ContactInfo]:
    """The people of a list, each once. Names may be empty or repeated."""
    found: dict[str, ContactInfo] = {}
    for row in rows_of(data):
        address = chat_address(row.get("id"))
        if address and not address.endswith("@g.us"):
            found.setdefault(address, ContactInfo(address=address, name=word(row.get("name"))))
    return list(found.values())


def groups(data: object) -> list[GroupInfo]:
    """The groups of a list, each once; their ids come without a suffix."""
    found: dict[str, GroupInfo] = {}
    for row in rows_of(data):
        address, listed = group_address(row.get("id")), row.get("participants")
        members = [
            chat_address(each.get("id") if isinstance(each, dict) else each)
            for each in (listed if isinstance(listed, list) else ())
        ]
        if address:
            known = tuple(dict.fromkeys(member for member in members if member))
            group = GroupInfo(address=address, name=word(row.get("name")), members=known)
            found.setdefault(address, group)
    return list(found.values())
