"""The documents' webhook bodies as gateways would really post them: every one, with real ids.

What a document masks or prints alike in all its samples (ids, numbers) is filled in; the rest is
as printed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.adapters.test_intellisoftware_inbox import FORM, SAMPLES
from tests.adapters.test_whatsapp_inbox import DELIVERY, MEDIA_BODY, TEXT_BODY

INSTANCE = "65a1b2c3d4e5f60718293a40"
PHONE = "447700900123"
OUR_WHATSAPP = "447700900100"
OUR_SMS = "447700900101"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\x00" * 40
BOUNDARY = "a-boundary"

IS, WH = "intellisoftware", "whatsapp_http"


@dataclass(frozen=True)
class Post:
    """One request; `ends` are the rows it leads to, as (kind, text), or None for quarantine."""

    name: str
    gateway: str
    content_type: str
    body: bytes
    ends: tuple[tuple[str, str], ...] | None = ()


IS_ENDS = [
    ("text", "Message Text"),
    ("text", "Simley Emoji \U0001f603"),
    ("binary", "Binary SMS"),
    ("text", "MESSAGE_CONTENT"),
    ("button_reply", "BUTTON_TEXT"),
    ("button_reply", "Button1"),
    ("image", "Picture"),
]


@cache
def posts() -> tuple[Post, ...]:
    """All of them."""
    return (*_forwarded(), *_forms(), *_whatsapp())


def _forwarded() -> list[Post]:
    found = []
    for number, sample in enumerate(SAMPLES):
        (item,) = sample["messages"]
        real = _real(item, f"{number:034x}")
        found.append(_json(f"IS {number}", IS, {"messages": [real]}, IS_ENDS[number]))
    together = [
        _real(sample["messages"][0], f"{number + 100:034x}")
        for number, sample in enumerate(SAMPLES)
    ]
    found.append(_json("IS all in one", IS, {"messages": together}, *IS_ENDS))
    status = {"msgid": "out-is", "status": "4", "toaddr": PHONE}
    found.append(_json("IS status", IS, status))
    form = "application/x-www-form-urlencoded"
    pushed = b"msgid=out-is&status=3&toaddr=" + PHONE.encode()
    found.append(Post("IS status form", IS, form, pushed))
    return found


def _real(item: dict[str, Any], messageid: str) -> dict[str, Any]:
    ours = OUR_SMS if item["channel"] == "sms" else OUR_WHATSAPP
    return item | {"messageid": messageid, "from": PHONE, "to": ours}


def _forms() -> list[Post]:
    """As printed: without a sender, so a person has to look; and as old hands know them."""
    kind = "application/x-www-form-urlencoded"
    printed = [
        Post(f"IS form {number}", IS, kind, body.encode(), None) for number, body in enumerate(FORM)
    ]
    known = f"from={PHONE}&to={OUR_SMS}&text=Hello+there&msgid=10011&networkcode=234010"
    return [
        *printed,
        Post("IS form with sender", IS, kind, known.encode(), (("text", "Hello there"),)),
    ]


def _whatsapp() -> list[Post]:
    real = {"instanceID": INSTANCE, "phone": PHONE, "waID": f"{PHONE}@s.whatsapp.net"}
    media = TEXT_BODY | MEDIA_BODY | real | {"waMessageID": "6700AA11BB22CC33"}
    delivery = DELIVERY | {"instanceID": INSTANCE, "messageID": "out-wh", "phone": PHONE}
    return [
        _json("WH delivery", WH, delivery),
        _json("WH text", WH, TEXT_BODY | real | {"waMessageID": "A400"}, ("text", "Hello")),
        Post(
            "WH media",
            WH,
            f"multipart/form-data; boundary={BOUNDARY}",
            multipart({"json": json.dumps(media)}, JPEG),
            (("image", "Picture: Hi this is test"),),
        ),
        _json("WH delivery of a stranger", WH, delivery | {"instanceID": "0" * 24}, None),
        _json("WH of a stranger", WH, TEXT_BODY | real | {"instanceID": "0" * 24}, None),
    ]


def _json(name: str, gateway: str, body: Any, *ends: tuple[str, str] | None) -> Post:
    kept = None if ends == (None,) else ends
    return Post(name, gateway, "application/json", json.dumps(body).encode(), kept)  # type: ignore[arg-type]


def multipart(fields: dict[str, str], file: bytes, filename: str = "photo.jpg") -> bytes:
    """A form as PHP's `$_FILES` and our own view understand it."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    named = f'; filename="{filename}"' if filename else ""
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file1"{named}\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + file
        + b"\r\n"
    )
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
