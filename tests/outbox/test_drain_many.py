"""The drain with much to do: shared calls, bounds, order, lanes that leave each other alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from messaging import outbox
from messaging.adapters.dummy import Dummy
from messaging.content import TemplateMessage, Text
from messaging.models import Message, Priority, Provider, Sender
from messaging.outbox import Draft, claims, lane, lanes
from messaging.outbox.calls import MOST_MESSAGES
from messaging.outbox.pace import Slots
from messaging.sandbox import SandboxClient
from tests.rows import make_provider, make_sender, make_template

from .test_drain import drain, number, queue, sends, states

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget_slow_lanes() -> Iterator[None]:
    yield
    lane._slow_until.clear()


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages were `sending` each time some were begun."""
    counts: list[int] = []
    real = claims.begin

    def begin(*arguments: Any) -> set[int]:
        begun = real(*arguments)
        counts.append(Message.objects.filter(status="sending").count())
        return begun

    monkeypatch.setattr(claims, "begin", begin)
    return counts


# Shared calls


def test_equal_contents_share_calls_as_far_as_the_gateway_allows(
    intellisoftware: Sender, sandbox: SandboxClient
) -> None:
    queue(intellisoftware, 201)
    assert drain().calls == 3
    assert sorted(len(item["phones"]) for item in sends(sandbox)) == [1, 100, 100]
    assert states(intellisoftware) == {"accepted": 201}
    ids = set(Message.objects.values_list("external_id", flat=True))
    assert len(ids) == 201


@pytest.mark.parametrize(("setting", "calls"), [(None, 3), (10, 5), (1, 45)])
def test_how_many_share_is_the_accounts_choice(
    setting: int | None, calls: int, intellisoftware: Sender, sandbox: SandboxClient
) -> None:
    Provider.objects.update(recipients_per_call=setting)
    queue(intellisoftware, 45)
    assert drain().calls == calls


def test_only_equal_contents_share(intellisoftware: Sender, sandbox: SandboxClient) -> None:
    Provider.objects.update(window_policy="none")
    outbox.queue_many(
        Draft(content=Text("even" if n % 2 else "odd"), to=number(n), sender=intellisoftware)
        for n in range(30)
    )
    assert drain().calls == 2
    assert sorted(len(item["phones"]) for item in sends(sandbox)) == [15, 15]


def test_each_recipient_of_a_call_has_its_own_end(
    intellisoftware: Sender, sandbox: SandboxClient
) -> None:
    sandbox.account(
        "intellisoftware",
        errors={number(1).lstrip("+"): 28},
        omit=[number(2).lstrip("+")],
        reorder=True,
        rewrite="plus",
    )
    queue(intellisoftware, 5)
    assert drain().calls == 1
    ends = [Message.objects.get(conversation__address__value=number(n)) for n in range(5)]
    assert [row.status for row in ends] == [
        "accepted",
        "failed",
        "unknown",
        "accepted",
        "accepted",
    ]
    assert ends[1].error_class == "invalid_recipient"
    assert len({row.events.get().call_id for row in ends}) == 1


# Bounds


def test_no_more_is_in_doubt_than_may_be(
    wh: Sender, sandbox: SandboxClient, sending: list[int]
) -> None:
    queue(wh, 180)
    drain(threads=8)
    assert states(wh) == {"accepted": 180}
    assert max(sending) <= 50


def test_shared_calls_are_bounded_by_their_messages(
    intellisoftware: Sender, sandbox: SandboxClient, sending: list[int]
) -> None:
    sandbox.fault("latency", gateway="intellisoftware", seconds=0.2)
    queue(intellisoftware, 2300)
    drain()
    assert states(intellisoftware) == {"accepted": 2300}
    assert max(sending) <= MOST_MESSAGES


def test_a_paced_lane_begins_no_more_than_its_slots(
    intellixent: Sender, sandbox: SandboxClient, sending: list[int]
) -> None:
    row = make_template(intellixent.provider, name="thanks", external_id="47", body="Thanks.")
    queue(intellixent, 12, content=TemplateMessage(row))
    drain()
    assert states(intellixent) == {"accepted": 12}
    assert max(sending) <= 5
    # No sixth arrival in any second.
    assert sandbox.pace(gateway="intellixent")["most"] <= 5


