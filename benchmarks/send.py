"""How fast messages leave: `python benchmarks/send.py [--database both] [--rounds 5] [--only …]`.

Every figure is a ratio to a floor measured in the same run, in turn with it. D is a loop over a
`requests.Session` that ignores the environment, S one as it comes: the same threads, body and
gateway, no database. Ours has everything on: history, stored calls, window and consent checks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

if __package__ is None or __package__ == "":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from benchmarks import common
from benchmarks.common import in_threads, line, spread, timed

TEXT = "Your appointment is tomorrow at ten. Answer STOP to hear no more from us."


class Bench:
    """One database's run."""

    def __init__(self, kind: str, rounds: int, sandbox: Any) -> None:
        self.kind = kind
        self.rounds = rounds
        self.sandbox = sandbox
        self.seed()

    def seed(self) -> None:
        from messaging.models import Provider, Sender
        from messaging.sandbox import accounts

        url = self.sandbox.url
        phones = Provider.objects.create(name="WH", adapter="whatsapp_http", base_url=url)
        self.wh = Sender.objects.create(
            provider=phones,
            name="WH",
            address="+447700900100",
            credentials={"token": accounts.WH_TOKEN},
        )
        keys = {"accesskey": accounts.IS_ACCESS_KEY, "secretkey": accounts.IS_SECRET_KEY}
        official = Provider.objects.create(
            name="IS",
            adapter="intellisoftware",
            base_url=url,
            credentials=keys,
            window_policy="none",
            recipients_per_call=100,
        )
        self.intellisoftware = Sender.objects.create(
            provider=official, name="IS", address="+447700900200"
        )
        api_key = {"api_key": accounts.IX_API_KEY}
        assistant = Provider.objects.create(
            name="IX",
            adapter="intellixent",
            base_url=f"{url}/api",
            credentials=api_key,
            window_policy="none",
        )
        self.intellixent = Sender.objects.create(
            provider=assistant, name="IX", address="+447700900300", external_id="12"
        )

    # Work

    def queue(self, sender: Any, count: int) -> None:
        from messaging import outbox
        from messaging.content import Text
        from messaging.models import Message

        Message.objects.exclude(status="queued").delete()
        content = Text(TEXT)
        outbox.queue_many(
            outbox.Draft(content=content, to=f"+4479{number:08d}", sender=sender)
            for number in range(count)
        )

    def ours(self, sender: Any, count: int, threads: int) -> float:
        from messaging import outbox
        from messaging.models import Message

        self.queue(sender, count)
        seconds = timed(lambda: outbox.drain(seconds=300, threads=threads))
        states = Counter(Message.objects.values_list("status", flat=True))
        assert states == {"accepted": count}, states
        return count / seconds

    def floor(self, count: int, threads: int, *, plain: bool = False) -> float:
        """Messages a second of a loop over requests: D, or S where `plain`."""
        import requests

        from messaging.sandbox import accounts

        url = f"{self.sandbox.url}/api/sendText"
        jobs = [f"4479{number:08d}" for number in range(count)]

        def work(items: Iterator[str]) -> None:
            session = requests.Session()
            session.trust_env = plain
            for phone in items:
                form = {"token": accounts.WH_TOKEN, "phone": phone, "message": TEXT}
                answer = session.post(url, data=form, timeout=(5, 20))
                assert answer.json()["data"]["messageIDs"], answer.text

        return count / timed(lambda: in_threads(threads, jobs, work))

    # Lines

    def instant(self) -> None:
        count = 3000
        self.ours(self.wh, 300, 4)
        to_d, to_s, rates = [], [], []
        for _round in range(self.rounds):
            floor = self.floor(count, 4)
            rate = self.ours(self.wh, count, 4)
            plain = self.floor(count, 4, plain=True)
            rates.append(rate)
            to_d.append(rate / floor)
            to_s.append(rate / plain)
        goals = ("≥ 0.80", "≥ 1.1") if self.kind == "postgresql" else ("≥ 0.70", "≥ 1.0")
        line(self.kind, "instant gateway, 4 threads, messages a second", spread(rates, 0), "-")
        line(self.kind, "the same ÷ D", spread(to_d), goals[0])
        line(self.kind, "the same ÷ S", spread(to_s), goals[1])

    def statements(self) -> None:
        from django.db import connection

        from messaging import outbox

        count = 3000
        self.queue(self.wh, count)
        seen: Counter[str] = Counter()

        def wrapper(
            execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
        ) -> Any:
            word = " ".join(sql.split()[:3])
            if not word.startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")):
                seen[word] += 1
            return execute(sql, params, many, context)

        with connection.execute_wrapper(wrapper):
            outbox.drain(seconds=300, threads=4)
        value = f"{sum(seen.values()) / count:.3f}"
        line(self.kind, "SQL statements a message", value, "≤ 0.1")
        if os.environ.get("BENCHMARK_VERBOSE"):
            print(seen.most_common(15))

    def latency(self) -> None:
        goal = "≥ 0.90" if self.kind == "postgresql" else "≥ 0.85"
        for milliseconds, threads in ((50, 16), (50, 64), (200, 64)):
            count = int(threads / milliseconds * 1000 * 4)
            self.sandbox.control.fault("latency", seconds=milliseconds / 1000)
            ratios = []
            for _round in range(self.rounds):
                floor = self.floor(count, threads)
                ratios.append(self.ours(self.wh, count, threads) / floor)
            self.sandbox.control.clear_faults()
            what = f"gateway {milliseconds} ms, {threads} threads ÷ D"
            line(self.kind, what, spread(ratios), goal)

    def shared_calls(self) -> None:
        ratios = []
        for _round in range(self.rounds):
            floor = self.floor(2000, 4)
            ratios.append(self.ours(self.intellisoftware, 20_000, 4) / floor)
        line(self.kind, "IntelliSoftware, 100 recipients a call ÷ D", spread(ratios, 1), "≥ 8")

    def queueing(self) -> None:
        from django.db import transaction

        from messaging.models import Message

        count = 10_000
        self.queue(self.wh, count)
        ratios = []
        for _round in range(self.rounds):
            template = list(Message.objects.filter(sender=self.wh)[:count])
            Message.objects.all().delete()
            for row in template:
                row.pk = None
            with transaction.atomic():
                floor = timed(lambda rows=template: Message.objects.bulk_create(rows))
            Message.objects.all().delete()
            ratios.append(floor / timed(lambda: self.queue(self.wh, count)))
        Message.objects.all().delete()
        line(self.kind, "queue_many, 10,000 ÷ bare bulk_create", spread(ratios), "≥ 0.4")

    def tasks(self) -> None:
        """Against one django-q2 task per message on the same database."""
        from django.db import connection
        from django_q.tasks import async_task

        from messaging import background
        from messaging.models import Message

        count = 400
        ratios = []
        # The cluster is to run the floor's tasks only: no bell may ask it to drain for us.
        ring, background.run = background.run, lambda *_job: True
        cluster = subprocess.Popen(
            [sys.executable, "-m", "django", "qcluster"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            for _round in range(self.rounds):
                self.queue(self.wh, count)
                ids = list(Message.objects.values_list("pk", flat=True))

                def one_by_one(ids: list[int] = ids) -> None:
                    for pk in ids:
                        async_task("benchmarks.naive.send_one", pk)
                    while Message.objects.filter(status="queued").exists():
                        time.sleep(0.02)

                naive = count / timed(one_by_one)
                ratios.append(self.ours(self.wh, count * 4, 4) / naive)
                connection.close()
        finally:
            background.run = ring
            os.killpg(cluster.pid, 9)
            cluster.wait()
        goal = "≥ 3" if self.kind == "postgresql" else "≥ 2"
        line(self.kind, "÷ one django-q2 task per message", spread(ratios, 1), goal)

    def two_workers(self) -> None:
        if self.kind == "sqlite":
            return
        count = 4000
        self.sandbox.control.fault("latency", seconds=0.05)
        ratios = []
        for _round in range(self.rounds):
            rates = []
            for workers in (1, 2):
                self.queue(self.wh, count)
                rates.append(count / self.drain_in_processes(workers, 16))
            ratios.append(rates[1] / rates[0])
        self.sandbox.control.clear_faults()
        line(self.kind, "two workers ÷ one, 50 ms, 16 threads each", spread(ratios), "≥ 1.7")

    def drain_in_processes(self, workers: int, threads: int) -> float:
        """Seconds from the first to the last arrival."""
        first = self.sandbox.control.stats()["arrivals"]
        command = [sys.executable, "manage.py", "messaging_drain", "--threads", str(threads)]
        command += ["--no-reports", "--seconds", "300"]
        running = [
            subprocess.Popen(command, cwd=common.ROOT, stdout=subprocess.DEVNULL)
            for _number in range(workers)
        ]
        for process in running:
            assert process.wait() == 0
        times = [row["monotonic"] for row in self.arrivals(first)]
        return max(times) - min(times)

    def arrivals(self, since: int) -> list[dict[str, Any]]:
        rows = self.sandbox.control.arrivals(since=since, limit=1_000_000)
        return [row for row in rows if row["operation"].startswith("send")]

    def pace(self) -> None:
        for rate, sender in ((5, self.intellixent), (80, self.wh), (500, self.wh)):
            lane = sender.lane
            type(lane).objects.filter(pk=lane.pk).update(rate=None if rate == 5 else rate)
            self.queue(sender, rate * 11)
            first = self.sandbox.control.stats()["arrivals"]
            self.drain_in_processes(2, 16)
            times = sorted(row["monotonic"] for row in self.arrivals(first))
            reached = (len(times) - 1) / (times[-1] - times[0])
            most = max(
                sum(1 for other in times[index : index + rate * 2] if other < start + 1)
                for index, start in enumerate(times)
            )
            type(lane).objects.filter(pk=lane.pk).update(rate=None)
            value = f"{reached:.2f}/s, {most} in a second"
            goal = "4.5–5, never 6" if rate == 5 else f"{rate * 0.98:.0f}–{rate}"
            line(self.kind, f"pace {rate}/s, two workers", value, goal)

    def click(self) -> None:
        """From `queue` to the request at the gateway, with an idle worker."""
        from messaging import outbox
        from messaging.content import Text
        from messaging.models import Message

        Message.objects.all().delete()
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "messaging_worker"],
            cwd=common.ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            waits = [self.one_click(outbox, Text, number) for number in range(45)][5:]
        finally:
            worker.terminate()
            worker.wait()
        waits.sort()
        value = f"p50 {statistics.median(waits):.2f} p95 {waits[int(len(waits) * 0.95)]:.2f} s"
        line(self.kind, "click on Send → request at the gateway", value, "p95 ≤ 0.5 s")

    def one_click(self, outbox: Any, text: Any, number: int) -> float:
        first = self.sandbox.control.stats()["arrivals"]
        # At uneven times, so that no poll interval is met in step; every fifth after a rest in
        # which the worker has fallen idle.
        time.sleep(3.0 if number % 5 == 0 else 0.37 + (number % 7) * 0.11)
        start = time.time()
        outbox.queue(text(f"{TEXT} {number}"), to="+447700900123", sender=self.wh, priority=0)
        while True:
            if rows := self.arrivals(first):
                return max(0.0, float(rows[0]["time"]) - start)
            if time.time() - start > 20:
                return 20.0
            time.sleep(0.005)


LINES = (
    "instant",
    "statements",
    "latency",
    "shared_calls",
    "queueing",
    "tasks",
    "two_workers",
    "pace",
    "click",
)


def run(options: argparse.Namespace) -> None:
    from messaging.sandbox import Sandbox

    with Sandbox() as sandbox:
        bench = Bench(options.on, options.rounds, sandbox)
        for name in options.only:
            getattr(bench, name)()


if __name__ == "__main__":
    sys.exit(common.main(__file__, __doc__, LINES, run))
