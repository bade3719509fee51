"""The only place that changes what became of a message, and that pauses lanes.

`finish` takes the results of our own calls, `apply` a gateway's reports, `pause` and `resume`
the state of an account.
"""

from .finish import Attempt, Finished, announce, finish, patiently, put_back
from .flush import TIME_COLUMNS, one_statement, touch, touches_itself
from .lanes import mark_connected, pause, pause_for, resume
from .reports import adopt, apply, match_parked
from .windows import extend_window

__all__ = [
    "TIME_COLUMNS",
    "Attempt",
    "Finished",
    "adopt",
    "announce",
    "apply",
    "extend_window",
    "finish",
    "mark_connected",
    "match_parked",
    "one_statement",
    "patiently",
    "pause",
    "pause_for",
    "put_back",
    "resume",
    "touch",
    "touches_itself",
]
