"""Files of customers: never what they say they are, fetched under limits, handed out harmless."""

from __future__ import annotations

import io
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from messaging import media
from messaging.media import incoming, sniff
from messaging.models import Attachment, Conversation, Message
from tests.adapters.recorder import Recorder
from tests.adapters.stage import Stage, answering, take_request
from tests.rows import make_conversation, make_message

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
JPEG = b"\xff\xd8\xff\xe0picture"
UNKNOWN = "application/octet-stream"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = str(tmp_path)
    settings.MESSAGING |= {"READ_TIMEOUT": 1, "TOTAL_TIMEOUT": 1}
    return tmp_path


@pytest.fixture
def traveller() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as moved:
        yield moved


@pytest.fixture
def server() -> Iterator[Recorder]:
    with Recorder() as running:
        yield running


@pytest.fixture
def play() -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def start(*pieces: bytes) -> Stage:
        stages.append(Stage(answering(*pieces)))
        return stages[-1]

    yield start
    for stage in stages:
        stage.close()


def received(**values: Any) -> Message:
    """A message that came in, for a file to belong to."""
    fields = {"direction": "inbound", "status": "received", "due_at": None, **values}
    return make_message(make_conversation(), **fields)


def linked(link: str, message: Message | None = None, **values: Any) -> Attachment:
    row = media.keep_link(link, **values)
    if message is not None:
        row.message = message
        row.save(update_fields=["message"])
    return row


def http_answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def stored_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# What it is


def zipped(*names: str, first: str = "[Content_Types].xml") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (first, *names):
            archive.writestr(name, "x" * 500)
    return packed.getvalue()


def open_document(kind: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
    return packed.getvalue()


OPENXML = "application/vnd.openxmlformats-officedocument."
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)

