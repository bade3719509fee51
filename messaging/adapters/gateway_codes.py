"""What a gateway's "no" means: failures made from error classes, and Meta's and Twilio's codes.

Gateways built on Meta or Twilio pass their codes on. Published lists contradict each other on a
few, so an adapter keeps the raw code beside the class; a code that is not here is an
`unknown_rejection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..errors import ErrorClass, Failure, Scope, Verdict
from .base import Account, Outbound, SendOutcome, SendResult

CODE_LENGTH: Final = 50
WORDS_LENGTH: Final = 1000
ID_LENGTH: Final = 200
SHORTEST_SECRET: Final = 6

#: Classes that concern everything signed with the same credentials, not one message.
LANE_CLASSES: Final = frozenset(
    {
        ErrorClass.AUTHENTICATION,
        ErrorClass.CONFIGURATION,
        ErrorClass.QUOTA,
        ErrorClass.RATE_LIMIT,
    }
)
#: Classes whose cause can pass without anything being changed on our side.
PASSING_CLASSES: Final = frozenset({ErrorClass.QUOTA, ErrorClass.RATE_LIMIT, ErrorClass.TRANSIENT})

META: Final[Mapping[int, ErrorClass]] = MappingProxyType(
    dict.fromkeys((0, 10, 190, *range(200, 300)), ErrorClass.AUTHENTICATION)
    | dict.fromkeys((4, 80007, 130429, 131048, 131056), ErrorClass.RATE_LIMIT)
    | dict.fromkeys((368, 131031, 130497), ErrorClass.CONFIGURATION)
    | {131042: ErrorClass.QUOTA, 131047: ErrorClass.WINDOW_CLOSED}
    | dict.fromkeys((131026, 131021, 131049, 131050, 130472), ErrorClass.INVALID_RECIPIENT)
    | dict.fromkeys((100, 131008, 131009, 131051), ErrorClass.INVALID_CONTENT)
    | dict.fromkeys((131052, 131053), ErrorClass.MEDIA)
    | dict.fromkeys((132000, 132001, 132005, 132007, 132012, 132015, 132016), ErrorClass.TEMPLATE)
    | dict.fromkeys((1, 2, 131000, 131016, 131057), ErrorClass.TRANSIENT)
)

TWILIO: Final[Mapping[int, ErrorClass]] = MappingProxyType(
    {
        63016: ErrorClass.WINDOW_CLOSED,
        63018: ErrorClass.RATE_LIMIT,
        63024: ErrorClass.INVALID_RECIPIENT,
    }
)


def class_of(code: int) -> ErrorClass:
    """The class of a Twilio or Meta code; their ranges do not overlap."""
    return TWILIO.get(code) or META.get(code) or ErrorClass.UNKNOWN_REJECTION


def refusal(error_class: ErrorClass, code: str = "", text: str = "") -> Failure:
    """What a gateway's documented "no" means: nothing was taken.

    Scope and retry follow from the class; an adapter replaces them where its document differs.
    `code` and `text` are the gateway's own; they are cut to what a message's row has room for.
    """
    return Failure(
        verdict=Verdict.REFUSED,
        error_class=error_class,
        code=code[:CODE_LENGTH],
        text=text[:WORDS_LENGTH],
        scope=Scope.LANE if error_class in LANE_CLASSES else Scope.MESSAGE,
        retry=error_class in PASSING_CLASSES,
    )


def never_left(error_class: ErrorClass, text: str) -> Failure:
    """Why nothing was even tried, in our own words."""
    return Failure(verdict=Verdict.NEVER_LEFT, error_class=error_class, text=text)


def everyone(message: Outbound, failure: Failure) -> SendOutcome:
    """The same failure for every recipient, without a call."""
    return SendOutcome(results=(SendResult(failure=failure),) * len(message.recipients))


def message_id(value: object) -> str:
    """A gateway's id as text, or "" where this is none: a wrong type, empty, or beyond any id."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip() if value else ""
    return text if len(text) <= ID_LENGTH else ""


def unclear(text: str, code: str = "") -> Failure:
    """An answer that proves neither that the message was taken nor that it was not."""
    return Failure(
        verdict=Verdict.MAYBE_SENT,
        error_class=ErrorClass.AMBIGUOUS,
        code=code[:CODE_LENGTH],
        text=text[:WORDS_LENGTH],
    )


def secrets(account: Account) -> list[str]:
    """What an answer may not repeat into a record. Too short a value would mask ordinary words."""
    return [value for value in account.credentials.values() if len(value) >= SHORTEST_SECRET]
