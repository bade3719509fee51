"""Fetching a media link the way a gateway does, but from this machine's own addresses only."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from .server import is_loopback

TIMEOUT = 10.0
MAX_LINK_BYTES = 5_000_000

_URL = re.compile(r"https?://[^\s/?#@]+(?:[/?#]\S*)?", re.IGNORECASE)


class Download(NamedTuple):
    """What came from a link; a size of -1 means it could not be had."""

    size: int
    content_type: str = ""


FAILED = Download(-1)


def well_formed(link: str) -> bool:
    """Whether `link` is an http or https URL with a host."""
    if not _URL.fullmatch(link):
        return False
    try:
        parts = urlsplit(link)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def on_loopback(link: str) -> bool:
    """Whether the link points to this machine; nothing else is ever fetched."""
    return well_formed(link) and is_loopback(urlsplit(link).hostname or "")


async def probe(link: str) -> Download:
    """Fetch `link` and tell its size and type; at most a little more than the limit is read."""
    try:
        return await asyncio.wait_for(_download(link), TIMEOUT)
    except (OSError, ValueError, EOFError, TimeoutError):
        return FAILED


async def _download(link: str) -> Download:
    parts = urlsplit(link)
    if parts.scheme.lower() != "http":
        return FAILED
    host, port = parts.hostname or "", parts.port or 80
    reader, writer = await asyncio.open_connection(host, port)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # HTTP/1.0 keeps the answer free of chunks.
        head = f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        return await _read(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Download:
    status = (await reader.readline()).split(b" ")
    if len(status) < 2 or status[1] != b"200":
        return FAILED
    headers = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    size = 0
    while size <= MAX_LINK_BYTES and (chunk := await reader.read(65_536)):
        size += len(chunk)
    if size < int(headers.get("content-length", 0)) and size <= MAX_LINK_BYTES:
        return FAILED
    return Download(size, headers.get("content-type", "").partition(";")[0].strip().lower())
