"""The main job without a browser: every kind of message out and in, then tables.

    python -m project.demo.once SANDBOX_URL WEB_URL

What is shown of the wire is what the sandbox recorded, held against what our own history of the
call says. Nothing here waits a fixed time to decide: only for states, and long.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from .desk import Line
    from .rows import Row

HEAD = ("gateway", "kind", "wire operation", "external id", "final status")
REFUSED_HEAD = ("gateway", "what", "why")
RECEIVED_HEAD = ("gateway", "format", "brought by", "kind", "what became of it")
PLAYED_HEAD = ("gateway", "what happened", "what became of it")


def main(arguments: Sequence[str]) -> int:
    from .child import end_with_parent

    end_with_parent()
    django.setup()
    # "Enqueued 12" of the queue is noise around a table.
    logging.getLogger("django-q").setLevel(logging.WARNING)
    from messaging.sandbox import SandboxClient

    from .receiving import Receiving
    from .rounds import Round

    sandbox_url, web_url = arguments
    sandbox = SandboxClient(sandbox_url)
    sending = Round(sandbox)
    sending.start()
    sending.wait_until_taken()
    # While what was sent is delivered, others write.
    came = Receiving(sandbox, sending.senders, web_url).run()
    sending.finish()
    report = Report(
        sending.sent, sending.asked, sending.refused, {**sending.counts, **came.counts},
        came.received, came.scenes.lines,
    )  # fmt: skip
    sys.stdout.write(report.text())
    sys.stdout.flush()
    return 1 if report.wrong else 0


@dataclass(slots=True)
class Report:
    """The tables and the counts, as text."""

    sent: Sequence[Row]
    asked: Sequence[Row]
    refused: Sequence[Row]
    counts: Mapping[str, int]
    received: Sequence[Line] = ()
    played: Sequence[Line] = ()

    @property
    def wrong(self) -> list[Row | Line]:
        rows: list[Row | Line] = [*self.sent, *self.asked, *self.refused]
        rows += [*self.received, *self.played]
        return [row for row in rows if row.problem]

    def text(self) -> str:
        lines = [
            "Sent by the worker",
            *table(HEAD, [row.cells for row in self.sent]),
            "",
            "Asked",
            *table(HEAD, [row.cells for row in self.asked]),
            "",
            "Refused before anything was stored",
            *table(REFUSED_HEAD, [row.cells[:2] + row.cells[4:] for row in self.refused]),
            "",
            "Received",
            *table(RECEIVED_HEAD, [line.cells for line in self.received]),
            "",
            "Pairing, reply windows, consent",
            *table(PLAYED_HEAD, [line.cells for line in self.played]),
            "",
            *self._summary(),
        ]
        return "\n".join(lines) + "\n"

    def _summary(self) -> list[str]:
        states = Counter(row.status.partition(" ")[0] for row in self.sent)
        named = ", ".join(f"{count} {state}" for state, count in states.most_common())
        taken, twice = self.counts["deliveries"], self.counts["twice"]
        lines = [
            f"{len(self.sent)} messages: {named}.",
            f"{len(self.asked)} questions asked, {len(self.refused)} messages refused.",
            f"The sandbox saw {self.counts['arrivals']} sending calls.",
            f"It took {taken} messages, {twice} of them twice.",
            *self._came(),
        ]
        for row in self.wrong:
            lines.append(f"NOT AS EXPECTED: {row.gateway}, {row.kind}: {row.problem}")
        return lines if self.wrong else [*lines, "Every row is as expected."]

    def _came(self) -> list[str]:
        counts = self.counts
        if "received" not in counts:
            return []
        parts = (
            f"{counts['received']} messages received",
            f"{counts['duplicates']} duplicates dropped",
            f"{counts['quarantined']} deliveries quarantined",
            f"{counts['polled']} found only by polling",
        )
        return [", ".join(parts) + "."]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as their widest cell."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    rule = "  ".join("-" * width for width in widths[:-1]) + "  " + "-" * min(widths[-1], 60)

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "  ".join(padded).rstrip()

    return [line(head), rule, *(line(row) for row in rows)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
