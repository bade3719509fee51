"""Reading gateways' times: one tolerant parser for every form their documents show.

2026-03-01T14:36:16.546+05:30     RFC 3339, any number of fraction digits, Z
2026-03-01T09:15:00-00:00         W3CDTF as IntelliSoftware writes UTC
2027-05-04 22:29:59 +0530 IST     as `checkBal` writes the expiry date
2026-03-01 09:15:00               without a zone: the caller says which
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_TIME: Final = re.compile(
    r"""\s*(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)
    (?:[Tt\ ]\s*(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?
    \s*(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?
    (?:\s+(?P<name>[A-Za-z+-].*))?\s*""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)

_PLAIN: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
).fullmatch

#: Programs write "never" as the first moment of their calendar, which overflows when converted.
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9999


def parse_time(value: object, zone: tzinfo = UTC) -> datetime | None:
    """The moment in UTC; None for "never" and for anything that is not a time.

    `zone` is that of times that name none. A zone's name behind an offset is ignored.
    """
    if not isinstance(value, str):
        return None
    # Nearly all times of a long report have this form, which Python reads several times as fast.
    if _PLAIN(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return moment.astimezone(UTC) if _FIRST_YEAR <= moment.year < _LAST_YEAR else None
    match = _TIME.fullmatch(value)
    if match is None or int(match["year"]) < _FIRST_YEAR:
        return None
    try:
        moment = datetime(
            int(match["year"]),
            int(match["month"]),
            int(match["day"]),
            int(match["hour"] or 0),
            int(match["minute"] or 0),
            min(int(match["second"] or 0), 59),  # leap seconds
            int((match["fraction"] or "").ljust(6, "0")[:6]),
            tzinfo=_zone(match["zone"], match["name"], zone),
        )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # an impossible name, and an unknown one
        return UTC


def _zone(offset: str | None, name: str | None, default: tzinfo) -> tzinfo:
    if offset is None:
        return UTC if (name or "").strip() in ("UTC", "GMT") else default
    if offset in "Zz":
        return UTC
    digits = offset[1:].replace(":", "").ljust(4, "0")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-span if offset.startswith("-") else span)