# Order


def test_a_conversation_keeps_its_order_among_many(wh: Sender, sandbox: SandboxClient) -> None:
    Provider.objects.update(window_policy="none")
    outbox.queue_many(
        Draft(content=Text(f"{turn}"), to=number(person), sender=wh)
        for turn in range(6)
        for person in range(10)
    )
    drain(linger=1)
    assert states(wh) == {"accepted": 60}
    for person in range(10):
        texts = [item["text"] for item in sandbox.deliveries(phone=number(person))]
        assert texts == [str(turn) for turn in range(6)]


def test_a_reply_overtakes_what_is_claimed_already(wh: Sender, sandbox: SandboxClient) -> None:
    sandbox.fault("latency", gateway="whatsapp_http", operation="send*", seconds=0.02)
    queue(wh, 200, priority=Priority.BROADCAST)
    beats = iter(range(100))

    def beat() -> bool:
        if next(beats) == 1:
            outbox.queue(Text("reply"), to=number(999), sender=wh, priority=Priority.REPLY)
        return True

    drain(threads=1, beat=beat, linger=1)
    assert states(wh) == {"accepted": 201}
    texts = [item["text"] for item in sandbox.deliveries()]
    # Behind what was begun when it came, before everything else.
    assert texts.index("reply") < 150


# Lanes leave each other alone


def test_an_account_that_cannot_be_used_stops_no_other(wh: Sender, sandbox: SandboxClient) -> None:
    broken = make_sender(make_provider(adapter="intellixent", credentials={"api_key": "k"}))
    gone = make_sender(make_provider(adapter="dummy"))
    off = make_sender(make_provider(adapter="dummy"))
    Sender.objects.filter(pk=broken.pk).update(external_id="12")
    for sender in (broken, gone, off, wh):
        queue(sender, 3)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_provider SET credentials = 'fernet:x' WHERE id = %s",
            [broken.provider_id],
        )
    Provider.objects.filter(pk=gone.provider_id).update(adapter="carrier_pigeon")
    Sender.objects.filter(pk=off.pk).update(is_active=False)
    drain()
    assert states(wh) == {"accepted": 3}
    # Nothing was begun for the others, so nothing of theirs is in doubt.
    for sender in (broken, gone, off):
        assert states(sender) == {"queued": 3}
        assert set(Message.objects.filter(sender=sender).values_list("attempts", flat=True)) == {0}
    broken.refresh_from_db()
    assert broken.pause_reason == "configuration"
    assert "ENCRYPTION_KEYS" in broken.pause_text
    assert not outbox.has_work()


