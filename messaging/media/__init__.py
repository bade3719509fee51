"""Files inside messages: stored under random names, whoever they are from.

What staff upload goes out as bytes or by a signed link. What customers send comes in a webhook or
is fetched from a link, under limits, and is never believed to be what it says it is.
"""

from .files import MAX_BYTES, attachment, public_link, read_token, refusals, resolve, store
from .incoming import fetch, fetch_again, fetch_due, keep_link, keep_upload

__all__ = [
    "MAX_BYTES",
    "attachment",
    "fetch",
    "fetch_again",
    "fetch_due",
    "keep_link",
    "keep_upload",
    "public_link",
    "read_token",
    "refusals",
    "resolve",
    "store",
]
