"""What leaves the sandbox by itself: posts, their repetition and their misfortunes, and a log."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any

from .agenda import Agenda
from .postman import Answer, Letter, Postman
from .state import State

HELD_AT_MOST = 2.0
"""Seconds after which a batch is posted although it is not full."""
LOG_LENGTH = 100_000
EARLY_TIMEOUT = 5.0


class Webhooks:
    """Takes letters, does with them what the settings say, and keeps the log."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._postman = Postman(self._answered)
        self._generation = 0
        self._random = random.Random(0)
        self.agenda = Agenda(state.now)
        self.early: list[asyncio.Future[None]] = []
        """Posts that the answer in hand has to wait for."""
        self.reset()

    def reset(self) -> None:
        """Forget all; answers to posts under way are not logged any more."""
        self._generation += 1
        self._n = 0
        self._under_way = 0
        self._held: list[Letter] = []
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)
        self._random.seed(0)
        self.early.clear()
        self.agenda.clear()

    def send(self, letter: Letter, before_answer: bool = False) -> None:
        """Post a letter as the settings say; a lost one is only logged."""
        settings = self._state.settings
        letter.generation = self._generation
        if settings.webhook_lost and self._random.random() < settings.webhook_lost:
            self._note(letter, Answer(error="lost on purpose", started=self._state.now()))
            return
        if before_answer and settings.webhook_early:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            letter.waiters.append(waiter)
            self.early.append(waiter)
        for _ in range(max(1, settings.webhook_copies)):
            if settings.webhook_batch > 1:
                self._hold(letter)
            else:
                self._post(letter)

    async def wait_early(self) -> None:
        """Until what the request in hand caused was posted, within reason."""
        waiters, self.early = self.early, []
        await asyncio.wait(waiters, timeout=EARLY_TIMEOUT)

    def log(self) -> list[dict[str, Any]]:
        """Every post that has ended, oldest first, and every letter that was lost."""
        return list(self._log)

    def pending(self) -> dict[str, int]:
        """What is still to come: at once (`waiting`), or when the clock gets there (`later`)."""
        due = self.agenda.due
        waiting = self._under_way + len(self._held) + due
        return {"waiting": waiting, "later": len(self.agenda) - due}

    def _hold(self, letter: Letter) -> None:
        self._held.append(letter)
        if len(self._held) >= self._state.settings.webhook_batch:
            self._release()
        elif len(self._held) == 1:
            self.agenda.add(self._state.now() + HELD_AT_MOST, self._release)

    def _release(self) -> None:
        letters, self._held = self._held, []
        shuffled = list(letters)
        self._random.shuffle(shuffled)
        if shuffled == letters:
            shuffled.reverse()
        for letter in shuffled:
            self._post(letter)

    def _post(self, letter: Letter) -> None:
        self._under_way += 1
        self._postman.post(letter)

    def _answered(self, letter: Letter, answer: Answer) -> None:
        for waiter in letter.waiters:
            if not waiter.done():
                waiter.set_result(None)
        if letter.generation != self._generation:
            return
        self._under_way -= 1
        letter.attempt += 1
        self._note(letter, answer)
        if letter.answered is not None:
            letter.answered(answer.status)
        if letter.repeat and answer.status != 200:
            due = self._state.now() + self._state.settings.repeat_every
            self.agenda.add(due, lambda: self._post(letter))

    def _note(self, letter: Letter, answer: Answer) -> None:
        self._n += 1
        self._log.append(
            {
                "n": self._n,
                "gateway": letter.gateway,
                "account": letter.account,
                "kind": letter.kind,
                "url": letter.url,
                "content_type": letter.content_type,
                "body": letter.shown,
                "file": letter.file,
                "attempt": letter.attempt,
                "status": answer.status,
                "error": answer.error,
                "time": answer.started,
                "seconds": round(answer.seconds, 6),
            }
        )
