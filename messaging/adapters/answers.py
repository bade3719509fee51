"""What a call brings back, and how it is judged where the adapter itself has nothing to say.

Everything here is reached through `http`, which makes the calls.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from ..errors import ErrorClass, Failure, MessagingError, Scope, Verdict
from ..i18n import gettext as _
from .base import CallRecord

MASK: Final = "***"
_DEPTH: Final = 60
#: Bounds of a delay a gateway may ask for, in seconds.
_SHORTEST_DELAY, _LONGEST_DELAY = 1.0, 3600.0


class _NotJson:
    """Stands for the data of an answer that is not JSON. False in conditions."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "NOT_JSON"


NOT_JSON: Final = _NotJson()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `data` is the parsed JSON, or NOT_JSON; databases can store it as it is.

    `headers` looks names up in any letter case. `call` is the redacted record.
    """

    status: int
    # Not for error pages, which show every value: gateways quote tokens.
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    data: Any = field(repr=False)
    call: CallRecord


class TransportError(MessagingError):
    """No usable answer came. `failure` says what that proves, `call` is the redacted record."""

    def __init__(self, failure: Failure, call: CallRecord) -> None:
        self.failure = failure
        self.call = call
        super().__init__(failure.text)


# --- Failures of the way there and back ---------------------------------------------------------


def never_left(code: str, text: str) -> Failure:
    """Not a byte was written: the message may simply be tried again."""
    return Failure(
        verdict=Verdict.NEVER_LEFT,
        error_class=ErrorClass.TRANSIENT,
        code=code,
        text=text,
        retry=True,
    )


def misconfigured(code: str, text: str) -> Failure:
    """Our own rules forbid the call; it stays forbidden until somebody changes the set-up."""
    return Failure(
        verdict=Verdict.NEVER_LEFT,
        error_class=ErrorClass.CONFIGURATION,
        code=code,
        text=text,
        scope=Scope.LANE,
    )


def unknown(code: str, text: str) -> Failure:
    """Nobody can know whether the gateway took the message."""
    return Failure(
        verdict=Verdict.MAYBE_SENT, error_class=ErrorClass.AMBIGUOUS, code=code, text=text
    )


# --- Answers no adapter recognised --------------------------------------------------------------


def send_failure(answer: Answer) -> Failure:
    """What an answer to a send means when its body says nothing the adapter knows.

    Only what HTTP itself makes definite is taken for a refusal; the rest may have been sent.
    """
    status, code = answer.status, str(answer.status)
    if 300 <= status < 400:
        text = _("The gateway points to another address (HTTP %(status)s).")
        error_class, scope = ErrorClass.CONFIGURATION, Scope.LANE
    elif status == 401:
        text = _("The gateway does not accept the credentials (HTTP %(status)s).")
        error_class, scope = ErrorClass.AUTHENTICATION, Scope.LANE
    elif status == 429:
        text = _("The gateway asks us to slow down (HTTP %(status)s).")
        error_class, scope = ErrorClass.RATE_LIMIT, Scope.LANE
    elif 400 <= status < 500 and status != 408:
        text = _("The gateway refused the call (HTTP %(status)s).")
        error_class, scope = ErrorClass.UNKNOWN_REJECTION, Scope.MESSAGE
    else:
        text = _("The gateway's answer does not say what became of it (HTTP %(status)s).")
        return unknown(code, text % {"status": status})
    limited = error_class is ErrorClass.RATE_LIMIT
    return Failure(
        verdict=Verdict.REFUSED,
        error_class=error_class,
        code=code,
        text=text % {"status": status},
        scope=scope,
        retry=limited,
        retry_after=_retry_after(answer.headers) if limited else None,
    )


def read_failure(trouble: Answer | TransportError) -> Failure:
    """What a failed call means that only reads: no message is in doubt, so it may be repeated."""
    failure = trouble.failure if isinstance(trouble, TransportError) else send_failure(trouble)
    if failure.error_class is ErrorClass.AMBIGUOUS:
        return replace(
            failure, verdict=Verdict.REFUSED, error_class=ErrorClass.TRANSIENT, retry=True
        )
    return failure


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the gateway asks us to wait: a number, or a date told by its clock."""
    value = (headers.get("Retry-After") or "").strip()
    if not value:
        return None
    try:
        delay = float(value) if value.isdecimal() else _until(value, headers.get("Date"))
    except (ValueError, OverflowError):
        return None
    return min(max(delay, _SHORTEST_DELAY), _LONGEST_DELAY)


def _until(moment: str, now: str | None) -> float:
    start = parsedate_to_datetime(now) if now else datetime.now(UTC)
    end = parsedate_to_datetime(moment)
    return (_aware(end) - _aware(start)).total_seconds()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# --- JSON ---------------------------------------------------------------------------------------


def _no_constant(name: str) -> None:
    """NaN and Infinity are no JSON, and no database column takes them."""


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
# What JSON can write and a database cannot store: NUL, lone surrogates, numbers beyond floats.
_UNSTORABLE = re.compile(rb"\\u0000|\\u[dD][89a-fA-F]|[eE]\+?[0-9]{3}|[0-9]{300}")
_BAD_CHARACTERS = re.compile("[\x00\ud800-\udfff]")


def parse(body: bytes) -> Any:
    """The JSON in a body, storable, or NOT_JSON. Never raises."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("utf-8", "replace")
    try:
        data = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return NOT_JSON
    return _copy(data, _storable, frozenset()) if _UNSTORABLE.search(body) else data


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _BAD_CHARACTERS.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def redact_json(data: Any, keys: Iterable[str], values: Iterable[str] = ()) -> Any:
    """A copy of the data with everything under `keys` (any letter case) masked, at any depth.

    `values` are secrets that may not stand inside any other text either.
    """
    secrets = [value for value in values if value]

    def leaf(value: Any) -> Any:
        if isinstance(value, str):
            for secret in secrets:
                value = value.replace(secret, MASK)
        return value

    return _copy(data, leaf, frozenset(key.lower() for key in keys))


def _copy(data: Any, leaf: Callable[[Any], Any], masked: frozenset[str], depth: int = 0) -> Any:
    """The data with each text and number passed through `leaf`; no deeper than we can follow."""
    if isinstance(data, dict | list | tuple) and depth >= _DEPTH:
        return MASK
    if isinstance(data, dict):
        return {
            leaf(key): (
                MASK
                if value and str(key).lower() in masked
                else _copy(value, leaf, masked, depth + 1)
            )
            for key, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [_copy(item, leaf, masked, depth + 1) for item in data]
    return leaf(data)
