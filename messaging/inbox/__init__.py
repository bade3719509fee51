"""The way in: everything gateways tell us passes here, whatever brought it.

`record` is idempotent: any order and repetition of the same events, by webhook, by report or by
both, ends in the same rows. A webhook's request is stored before anything else (`store`), worked
on in a second transaction (`process`), and taken up again by `sweep` where that failed.
"""

from .deliveries import process, redacted, replay, request_of, store, sweep
from .record import Recorded, record, record_page
from .tokens import address_of, provider_of, rotate, token_of

__all__ = [
    "Recorded",
    "address_of",
    "process",
    "provider_of",
    "record",
    "record_page",
    "redacted",
    "replay",
    "request_of",
    "rotate",
    "store",
    "sweep",
    "token_of",
]
