"""`messaging_pair`, and the little reader of QR pictures beneath it."""

from __future__ import annotations

import itertools
import struct
import zlib
from typing import Any

import pytest

from messaging import pairing
from messaging.adapters.base import Connection
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.errors import ErrorClass, Failure, GatewayError, Verdict
from messaging.management import qr
from messaging.management.commands import messaging_pair
from messaging.models import Pairing, Provider, Sender
from messaging.sandbox import SandboxClient
from messaging.sandbox.accounts import WH_NEW_TOKEN
from messaging.sandbox.png import MODULES, qr_like

from .conftest import run

PAIR = "messaging_pair"
CODE = qr_like("one")

pytestmark = pytest.mark.django_db


@pytest.fixture
def phone(db: None) -> Sender:
    provider = Provider.objects.create(
        name="Phones", adapter="whatsapp_http", base_url="http://127.0.0.1:9"
    )
    return Sender.objects.create(
        provider=provider, name="Pharmacy", credentials={"token": WH_NEW_TOKEN}
    )


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the gateway says, one look after the other; the last goes on."""
    found: list[Any] = []

    def connection(_adapter: Any) -> Connection:
        answer = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(WhatsAppHttp, "connection", connection)
    monkeypatch.setattr(messaging_pair, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(pairing, "ASK_EVERY", pairing.ASK_EVERY * 0)
    return found


def test_the_code_is_drawn_until_the_phone_is_connected(phone: Sender, answers: list[Any]) -> None:
    other = Connection(connected=False, code=qr_like("two"))
    same = Connection(connected=False, code=CODE)
    answers += [same, same, other, Connection(connected=True, name="Shop")]
    result = run(PAIR, "Pharmacy")
    assert result.code == 0, result
    assert result.out.count("Scan this with the phone of Pharmacy") == 2
    assert result.out.count("Anyone who scans this code controls this sender.") == 2
    assert "\n".join(qr.draw(qr.find_code(qr.read_png(CODE)), colours=False)) in result.out
    assert result.out.endswith("Connected: Pharmacy. Shop\n")


def test_json_tells_states_and_never_the_code(phone: Sender, answers: list[Any]) -> None:
    answers += [Connection(connected=False, code=CODE), Connection(connected=True)]
    result = run(PAIR, str(phone.pk), "--json")
    assert result.code == 0
    lines = result.out.splitlines()
    assert ['"waiting"' in lines[0], '"connected"' in lines[1]] == [True, True]
    assert len(lines) == 2
    assert "█" not in result.out
    assert "code" not in result.out


def test_nobody_scans(phone: Sender, answers: list[Any]) -> None:
    answers.append(Connection(connected=False, code=CODE))
    result = run(PAIR, "Pharmacy", "--timeout", "0.05")
    assert result.code == 1
    assert "was not connected in time" in result.problem
    # Nobody looks any more, so nobody shall scan it.
    row = Pairing.objects.get()
    assert (row.state, pairing.code_of(row)) == ("expired", b"")


def test_somebody_elses_pairing_goes_on(phone: Sender, answers: list[Any]) -> None:
    answers.append(Connection(connected=False, code=CODE))
    pairing.start(phone)
    assert run(PAIR, "Pharmacy", "--timeout", "0").code == 1
    assert Pairing.objects.get().state == "waiting"


def test_a_refused_token(phone: Sender, answers: list[Any]) -> None:
    failure = Failure(verdict=Verdict.REFUSED, error_class=ErrorClass.AUTHENTICATION)
    answers.append(GatewayError(failure))
    result = run(PAIR, "Pharmacy")
    assert (result.code, "refused the credentials" in result.problem) == (1, True)


def test_a_gateway_that_comes_back(phone: Sender, answers: list[Any]) -> None:
    failure = Failure(verdict=Verdict.REFUSED, error_class=ErrorClass.TRANSIENT)
    answers += [GatewayError(failure), GatewayError(failure), Connection(connected=True)]
    result = run(PAIR, "Pharmacy")
    assert result.code == 0
    assert result.err.count("could not be reached") == 1


def test_a_picture_nobody_can_draw(phone: Sender, answers: list[Any]) -> None:
    answers.append(Connection(connected=False, code=b"GIF89a"))
    result = run(PAIR, "Pharmacy")
    assert result.code == 1
    assert "in the admin instead" in result.problem


def test_what_is_no_phone(db: None) -> None:
    provider = Provider.objects.create(name="Nowhere", adapter="dummy")
    Sender.objects.create(provider=provider, name="Desk")
    result = run(PAIR, "Desk")
    assert (result.code, "no phones to pair" in result.problem) == (1, True)
    assert run(PAIR, "Nobody").code == 2


def test_against_the_sandbox(wh: Sender, sandbox: SandboxClient) -> None:
    sender = Sender.objects.create(
        provider=wh.provider, name="New phone", credentials={"token": WH_NEW_TOKEN}
    )
    first = run(PAIR, "New phone", "--timeout", "0")
    assert first.code == 1
    assert "█" in first.out
    sandbox.scan(WH_NEW_TOKEN)
    assert run(PAIR, "New phone").code == 0
    sender.refresh_from_db()
    assert sender.connection == "connected"


# The reader


def png(depth: int, colour: int, line: Any, *extra: bytes, lace: int = 0, scale: int = 3) -> bytes:
    """The code as a PNG of another kind: `line` makes a line's bytes from its dark modules."""
    code = [[False] * 2 + row + [False] * 2 for row in GRID]
    blank = [[False] * (MODULES + 4)] * 2
    rows = [[dark for dark in row for _x in range(scale)] for row in [*blank, *code, *blank]]
    lines = [
        line([*row], number) for number, row in enumerate(r for r in rows for _y in range(scale))
    ]
    side = (MODULES + 4) * scale
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, lace)
    body = zlib.compress(b"".join(lines))
    chunks = [(b"IHDR", header), *([(b"PLTE", extra[0])] if extra else [])]
    chunks += [(b"tRNS", extra[1])] if len(extra) > 1 else []
    chunks += [(b"IDAT", body[:50]), (b"IDAT", body[50:]), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


GRID = qr.find_code(qr.read_png(CODE))


def plain(dark: bytes, light: bytes) -> Any:
    return lambda row, _number: b"\0" + b"".join(dark if cell else light for cell in row)


def bits(row: list[bool], _number: int) -> bytes:
    """One bit a pixel, 1 for dark: a palette's index."""
    padded = row + [False] * (-len(row) % 8)
    packed = [
        sum(cell << (7 - place) for place, cell in enumerate(padded[at : at + 8]))
        for at in range(0, len(padded), 8)
    ]
    return b"\0" + bytes(packed)


def filtered(row: list[bool], number: int) -> bytes:
    """RGB with every filter in turn; each line begins from one that is the same or another."""
    step, kind = 3, number % 5
    raw = b"".join(b"\x00\x00\x00" if cell else b"\xff\xff\xff" for cell in row)
    before, MEMORY[0] = (MEMORY[0] if number else bytes(len(raw))), raw
    out = bytearray()
    for at, value in enumerate(raw):
        left = raw[at - step] if at >= step else 0
        above = before[at]
        corner = before[at - step] if at >= step else 0
        guess = qr._GUESSES[kind](left, above, corner) if kind else 0
        out.append((value - guess) & 0xFF)
    return bytes([kind]) + bytes(out)


MEMORY = [b""]


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(lambda: png(8, 0, plain(b"\x10", b"\xf0")), id="grey"),
        pytest.param(lambda: png(8, 2, plain(b"\x20\0\x40", b"\xff\xff\xee")), id="rgb"),
        pytest.param(lambda: png(8, 2, filtered), id="every filter"),
        pytest.param(lambda: png(1, 3, bits, b"\xff\xff\xff\0\0\0"), id="palette of bits"),
        pytest.param(
            lambda: png(8, 3, plain(b"\1", b"\0"), b"\0\0\0\0\0\0", b"\0\xff"), id="see-through"
        ),
        pytest.param(lambda: png(8, 4, plain(b"\0\xff", b"\0\0")), id="grey and alpha"),
        pytest.param(lambda: png(8, 6, plain(b"\0\0\0\xff", b"\xff\xff\xff\xff")), id="rgba"),
        pytest.param(lambda: png(8, 0, plain(b"\0", b"\xff"), scale=1), id="a pixel a module"),
        pytest.param(lambda: png(8, 0, plain(b"\0", b"\xff"), scale=11), id="large"),
    ],
)
def test_pictures_that_are_read(picture: Any) -> None:
    assert qr.find_code(qr.read_png(picture())) == GRID


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        CODE[:60],
        CODE[:30] + b"\xff" * 200,
        png(8, 0, plain(b"\0", b"\xff"), lace=1),
        png(16, 0, plain(b"\0\0", b"\xff\xff")),
        png(8, 3, plain(b"\7", b"\0"), b"\xff\xff\xff\0\0\0"),
        png(8, 0, plain(b"\xff", b"\xff")),
        png(8, 0, plain(b"\0", b"\0")),
        png(8, 0, lambda row, _number: b"\x09" + b"\0" * len(row)),
    ],
)
def test_pictures_that_are_none(data: bytes) -> None:
    with pytest.raises(qr.NoCode):
        qr.find_code(qr.read_png(data))


