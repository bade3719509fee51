"""Form decoding: what clients send, and what the document answers with HTTP 500."""

from __future__ import annotations

import pytest

from messaging.sandbox.forms import CharactersError, Params, parse_multipart, parse_urlencoded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("a=x+y%2Bz%0A&b", {"a": ["x y+z\n"], "b": [""]}),
        ("a=1&&=2", {"a": ["1"], "": ["2"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("%61b=%F0%9F%98%83", {"ab": ["😃"]}),
        ("a=%zz", {"a": ["%zz"]}),
        # Raw UTF-8 in a request line is read as latin-1 before it comes here.
        ("a=" + "é".encode().decode("latin-1"), {"a": ["é"]}),
    ],
)
def test_urlencoded(text: str, expected: Params) -> None:
    assert parse_urlencoded(text) == expected


@pytest.mark.parametrize("text", ["a=%00", "a=%ff", "%00=a", "a=\x00", "a=\xff"])
def test_urlencoded_characters_nobody_can_read(text: str) -> None:
    with pytest.raises(CharactersError):
        parse_urlencoded(text)


def _body(*parts: bytes) -> bytes:
    return b"".join(b"--XX\r\n" + part + b"\r\n" for part in parts) + b"--XX--\r\nepilogue"


FIELD = b'Content-Disposition: form-data; name="message"\r\n\r\nLine one\r\nLine two \xc3\xa9'
FILE = (
    b'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n'
    b"Content-Type: application/pdf\r\n\r\n\r\nraw\x00\xff\r\n"
)


@pytest.mark.parametrize("boundary", ["XX", '"XX"'])
def test_multipart(boundary: str) -> None:
    kind = f"multipart/form-data; boundary={boundary}; charset=utf-8"
    params, files = parse_multipart(_body(FIELD, FILE), kind, {})
    assert params == {"message": ["Line one\r\nLine two é"]}
    (upload,) = files["file"]
    assert upload == ("a.pdf", "application/pdf", len(b"\r\nraw\x00\xff\r\n"))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (_body(FIELD), "multipart/form-data"),
        (_body(FIELD), "multipart/form-data; boundary=other"),
        (_body(b"Content-Disposition: form-data\r\n\r\nx"), "multipart/form-data; boundary=XX"),
        (b"", "multipart/form-data; boundary=XX"),
    ],
)
def test_multipart_without_anything_to_read(body: bytes, kind: str) -> None:
    assert parse_multipart(body, kind, {}) == ({}, {})


@pytest.mark.parametrize("content", [b"\xff", b"a\x00b"])
def test_multipart_characters_nobody_can_read(content: bytes) -> None:
    part = b'Content-Disposition: form-data; name="message"\r\n\r\n' + content
    with pytest.raises(CharactersError):
        parse_multipart(_body(part), "multipart/form-data; boundary=XX", {})


def test_a_file_part_without_name_or_type() -> None:
    part = b'Content-Disposition: form-data; name="file"\r\n\r\n\xff\xfe'
    _, files = parse_multipart(_body(part), "multipart/form-data; boundary=XX", {})
    assert files == {"file": [("", "", 2)]}
