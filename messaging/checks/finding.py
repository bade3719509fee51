"""What a check may say, as named values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.core import checks
from django.core.checks import CheckMessage

TAG: Final = "messaging"

_LEVELS: Final = {"E": checks.ERROR, "W": checks.WARNING, "I": checks.INFO}


@dataclass(frozen=True, slots=True)
class Finding:
    """Called with the values of its text, it is Django's message.

    The letter of its id is its level: error, warning or information.
    """

    id: str
    text: str
    hint: str

    def __call__(self, **values: object) -> CheckMessage:
        level = _LEVELS[self.id.partition(".")[2][0]]
        return CheckMessage(level, self.text.format(**values), hint=self.hint, id=self.id)