def test_a_bomb_is_not_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + b"\0\0\0\0"
    with pytest.raises(qr.NoCode, match="too large"):
        qr.read_png(data)


@pytest.mark.parametrize("size", [21, 25, 57, 177])
def test_every_size_is_recognised(size: int) -> None:
    grid = [[(x * 7 + y * 13) % 3 == 0 for x in range(size)] for y in range(size)]
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        for y, x in itertools.product(range(7), repeat=2):
            grid[top + y][left + x] = min(x, y, 6 - x, 6 - y) != 1
    # The finders' own border is light.
    for n in range(8):
        for y, x in ((7, n), (n, 7), (7, size - 1 - n), (n, size - 8), (size - 8, n)):
            grid[y][x] = False
        grid[size - 1 - n][7] = False
    scaled = [[cell for cell in row for _x in range(4)] for row in grid for _y in range(4)]
    assert qr.find_code(scaled) == grid


def test_the_drawing() -> None:
    small = [[True, False], [False, True]]
    assert qr.draw(small, colours=False) == ["██████", "██▄▀██", "██████"]
    dark = qr.draw(GRID, colours=True)
    assert all(line.startswith("\x1b[38;5;16m\x1b[48;5;231m") for line in dark)
    assert all(line.endswith("\x1b[0m") for line in dark)
    bare = qr.draw(GRID, colours=False)
    assert {len(line) for line in bare} == {qr.width_of(GRID)}
    assert len(bare) == (qr.width_of(GRID) + 1) // 2
    # A quiet zone of light above: drawn where light is drawn.
    assert set(bare[0]) == {"█"}
