"""What must hold of any history, whatever went wrong: invariants as plain functions.

Each returns what is wrong, in words; nothing where all is well. The numbers are those of the
project's list of invariants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

from .history import History, Row
from .workload import ACCEPTED, FAILED, SETTLED, UNKNOWN

TAKEN = ("accepted", "sent", "delivered", "read")
REST = (*TAKEN, "failed", "unknown", "cancelled", "expired")

#: From which states a step may lead to the next; a first step may lead anywhere.
_NEXT = {
    "queued": {"queued", "cancelled", "expired", "failed", "unknown", *TAKEN},
    "unknown": {"failed", *TAKEN},
    "accepted": {"sent", "delivered", "read", "failed"},
    "sent": {"delivered", "read", "failed"},
    "failed": {"delivered", "read", "failed", "unknown"},
    "delivered": {"read"},
    "read": set(),
    "cancelled": set(),
    "expired": set(),
}

Check = Callable[[History], Iterable[str]]


def at_rest(history: History) -> Iterator[str]:
    """I1: every message has come to rest, in one state."""
    for row in history.rows:
        if row.status not in REST and not row.held:
            yield f"{row.text!r} is still {row.status}"


def no_duplicates(history: History) -> Iterator[str]:
    """I2 at the customer's end: nobody receives a message twice."""
    for text, ids in history.delivered().items():
        if len(ids) > 1:
            yield f"{text!r} was received {len(ids)} times"


def repeated_on_proof_only(history: History) -> Iterator[str]:
    """I2 on the wire: another request only after proof that the last one was not taken."""
    for text, arrivals in history.arrivals_of().items():
        for before, _after in pairwise(arrivals):
            if not before.refused:
                yield f"{text!r} was sent again after an answer of {before.status or 'nothing'}"


def accepted_is_true(history: History) -> Iterator[str]:
    """I3: what we call accepted the gateway has, under the id we stored."""
    delivered = history.delivered()
    for row in history.with_status(*TAKEN):
        if not row.external_id:
            yield f"{row.text!r} is {row.status} without an id"
        elif row.external_id not in delivered.get(row.text, ()):
            yield f"{row.text!r} is {row.status}, but the gateway has no such message"


def failed_is_true(history: History) -> Iterator[str]:
    """I4: what we call failed has an answer or a reason, and nobody received it."""
    delivered = history.delivered()
    for row in history.with_status("failed", "expired", "cancelled"):
        if row.status == "failed" and not row.error_class:
            yield f"{row.text!r} failed without a reason"
        if row.text in delivered:
            yield f"{row.text!r} is {row.status}, but was received"


def nothing_lost(history: History) -> Iterator[str]:
    """Each message that no customer has is one we say so of; each they have is one of ours."""
    delivered = history.delivered()
    for row in history.rows:
        honest = row.text in delivered or row.held or row.status in REST[len(TAKEN) :]
        if not honest:
            yield f"{row.text!r} is {row.status} and was never received"
    ours = {row.text for row in history.rows}
    for text in delivered.keys() - ours:
        yield f"{text!r} was received but is no message of ours"


def ranks_rise(history: History) -> Iterator[str]:
    """I7: no step leads back."""
    for row in history.rows:
        for before, after in pairwise(row.steps):
            if after.status != before.status and after.status not in _NEXT[before.status]:
                yield f"{row.text!r} went from {before.status} to {after.status}"


def in_order(history: History) -> Iterator[str]:
    """Within a conversation, what was queued first is sent first, also across tries."""
    arrivals = history.arrivals_of()
    conversations: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in sorted(history.rows, key=lambda row: row.id):
        if row.text in arrivals:
            conversations[row.conversation, row.priority].append(row)
    for rows in conversations.values():
        for before, after in pairwise(rows):
            if arrivals[before.text][-1].n > arrivals[after.text][0].n:
                yield f"{after.text!r} overtook {before.text!r}"


def within_window(history: History) -> Iterator[str]:
    """I10: no free text leaves after its window has closed."""
    arrivals = history.arrivals_of()
    for row in history.rows:
        for arrival in arrivals.get(row.text, ()) if row.windowed else ():
            if row.window_ends is None or arrival.at >= row.window_ends.timestamp():
                yield f"{row.text!r} was sent after its window"


INVARIANTS: tuple[Check, ...] = (
    at_rest,
    no_duplicates,
    repeated_on_proof_only,
    accepted_is_true,
    failed_is_true,
    nothing_lost,
    ranks_rise,
    in_order,
    within_window,
)


def problems(history: History) -> list[str]:
    """Everything that is wrong with a history."""
    return [f"{check.__name__}: {problem}" for check in INVARIANTS for problem in check(history)]


def surprises(history: History, expected: Mapping[str, str], in_doubt: int = 0) -> list[str]:
    """Messages that ended otherwise than the gateway's answer to them explains.

    A dead worker leaves at most `in_doubt` of them unknown; reports may have settled those.
    """
    found, doubted = [], 0
    for row in history.rows:
        end = expected[row.text.partition(" ")[2]]
        if row.status in _ENDS[end]:
            continue
        if row.status == "unknown" or (end == UNKNOWN and row.status in TAKEN):
            doubted += 1
            continue
        found.append(f"{row.text!r} is {row.status}, expected {end}")
    if doubted > in_doubt:
        found.append(f"{doubted} messages are in doubt, at most {in_doubt} may be")
    return found


_ENDS = {
    ACCEPTED: TAKEN,
    FAILED: ("failed",),
    UNKNOWN: ("unknown",),
    SETTLED: ("unknown", *TAKEN),
}


def unsettled(history: History) -> list[str]:
    """Unknown messages although the gateway's report would tell that it took them."""
    delivered = history.delivered()
    return [
        f"{row.text!r} is unknown, but the report has it"
        for row in history.with_status("unknown")
        if row.text in delivered
    ]


def left_in_doubt(history: History) -> int:
    """How many messages a dead worker left: unknown by the lapse of a lease, not by an answer."""
    return sum(
        any(step.status == "unknown" and not step.has_call for step in row.steps)
        for row in history.rows
    )


def most_in_any(seconds: float, clocks: Iterable[float]) -> int:
    """I11: the most arrivals in any half-open stretch of so many seconds."""
    times = sorted(clocks)
    most = start = 0
    for end, time in enumerate(times):
        while time - times[start] >= seconds:
            start += 1
        most = max(most, end - start + 1)
    return most
