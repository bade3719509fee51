"""How fast what comes in is taken: `python benchmarks/receive.py [--database both] [--rounds 5]`.

Every figure is a ratio to a floor measured in the same run, in turn with it. The webhook is posted
to gunicorn with two workers and no middleware, one new connection a post, as gateways do it; its
floor is a view on the same server that does one INSERT. The report's floor is `json.loads` and one
set-based UPDATE.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

if __package__ is None or __package__ == "":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from benchmarks import common
from benchmarks.common import in_threads, line, spread, timed

PHONE = "447700900123"
INSTANCE = "65a1b2c3d4e5f60718293a40"
POSTS = 1500
CLIENTS = 8
ROWS = 10_000


class Bench:
    """One database's run."""

    def __init__(self, kind: str, rounds: int) -> None:
        self.kind = kind
        self.rounds = rounds
        self.number = 0
        self.seed()

    def seed(self) -> None:
        from messaging import clock, inbox
        from messaging.models import Conversation, Provider, Sender

        phones = Provider.objects.create(
            name="WH", adapter="whatsapp_http", base_url="https://gateway.example"
        )
        self.sender = Sender.objects.create(
            provider=phones, name="WH", credentials={"token": INSTANCE}
        )
        self.path = inbox.address_of(phones)
        from messaging.models import Contact, ContactAddress

        self.conversations = []
        for number in range(200):
            contact = Contact.objects.create(name=f"Customer {number}")
            address = ContactAddress.objects.create(contact=contact, value=f"+4477009{number:05d}")
            self.conversations.append(
                Conversation.objects.create(sender=self.sender, address=address)
            )
        self.now = clock.now()

    # What gateways post

    def message(self) -> bytes:
        self.number += 1
        return json.dumps(
            {
                "clientID": "5f00000000000000000000c8",
                "createdAt": "2026-03-01T13:36:19+05:30",
                "instanceID": INSTANCE,
                "phone": f"4477009{self.number % 200:05d}",
                "reportType": "inbox",
                "status": 3,
                "statusInfo": "Delivered",
                "type": "text",
                "value": "Can I come tomorrow at ten instead?",
                "waID": f"4477009{self.number % 200:05d}@s.whatsapp.net",
                "waMessageID": f"A4{self.number:016X}",
            }
        ).encode()

    def status(self, external_id: str) -> bytes:
        return json.dumps(
            {
                "clientID": "5f00000000000000000000c8",
                "createdAt": "2026-03-01T13:25:47.065+05:30",
                "instanceID": INSTANCE,
                "messageID": external_id,
                "phone": PHONE,
                "reportType": "delivery",
                "status": 3,
                "statusInfo": "Delivered",
                "waID": "447700900100",
                "waMessageID": f"57{external_id}",
            }
        ).encode()

    # The lines

    def webhook(self) -> None:
        with served() as address:
            kinds: dict[str, Callable[[], list[bytes]]] = {
                "a customer's message": lambda: [self.message() for _number in range(POSTS)],
                "a delivery report": self.statuses,
            }
            for name, make in kinds.items():
                ratios = []
                for _round in range(self.rounds):
                    floor = posts_a_second(address, "/floor/", [b"{}"] * POSTS)
                    ratios.append(posts_a_second(address, self.path, make()) / floor)
                line(self.kind, f"webhook, {name} ÷ one INSERT", spread(ratios), "≥ 0.5")
        from messaging.models import WebhookDelivery

        assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"processed"}

    def statuses(self) -> list[bytes]:
        return [self.status(external_id) for external_id in self.accepted(POSTS)]

    def accepted(self, count: int) -> list[str]:
        """Messages a report can be about."""
        from messaging.models import Message

        Message.objects.filter(direction="outbound").delete()
        ids = [f"{number:024x}" for number in range(count)]
        Message.objects.bulk_create(
            [
                Message(
                    conversation=self.conversations[number % 200],
                    sender=self.sender,
                    direction="outbound",
                    kind="text",
                    content={"kind": "text", "body": "Hello"},
                    text="Hello",
                    status="accepted",
                    external_id=external_id,
                    created_at=self.now,
                    accepted_at=self.now,
                )
                for number, external_id in enumerate(ids)
            ],
            batch_size=500,
        )
        return ids

    def statements(self) -> None:
        from django.db import connection
        from django.test import Client
        from django.test.utils import CaptureQueriesContext

        (external_id, *_rest) = self.accepted(10)
        for name, body, most in (
            ("a message", self.message(), 7),
            ("a report", self.status(external_id), 6),
        ):
            with CaptureQueriesContext(connection) as captured:
                answer = Client(headers={"host": "localhost"}).post(
                    self.path, body, content_type="application/json"
                )
            assert answer.status_code == 200
            spent = [item["sql"].split()[0] for item in captured.captured_queries]
            control = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
            count = sum(word not in control for word in spent)
            line(self.kind, f"webhook, SQL statements for {name}", str(count), f"≤ {most}")

    def report(self) -> None:
        """10,000 rows of a campaignReport, parsed and applied."""
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        ratios = []
        for _round in range(self.rounds):
            text = self.report_text(self.accepted(ROWS))
            floor = timed(lambda text=text: self.floor_of_report(text))
            text = self.report_text(self.accepted(ROWS))
            with CaptureQueriesContext(connection) as captured:
                ours = timed(lambda text=text: self.apply_report(text))
            ratios.append(floor / ours)
        spent = [item for item in captured.captured_queries if "SAVEPOINT" not in item["sql"]]
        line(self.kind, "a report of 10,000 rows ÷ loads + one UPDATE", spread(ratios), "≥ 0.3")
        value = f"{len(spent) / ROWS:.4f}"
        line(self.kind, "a report of 10,000 rows, SQL statements a row", value, "≤ 0.02")

    def report_text(self, ids: list[str]) -> str:
        rows = [
            {
                "messageID": external_id,
                "clientId": "5f00000000000000000000c8",
                "instanceID": INSTANCE,
                "phone": f"4477009{number % 200:05d}",
                "text": "Hello",
                "waID": "447700900100",
                "waMessageID": f"EC{number:016X}",
                "status": 1,
                "statusInfo": "Sent",
                "statusMessage": 3,
                "statusMessageInfo": "Delivered",
                "mode": "Panel",
                "deliveredAt": "2026-03-01T14:36:16.546+05:30",
                "readAt": None,
                "createdAt": "2026-03-01T14:36:01.025+05:30",
                "updatedAt": "2026-03-01T14:36:01.474+05:30",
                "value": None,
            }
            for number, external_id in enumerate(ids)
        ]
        return json.dumps({"status": "success", "message": "00-Success", "data": rows})

    def apply_report(self, text: str) -> None:
        from datetime import UTC

        from messaging import delivery
        from messaging.adapters.whatsapp_rows import rows_of, status_update
        from messaging.events import Source

        rows = rows_of(json.loads(text)["data"])
        updates = [status_update(row, UTC) for row in rows]
        assert delivery.apply(self.sender.provider, updates, Source.POLL) == ROWS

    def floor_of_report(self, text: str) -> None:
        from django.db import connection, transaction

        rows = [
            {"id": row["messageID"], "at": row["deliveredAt"]} for row in json.loads(text)["data"]
        ]
        if self.kind == "postgresql":
            source = "jsonb_to_recordset(%s::jsonb) AS r(id text, at timestamptz)"
        else:
            source = (
                "(SELECT json_extract(value, '$.id') AS id, json_extract(value, '$.at') AS at "
                "FROM json_each(%s)) AS r"
            )
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE messaging_message AS m SET status = 'delivered', delivered_at = r.at "
                f"FROM {source} WHERE m.external_id = r.id AND m.direction = 'outbound' "
                "AND NOT (m.external_id = '')",
                [json.dumps(rows)],
            )
            assert cursor.rowcount == ROWS


