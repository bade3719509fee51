"""One call for many recipients: each row is settled by its own entry of the answer."""

from __future__ import annotations

import pytest

from messaging import outbox
from messaging.content import Text
from messaging.models import Message, Provider

from . import checker, history
from .databases import KINDS
from .stage import Outcome, Play
from .workload import Workload
from .world import World

pytestmark = pytest.mark.faults

_TEXT = "We are open again."


def a_hundred_and_one(world: World) -> None:
    """101 recipients make two calls; refused, left out and reordered entries find their rows."""
    phones = _phones(101)
    digits = [phone.lstrip("+") for phone in phones]
    refused, omitted = digits[3:40:9], digits[5:60:11]
    world.control.account(
        "intellisoftware",
        errors=dict.fromkeys(refused, 28),
        omit=omitted,
        reorder=True,
        rewrite="plus",
    )
    _queue(world, phones, recipients_per_call=100)
    world.start()
    world.rest()
    calls = world.control.arrivals(gateway="intellisoftware", operation="sendmsg")
    assert [len(call["phones"]) for call in calls] == [100, 1]
    seen = history.read(world)
    assert checker.problems(seen) == []
    ends = {row.phone: row.status for row in seen.rows}
    assert {phone for phone, status in ends.items() if status == "failed"} == set(refused)
    assert {phone for phone, status in ends.items() if status == "unknown"} == set(omitted)
    assert sum(status in checker.TAKEN for status in ends.values()) == (
        len(phones) - len(refused) - len(omitted)
    )
    assert {row.error_code for row in seen.with_status("failed")} == {"28"}


def killed_within_a_shared_call(world: World) -> None:
    """The worker dies while one call for a hundred is open: a hundred are in doubt, none twice."""
    phones = _phones(250)
    _queue(world, phones, recipients_per_call=100)
    world.start(hooks=world.crash_at("mid_request", skip=1))
    world.rest()
    assert world.crash_marker.exists()
    seen = history.read(world)
    assert checker.problems(seen) == []
    calls = world.control.arrivals(gateway="intellisoftware", operation="sendmsg")
    assert sum(len(call["phones"]) for call in calls) <= len(phones)
    # The gateway has no report: what the dead worker had begun stays unknown.
    assert 0 < len(seen.with_status("unknown")) <= len(phones)


def an_answer_that_proves_nothing(world: World) -> None:
    """All recipients of that call are unknown, those of the others are not."""
    phones = _phones(60)
    world.control.fault("truncated_json", gateway="intellisoftware", operation="sendmsg", times=1)
    _queue(world, phones, recipients_per_call=20)
    world.start()
    world.rest()
    seen = history.read(world)
    assert checker.problems(seen) == []
    assert len(seen.with_status("unknown")) == 20
    assert len(seen.with_status(*checker.TAKEN)) == 40


def _phones(count: int) -> list[str]:
    work = Workload(seed=0)
    return [work.phone() for _number in range(count)]


def _queue(world: World, phones: list[str], *, recipients_per_call: int) -> None:
    sender = world.senders.intellisoftware
    Provider.objects.filter(pk=sender.provider_id).update(
        window_policy="none", recipients_per_call=recipients_per_call
    )
    sender.provider.refresh_from_db()
    queued = outbox.queue_many(
        outbox.Draft(content=Text(_TEXT), to=phone, sender=sender) for phone in phones
    )
    assert not queued.refused
    assert Message.objects.count() == len(phones)


PLAYS = {
    f"{scenario.__name__} on {kind}": Play(scenario, kind)
    for kind in KINDS
    for scenario in (a_hundred_and_one, killed_within_a_shared_call, an_answer_that_proves_nothing)
}


@pytest.mark.parametrize("name", PLAYS)
def test_sharing(outcome: Outcome, name: str) -> None:
    outcome.result()
