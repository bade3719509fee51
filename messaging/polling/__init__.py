"""Asking gateways: what became of messages, and what came in.

Often while something is outstanding or people talk, rarely when idle; every sender has one time
at which it is due, and a lease keeps two workers from asking at the same time.
"""

from .inbox import only_polled, poll_inbox
from .reports import REPORT_DAYS, check_message, poll_reports, sent_text, settle_unknown
from .rounds import check_connection, is_due, poll_now, poll_soon, run_due

__all__ = [
    "REPORT_DAYS",
    "check_connection",
    "check_message",
    "is_due",
    "only_polled",
    "poll_inbox",
    "poll_now",
    "poll_reports",
    "poll_soon",
    "run_due",
    "sent_text",
    "settle_unknown",
]
