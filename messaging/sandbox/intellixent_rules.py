"""What Intellixent's send calls take and refuse.

The fields and the errors 404, 422 and 402 of a template send are the wire document's; the other
error codes are those of the vendor's public pages.
"""

from __future__ import annotations

import re
from typing import Any

from .accounts import IntellixentAccount

MAX_NAME = 255
MAX_FREEFORM = 4096

ERRORS: dict[str, tuple[int, str]] = {
    "SENDER_NOT_FOUND": (404, "Sender not found or does not belong to you"),
    "TEMPLATE_NOT_FOUND": (404, "Template not found"),
    "TEMPLATE_NOT_APPROVED": (422, "Template is not approved. Current status: pending"),
    "INSUFFICIENT_BALANCE": (402, "Insufficient balance. Please top up your account."),
    "SESSION_EXPIRED": (403, "The 24-hour session window has expired. Send a template."),
    "SENDER_OFFLINE": (422, "Sender is offline"),
    "TEMPLATE_NOT_SYNCED": (422, "Template is not synced with the sender"),
    "TEMPLATE_MISMATCH": (422, "Variables do not match the template"),
    "NO_ASSISTANT_CONFIGURED": (422, "No assistant is configured for this sender"),
    "INVALID_PHONE": (422, "Recipient phone number is not valid"),
    "MESSAGING_LIMIT_UNAVAILABLE": (422, "Messaging limit is not available"),
    "VOICE_CALL_LIMIT_NOT_MET": (422, "Voice call limit is not met"),
    "UNKNOWN_ERROR": (422, "Unknown error"),
}
"""error_code -> (HTTP status, words). The first, third and fourth are the wire document's."""
TWILIO = "TWILIO_ERROR_"

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_RULES: dict[str, dict[str, str]] = {
    "send": {
        "sender_id": "required integer",
        "template_id": "required integer",
        "recipient_phone": "required string",
        "recipient_name": "string",
        "variables": "map",
    },
    "send-freeform": {
        "sender_id": "required integer",
        "recipient_phone": "required string",
        "message": "required string",
    },
}
_MOST = {"recipient_name": MAX_NAME, "message": MAX_FREEFORM}


class RefusedError(Exception):
    """A refusal by `error_code`, with what else belongs into its body."""

    def __init__(self, code: str, words: str = "", status: int = 0, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.words = words
        self.status = status
        self.more = more


class UnprocessableError(Exception):
    """Field errors in the framework's form."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("unprocessable")
        self.errors = errors


def validate(data: Any, operation: str) -> None:
    """Field errors in the framework's form; unknown fields are refused too."""
    rules = _RULES[operation]
    fields = data if isinstance(data, dict) else {}
    errors: dict[str, list[str]] = {}
    for name, rule in rules.items():
        fault = _field_error(name, rule, fields.get(name))
        if fault:
            errors[name] = [f"The {name.replace('_', ' ')} field {fault}."]
    for name in fields:
        if name not in rules:
            errors[name] = [f"The {name.replace('_', ' ')} field is prohibited."]
    for name, value in (fields.get("variables") or {}).items() if not errors else ():
        if not isinstance(value, str):
            errors[f"variables.{name}"] = [f"The variables.{name} field must be a string."]
    if errors:
        raise UnprocessableError(errors)


def _field_error(name: str, rule: str, value: Any) -> str:
    required = rule.startswith("required ")
    if value is None or (value == "" and required):
        return "is required" if required else ""
    kind = rule.removeprefix("required ")
    if kind == "integer":
        right = isinstance(value, int) and not isinstance(value, bool)
        return "" if right else "must be an integer"
    if kind == "map":
        # An empty JSON array is how PHP writes an empty map.
        return "" if isinstance(value, dict) or value == [] else "must be an array"
    if not isinstance(value, str):
        return "must be a string"
    most = _MOST.get(name, 0)
    too_long = most and len(value) > most
    return f"must not be greater than {most} characters" if too_long else ""


def find_sender(account: IntellixentAccount, sender_id: int, offline_status: int) -> dict[str, Any]:
    for sender in account.senders:
        if sender["id"] == sender_id:
            if offline_status and sender["status"] != "online":
                raise RefusedError("SENDER_OFFLINE", status=offline_status)
            return sender
    raise RefusedError("SENDER_NOT_FOUND")


def find_template(
    account: IntellixentAccount, sender: dict[str, Any], template_id: int
) -> dict[str, Any]:
    for template in account.templates:
        if template["id"] == template_id and template["sender_id"] == sender["id"]:
            if template["status"] != "approved":
                words = f"Template is not approved. Current status: {template['status']}"
                raise RefusedError("TEMPLATE_NOT_APPROVED", words)
            return template
    raise RefusedError("TEMPLATE_NOT_FOUND")


def check_variables(template: dict[str, Any], variables: dict[str, str]) -> None:
    """Exactly the template's variables, none of them empty."""
    wanted = template["variables"]
    if sorted(variables) != sorted(wanted) or not all(variables.values()):
        names = ", ".join(wanted) or "none"
        raise RefusedError("TEMPLATE_MISMATCH", f"Variables do not match the template: {names}")


def rendered(template: dict[str, Any], variables: dict[str, str]) -> str:
    """The text the recipient sees."""
    text = str(template["body_text"])
    for name, value in variables.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def check_recipient(account: IntellixentAccount, phone: str) -> None:
    """A usable number without a configured error."""
    check_phone(phone)
    code = account.errors.get(phone.lstrip("+"))
    if code:
        raise RefusedError(code)


def check_phone(phone: str) -> None:
    """International format, with the plus sign."""
    if not _E164.fullmatch(phone):
        raise RefusedError("INVALID_PHONE")
