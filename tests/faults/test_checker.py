"""The checker itself: it sees what is wrong, also in a worker that retries blindly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from . import checker, history
from .history import Arrival, History, Row, Step
from .stage import Stage
from .workload import ACCEPTED, UNKNOWN, Workload

pytestmark = pytest.mark.faults


def test_blind_retries_are_caught(stage: Stage) -> None:
    """The same code, but what proves nothing is sent again: customers receive it twice."""
    with stage.world("naive") as world:
        work = Workload(seed=51)
        work.troubled(world.control, world.senders.whatsapp_http)
        world.start(hooks={"naive": True})
        world.rest()
        seen = history.read(world)
    twice = list(checker.no_duplicates(seen))
    assert len(twice) >= 20
    assert len(list(checker.repeated_on_proof_only(seen))) > len(twice)
    # Nothing else is wrong with it, so it is the mistake that is caught.
    assert list(checker.at_rest(seen)) == []
    assert list(checker.in_order(seen)) == []


def row(**changes: object) -> Row:
    values = {
        "id": 1,
        "text": "447700900001 a",
        "phone": "447700900001",
        "conversation": 1,
        "sender": 1,
        "priority": 10,
        "status": "accepted",
        "external_id": "x1",
    }
    return Row(**{**values, **changes})


def arrival(**changes: object) -> Arrival:
    values = {
        "n": 1,
        "text": "447700900001 a",
        "phone": "447700900001",
        "at": 100.0,
        "clock": 100.0,
        "gateway": "whatsapp_http",
        "status": 200,
        "accepted": True,
    }
    return Arrival(**{**values, **changes})


def seen(
    rows: list[Row] | None = None,
    arrivals: list[Arrival] | None = None,
    deliveries: list[tuple[str, str]] | None = None,
) -> History:
    """A history in which all is well, but for what is given."""
    return History(
        rows=[row()] if rows is None else rows,
        arrivals=[arrival()] if arrivals is None else arrivals,
        deliveries=[("447700900001 a", "x1")] if deliveries is None else deliveries,
    )


def steps(*statuses: str) -> list[Step]:
    return [Step(status=status, source="send", has_call=True) for status in statuses]


def test_all_is_well() -> None:
    assert checker.problems(seen()) == []
    assert checker.surprises(seen(), {"a": ACCEPTED}) == []
    refused = arrival(status=429, accepted=False)
    assert checker.problems(seen(arrivals=[refused, arrival(n=2)])) == []


_AFTER_WINDOW = row(windowed=True, window_ends=datetime.fromtimestamp(99, UTC))
_SECOND = row(id=2, text="447700900001 b", external_id="x2")


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        (checker.at_rest, seen([row(status="sending")])),
        (checker.at_rest, seen([row(status="queued")])),
        (checker.no_duplicates, seen(deliveries=[("447700900001 a", "x1")] * 2)),
        (checker.repeated_on_proof_only, seen(arrivals=[arrival(), arrival(n=2)])),
        (
            checker.repeated_on_proof_only,
            seen(arrivals=[arrival(status=0, accepted=False), arrival(n=2)]),
        ),
        (
            checker.repeated_on_proof_only,
            seen(arrivals=[arrival(status=503, accepted=False), arrival(n=2)]),
        ),
        (checker.accepted_is_true, seen([row(external_id="")])),
        (checker.accepted_is_true, seen([row(external_id="other")])),
        (checker.accepted_is_true, seen(deliveries=[])),
        (checker.failed_is_true, seen([row(status="failed")], deliveries=[])),
        (checker.failed_is_true, seen([row(status="failed", error_class="quota")])),
        (checker.failed_is_true, seen([row(status="expired")])),
        (checker.nothing_lost, seen(deliveries=[])),
        (checker.nothing_lost, seen([])),
        (checker.ranks_rise, seen([row(steps=steps("accepted", "queued"))])),
        (checker.ranks_rise, seen([row(steps=steps("unknown", "queued"))])),
        (checker.ranks_rise, seen([row(steps=steps("read", "delivered"))])),
        (checker.ranks_rise, seen([row(steps=steps("delivered", "failed"))])),
        (
            checker.in_order,
            seen([row(), _SECOND], [arrival(n=2), arrival(n=1, text="447700900001 b")]),
        ),
        (
            checker.in_order,
            seen(
                [row(), _SECOND],
                [arrival(n=1), arrival(n=2, text="447700900001 b"), arrival(n=3)],
            ),
        ),
        (checker.within_window, seen([_AFTER_WINDOW])),
        (checker.within_window, seen([row(windowed=True)])),
    ],
)
def test_each_invariant_is_watched(check: Callable[[History], list[str]], wrong: History) -> None:
    assert list(check(wrong))
    assert check in checker.INVARIANTS


def test_what_is_in_doubt_is_counted() -> None:
    doubted = seen([row(status="unknown")])
    assert checker.surprises(doubted, {"a": ACCEPTED}, 1) == []
    assert checker.surprises(doubted, {"a": ACCEPTED}, 0)
    assert checker.surprises(doubted, {"a": UNKNOWN}, 0) == []
    assert checker.surprises(seen([row(status="cancelled")]), {"a": ACCEPTED}, 9)
    assert checker.unsettled(doubted)
    lapsed = [Step(status="unknown", source="send", has_call=False)]
    assert checker.left_in_doubt(seen([row(steps=lapsed)])) == 1
    assert checker.left_in_doubt(seen([row(steps=steps("unknown"))])) == 0


def test_the_pace_is_read_off_any_second() -> None:
    assert checker.most_in_any(1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]) == 5
    assert checker.most_in_any(1.0, [0.9, 0, 0.2, 0.99, 0.4, 0.6]) == 6
    assert checker.most_in_any(1.0, []) == 0
