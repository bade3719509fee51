"""A QR code from the PNG a gateway gave, drawn in a terminal.

Only what is needed for that: black-and-white pictures of a code, grey, RGB or with a palette. The
file comes from a stranger, so its sizes are limited before anything is unpacked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ..i18n import gettext as _

Grid = list[list[bool]]

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS: Final = 2_000
_HALF: Final = 128

#: Samples of one pixel by PNG's colour types: grey, RGB, palette, grey + alpha, RGB + alpha.
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_GREY, _RGB, _PALETTE, _ALPHA = 0, 2, 3, 4

#: The smallest code, the largest, and what each size has more than the one before.
_SMALLEST: Final = 21
_LARGEST: Final = 177
_STEP: Final = 4
_FINDER: Final = 7

#: Light modules around the code: phones need some, terminals are small.
_QUIET: Final = 2

#: Black on white whatever the terminal's colours are.
_COLOURS: Final = "\x1b[38;5;16m\x1b[48;5;231m"
_RESET: Final = "\x1b[0m"


class NoCode(Exception):
    """The picture is none this module can read."""


# The picture


def read_png(data: bytes) -> Grid:
    """The picture's pixels, True where dark. Raises NoCode."""
    if not data.startswith(_SIGNATURE):
        raise NoCode(_("The picture is no PNG file."))
    try:
        chunks = list(_chunks(data))
        kind, header = chunks[0]
        if kind != b"IHDR":
            raise NoCode(_("The picture is damaged."))
        picture = _Picture(*struct.unpack(">IIBBBBB", header))
        return picture.pixels(chunks)
    except (struct.error, zlib.error, IndexError):
        raise NoCode(_("The picture is damaged.")) from None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if len(body) < length or at + 12 + length > len(data):
            break
        yield kind, body
        at += 12 + length