KNOWN = [
    (JPEG, "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a..", "image/gif"),
    (b"GIF89a..", "image/gif"),
    (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
    (b"RIFF\x10\x00\x00\x00WAVEfmt ", "audio/wav"),
    (b"\x00\x00\x00\x18ftypmp42....", "video/mp4"),
    (b"\x00\x00\x00\x18ftypisom....", "video/mp4"),
    (b"\x00\x00\x00\x18ftyp3gp4....", "video/3gpp"),
    (b"\x00\x00\x00\x18ftypqt  ....", "video/quicktime"),
    (b"\x00\x00\x00\x18ftypM4A ....", "audio/mp4"),
    (b"OggS" + bytes(24) + b"OpusHead", "audio/ogg"),
    (b"OggS" + bytes(24) + b"\x01vorbis", "audio/ogg"),
    (b"ID3\x04\x00", "audio/mpeg"),
    (b"\xff\xfb\x90d", "audio/mpeg"),
    (b"\xff\xf1\x50\x80", "audio/aac"),
    (b"#!AMR\n\x3c", "audio/amr"),
    (b"#!AMR-WB\n\x3c", "audio/amr-wb"),
    (b"%PDF-1.7\n", "application/pdf"),
    (zipped("_rels/.rels", "word/document.xml"), OPENXML + "wordprocessingml.document"),
    (zipped("docProps/app.xml", "xl/workbook.xml"), OPENXML + "spreadsheetml.sheet"),
    (zipped("ppt/presentation.xml"), OPENXML + "presentationml.presentation"),
    (open_document("text"), "application/vnd.oasis.opendocument.text"),
    (OLE + "WordDocument".encode("utf-16-le"), "application/msword"),
    (OLE + "Workbook".encode("utf-16-le"), "application/vnd.ms-excel"),
    (OLE + "PowerPoint Document".encode("utf-16-le"), "application/vnd.ms-powerpoint"),
    (OLE, "application/x-ole-storage"),
    ("Grüße, 3 < 4 😃\r\n\tok".encode(), "text/plain"),
    (b"\xef\xbb\xbfwith a mark", "text/plain"),
    ("ä".encode()[:1].join([b"cut in a character ", b""]), "text/plain"),
    (b"\r\nBEGIN:VCARD\r\nVERSION:3.0\r\nNOTE:<b>\r\nEND:VCARD", "text/vcard"),
]


@pytest.mark.parametrize(("head", "kind"), KNOWN)
def test_what_customers_send_is_known_by_its_first_bytes(head: bytes, kind: str) -> None:
    assert sniff.content_type(head) == kind
    # Whatever is said of it.
    assert sniff.content_type(head, "text/html; charset=utf-8") == kind
    assert sniff.content_type(head, "image/svg+xml") == kind


STRANGE = [
    b"",
    b"   \n",
    b"<!DOCTYPE html><script>alert(1)</script>",
    b"\xef\xbb\xbf \n<HTML>",
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    b"<?xml version='1.0'?><svg/>",
    b"just a text, then <script>alert(1)</script>",
    b"a text <!-- that begins well",
    "<html>".encode("utf-16"),
    b"text with a NUL \x00 in it",
    b"\x1b[2Jtext that moves a terminal",
    b"MZ\x90\x00\x03 this is a program",
    b"\x7fELF\x02\x01\x01",
    zipped("com/example/Main.class", first="META-INF/MANIFEST.MF"),
    zipped("AndroidManifest.xml"),
    b"Latin-1: \xe4\xf6\xfc",
    b" %PDF-1.7 not at the start, and <script>",
    b"\x00\x00\x00\x18ftypheic....",
    b"RIFF\x10\x00\x00\x00AVI LIST",
    b"OggS" + bytes(24) + b"\x80theora.",
]


@pytest.mark.parametrize("head", STRANGE)
def test_everything_else_is_bytes(head: bytes) -> None:
    for claim in ("", "text/html", "image/svg+xml", "image/png", "text/plain"):
        assert sniff.content_type(head, claim) == UNKNOWN


@pytest.mark.parametrize(
    ("head", "claim", "kind"),
    [
        (b"\x00\x00\x00\x18ftypmp42....", "audio/mp4; codecs=mp4a", "audio/mp4"),
        (b"\x00\x00\x00\x18ftyp3gp4....", "AUDIO/3GPP", "audio/3gpp"),
        (b"\x00\x00\x00\x18ftypmp42....", "text/html", "video/mp4"),
        (JPEG, "audio/mp4", "image/jpeg"),
    ],
)
def test_a_claim_tells_a_film_from_its_sound_and_no_more(
    head: bytes, claim: str, kind: str
) -> None:
    assert sniff.content_type(head, claim) == kind


@pytest.mark.parametrize(
    "body",
    [
        b"GIF89a/*<svg onload=alert(1)>*/=1;alert(document.domain)//",
        JPEG + b"<html><script>alert(1)</script></html>",
        b"%PDF-1.4\n<script>alert(1)</script>",
    ],
)
def test_what_is_two_things_at_once_is_only_ever_saved(body: bytes) -> None:
    row = media.keep_upload(SimpleUploadedFile("a.html", body, "text/html"), "a.html", "text/html")
    assert row.content_type in ("image/gif", "image/jpeg", "application/pdf")


# What came in a webhook


def test_a_file_is_kept_under_a_name_of_ours(folder: Path) -> None:
    upload = SimpleUploadedFile("../../etc/cron.d/x.jpg", JPEG, "text/html")
    upload.read()
    row = media.keep_upload(upload, "../../etc/cron.d/x.jpg", "text/html")
    row.refresh_from_db()
    (stored,) = stored_files(folder)
    assert stored.name == row.key.hex
    assert stored.read_bytes() == JPEG
    assert (row.filename, row.content_type, row.size) == ("x.jpg", "image/jpeg", len(JPEG))
    assert (row.error, row.link, row.fetch_due_at, row.message_id) == ("", "", None, None)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("", "file.jpg"),
        ("photo", "photo.jpg"),
        ("C:\\x\\photo.jpeg", "photo.jpeg"),
        ("a\r\nSet-Cookie: b", "aSet-Cookie: b.jpg"),
        ("\u202egpj.exe", "gpj.exe"),
        ("nul\x00byte.jpg", "nulbyte.jpg"),
        ("\ud800.jpg", "jpg.jpg"),
        ("..", "file.jpg"),
    ],
)
def test_names_of_strangers(name: str, kept: str) -> None:
    assert media.keep_upload(File(io.BytesIO(JPEG)), name, "").filename == kept


