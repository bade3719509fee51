"""Meta's and Twilio's codes, ids and secrets as adapters read them."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.adapters.base import Account
from messaging.adapters.gateway_codes import class_of, message_id, refusal, secrets, unclear
from messaging.errors import ErrorClass, Scope, Verdict

CODES = [
    (ErrorClass.AUTHENTICATION, [0, 10, 190, 200, 250, 299]),
    (ErrorClass.RATE_LIMIT, [4, 80007, 130429, 131048, 131056, 63018]),
    (ErrorClass.CONFIGURATION, [368, 131031, 130497]),
    (ErrorClass.QUOTA, [131042]),
    (ErrorClass.WINDOW_CLOSED, [131047, 63016]),
    (ErrorClass.INVALID_RECIPIENT, [131026, 131021, 131049, 131050, 130472, 63024]),
    (ErrorClass.INVALID_CONTENT, [100, 131008, 131009, 131051]),
    (ErrorClass.MEDIA, [131052, 131053]),
    (ErrorClass.TEMPLATE, [132000, 132001, 132005, 132007, 132012, 132015, 132016]),
    (ErrorClass.TRANSIENT, [1, 2, 131000, 131016, 131057]),
    (ErrorClass.UNKNOWN_REJECTION, [3, 199, 300, 63000, 999_999_999]),
]


@pytest.mark.parametrize(
    ("code", "error_class"), [(code, error_class) for error_class, codes in CODES for code in codes]
)
def test_class_of(code: int, error_class: ErrorClass) -> None:
    assert class_of(code) is error_class


@pytest.mark.parametrize("error_class", ErrorClass)
def test_refusal(error_class: ErrorClass) -> None:
    """Whole-account trouble pauses the lane; only what can pass by itself is tried again."""
    failure = refusal(error_class, "c" * 99, "t" * 9999)
    assert failure.verdict is Verdict.REFUSED
    lane = {"authentication", "configuration", "quota", "rate_limit"}
    assert (failure.scope is Scope.LANE) == (error_class.value in lane)
    assert failure.retry == (error_class.value in {"quota", "rate_limit", "transient"})
    assert (len(failure.code), len(failure.text)) == (50, 1000)


def test_unclear_is_never_repeated() -> None:
    failure = unclear("Words.", "7")
    assert (failure.verdict, failure.retry) == (Verdict.MAYBE_SENT, False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a1", "a1"),
        (" a1 ", "a1"),
        (17, "17"),
        ("a" * 200, "a" * 200),
        ("a" * 201, ""),
        *((value, "") for value in ("", " ", None, 0, True, False, 1.5, [], ["a"], {"id": 1})),
    ],
)
def test_message_id(value: Any, expected: str) -> None:
    assert message_id(value) == expected


def test_short_values_are_no_secrets() -> None:
    account = Account(base_url="", credentials={"a": "12345", "b": "123456", "c": ""})
    assert secrets(account) == ["123456"]
