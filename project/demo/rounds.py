"""One round of everything: queue, wait for the worker and the reports, look at what arrived."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Any, Final

from django.core.files.base import ContentFile
from tqdm import tqdm

from messaging import clock, media, outbox, polling
from messaging.errors import GatewayError, Refused
from messaging.management.playground import make_accounts
from messaging.models import Contact, ContactAddress, Conversation, Message, Provider, Sender
from messaging.sandbox import SandboxClient
from messaging.sandbox.png import qr_like

from .arrivals import wire_of
from .cases import ASSISTANT, DUMMY, OFFICIAL, PHONE, Case, Files, Refusal, cases, refusals
from .people import NAMES
from .rows import Planned, Row, gateway_name, row_of

#: Seconds until we stop waiting: for a machine far slower than any of ours.
PATIENCE: Final = 300.0
#: States that no report and no worker will change any more.
_OVER: Final = {"failed", "expired", "cancelled"}
_WINDOW: Final = timedelta(hours=24)


class Round:
    """Everything once. Nothing is sent from here: a worker must be running."""

    def __init__(self, sandbox: SandboxClient) -> None:
        self.sandbox = sandbox
        self.senders = make_accounts(sandbox.url, NAMES)
        practice, _made = Provider.objects.get_or_create(
            adapter="dummy", defaults={"name": "Practice"}
        )
        self.senders[DUMMY], _made = Sender.objects.get_or_create(
            provider=practice, defaults={"name": "Practice"}
        )
        self.sent: list[Row] = []
        self.asked: list[Row] = []
        self.refused: list[Row] = []
        self._planned: list[Planned] = []
        self._numbers = (f"+44770090{number:04d}" for number in count(400))

    def start(self) -> None:
        """Ask, queue and be refused."""
        self.asked += self._ask_accounts()
        self._planned = [self._plan(case) for case in cases(_store_files())]
        self._queue(self._planned)
        self.refused += [self._refuse(refusal) for refusal in refusals()]

    def wait_until_taken(self) -> None:
        """Until every message has left: what is set at the sandbox from now on concerns others."""
        ids = [pk for planned in self._planned for pk in planned.ids]
        under_way = Message.objects.filter(pk__in=ids, status__in=["queued", "sending"])
        end = time.monotonic() + PATIENCE
        while under_way.exists() and time.monotonic() < end:
            time.sleep(0.1)

    def finish(self) -> None:
        """Wait for what becomes of all that was queued."""
        plan = self._planned
        self._wait(plan)
        self.asked += self._ask_reports(plan)
        self.sent += [
            row_of(planned, index, self.sandbox)
            for planned in plan
            for index in range(len(planned.numbers))
        ]

    @property
    def counts(self) -> dict[str, int]:
        """What the sandbox saw of what was queued here."""
        own = {number.lstrip("+") for planned in self._planned for number in planned.numbers}
        phones = (item["phone"] for item in self.sandbox.deliveries())
        taken = Counter(phone for phone in phones if phone in own)
        calls = self.sandbox.arrivals(operation="send*")
        return {
            "arrivals": sum(
                bool(own & {phone.lstrip("+") for phone in item["phones"]}) for item in calls
            ),
            "deliveries": sum(taken.values()),
            "twice": sum(number > 1 for number in taken.values()),
        }

    # Sending

    def _plan(self, case: Case) -> Planned:
        numbers = tuple(next(self._numbers) for _number in range(case.numbers))
        for number in numbers:
            self._open_window(case.sender, number)
        if case.bad is not None:
            self._refuse_number(case.sender, numbers[case.bad].lstrip("+"))
        if case.trouble:
            phone = numbers[0].lstrip("+")
            self.sandbox.fault(case.trouble, operation="send*", phone=phone, times=1)
        return Planned(case, self.senders[case.sender], numbers)

    def _open_window(self, sender: str, number: str) -> None:
        """The customer has just written."""
        now = clock.now()
        Conversation.objects.create(
            sender=self.senders[sender],
            address=self._address(number),
            last_inbound_at=now,
            window_expires_at=now + _WINDOW,
            window_opened_by="inbound",
        )
        if sender == ASSISTANT:
            self.sandbox.session(number)

    def _address(self, number: str, **values: Any) -> ContactAddress:
        contact = Contact.objects.create()
        return ContactAddress.objects.create(contact=contact, value=number, **values)

    def _refuse_number(self, sender: str, phone: str) -> None:
        """Let the gateway know no such number."""
        if sender == PHONE:
            self.sandbox.account("whatsapp_http", unregistered=[phone])
        elif sender == OFFICIAL:
            self.sandbox.account("intellisoftware", errors={phone: 2})

    def _queue(self, plan: Sequence[Planned]) -> None:
        for planned in plan:
            queued = outbox.queue_many(
                outbox.Draft(content=planned.case.content, to=number, sender=planned.sender)
                for number in planned.numbers
            )
            if queued.refused:
                raise queued.refused[0][1]
            planned.ids = tuple(message.pk for message in queued.messages if message)

    def _wait(self, plan: Sequence[Planned]) -> None:
        """Until every message is where it belongs, or can get there no more."""
        expected = {
            pk: planned.expected(index) for planned in plan for index, pk in enumerate(planned.ids)
        }
        end = time.monotonic() + PATIENCE
        with tqdm(total=len(expected), unit=" messages", disable=None, leave=False) as bar:
            while time.monotonic() < end:
                states = dict(Message.objects.filter(pk__in=expected).values_list("pk", "status"))
                there = sum(
                    states[pk] == state or states[pk] in _OVER for pk, state in expected.items()
                )
                bar.update(there - bar.n)
                if there == len(expected):
                    return
                time.sleep(0.2)

    # Refusals

    def _refuse(self, refusal: Refusal) -> Row:
        sender, number = self.senders[refusal.sender], refusal.to or next(self._numbers)
        if refusal.state == "open" and not refusal.to:
            self._open_window(refusal.sender, number)
        elif refusal.state == "opted_out":
            self._address(number, opted_out_at=clock.now())
        row = Row(gateway_name(sender), refusal.what, "–", "", "")
        before = Message.objects.count()
        try:
            outbox.queue(refusal.content, to=number, sender=sender)
        except Refused as error:
            row.status = " ".join(str(error).split())
            if not isinstance(error, refusal.error):
                row.problem = f"{type(error).__name__} instead of {refusal.error.__name__}"
        else:
            row.status = row.problem = "was not refused"
        if Message.objects.count() != before:
            row.problem = row.problem or "something was stored"
        if not refusal.to and self.sandbox.arrivals(phone=number):
            row.problem = "something arrived at the gateway"
        return row

    # Questions

    def _ask_accounts(self) -> Iterator[Row]:
        """What a gateway can be asked before anything was sent."""
        phone, official, assistant = (self.senders[name] for name in (PHONE, OFFICIAL, ASSISTANT))
        number = next(self._numbers)
        self.sandbox.session(number)
        yield self._ask(phone, "balance", "checkBal", lambda: phone.connect().balance().amount)
        yield self._ask(
            phone, "phone connected", "qrCode", lambda: phone.connect().connection().connected
        )
        yield self._ask(
            official, "balance", "getbalance", lambda: official.connect().balance().amount
        )
        connect = assistant.connect

        def listed(rows: Sequence[object]) -> str:
            return f"{len(rows)} listed"

        yield self._ask(assistant, "senders", "senders", lambda: listed(connect().fetch_senders()))
        yield self._ask(
            assistant,
            "templates",
            "templates",
            lambda: listed(connect().fetch_templates()),
        )
        yield self._ask(
            assistant,
            "reply window",
            "session-status",
            lambda: "open" if connect().session_status(number).is_open else None,
        )

    def _ask_reports(self, plan: Sequence[Planned]) -> Iterator[Row]:
        """What became of messages: the worker's report, and one message by its id."""
        phone = self.senders[PHONE]
        asked = self.sandbox.arrivals(operation="campaignReport")
        yield Row(
            gateway_name(phone), "delivery report, by the worker",
            wire_of(asked[0]) if asked else "–", "", f"asked {len(asked)}×",
            "" if asked else "nobody asked for a report",
        )  # fmt: skip
        message = Message.objects.get(pk=plan[0].ids[0])
        row = self._ask(
            phone, "one message", "campaignStatus", lambda: polling.check_message(message).status
        )
        row.external_id = message.external_id
        yield row

    def _ask(
        self, sender: Sender, kind: str, operation: str, question: Callable[[], object]
    ) -> Row:
        """Ask, and see that the question arrived as that operation."""
        gateway = sender.provider.adapter
        before = len(self.sandbox.arrivals(gateway=gateway, operation=operation))
        try:
            answer = question()
        except GatewayError as error:
            answer = None
            problem = str(error)
        else:
            problem = "" if answer else "no answer"
        arrived = self.sandbox.arrivals(gateway=gateway, operation=operation)[before:]
        if not arrived:
            problem = problem or f"{operation} did not arrive"
        wire = arrived[0]["operation"] if arrived else "–"
        return Row(gateway_name(sender), kind, wire, "", str(answer), problem)


def _store_files() -> Files:
    """Small files of our own making."""
    made = {
        "image": ("photo.png", qr_like("demo")),
        "document": ("letter.pdf", b"%PDF-1.4\n% a letter that nobody opens\n%%EOF\n"),
        "audio": ("hello.ogg", b"OggS" + bytes(60)),
    }
    return Files(
        {
            kind: str(media.store(ContentFile(data, name=name)).key)
            for kind, (name, data) in made.items()
        }
    )
