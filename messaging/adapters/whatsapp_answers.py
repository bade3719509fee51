"""Answers of the WhatsApp HTTP API, read: codes, refusals, confirmations, connection.

The two digits at the beginning of `message` decide, whatever the HTTP status; the document gives
few statuses and uses some of them for other things than HTTP does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from ..errors import ErrorClass, Failure
from ..events import Status
from ..i18n import gettext as _
from .answers import parse
from .base import SendResult
from .gateway_codes import message_id, refusal, unclear
from .http import MASK, Answer, read_failure, redact_json
from .whatsapp_rows import lower_keys

SUCCESS: Final = "00"
#: No refusal: a report without rows.
NO_DATA: Final = "14"
QR_FAILED: Final = "15"

#: What the codes of section 9 mean for a message. 04 has two meanings and is decided by asking.
CODES: Final[Mapping[str, ErrorClass]] = MappingProxyType(
    {
        "01": ErrorClass.AUTHENTICATION,
        "02": ErrorClass.AUTHENTICATION,
        "03": ErrorClass.CONFIGURATION,
        "04": ErrorClass.CONFIGURATION,
        "05": ErrorClass.QUOTA,
        "06": ErrorClass.QUOTA,
        "07": ErrorClass.QUOTA,
        "08": ErrorClass.MEDIA,
        "09": ErrorClass.MEDIA,
        "10": ErrorClass.MEDIA,
        "11": ErrorClass.MEDIA,
        "12": ErrorClass.INVALID_CONTENT,
        "13": ErrorClass.INVALID_CONTENT,
    }
)
#: The answer to any call may hold these. The address of the webhook holds our own secret.
SECRET_KEYS: Final = frozenset(
    {"token", "instanceid", "clientid", "creditid", "creditreadid", "webhook", "webhookurl"}
)
#: Saving and downloading a file may succeed the next time.
_PASSING: Final = frozenset({"08", "10"})
_CODE: Final = re.compile(r"\s*(\d{2})\s*-")
_ESCAPE: Final = re.compile(rb'\\(u[0-9A-Fa-f]{4}|["\\/bfnrt]|)', re.DOTALL)
_CONTROL: Final = re.compile(rb"[\x00-\x1f]")


def code_of(body: Mapping[str, Any]) -> str:
    """The two digits `message` begins with, or ""."""
    message = body.get("message")
    match = _CODE.match(message) if isinstance(message, str) else None
    return match[1] if match else ""


def word_of(body: Mapping[str, Any]) -> str:
    """`status`: success, error, qrcode, or ""."""
    word = body.get("status")
    return word.lower() if isinstance(word, str) else ""


def mended(body: bytes) -> Any:
    """An answer that is no JSON, read again without stray backslashes and control characters.

    The document's own list of contacts has one before each dollar sign; one name must not cost
    the whole list.
    """
    mended = _ESCAPE.sub(lambda match: match[0] if match[1] else b"", body)
    return parse(_CONTROL.sub(b" ", mended))


def ids_of(body: Mapping[str, Any]) -> list[str]:
    """The ids a confirmation lists. A long text may be counted in parts, each with its own."""
    listed = lower_keys(body.get("data")).get("messageids")
    values = listed if isinstance(listed, list) else [listed]
    return [value for value in map(message_id, values) if value]


def confirmation(answer: Answer, body: Mapping[str, Any]) -> tuple[SendResult, bool | None]:
    """What an answer that says success confirms: the ids, and whether the phone is connected."""
    ids, code = ids_of(body), code_of(body)
    sound = code in (SUCCESS, "") and word_of(body) != "error" and 200 <= answer.status < 300
    if not (ids and sound):
        text = _("The gateway's answer does not say clearly that it took the message.")
        return SendResult(failure=unclear(text, code)), None
    connected = lower_keys(body.get("data")).get("connstatus")
    result = SendResult(
        status=Status.ACCEPTED, external_id=ids[0], external_data={"messageIDs": ids}
    )
    return result, connected if isinstance(connected, bool) else None


def documented_refusal(code: str, text: str) -> Failure | None:
    """The failure of a code or a sentence the document names; `text` is the redacted message."""
    if code in CODES:
        failure = refusal(CODES[code], code, text)
        if code in _PASSING:
            return replace(failure, retry=True)
        return replace(failure, until="day") if code == "07" else failure
    sentence = text.lower()
    if sentence.startswith("invalid object id"):
        return refusal(ErrorClass.AUTHENTICATION, "401", text)
    if sentence.startswith("please check request required"):
        return refusal(ErrorClass.INVALID_CONTENT, "", text)
    return None


def refuses(answer: Answer, body: Mapping[str, Any]) -> bool:
    """True where the body says no in words nobody documented, and HTTP does not say more."""
    if answer.status in (401, 403, 408, 429):
        return False
    if 400 <= answer.status < 500:
        return bool(code_of(body)) or word_of(body) == "error"
    return answer.status == 200 and word_of(body) == "error"


def knows_token(body: Mapping[str, Any]) -> bool:
    """True for an answer that only a token the gateway has read and knows can bring."""
    code = code_of(body)
    return code == SUCCESS or CODES.get(code) is ErrorClass.QUOTA


def in_trouble(answer: Answer, body: Mapping[str, Any]) -> bool:
    """True where an answer says nothing about how the host reads parameters."""
    if answer.status < 300:
        return not body
    return answer.status not in (400, 401, 404, 405, 500)


def reading_failure(answer: Answer) -> Failure:
    """What an answer means that no code explains, where the call only reads."""
    if answer.status == 403:
        return refusal(ErrorClass.TRANSIENT, "403", service_hangs())
    return read_failure(answer)


def service_hangs() -> str:
    """403 is documented as a service that hangs, not as a refusal."""
    return _("The gateway's service hangs.")


def is_connected(answer: object) -> bool | None:
    """What a `qrCode` answer says: an object is a status, a text is a code to scan."""
    data = lower_keys(answer).get("data")
    if isinstance(data, str):
        return False if data else None
    status = lower_keys(data)
    known = lower_keys(status.get("info")).get("connected")
    if isinstance(known, bool):
        return known
    if isinstance(status.get("login"), bool) and isinstance(status.get("status"), bool):
        return bool(status["login"] and status["status"])
    return None


def redacted(data: Any, secrets: Iterable[str]) -> Any:
    """An answer as it may be kept: without ids that serve as tokens, and without a QR picture."""
    fields = lower_keys(data)
    if word_of(fields) == "qrcode" or isinstance(fields.get("data"), str):
        # Whoever sees the picture, or the address of it, can take over the account.
        data = {name: MASK if name.lower() == "data" else data[name] for name in data}
    return redact_json(data, SECRET_KEYS, secrets)