def test_the_largest_file_that_is_kept(settings: Any, folder: Path) -> None:
    settings.MESSAGING |= {"MEDIA_MAX_BYTES": 1000}
    row = media.keep_upload(ContentFile(JPEG.ljust(1000)), "a.jpg", "")
    assert row.size == 1000
    for body in (JPEG.ljust(1001), b""):
        row = media.keep_upload(ContentFile(body), "a.jpg", "")
        assert not row.file
        assert row.error
        assert row.size == len(body)
        assert row.fetch_due_at is None
        assert not media.fetch_again(row)
    assert len(stored_files(folder)) == 1


def test_a_file_is_not_read_into_memory_whole() -> None:
    class Watched(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size > 0
            self.most = max(self.most, size)
            return super().read(size)

    stream = Watched(JPEG.ljust(1_000_000))
    row = media.keep_upload(File(stream, name="a.jpg"), "a.jpg", "")
    assert row.file.size == 1_000_000
    assert stream.most <= 65_536


# What a link leads to


def test_a_link_is_fetched(play: Callable[..., Stage], folder: Path) -> None:
    stage = play(http_answer(JPEG, "Content-Type: text/html"))
    message = received()
    row = linked(f"{stage.url}/menu%20card?sig=1", message, content_type="image/png; a=b")
    assert (row.filename, row.content_type, row.size) == ("menu card", "image/png", 0)
    assert media.fetch(row) is True
    assert (row.filename, row.content_type, row.size) == ("menu card.jpg", "image/jpeg", len(JPEG))
    assert (row.error, row.fetch_due_at, row.fetch_attempts) == ("", None, 1)
    (stored,) = stored_files(folder)
    assert (stored.name, stored.read_bytes()) == (row.key.hex, JPEG)
    assert Conversation.objects.get().version == 1
    # Once.
    assert media.fetch(row) is True
    assert media.fetch_again(row) is False
    assert stage.connections == 1


def test_nothing_of_ours_goes_along(server: Recorder) -> None:
    server.answer({"a": 1})
    media.fetch(media.keep_link(f"{server.url}/a?sig=1"))
    [request] = server.requests
    assert (request.method, request.target, request.body) == ("GET", "/a?sig=1", b"")
    names = {name.lower() for name in request.headers}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}


REFUSED = [
    ("https://127.0.0.1:{port}/a", "private"),
    ("https://localhost:{port}/a", "private"),
    ("https://[::1]:{port}/a", "private"),
    ("https://[::ffff:127.0.0.1]:{port}/a", "private"),
    ("https://0.0.0.0:{port}/a", "private"),
    ("https://2130706433:{port}/a", "private"),
    ("https://169.254.169.254/latest/meta-data/", "private"),
    ("https://10.0.0.1/a", "private"),
    ("http://127.0.0.1:{port}/a", "https"),
    ("http://198.51.100.1/a", "https"),
    ("file:///etc/passwd", "usable"),
    ("gopher://127.0.0.1:{port}/a", "usable"),
    ("https://user:pass@127.0.0.1:{port}/a", "usable"),
    ("//127.0.0.1:{port}/a", "usable"),
    ("not an address", "usable"),
    ("https://[bad", "usable"),
]


@pytest.mark.parametrize(("link", "word"), REFUSED)
def test_no_link_leads_inside(
    link: str,
    word: str,
    play: Callable[..., Stage],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.MESSAGING |= {"ALLOWED_PRIVATE_HOSTS": []}
    stage = play(http_answer(JPEG))
    opened: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: opened.append(address))
    row = media.keep_link(link.format(port=stage.port))
    assert media.fetch(row) is False
    assert word in row.error
    assert opened == []
    assert stage.connections == 0


