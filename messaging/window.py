"""The 24-hour rule, as pure functions over what a conversation stores.

The stored columns are facts (`last_inbound_at`, `window_expires_at`, `window_opened_by`), kept
whatever the policy; the provider's policy decides what they mean when they are read. `CONDITION`
says the same in SQL, for the recheck in the moment of sending; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from .adapters.base import INBOUND_ONLY, NO_WINDOW, WHATSAPP

LENGTH: Final = timedelta(hours=24)

TEMPLATE: Final = "template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One conversation's window under its provider's policy."""

    policy: str
    channel: str = WHATSAPP
    is_group: bool = False
    last_inbound_at: datetime | None = None
    expires_at: datetime | None = None
    opened_by: str = ""

    @property
    def limited(self) -> bool:
        """False where there is no window rule: other channels, groups, policy `none`."""
        return self.policy != NO_WINDOW and self.channel == WHATSAPP and not self.is_group

    @property
    def ends_at(self) -> datetime | None:
        """When the window ends (exclusive), past or to come; None where it never opened."""
        if self.policy == INBOUND_ONLY and self.opened_by == TEMPLATE:
            return self.last_inbound_at + LENGTH if self.last_inbound_at else None
        return self.expires_at

    def is_open(self, now: datetime, margin: timedelta = timedelta(0)) -> bool:
        """Whether free-form text may leave at `now`, with `margin` to spare."""
        if not self.limited:
            return True
        ends_at = self.ends_at
        return ends_at is not None and now + margin < ends_at


#: The same for an outbound row `m` with conversation `c`, sender `s` and provider `p`: true where
#: a free-form message may leave. Two parameters: now + margin, and now + margin − 24 h.
CONDITION: Final = """(
    p.window_policy = 'none' OR s.channel <> 'whatsapp' OR c.kind = 'group'
    OR ((p.window_policy <> 'inbound_only' OR c.window_opened_by <> 'template')
        AND c.window_expires_at > %s)
    OR (p.window_policy = 'inbound_only' AND c.window_opened_by = 'template'
        AND c.last_inbound_at > %s)
)"""
