"""Everything this package raises.

MessagingError
├── ConfigurationError        a setting is missing or unsafe
│   └── DecryptionError       stored credentials cannot be read with the configured keys
├── Refused                   a message was not queued; `str()` is a sentence for a clerk
│   ├── InvalidAddress        no such phone number, or not one this sender can write to
│   ├── InvalidContent        the content breaks a rule
│   │   └── NotSupported      the gateway cannot send this kind of content
│   ├── NoSender              nothing to send from
│   ├── WindowClosed          only an approved template may leave now
│   ├── OptedOut              this person asked not to be written to
│   ├── TemplateNotApproved   the template may not be used (yet)
│   ├── KeyConflict           the idempotency key was used for another message
│   └── NotPossible           the message's state does not allow this step
└── GatewayError              a call that only reads failed (`failure` says how)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ErrorClass(StrEnum):
    """Why a message did not go out, in the words every gateway's codes are read into."""

    AUTHENTICATION = "authentication"
    CONFIGURATION = "configuration"
    QUOTA = "quota"
    RATE_LIMIT = "rate_limit"
    INVALID_RECIPIENT = "invalid_recipient"
    INVALID_CONTENT = "invalid_content"
    TEMPLATE = "template"
    WINDOW_CLOSED = "window_closed"
    MEDIA = "media"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    UNKNOWN_REJECTION = "unknown_rejection"
    OPTED_OUT = "opted_out"
    INTERNAL = "internal"


class Verdict(StrEnum):
    """What a failed call proves about the message it carried."""

    NEVER_LEFT = "never_left"
    """No byte of the request was written: sending again is safe."""
    REFUSED = "refused"
    """The gateway said, in documented words, that it did not take the message."""
    MAYBE_SENT = "maybe_sent"
    """Nothing is proven. The message becomes `unknown`; it is never repeated by itself."""


class Scope(StrEnum):
    """Whom a failure concerns."""

    MESSAGE = "message"
    LANE = "lane"
    """Every message signed with these credentials: the lane pauses, its messages stay queued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a call failed.

    `code` and `text` are the gateway's own, redacted. `retry` is True where the message may be
    tried again by itself (only ever with `never_left` or `refused`). `retry_after` is in seconds,
    where the gateway names a delay. `until` is "day" or "month" where the cause ends with the
    gateway's day or month.
    """

    verdict: Verdict
    error_class: ErrorClass
    code: str = ""
    text: str = ""
    scope: Scope = Scope.MESSAGE
    retry: bool = False
    retry_after: float | None = None
    until: str = ""


class MessagingError(Exception):
    """Base of everything this package raises."""


class ConfigurationError(MessagingError):
    """A setting is missing, wrong or unsafe."""


class DecryptionError(ConfigurationError):
    """Stored credentials cannot be read with the configured encryption keys."""


class Refused(MessagingError):
    """A message was not queued. The text is a sentence a clerk understands; nothing was stored."""

    error_class: ErrorClass = ErrorClass.INVALID_CONTENT


class InvalidAddress(Refused):
    error_class = ErrorClass.INVALID_RECIPIENT


class InvalidContent(Refused):
    error_class = ErrorClass.INVALID_CONTENT


class NotSupported(InvalidContent):
    """The gateway has no way to send this kind of content."""


class NoSender(Refused):
    error_class = ErrorClass.CONFIGURATION


class WindowClosed(Refused):
    error_class = ErrorClass.WINDOW_CLOSED


class OptedOut(Refused):
    error_class = ErrorClass.OPTED_OUT


class TemplateNotApproved(Refused):
    error_class = ErrorClass.TEMPLATE


class KeyConflict(Refused):
    """The idempotency key already belongs to a message with other content or another address."""


class NotPossible(Refused):
    """The message is in a state that does not allow this step."""


class GatewayError(MessagingError):
    """A call that only reads (balance, report, QR) failed; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.text or failure.error_class.value)
