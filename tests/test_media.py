"""Files: kept under random names, handed over as bytes or by a link that ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from messaging import media
from messaging.adapters.dummy import Dummy
from messaging.adapters.intellisoftware import IntelliSoftware
from messaging.content import Buttons, Media, Text
from messaging.errors import InvalidContent
from messaging.models import Attachment
from messaging.outbox.calls import prepare
from tests.rows import attempt_of, make_sending

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
SITE = "https://desk.example.com"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = str(tmp_path)
    settings.MESSAGING |= {"PUBLIC_BASE_URL": SITE}
    return tmp_path


@pytest.fixture
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture
def row() -> Attachment:
    return media.store(ContentFile(b"\xff\xd8picture", "photo.jpg"))


def fetch(client: Client, path: str, method: str = "get") -> Any:
    """The answer, its body read to its end, which closes the file."""
    response = getattr(client, method)(path)
    response.body = b"".join(response.streaming_content) if response.streaming else response.content
    return response


def path_of(row: Attachment) -> str:
    link = media.public_link(row)
    assert link.startswith(SITE)
    return urlsplit(link).path


# Storing


def test_what_a_stranger_called_it_never_reaches_the_disk(folder: Path) -> None:
    row = media.store(SimpleUploadedFile("../../../etc/passwd.jpg", b"x"))
    (stored,) = [path for path in folder.rglob("*") if path.is_file()]
    assert stored.name == row.key.hex
    assert row.filename == "passwd.jpg"
    assert (row.size, row.content_type) == (1, "image/jpeg")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("photo.jpg", "photo.jpg"),
        ("C:\\Users\\ada\\photo.jpg", "photo.jpg"),
        ("a\r\nSet-Cookie: b.jpg", "aSet-Cookie: b.jpg"),
        ("gpj.\u202eexe.jpg", "gpj.exe.jpg"),
        ("Übersicht für März.pdf", "Übersicht für März.pdf"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("", "file"),
        ("...", "file"),
    ],
)
def test_names_are_kept_as_headers_take_them(name: str, kept: str, client: Client) -> None:
    row = media.store(ContentFile(b"x", "upload"), filename=name or "...")
    assert row.filename == kept
    assert fetch(client, path_of(row)).status_code == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("empty.jpg", b""),
        ("setup.exe", b"x"),
        ("setup.EXE", b"x"),
        ("setup.exe.", b"x"),
        ("setup.exe ", b"x"),
        ("run.sh", b"x"),
    ],
)
def test_what_no_gateway_takes_is_refused_in_words(name: str, body: bytes) -> None:
    with pytest.raises(InvalidContent, match=name.split(".", maxsplit=1)[0]):
        media.store(ContentFile(body, name))
    assert not Attachment.objects.exists()


def test_a_file_beyond_all_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media.files, "MAX_BYTES", 10)
    with pytest.raises(InvalidContent):
        media.store(ContentFile(b"x" * 11, "photo.jpg"))


# The link


def test_the_link_gives_the_file_and_nothing_that_runs(row: Attachment, client: Client) -> None:
    response = fetch(client, path_of(row))
    assert response.status_code == 200
    assert response.body == b"\xff\xd8picture"
    assert response["Content-Type"] == "image/jpeg"
    assert response["Content-Disposition"] == 'attachment; filename="photo.jpg"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response["Content-Security-Policy"]
    assert "no-store" in response["Cache-Control"]
    assert response["X-Robots-Tag"] == "noindex"
    assert not response.cookies


def test_the_link_ends(
    row: Attachment, client: Client, traveller: time_machine.Coordinates, settings: Any
) -> None:
    settings.MESSAGING |= {"MEDIA_LINK_SECONDS": 600}
    path = path_of(row)
    traveller.move_to(NOW + timedelta(seconds=600))
    assert fetch(client, path).status_code == 200
    traveller.move_to(NOW + timedelta(seconds=602))
    assert fetch(client, path).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("a" if token[-1] != "a" else "b"),
        lambda token: "a" + token,
        lambda token: token.split(":")[0],
        lambda token: token.replace(":", ""),
        lambda token: "x",
        lambda token: "ÿ" * 50,
        lambda token: "%00",
        lambda token: "a:b:c",
    ],
)
def test_a_forged_link_is_no_link(change: Any, row: Attachment, client: Client) -> None:
    head, token, tail = path_of(row).rpartition("/media/")[0], *path_of(row).rsplit("/", 2)[1:]
    assert fetch(client, f"{head}/media/{change(token)}/{tail}").status_code == 404


def test_another_signature_of_this_site_is_no_link(row: Attachment, client: Client) -> None:
    from django.core import signing

    token = signing.dumps(str(row.key), salt="another purpose")
    assert media.read_token(token) is None


def test_a_file_that_is_gone_is_not_found(row: Attachment, client: Client, folder: Path) -> None:
    path = path_of(row)
    for stored in folder.rglob("*"):
        if stored.is_file():
            stored.unlink()
    assert fetch(client, path).status_code == 404
    row.delete()
    assert fetch(client, path).status_code == 404


@pytest.mark.parametrize(("method", "code"), [("head", 200), ("post", 405), ("delete", 405)])
def test_the_link_only_reads(method: str, code: int, row: Attachment, client: Client) -> None:
    assert fetch(client, path_of(row), method).status_code == code


@pytest.mark.parametrize("base", [SITE, f"{SITE}/", f"{SITE}/desk", f"{SITE}/desk/"])
def test_the_link_begins_where_the_site_is_reached(
    base: str, row: Attachment, settings: Any
) -> None:
    settings.MESSAGING |= {"PUBLIC_BASE_URL": base}
    assert media.public_link(row).startswith(base.rstrip("/") + "/messaging/media/")


# Handing over


def test_bytes_for_who_takes_them(row: Attachment) -> None:
    content, upload = media.resolve(Media("image", file=str(row.key), caption="c"), Dummy)
    assert upload is not None
    assert (upload.filename, upload.size, upload.content_type) == ("photo.jpg", 9, "image/jpeg")
    for _time in range(2):  # a fresh stream each time
        with upload.open() as stream:
            assert stream.read() == b"\xff\xd8picture"
    assert content.media is not None
    assert not content.media.link


def test_a_link_for_who_fetches_it(row: Attachment, client: Client) -> None:
    header = Media("image", file=str(row.key), filename="menu.jpg", caption="c")
    for content in (header, Buttons("Choose", replies=["Yes"], header=header)):
        resolved, upload = media.resolve(content, IntelliSoftware)
        assert upload is None
        assert resolved.kind == content.kind
        assert resolved.media is not None
        assert (resolved.media.filename, resolved.media.caption) == ("menu.jpg", "c")
        assert fetch(client, urlsplit(resolved.media.link).path).status_code == 200


def test_what_has_no_file_stays_as_it_is() -> None:
    for content in (Text("a"), Media("image", link="https://files.example/a.jpg")):
        assert media.resolve(content, IntelliSoftware) == (content, None)
        assert media.refusals(content, IntelliSoftware) == ()


@pytest.mark.parametrize("key", ["", "no key", "0" * 32, 7, [1]])
def test_a_file_that_never_was_is_refused_and_fails_alone(key: Any) -> None:
    content = Media("image", file=key or "x")
    assert media.refusals(content, Dummy)
    with pytest.raises(InvalidContent):
        media.resolve(content, Dummy)
    message = make_sending(content=content)
    job = prepare(message.sender.connect(), [attempt_of(message)])
    assert job.failed is not None


def test_without_a_public_address_a_file_is_refused_where_links_are_needed(
    row: Attachment, settings: Any
) -> None:
    settings.MESSAGING |= {"PUBLIC_BASE_URL": ""}
    content = Media("image", file=str(row.key))
    (refusal,) = media.refusals(content, IntelliSoftware)
    assert "PUBLIC_BASE_URL" in refusal
    assert media.refusals(content, Dummy) == ()
