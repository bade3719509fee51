"""Parameters as the WhatsApp HTTP API takes them: query string, urlencoded body, multipart."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

Params = dict[str, list[str]]

FILE_FIELD = "file"
"""A part of this name is a file even when it lacks a file name (and is refused for that)."""


class CharactersError(Exception):
    """Null or undecodable characters: the document answers these with HTTP 500."""


class Upload(NamedTuple):
    """A file part of a multipart body."""

    filename: str
    content_type: str
    size: int


def parse_urlencoded(text: str, into: Params | None = None) -> Params:
    """Parameters of a query string or a urlencoded body; repeated names make longer lists."""
    params: Params = {} if into is None else into
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if not name.isalnum():
            name = _decode(name)
        value = _decode(value)
        if name in params:
            params[name].append(value)
        else:
            params[name] = [value]
    return params


def _decode(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" in text or not text.isascii():
        try:
            text = unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
        except UnicodeError:
            raise CharactersError from None
    if "\x00" in text:
        raise CharactersError
    return text


_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="((?:[^"\\]|\\.)*)"')
_FILENAME = re.compile(rb'filename="((?:[^"\\]|\\.)*)"')
_FILENAME_UTF8 = re.compile(rb"filename\*=utf-8''([^;\s]+)", re.IGNORECASE)


def parse_multipart(
    body: bytes, content_type: str, into: Params
) -> tuple[Params, dict[str, list[Upload]]]:
    """Fields into `into`, and the file parts by field name."""
    match = _BOUNDARY.search(content_type)
    files: dict[str, list[Upload]] = {}
    if match is None:
        return into, files
    mark = b"--" + match.group(1).encode("latin-1")
    for part in body.split(mark)[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        _take_part(head, content.removesuffix(b"\r\n"), into, files)
    return into, files


def _take_part(head: bytes, content: bytes, params: Params, files: dict[str, list[Upload]]) -> None:
    name_match = _NAME.search(head)
    if name_match is None:
        return
    try:
        name = name_match.group(1).decode()
        filename = _filename(head)
        if filename is None and name != FILE_FIELD:
            value = content.decode()
            if "\x00" in value:
                raise CharactersError
            params.setdefault(name, []).append(value)
            return
    except UnicodeDecodeError:
        raise CharactersError from None
    upload = Upload(filename or "", _part_type(head), len(content))
    files.setdefault(name, []).append(upload)


def _filename(head: bytes) -> str | None:
    extended = _FILENAME_UTF8.search(head)
    if extended is not None:
        return unquote_to_bytes(extended.group(1)).decode()
    plain = _FILENAME.search(head)
    return None if plain is None else plain.group(1).decode()


def _part_type(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-type":
            return value.strip().decode("latin-1").lower()
    return ""
