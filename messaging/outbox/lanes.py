"""All work in this process's hands: claiming it, beginning it, handing it over."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import InterfaceError, OperationalError

from .. import adapters, clock, conf
from ..adapters.base import Adapter
from ..delivery import Attempt, Finished, pause, put_back
from ..errors import ConfigurationError
from ..i18n import gettext as _
from ..models import PauseReason, Provider, Sender
from . import claims, ends
from .calls import Job, prepare
from .lane import FIRST_CLAIM, MOST_SLOW_CALLS, MOST_SLOW_MESSAGES, Lane, in_order, level
from .pace import Slots

logger = logging.getLogger("messaging")

#: Most messages claimed ahead for one lane.
_MOST_CLAIMED: Final = 500

#: How often sender and provider rows are read again, in seconds.
_REFRESH: Final = 1.0

#: What a lease leaves beside the longest call: for waiting before it and for writing after it.
#: With the usual times it ends well within the minute after which all is to be settled.
_BEFORE_CALL: Final = 10.0
_AFTER_CALL: Final = 8.0

#: Released messages that only have to wait are looked at again after this.
_WAIT: Final = timedelta(seconds=1)


class Lanes:
    """All lanes with work in this process."""

    def __init__(self, alias: str, sender_ids: set[int] | None = None) -> None:
        self.alias = alias
        self._only = sender_ids
        self._lanes: dict[str, Lane] = {}
        self._senders: dict[int, Sender] = {}
        self._adapters: dict[int, tuple[Any, Adapter]] = {}
        self._busy: set[int] = set()
        self._read_at = -_REFRESH

    # What there is

    @property
    def idle(self) -> bool:
        return not any(lane.waiting or lane.begun for lane in self._lanes.values())

    @property
    def starving(self) -> bool:
        """True where a lane has nearly used up its claim and there is more in the table."""
        return any(lane.more and lane.waiting <= lane.target // 4 for lane in self._lanes.values())

    @property
    def begun_calls(self) -> int:
        return sum(len(lane.begun) for lane in self._lanes.values())

    @property
    def begun_messages(self) -> int:
        return sum(len(job.attempts) for lane in self._lanes.values() for job in lane.begun)

    @property
    def paced(self) -> bool:
        """True where begun calls wait for slots: then waiting for a full half would lose them."""
        return any(lane.slots is not None and lane.waiting for lane in self._lanes.values())

    def wait(self) -> float | None:
        """Seconds until the next begun call has its slot; None where none waits."""
        waits = [lane.slots.wait() for lane in self._lanes.values() if lane.begun and lane.slots]
        known = [wait for wait in waits if wait is not None]
        return min(known) if known else None

    # Claiming

    def claim(self, now: datetime) -> None:
        """Lease due messages for lanes that run low, and any that overtake what is held."""
        pairs = claims.due(self.alias, now)
        if not pairs:
            return
        self._refresh()
        work: dict[tuple[str, int], list[Sender]] = {}
        for sender_id, priority in pairs:
            sender = self._senders.get(sender_id)
            if sender is None or (self._only is not None and sender_id not in self._only):
                continue
            lane = self._lane(sender)
            if lane.row.is_paused(now) or sender.is_paused(now):
                continue
            if lane.on_trial() or sender.pause_reason:
                self._claim_trial(lane, sender, priority, now)
            else:
                work.setdefault((lane.row.lane_key, priority), []).append(sender)
        for (key, priority), senders in work.items():
            self._claim(self._lanes[key], senders, priority, now)

    def _claim_trial(self, lane: Lane, sender: Sender, priority: int, now: datetime) -> None:
        """One message shows whether the cause of a pause is gone."""
        hands = lane.in_hand()
        if not (hands if lane.on_trial() else hands[sender.pk]):
            lane.add(claims.claim(self.alias, sender, priority, 1, now), priority=priority)

    def _claim(self, lane: Lane, senders: list[Sender], priority: int, now: datetime) -> None:
        """Senders of one account share what is claimed: none waits for another's backlog."""
        limit = self._limit(lane, priority)
        if limit <= 0:
            return
        share = -(-limit // len(senders))
        attempts: list[Attempt] = []
        for sender in senders:
            attempts += claims.claim(self.alias, sender, priority, share, now)
        lane.more = len(attempts) >= limit
        lane.add(in_order(attempts), priority=priority)

    def _limit(self, lane: Lane, priority: int) -> int:
        if lane.waiting > lane.target // 4:
            overtakes = priority < min(number for number, items in lane.claimed.items() if items)
            return 50 if overtakes else 0
        self._learn_speed(lane)
        return lane.target

    def _learn_speed(self, lane: Lane) -> None:
        """Claim more where a claim was used up at once, less where it lasted long."""
        now = time.monotonic()
        if lane.slots is not None:
            lane.target = int(min(_MOST_CLAIMED, max(4, 3 / lane.slots.interval)))
        elif now - lane.filled_at < 3:
            lane.target = min(_MOST_CLAIMED, lane.target * 2)
        elif now - lane.filled_at > 10:
            lane.target = FIRST_CLAIM
        lane.filled_at = now

    def _refresh(self) -> None:
        """Read senders and providers again, so that pauses and settings made elsewhere count."""
        if time.monotonic() - self._read_at < _REFRESH:
            return
        self._read_at = time.monotonic()
        rows = Sender.objects.using(self.alias).select_related("provider")
        providers: dict[int, Provider] = {}
        self._senders = {}
        for sender in rows.filter(is_active=True, provider__is_active=True):
            if not adapters.is_known(sender.provider.adapter):
                continue  # its messages wait for the gateway to be installed again
            # One object per provider: what one call learns of its lane, all see.
            sender.provider = providers.setdefault(sender.provider_id, sender.provider)
            self._senders[sender.pk] = sender
            if (lane := self._lanes.get(sender.lane.lane_key)) is not None:
                lane.row = sender.lane
                self._set_pace(lane, sender)

    def _lane(self, sender: Sender) -> Lane:
        key = sender.lane.lane_key
        if key not in self._lanes:
            self._lanes[key] = Lane(sender.lane)
            self._set_pace(self._lanes[key], sender)
        return self._lanes[key]

    def _set_pace(self, lane: Lane, sender: Sender) -> None:
        rate = lane.row.rate or sender.provider.adapter_class.rate
        if rate is None:
            lane.slots = None
        elif lane.slots is None or lane.slots.rate != rate:
            lane.slots = Slots(lane.row.lane_key, rate)

    # Beginning

    def begin(self, calls: int, messages: int) -> None:
        """Turn up to `calls` calls' worth of claimed messages to `sending`, fairly over lanes."""
        now = clock.now()
        # Those with the least in hand fill up first: who waits for a slow gateway leaves room.
        active = sorted(
            (lane for lane in self._lanes.values() if lane.waiting), key=lambda lane: lane.held
        )
        chosen: list[tuple[Lane, list[Attempt]]] = []
        for position, lane in enumerate(active):
            if lane.row.is_paused(now):
                self._release(lane.drop())
                continue
            rest = active[position:]
            share = level(calls, [item.held for item in rest])
            room = level(messages, [item.held_messages for item in rest])
            groups = self._groups(lane, self._calls_for(lane, share), room)
            calls -= len(groups)
            messages -= sum(len(group) for group in groups)
            chosen += [(lane, group) for group in groups]
        if chosen:
            self._begin(chosen, now)

    def _calls_for(self, lane: Lane, share: int) -> int:
        if lane.on_trial():
            return 0 if lane.held else min(share, 1)
        if lane.is_slow():
            most = min(MOST_SLOW_CALLS, MOST_SLOW_MESSAGES // self._together(lane))
            share = min(share, max(1, most) - lane.held)
        if lane.slots is None:
            return share
        lane.slots.lease(self.alias, min(share, lane.waiting) + len(lane.begun))
        return min(share, lane.slots.near - len(lane.begun))

    def _groups(self, lane: Lane, calls: int, messages: int) -> list[list[Attempt]]:
        """The next calls of a lane: equal contents of one sender share one where allowed."""
        if calls <= 0 or messages <= 0:
            return []
        together = self._together(lane)
        taken = lane.take(min(messages, calls * together), self._busy)
        if together == 1:
            return [[attempt] for attempt in taken]
        groups: list[list[Attempt]] = []
        open_groups: dict[tuple[int, str], list[Attempt]] = {}
        for attempt in taken:
            key = (attempt.sender.pk, json.dumps(attempt.content, sort_keys=True))
            group = open_groups.get(key)
            if group is None or len(group) >= together:
                group = open_groups[key] = []
                groups.append(group)
            group.append(attempt)
        self._give_back(lane, [attempt for group in groups[calls:] for attempt in group])
        return groups[:calls]

    def _together(self, lane: Lane) -> int:
        row = lane.row
        provider = row if isinstance(row, Provider) else row.provider  # type: ignore[attr-defined]
        cls = provider.adapter_class
        wanted = 1 if lane.on_trial() else provider.recipients_per_call or cls.default_recipients
        return max(1, min(wanted, cls.max_recipients))

    def _give_back(self, lane: Lane, attempts: list[Attempt]) -> None:
        for attempt in sorted(attempts, key=lambda item: (item.due_at, item.message_id))[::-1]:
            self._busy.discard(attempt.conversation_id)
            lane.claimed.setdefault(attempt.priority, deque()).appendleft(attempt)

    def _begin(self, chosen: list[tuple[Lane, list[Attempt]]], now: datetime) -> None:
        # Who speaks for them is known before anything is begun: a fault there ends no message.
        able = [
            (lane, adapter, group)
            for lane, group in chosen
            if (adapter := self._able(group)) is not None
        ]
        attempts = [attempt for _lane, _adapter, group in able for attempt in group]
        if not attempts:
            return
        start_before = time.monotonic() + _BEFORE_CALL
        try:
            begun = claims.begin(self.alias, attempts, now, self.lease)
        except (OperationalError, InterfaceError):
            # It may have been committed before the connection was lost. Nothing has left, and
            # nobody else may send these: they are known, not in doubt.
            put_back(attempts, now)
            raise
        for lane, adapter, group in able:
            ready = [attempt for attempt in group if attempt.message_id in begun]
            if ready:
                lane.begun.append(prepare(adapter, ready, start_before))
                lane.held_messages += len(ready)
        # Last, because what was begun is in hand by now, whatever goes wrong here.
        left = [attempt for attempt in attempts if attempt.message_id not in begun]
        if left:
            self._set_aside(left, now)

    @property
    def lease(self) -> float:
        """How long a begun message is ours, in seconds; after that it is `unknown`."""
        return _BEFORE_CALL + float(conf.get("TOTAL_TIMEOUT")) + _AFTER_CALL

    def _able(self, group: list[Attempt]) -> Adapter | None:
        """The adapter of a group's sender. None where there can be none: then the sender pauses."""
        sender = group[0].sender
        try:
            return self._adapter(sender)
        except ConfigurationError as error:
            text = str(error)
        except Exception as error:
            # Only the type: a text could hold what the account holds.
            logger.error("Sender %s cannot be used: %s.", sender.pk, type(error).__name__)
            text = _("Its gateway's code failed.")
        pause(sender, PauseReason.CONFIGURATION, text=text)
        for attempt in group:
            self._busy.discard(attempt.conversation_id)
        self._release(group)
        return None

    def _set_aside(self, left: list[Attempt], now: datetime) -> None:
        for attempt in left:
            self._busy.discard(attempt.conversation_id)
        if waiting := ends.settle_left(self.alias, left, now):
            claims.postpone(self.alias, waiting, now + _WAIT)

    def _release(self, attempts: list[Attempt]) -> None:
        if attempts:
            claims.release(self.alias, attempts)

    def _adapter(self, sender: Sender) -> Adapter:
        """One adapter per sender, made anew when anything it was made from has changed."""
        provider = sender.provider
        made_from = (
            provider.base_url,
            json.dumps(provider.options, sort_keys=True),
            provider.credentials.to_token(),
            provider.time_zone,
            sender.credentials.to_token(),
            (sender.name, sender.channel, sender.address, sender.external_id),
        )
        known = self._adapters.get(sender.pk)
        if known is None or known[0] != made_from:
            known = self._adapters[sender.pk] = (made_from, sender.connect())
        return known[1]

    # Calling

    def ready(self) -> Iterator[Job]:
        """Begun calls whose time is now."""
        for lane in self._lanes.values():
            self._put_back_late(lane)
            while lane.begun and (lane.slots is None or lane.slots.take()):
                if not lane.in_air:
                    lane.moved_at = time.monotonic()
                job = lane.begun.popleft()
                lane.flying[job.attempts[0].sender.pk] += 1
                yield job
            if lane.begun and lane.slots is not None and not len(lane.slots):
                # Their slots were missed (a slow database, a stopped process): lease new ones.
                lane.slots.lease(self.alias, len(lane.begun))

    def settled(self, finished: Iterable[Finished]) -> None:
        """These calls are written: their conversations' next messages may go."""
        for item in finished:
            lane = self._landed(item.attempts)
            lane.note_call(sum(call.duration for call in item.outcome.calls))
            # What the call taught about its account is on the attempt's sender.
            lane.row = item.attempts[0].sender.lane

    def put_back(self, jobs: Iterable[Job]) -> None:
        """These calls were never made: their messages are queued again."""
        for job in jobs:
            put_back(job.attempts, clock.now())
            self._landed(job.attempts)

    def _put_back_late(self, lane: Lane) -> None:
        """Queue begun messages again whose slot did not come in time for their call."""
        while lane.begun and lane.begun[0].start_before < time.monotonic():
            job = lane.begun.popleft()
            put_back(job.attempts, clock.now())
            self._let_go(lane, job.attempts)

    def _landed(self, attempts: Sequence[Attempt]) -> Lane:
        lane = self._lanes[attempts[0].sender.lane.lane_key]
        self._let_go(lane, attempts)
        lane.flying[attempts[0].sender.pk] -= 1
        lane.moved_at = time.monotonic()
        return lane

    def _let_go(self, lane: Lane, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            self._busy.discard(attempt.conversation_id)
        lane.held_messages -= len(attempts)

    def close(self) -> None:
        """Give everything back: what was begun never left this process, so it is queued again."""
        begun = [
            attempt
            for lane in self._lanes.values()
            for job in lane.begun
            for attempt in job.attempts
        ]
        put_back(begun, clock.now())
        self._release([attempt for lane in self._lanes.values() for attempt in lane.drop()])
        for lane in self._lanes.values():
            lane.begun.clear()
            if lane.slots is not None:
                lane.slots.give_up(self.alias)