def test_an_adapter_that_cannot_even_be_made_stops_no_other(
    wh: Sender, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make_sender()
    queue(broken, 2)
    queue(wh, 2)

    def fail(*_arguments: Any) -> None:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr(Dummy, "__init__", fail)
    drain()
    assert (states(wh), states(broken)) == ({"accepted": 2}, {"queued": 2})
    broken.refresh_from_db()
    assert broken.pause_reason == "configuration"
    assert "secret" not in broken.pause_text


def test_senders_of_one_account_share_its_lane_fairly(
    intellisoftware: Sender, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.account("intellisoftware", senders=[])
    other = make_sender(intellisoftware.provider, address="+447700900201")
    Provider.objects.update(recipients_per_call=1)
    queue(intellisoftware, 300)
    queue(other, 20)
    drain()
    froms = [item["account"] for item in sends(sandbox)]
    assert len(froms) == 320
    last = Message.objects.filter(sender=other).order_by("-accepted_at").first()
    after = Message.objects.filter(sender=intellisoftware, accepted_at__gt=last.accepted_at)
    # The small one was done while the big one was not.
    assert after.count() > 100


def test_a_gateway_that_hangs_does_not_stop_the_others(
    wh: Sender, intellisoftware: Sender, sandbox: SandboxClient, settings: Any
) -> None:
    settings.MESSAGING |= {"READ_TIMEOUT": 3, "TOTAL_TIMEOUT": 3}
    sandbox.fault("hang_after", gateway="whatsapp_http", operation="send*", seconds=9)
    Provider.objects.filter(pk=intellisoftware.provider_id).update(recipients_per_call=1)
    queue(wh, 150)
    queue(intellisoftware, 150)
    done = drain(seconds=6)
    assert states(intellisoftware) == {"accepted": 150}
    # What hung is unknown; what had not left by the end is queued, not in doubt.
    assert set(states(wh)) <= {"queued", "unknown"}
    asked = [item for item in sends(sandbox) if item["gateway"] == "whatsapp_http"]
    assert states(wh)["unknown"] == len(asked) < 150
    assert done.calls == 150 + len(asked)


# Ending


def test_a_drain_that_is_stopped_puts_back_what_it_began(
    intellixent: Sender, sandbox: SandboxClient
) -> None:
    row = make_template(intellixent.provider, name="thanks", external_id="47", body="Thanks.")
    queue(intellixent, 30, content=TemplateMessage(row))
    beats = iter([True, True, False, False, False])
    drain(beat=lambda: next(beats))
    counts = states(intellixent)
    assert set(counts) == {"accepted", "queued"}
    assert counts["accepted"] == len(sends(sandbox))
    waiting = Message.objects.filter(status="queued")
    assert set(waiting.values_list("claim", flat=True)) == {None}
    assert outbox.has_work()


def test_a_drain_whose_time_is_up_leaves_the_rest_queued(
    wh: Sender, sandbox: SandboxClient
) -> None:
    sandbox.fault("latency", gateway="whatsapp_http", operation="send*", seconds=0.3)
    queue(wh, 60)
    drain(seconds=0.5, threads=2)
    counts = states(wh)
    assert set(counts) == {"accepted", "queued"}
    assert counts["accepted"] == len(sends(sandbox))
    drain(threads=16)
    assert states(wh) == {"accepted": 60}
    assert len(sandbox.deliveries()) == 60


def test_a_call_past_its_time_is_not_made(
    wh: Sender, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_BEFORE_CALL", -1.0)
    queue(wh, 5)
    drain(seconds=0.3)
    assert sends(sandbox) == []
    assert states(wh) == {"queued": 5}


def test_a_database_that_goes_away_loses_no_result(
    wh: Sender, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(wh, 20)
    real = claims.due
    looks = iter(range(1000))

    def due(*arguments: Any) -> Any:
        if next(looks) == 1:
            raise OperationalError("away")
        return real(*arguments)

    sandbox.fault("latency", gateway="whatsapp_http", operation="send*", seconds=0.4)
    monkeypatch.setattr(claims, "due", due)
    with pytest.raises(OperationalError):
        drain()
    counts = states(wh)
    assert set(counts) <= {"accepted", "queued"}
    assert counts["accepted"] == len(sends(sandbox)) > 0


def test_two_drains_at_once_send_once(wh: Sender, sandbox: SandboxClient) -> None:
    """One within the other's beat: what the second takes, the first finds taken."""
    queue(wh, 40)
    beats: list[Counter[str]] = []

    def beat() -> bool:
        if not beats:
            beats.append(states(wh))
            drain()
        return True

    drain(beat=beat)
    assert states(wh) == {"accepted": 40}
    assert len(sandbox.deliveries()) == 40


def test_a_begun_call_whose_slot_does_not_come_is_put_back(
    intellixent: Sender, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slots are far ahead, because other processes hold those before them."""
    row = make_template(intellixent.provider, name="thanks", external_id="47", body="Thanks.")
    queue(intellixent, 3, content=TemplateMessage(row))
    monkeypatch.setattr(Slots, "near", 5)
    monkeypatch.setattr(Slots, "take", lambda _self: False)
    monkeypatch.setattr(lanes, "_BEFORE_CALL", 0.2)
    beats = iter(range(100))

    def beat() -> bool:
        return next(beats) < 2

    drain(beat=beat)
    assert sends(sandbox) == []
    assert states(intellixent) == {"queued": 3}
    assert Message.objects.filter(events__status="queued").exists()