class _Picture:
    """A PNG's header, and the way from its bytes to pixels."""

    def __init__(
        self,
        width: int,
        height: int,
        depth: int,
        colour: int,
        packing: int,
        filters: int,
        lace: int,
    ) -> None:
        if lace:
            raise NoCode(_("Interlaced pictures are not read."))
        whole = colour in _CHANNELS and (depth == 8 or (depth in (1, 2, 4) and colour in (0, 3)))
        if packing or filters or not whole:
            raise NoCode(_("Pictures of this kind are not read."))
        if not (0 < width <= _MOST_PIXELS and 0 < height <= _MOST_PIXELS):
            raise NoCode(_("The picture is too large for a code."))
        self.width, self.height, self.depth, self.colour = width, height, depth, colour
        bits = depth * _CHANNELS[colour]
        self.line = (width * bits + 7) // 8
        self.step = max(1, bits // 8)
        self.palette: list[int] = []

    def pixels(self, chunks: Sequence[tuple[bytes, bytes]]) -> Grid:
        parts = dict(chunks)
        if self.colour == _PALETTE:
            self.palette = _palette(parts.get(b"PLTE", b""), parts.get(b"tRNS", b""))
        packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
        size = self.height * (self.line + 1)
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(packed, size)
        if len(raw) < size:
            raise NoCode(_("The picture is damaged."))
        return [[light < _HALF for light in self._lights(line)] for line in self._lines(raw)]

    def _lines(self, raw: bytes) -> Iterator[bytearray]:
        """The lines with their filters undone."""
        before = bytearray(self.line)
        for start in range(0, len(raw), self.line + 1):
            line = bytearray(raw[start + 1 : start + 1 + self.line])
            _unfilter(raw[start], line, before, self.step)
            yield line
            before = line

    def _lights(self, line: bytearray) -> Iterator[int]:
        """How light each pixel is, 0 to 255; what is transparent lies on white."""
        samples = self._samples(line)
        if self.colour == _PALETTE:
            # An index beyond the palette ends in IndexError: the picture is damaged.
            yield from (self.palette[sample] for sample in samples)
        elif self.colour == _GREY:
            full = (1 << self.depth) - 1
            yield from (sample * 255 // full for sample in samples)
        else:
            count = _CHANNELS[self.colour]
            for at in range(0, self.width * count, count):
                pixel = samples[at : at + count]
                light = pixel[0] if self.colour == _ALPHA else _light(*pixel[:3])
                yield light if self.colour == _RGB else _on_white(light, pixel[-1])

    def _samples(self, line: bytearray) -> Sequence[int]:
        if self.depth == 8:
            return line
        each = 8 // self.depth
        mask = (1 << self.depth) - 1
        shifts = [8 - self.depth * (place + 1) for place in range(each)]
        return [line[x // each] >> shifts[x % each] & mask for x in range(self.width)]


def _palette(colours: bytes, alphas: bytes) -> list[int]:
    lights = [_light(*colours[at : at + 3]) for at in range(0, len(colours) // 3 * 3, 3)]
    padded = alphas + b"\xff" * len(lights)
    return [_on_white(light, alpha) for light, alpha in zip(lights, padded, strict=False)]


def _light(red: int, green: int, blue: int) -> int:
    return (red * 299 + green * 587 + blue * 114) // 1000


def _on_white(light: int, alpha: int) -> int:
    return (light * alpha + 255 * (255 - alpha)) // 255


def _unfilter(kind: int, line: bytearray, before: bytearray, step: int) -> None:
    """Undo a line's filter in place. `step` is how far back the pixel beside it begins."""
    guess = _GUESSES.get(kind)
    if guess is None:
        if kind:
            raise NoCode(_("The picture is damaged."))
        return
    for at, value in enumerate(line):
        left = line[at - step] if at >= step else 0
        corner = before[at - step] if at >= step else 0
        line[at] = (value + guess(left, before[at], corner)) & 0xFF


def _paeth(left: int, above: int, corner: int) -> int:
    target = left + above - corner
    return min(
        ((abs(target - left), 0, left), (abs(target - above), 1, above),
         (abs(target - corner), 2, corner))
    )[2]  # fmt: skip


_GUESSES: Final[dict[int, Callable[[int, int, int], int]]] = {
    1: lambda left, _above, _corner: left,
    2: lambda _left, above, _corner: above,
    3: lambda left, above, _corner: (left + above) // 2,
    4: _paeth,
}


# The code


def find_code(pixels: Grid) -> Grid:
    """The modules of the code in a picture, True where dark. Raises NoCode."""
    box = _trimmed(pixels)
    side = len(box)
    if not side or abs(len(box[0]) - side) > side // 10:
        raise NoCode(_("There is no code in the picture."))
    run = next((x for x, dark in enumerate(box[0]) if not dark), side)
    # The corner's finder is seven modules wide; sizes are 21, 25, 29 …
    guess = side * _FINDER / run
    count = _SMALLEST + _STEP * round((guess - _SMALLEST) / _STEP)
    if not (_SMALLEST <= count <= _LARGEST) or side < count:
        raise NoCode(_("There is no code in the picture."))
    height, width = side / count, len(box[0]) / count
    middles = [(n + 0.5) for n in range(count)]
    grid = [[box[int(y * height)][int(x * width)] for x in middles] for y in middles]
    if not all(_is_finder(grid, top, left) for top, left in _corners(count)):
        raise NoCode(_("There is no code in the picture."))
    return grid


def _trimmed(pixels: Grid) -> Grid:
    """Without the light border."""
    rows = [y for y, line in enumerate(pixels) if any(line)]
    if not rows:
        return []
    lines = pixels[rows[0] : rows[-1] + 1]
    columns = [x for x in range(len(lines[0])) if any(line[x] for line in lines)]
    return [line[columns[0] : columns[-1] + 1] for line in lines]


def _corners(count: int) -> tuple[tuple[int, int], ...]:
    far = count - _FINDER
    return ((0, 0), (0, far), (far, 0))


def _is_finder(grid: Grid, top: int, left: int) -> bool:
    """A square in a square: all but the second ring are dark."""
    return all(
        grid[top + y][left + x] == (min(x, y, 6 - x, 6 - y) != 1)
        for y in range(_FINDER)
        for x in range(_FINDER)
    )


# On a terminal


def draw(grid: Grid, *, colours: bool = True) -> list[str]:
    """The code as lines of half blocks, two rows of modules in each.

    Without colours the light modules are drawn, for terminals with a dark background.
    """
    light = [False] * (len(grid) + 2 * _QUIET)
    rows = [light] * _QUIET
    rows += [[False] * _QUIET + line + [False] * _QUIET for line in grid]
    rows += [light] * _QUIET
    if len(rows) % 2:
        rows.append(light)
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        cells = zip(upper, lower, strict=True)
        line = "".join(_cell(top == colours, bottom == colours) for top, bottom in cells)
        lines.append(f"{_COLOURS}{line}{_RESET}" if colours else line)
    return lines


def width_of(grid: Grid) -> int:
    """The columns a drawing of this code takes."""
    return len(grid) + 2 * _QUIET


def _cell(top: bool, bottom: bool) -> str:
    if top:
        return "█" if bottom else "▀"
    return "▄" if bottom else " "
