"""What an answer means that no adapter recognised, and what may be kept of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from messaging.adapters.base import CallRecord
from messaging.adapters.http import (
    MASK,
    NOT_JSON,
    Answer,
    TransportError,
    read_failure,
    redact_json,
    send_failure,
)
from messaging.errors import ErrorClass, Failure, Scope, Verdict

CALL = CallRecord(operation="x", method="POST", url="")


def answer(status: int, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status=status, headers=headers or {}, body=b"", data=NOT_JSON, call=CALL)


REFUSED = [
    (301, ErrorClass.CONFIGURATION, Scope.LANE),
    (302, ErrorClass.CONFIGURATION, Scope.LANE),
    (307, ErrorClass.CONFIGURATION, Scope.LANE),
    (401, ErrorClass.AUTHENTICATION, Scope.LANE),
    (400, ErrorClass.UNKNOWN_REJECTION, Scope.MESSAGE),
    (403, ErrorClass.UNKNOWN_REJECTION, Scope.MESSAGE),
    (404, ErrorClass.UNKNOWN_REJECTION, Scope.MESSAGE),
    (422, ErrorClass.UNKNOWN_REJECTION, Scope.MESSAGE),
]


@pytest.mark.parametrize(("status", "error_class", "scope"), REFUSED)
def test_refused(status: int, error_class: ErrorClass, scope: Scope) -> None:
    for judge in (send_failure, read_failure):
        failure = judge(answer(status))
        assert (failure.verdict, failure.error_class) == (Verdict.REFUSED, error_class)
        assert (failure.scope, failure.retry, failure.code) == (scope, False, str(status))
        assert str(status) in failure.text


@pytest.mark.parametrize("status", [200, 204, 102, 408, 500, 501, 502, 503, 504, 520, 600])
def test_ambiguous(status: int) -> None:
    failure = send_failure(answer(status))
    assert (failure.verdict, failure.error_class) == (Verdict.MAYBE_SENT, ErrorClass.AMBIGUOUS)
    assert not failure.retry
    reading = read_failure(answer(status))
    assert (reading.error_class, reading.retry) == (ErrorClass.TRANSIENT, True)
    assert reading.verdict is not Verdict.MAYBE_SENT


IN_TEN_MINUTES = format_datetime(datetime.now(UTC) + timedelta(seconds=601), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({}, None, None),
        ({"Retry-After": "30"}, 30, 30),
        ({"Retry-After": " 0 "}, 1, 1),
        ({"Retry-After": "99999999999"}, 3600, 3600),
        ({"Retry-After": IN_TEN_MINUTES}, 200, 601),
        (
            {
                "Retry-After": "Sun, 06 Nov 1994 08:49:47 GMT",
                "Date": "Sun, 06 Nov 1994 08:49:37 GMT",
            },
            10,
            10,
        ),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}, 1, 1),
        ({"Retry-After": "soon"}, None, None),
        ({"Retry-After": "-5"}, None, None),
        ({"Retry-After": "1.5e9"}, None, None),
        ({"Retry-After": "Sun, 99 Nov 9999 99:99:99 GMT"}, None, None),
    ],
)
def test_slow_down(headers: dict[str, str], least: float | None, most: float | None) -> None:
    failure = send_failure(answer(429, headers))
    assert (failure.verdict, failure.error_class) == (Verdict.REFUSED, ErrorClass.RATE_LIMIT)
    assert (failure.scope, failure.retry) == (Scope.LANE, True)
    if least is None or most is None:
        assert failure.retry_after is None
    else:
        assert failure.retry_after is not None
        assert least <= failure.retry_after <= most


def test_read_failure_of_a_broken_call() -> None:
    lost = Failure(verdict=Verdict.MAYBE_SENT, error_class=ErrorClass.AMBIGUOUS, code="reset")
    failure = read_failure(TransportError(lost, CALL))
    assert (failure.error_class, failure.retry, failure.code) == (
        ErrorClass.TRANSIENT,
        True,
        "reset",
    )
    blocked = Failure(verdict=Verdict.NEVER_LEFT, error_class=ErrorClass.CONFIGURATION)
    assert read_failure(TransportError(blocked, CALL)) is blocked


def deep(levels: int) -> Any:
    data: Any = "end"
    for _ in range(levels):
        data = [data]
    return data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"Token": "a", "other": "b"}, {"Token": MASK, "other": "b"}),
        ({"x": {"TOKEN": ["a"], "phone": ["1"]}}, {"x": {"TOKEN": MASK, "phone": ["1"]}}),
        ([{"token": {"deep": 1}}], [{"token": MASK}]),
        ({"token": "", "x": {"token": None}}, {"token": "", "x": {"token": None}}),
        ({"a": "s3cret1, s3cret1!", "s3cret1": 1}, {"a": f"{MASK}, {MASK}!", MASK: 1}),
        ("s3cret1", MASK),
        (None, None),
        (5, 5),
    ],
)  # fmt: skip
def test_redact_json(data: Any, expected: Any) -> None:
    before = repr(data)
    assert redact_json(data, ["tokeN"], ["s3cret1", ""]) == expected
    assert repr(data) == before


def test_redact_json_has_a_floor() -> None:
    assert redact_json(deep(50), []) == deep(50)
    assert "end" not in repr(redact_json(deep(900), []))
