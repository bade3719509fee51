"""A real, small PNG of a QR code, or of something that looks like one."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from importlib import import_module
from typing import Any

MODULES = 25
SCALE = 6
QUIET = 4
_SIZE = (MODULES + 2 * QUIET) * SCALE


def qr_code(text: str) -> bytes:
    """A PNG of the text as a QR code; without segno a picture that only looks like it."""
    segno = _segno()
    if segno is None:
        return qr_like(text)
    stream = io.BytesIO()
    segno.make(text, error="m").save(stream, kind="png", scale=SCALE, border=QUIET)
    return stream.getvalue()


def _segno() -> Any:
    """The library that draws real codes; it comes with the extra `sandbox`."""
    try:
        return import_module("segno")
    except ImportError:
        return None


def qr_like(seed: str) -> bytes:
    """A black and white PNG; not scannable, since nothing could be paired with it."""
    grid = _grid(seed)
    blank = b"\x00" + b"\xff" * ((_SIZE + 7) // 8)
    lines = [blank] * (QUIET * SCALE)
    for row in grid:
        bits = "1" * QUIET * SCALE
        bits += "".join(("0" if dark else "1") * SCALE for dark in row)
        bits += "1" * (_SIZE + -_SIZE % 8 - len(bits))
        lines += [b"\x00" + int(bits, 2).to_bytes(len(bits) // 8, "big")] * SCALE
    lines += [blank] * (QUIET * SCALE)
    header = struct.pack(">IIBBBBB", _SIZE, _SIZE, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"".join(lines)))
        + _chunk(b"IEND", b"")
    )


def _grid(seed: str) -> list[list[bool]]:
    noise = b"".join(hashlib.sha256(f"{seed}:{row}".encode()).digest() for row in range(MODULES))
    grid = [[noise[row * 32 + column] & 1 == 1 for column in range(MODULES)]
            for row in range(MODULES)]  # fmt: skip
    for top, left in ((0, 0), (0, MODULES - 7), (MODULES - 7, 0)):
        _finder(grid, top, left)
    return grid


def _finder(grid: list[list[bool]], top: int, left: int) -> None:
    for row in range(-1, 8):
        for column in range(-1, 8):
            # A light line around it tells where it ends.
            if 0 <= top + row < MODULES and 0 <= left + column < MODULES:
                grid[top + row][left + column] = False
    for row in range(7):
        for column in range(7):
            ring = min(row, column, 6 - row, 6 - column)
            grid[top + row][left + column] = ring != 1


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
