"""Every form of time the documents show, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from messaging.adapters.times import parse_time, zone_of

INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2022-06-25T14:36:16.546+05:30", datetime(2022, 6, 25, 9, 6, 16, 546_000, UTC)),
        ("2022-06-24T13:04:25+05:30", datetime(2022, 6, 24, 7, 34, 25, 0, UTC)),
        ("2022-06-24T13:04:25.123456789Z", datetime(2022, 6, 24, 13, 4, 25, 123_456, UTC)),
        ("2022-06-24t13:04:25,5z", datetime(2022, 6, 24, 13, 4, 25, 500_000, UTC)),
        ("2023-05-04 22:29:59 +0530 IST", datetime(2023, 5, 4, 16, 59, 59, 0, UTC)),
        ("2023-05-04 22:29:59.5 +0530 +0530", datetime(2023, 5, 4, 16, 59, 59, 500_000, UTC)),
        ("2023-05-04 22:29:59 +0530 IST m=+0.01", datetime(2023, 5, 4, 16, 59, 59, 0, UTC)),
        ("2026-03-01T09:15:00-00:00", datetime(2026, 3, 1, 9, 15, tzinfo=UTC)),
        ("2026-03-01T10:15:30+01:00", datetime(2026, 3, 1, 9, 15, 30, 0, UTC)),
        ("2026-03-01T10:15:30-03", datetime(2026, 3, 1, 13, 15, 30, 0, UTC)),
        ("2026-03-01 09:15:00", datetime(2026, 3, 1, 3, 45, tzinfo=UTC)),
        ("2026-03-01 09:15", datetime(2026, 3, 1, 3, 45, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 2, 28, 18, 30, tzinfo=UTC)),
        ("2026-03-01 09:15:00 UTC", datetime(2026, 3, 1, 9, 15, tzinfo=UTC)),
        (" 2016-12-31T23:59:60Z ", datetime(2016, 12, 31, 23, 59, 59, 0, UTC)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    parsed = parse_time(text, INDIA)
    assert parsed == moment
    assert parsed is not None
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:30",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        "2026-02-30T00:00:00Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01T10:00:00+99:00",
        "01-03-2026",
        "2026-03-01T1",
        "२०२६-03-01T10:00:00Z",
        "soon",
        "",
        None,
        0,
        1_700_000_000,
        {},
    ],
)
def test_no_times(value: object) -> None:
    assert parse_time(value) is None


def test_zones() -> None:
    assert str(zone_of("Asia/Kolkata")) == "Asia/Kolkata"
    for name in ("", "Nowhere/Land", "../etc/passwd", "/etc/passwd", "Asia", "\x00"):
        assert zone_of(name) is UTC
