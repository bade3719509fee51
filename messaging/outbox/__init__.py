"""The way out: everything that is sent passes here.

from messaging import outbox
from messaging.content import Text

outbox.queue(Text("Your order is ready."), to="+447700900123", key="order-1007-ready")
"""

from .bell import ring
from .consent import opt_in, opt_out
from .door import Draft, Queued, check, queue, queue_many
from .drain import Drain, Drained, drain, has_work, sweep
from .places import make_addresses
from .rules import HOLD_WINDOW, region_of, resolve_sender
from .steps import KEEP, cancel, edit, mark_arrived, release_held, send_again

__all__ = [
    "HOLD_WINDOW",
    "KEEP",
    "Draft",
    "Drain",
    "Drained",
    "Queued",
    "cancel",
    "check",
    "drain",
    "edit",
    "has_work",
    "make_addresses",
    "mark_arrived",
    "opt_in",
    "opt_out",
    "queue",
    "queue_many",
    "region_of",
    "release_held",
    "resolve_sender",
    "ring",
    "send_again",
    "sweep",
]
