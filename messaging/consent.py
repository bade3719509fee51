"""Who may be written to: pure rules over what is stored."""

from __future__ import annotations

from datetime import datetime

from .i18n import gettext as _


def refusal(*opted_out_at: datetime | None, suppressed: bool = False) -> str:
    """Why this person may not be written to, in words; empty where they may."""
    if suppressed:
        return _("This number asked not to be written to, and its person was erased.")
    if times := [at for at in opted_out_at if at is not None]:
        return _("This person opted out on %(date)s and is not written to.") % {
            "date": min(times).date().isoformat()
        }
    return ""
