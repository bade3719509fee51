"""Looking for secrets where none may be: every column of every table, however it is packed."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Iterator

from django.db import connection

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")


def in_database(secrets: Iterable[str]) -> list[str]:
    """`table: secret` for each secret that stands in clear anywhere in the database."""
    wanted = [secret.encode() for secret in secrets]
    found = []
    for table in sorted(connection.introspection.table_names()):
        for value in _values(table):
            found += [f"{table}: {name.decode()}" for name in wanted if holds(value, name)]
    return found


def in_text(text: str, secrets: Iterable[str]) -> list[str]:
    """Those of the secrets that stand in a text."""
    return [secret for secret in secrets if secret in text]


def _values(table: str) -> Iterator[bytes]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
        for row in cursor.fetchall():
            yield from (
                bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                for value in row
                if value is not None
            )


def holds(value: bytes, secret: bytes) -> bool:
    """Whether a value holds the secret, also inside pickles and their packings."""
    if secret in value:
        return True
    for part in _BASE64.findall(value):
        try:
            plain = base64.urlsafe_b64decode(part.replace(b"+", b"-").replace(b"/", b"_") + b"==")
        except (binascii.Error, ValueError):
            continue
        if secret in plain or secret in _inflated(plain):
            return True
    return False


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return b""
