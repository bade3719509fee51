"""What is set on the command line or by the control API for the whole sandbox."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

REPEAT_EVERY = 300.0
"""IntelliSoftware's document: "retry to delivery the same message every 5 minute"."""

_DELAYS = ("sent_after", "delivered_after", "read_after")
_ANSWER_KEYS = {"text", "after", "share"}


@dataclass
class Settings:
    """Delays and sizes, and how webhooks go out. A delay of None: never by itself."""

    sent_after: float | None = 0.0
    delivered_after: float | None = 2.0
    read_after: float | None = 6.0
    keep: int = 500_000
    repeat_every: float = REPEAT_EVERY
    """Seconds until IntelliSoftware posts again what was not answered with exactly 200."""
    webhook_copies: int = 1
    """How often each webhook is posted."""
    webhook_lost: float = 0.0
    """Probability that a webhook is never posted."""
    webhook_batch: int = 0
    """Hold webhooks back until so many wait, then post them out of order; 0 = in order."""
    webhook_early: bool = False
    """Post what a send causes before the send itself is answered."""
    webhook_filename: bool = True
    """Whether the file part of a media webhook has a file name."""
    answers: dict[str, Any] | None = None
    """Customers answer what they get: `text` (or a list of texts), `after` seconds, `share`."""

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON."""
        return dataclasses.asdict(self)

    def change(self, changes: dict[str, Any]) -> None:
        """Set by name; nothing is changed when any of it makes no sense."""
        values = {name: self._read(name, value) for name, value in changes.items()}
        for name, value in values.items():
            setattr(self, name, value)

    def _read(self, name: str, value: Any) -> Any:
        if name not in self.__dataclass_fields__:
            raise ValueError(f"no setting {name!r}")
        if name == "answers":
            return _answers(value)
        if name in _DELAYS and value is None:
            return None
        present = getattr(self, name)
        if isinstance(present, bool):
            if not isinstance(value, bool):
                raise ValueError(f"{name} is true or false")
            return value
        return int(value) if isinstance(present, int) and name not in _DELAYS else float(value)


def _answers(value: Any) -> dict[str, Any] | None:
    if not value:
        return None
    if not isinstance(value, dict) or set(value) - _ANSWER_KEYS:
        raise ValueError(f"answers takes {', '.join(sorted(_ANSWER_KEYS))}")
    texts = value.get("text", "Thank you")
    texts = [texts] if isinstance(texts, str) else list(texts)
    return {
        "text": texts or ["Thank you"],
        "after": float(value.get("after", 0.5)),
        "share": float(value.get("share", 1.0)),
    }