@contextmanager
def served() -> Iterator[tuple[str, int]]:
    """gunicorn, two workers, on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}"]
    command += ["--log-level", "error", "benchmarks.receive_app:application"]
    server = subprocess.Popen(command, cwd=common.ROOT)
    try:
        for _try in range(200):
            try:
                if post(("127.0.0.1", port), "/floor/", b"{}") == 200:
                    break
            except OSError:
                time.sleep(0.1)
        yield "127.0.0.1", port
    finally:
        server.terminate()
        server.wait()


def posts_a_second(address: tuple[str, int], path: str, bodies: list[bytes]) -> float:
    def work(mine: Iterator[bytes]) -> None:
        for body in mine:
            assert post(address, path, body) == 200

    return len(bodies) / timed(lambda: in_threads(CLIENTS, bodies, work))


def post(address: tuple[str, int], path: str, body: bytes) -> int:
    """One post on a connection of its own; its status. Bare, because the client is not measured."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(address) as sock:
        sock.sendall(head.encode() + body)
        answer = b""
        while chunk := sock.recv(4096):
            answer += chunk
    return int(answer.split(None, 2)[1]) if answer else 0


LINES = ("webhook", "statements", "report")


def run(options: argparse.Namespace) -> None:
    bench = Bench(options.on, options.rounds)
    for name in options.only:
        getattr(bench, name)()


if __name__ == "__main__":
    sys.exit(common.main(__file__, __doc__, LINES, run))