def test_the_address_that_was_judged_is_the_one_connected_to(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers differently the second time is not asked a second time."""
    settings.MESSAGING |= {"ALLOWED_PRIVATE_HOSTS": []}
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    opened: list[Any] = []

    def resolve(host: str, port: int, *args: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(self: socket.socket, address: Any) -> None:
        opened.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    assert media.fetch(media.keep_link("https://rebind.example/a")) is False
    assert opened == ["93.184.216.34"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str, play: Callable[..., Stage]) -> None:
    other = play(http_answer(JPEG))
    stage = play(http_answer(b"moved", f"Location: {other.url}", status=status))
    row = media.keep_link(stage.url)
    assert media.fetch(row) is False
    assert "not followed" in row.error
    assert other.connections == 0


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (http_answer(b"no", status="404 Not Found"), "HTTP 404"),
        (http_answer(b"no", status="500 Oops"), "HTTP 500"),
        (http_answer(b"", status="204 No Content"), "HTTP 204"),
        (http_answer(b"part", status="206 Partial"), "HTTP 206"),
        (http_answer(b""), "empty"),
        (http_answer(b"x" * 1001), "larger than 0.001 MB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "larger"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, "larger"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nonly so much", "not deliver"),
        (b"garbage\r\n\r\n", "not deliver"),
        (b"", "not deliver"),
    ],
)
def test_what_goes_wrong_is_told_in_words_and_tried_again(
    answer: bytes,
    word: str,
    play: Callable[..., Stage],
    settings: Any,
    folder: Path,
    traveller: time_machine.Coordinates,
) -> None:
    settings.MESSAGING |= {"MEDIA_MAX_BYTES": 1000}
    row = linked(play(answer).url, received())
    assert media.fetch(row) is False
    assert word in row.error
    assert (row.fetch_attempts, row.fetch_due_at) == (1, NOW + timedelta(minutes=1))
    assert (bool(row.file), stored_files(folder)) == (False, [])
    assert Conversation.objects.get().version == 1


def test_a_server_that_drips_is_left_in_time(settings: Any) -> None:
    settings.MESSAGING |= {"TOTAL_TIMEOUT": 0.5}
    release = threading.Event()

    def drip(connection: socket.socket) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not release.wait(0.05):
            connection.sendall(b"x")

    stage = Stage(drip)
    row = media.keep_link(stage.url)
    assert media.fetch(row) is False
    release.set()
    stage.close()
    assert row.error


def test_tries_end(play: Callable[..., Stage], traveller: time_machine.Coordinates) -> None:
    stage = play(http_answer(b"no", status="404 Not Found"))
    row = linked(stage.url, received())
    now = NOW
    for number, delay in enumerate(incoming.DELAYS, start=1):
        assert media.fetch_due() == 0
        row.refresh_from_db()
        assert (row.fetch_attempts, row.fetch_due_at) == (number, now + delay)
        traveller.move_to(now + delay - timedelta(seconds=1))
        assert media.fetch_due() == 0
        assert stage.connections == number
        now += delay
        traveller.move_to(now)
    media.fetch_due()
    row.refresh_from_db()
    assert (row.fetch_attempts, row.fetch_due_at) == (4, None)
    assert "404" in row.error
    assert media.fetch(row) is False
    assert stage.connections == 4
    # Until a person asks for it.
    assert media.fetch_again(row) is True
    assert media.fetch_again(row) is False
    row.refresh_from_db()
    assert (row.fetch_attempts, row.fetch_due_at) == (0, now)


def test_a_worker_that_dies_in_every_try_does_not_try_for_ever(
    traveller: time_machine.Coordinates, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def die(row: Attachment) -> None:
        tries.append(row.pk)
        raise KeyboardInterrupt

    monkeypatch.setattr(incoming, "_take", die)
    row = media.keep_link("https://files.example/a")
    for hour in range(8):
        traveller.move_to(NOW + timedelta(hours=hour))
        with suppress(KeyboardInterrupt):
            media.fetch_due()
    row.refresh_from_db()
    assert len(tries) == 4
    assert (row.fetch_due_at, bool(row.error)) == (None, True)


def test_a_result_counts_only_while_no_later_try_has_begun(
    play: Callable[..., Stage], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = media.keep_link(play(http_answer(JPEG)).url)
    real = incoming._download

    def slow(link: str) -> bytes:
        Attachment.objects.update(fetch_attempts=2)  # the lease was over; another began
        return real(link)

    monkeypatch.setattr(incoming, "_download", slow)
    assert media.fetch(row) is False
    assert stored_files(folder) == []
    assert Attachment.objects.get().error == ""


def test_a_disk_that_is_full_is_a_failed_try(
    play: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    row = media.keep_link(play(http_answer(JPEG)).url)
    monkeypatch.setattr(row.file.storage, "save", full)
    assert media.fetch(row) is False
    assert "stored" in row.error
    assert row.fetch_due_at is not None


@pytest.mark.parametrize(
    "link", ["", "https://files.example/\x00", "https://e.example/" + "x" * 2000]
)
def test_a_link_no_row_can_hold_is_an_error_at_once(link: str) -> None:
    row = media.keep_link(link, "a.jpg")
    row.refresh_from_db()
    assert (row.link, row.fetch_due_at, bool(row.error)) == ("", None, True)
    assert media.fetch(row) is False
    assert not media.fetch_again(row)


def test_a_round_takes_so_many_for_so_long(play: Callable[..., Stage]) -> None:
    stage = play(http_answer(JPEG))
    for _number in range(3):
        media.keep_link(stage.url)
    assert media.fetch_due(seconds=0) == 0
    assert media.fetch_due(limit=2) == 2
    assert media.fetch_due() == 1
    assert stage.connections == 3


@pytest.mark.django_db(transaction=True)
def test_nothing_is_fetched_inside_a_transaction(play: Callable[..., Stage]) -> None:
    stage = play(http_answer(JPEG))
    row = media.keep_link(stage.url)
    with pytest.raises(RuntimeError), transaction.atomic():
        media.fetch(row)
    assert stage.connections == 0
    row.refresh_from_db()
    assert row.fetch_attempts == 0


def test_whoever_comes_second_leaves_the_file_alone(
    play: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = play(http_answer(JPEG))
    row = media.keep_link(stage.url)
    second = Attachment.objects.get()
    real = incoming._download

    def meanwhile(link: str) -> bytes:
        assert media.fetch(second) is False
        assert media.fetch_due() == 0
        return real(link)

    monkeypatch.setattr(incoming, "_download", meanwhile)
    assert media.fetch(row) is True
    assert stage.connections == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_fetch_a_file_once(play: Callable[..., Stage], folder: Path) -> None:
    stage = play(http_answer(JPEG))
    for _number in range(5):
        media.keep_link(stage.url)
    together = threading.Barrier(2)
    found: list[int] = []

    def work() -> None:
        together.wait()
        found.append(media.fetch_due())
        connection.close()

    threads = [threading.Thread(target=work) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.connections == 5
    assert len(stored_files(folder)) == 5
    assert not Attachment.objects.filter(file="").exists()


# Handing out


def staff(*codenames: str, name: str = "ada") -> Client:
    user = get_user_model().objects.create_user(name, password="x", is_staff=True)
    rights = Permission.objects.filter(content_type__app_label="messaging")
    user.user_permissions.add(*rights.filter(codename__in=codenames))
    browser = Client()
    browser.force_login(user)
    return browser


def kept(body: bytes = JPEG, name: str = "photo.jpg") -> Attachment:
    row = media.keep_upload(ContentFile(body), name, "")
    row.message = received()
    row.save()
    return row


def address(row: Attachment, page: str = "file", message: Message | None = None) -> str:
    message = message or row.message
    assert message is not None
    return reverse(f"admin:messaging_message_{page}", args=[message.pk, row.key])


def get(browser: Client, url: str) -> Any:
    response = browser.get(url)
    response.body = b"".join(response.streaming_content) if response.streaming else response.content
    return response


def test_a_file_is_saved_and_never_shown() -> None:
    row = kept()
    response = get(staff("view_message", "view_all_conversations"), address(row))
    assert (response.status_code, response.body) == (200, JPEG)
    assert response["Content-Type"] == "image/jpeg"
    assert response["Content-Disposition"] == 'attachment; filename="photo.jpg"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("body", [b"<script>alert(1)</script>", b"<svg/>", b"<?xml?>"])
def test_what_would_run_in_a_browser_is_bytes(body: bytes) -> None:
    row = kept(body, "page.html")
    response = get(staff("view_message", "view_all_conversations"), address(row))
    assert response["Content-Type"] == UNKNOWN
    assert response["Content-Disposition"].startswith("attachment")


def test_only_those_who_see_the_message_get_its_file(django_user_model: Any) -> None:
    row, other = kept(), kept()
    assert row.message is not None
    url = address(row)
    assert Client().get(url).status_code == 302
    assert get(staff("view_contact", "settle_message"), url).status_code == 403
    own = staff("view_message", "settle_message", name="own")
    assert get(own, url).status_code == 200
    # Somebody else's conversation.
    other_user = django_user_model.objects.create_user("bo")
    Conversation.objects.filter(pk=row.message.conversation_id).update(assignee=other_user)
    assert get(own, url).status_code == 404
    assert own.post(address(row, "file_fetch")).status_code == 404
    assert get(staff("view_message", "view_all_conversations", name="all"), url).status_code == 200
    # The file of another message.
    assert get(own, address(row, message=other.message)).status_code == 404
    assert get(own, url.replace(str(row.key), "0" * 8 + str(row.key)[8:])).status_code == 404


def test_a_name_that_is_a_number_is_masked_where_numbers_are() -> None:
    row = kept(name="447700900123.jpg")
    assert row.message is not None
    page = reverse("admin:messaging_message_change", args=[row.message.pk])
    rights = ["view_message", "view_all_conversations"]
    for browser, whole in (
        (staff(*rights), False),
        (staff(*rights, "view_full_number", name="bo"), True),
    ):
        assert ("447700900123" in get(browser, address(row))["Content-Disposition"]) == whole
        assert ("447700900123" in get(browser, page).content.decode()) == whole


def test_the_page_lists_files_and_what_went_wrong(play: Callable[..., Stage]) -> None:
    row = kept(name="<b>menu</b>.jpg")
    assert row.message is not None
    stage = play(http_answer(JPEG))
    lost = linked(stage.url, row.message)
    waiting = linked(stage.url, row.message)
    Attachment.objects.filter(pk=lost.pk).update(fetch_due_at=None, error="It is gone.")
    page = reverse("admin:messaging_message_change", args=[row.message.pk])
    text = get(staff("view_message", "view_all_conversations"), page).content.decode()
    assert address(row) in text
    assert "&lt;b&gt;menu" in text or "b&gt;.jpg" in text
    assert "<b>menu" not in text
    assert "It is gone." in text
    assert "It is being fetched." in text
    assert "Try again" not in text
    browser = staff("view_message", "view_all_conversations", "settle_message", name="bo")
    text = get(browser, page).content.decode()
    assert address(lost, "file_fetch") in text
    assert address(waiting, "file_fetch") not in text
    assert get(browser, address(waiting)).status_code == 404


def test_a_person_has_a_lost_file_fetched_again(play: Callable[..., Stage]) -> None:
    stage = play(http_answer(JPEG))
    row = linked(stage.url, received(), filename="a.jpg")
    Attachment.objects.update(fetch_due_at=None, fetch_attempts=4, error="It is gone.")
    url = address(row, "file_fetch")
    viewer = staff("view_message", "view_all_conversations", name="bo")
    assert viewer.post(url).status_code == 403
    browser = staff("view_message", "view_all_conversations", "settle_message")
    assert browser.get(url).status_code == 405
    assert browser.post(url).status_code == 302
    row.refresh_from_db()
    assert (row.error, row.size) == ("", len(JPEG))
    assert LogEntry.objects.count() == 1
    # Again is harmless.
    assert browser.post(url).status_code == 302
    assert (stage.connections, LogEntry.objects.count()) == (1, 1)


def test_a_file_that_stays_lost_is_told_so(play: Callable[..., Stage]) -> None:
    stage = play(http_answer(b"", status="404 Not Found"))
    row = linked(stage.url, received())
    Attachment.objects.update(fetch_due_at=None, fetch_attempts=4, error="It is gone.")
    browser = staff("view_message", "view_all_conversations", "settle_message")
    response = browser.post(address(row, "file_fetch"), follow=True)
    assert "HTTP 404" in response.content.decode()
