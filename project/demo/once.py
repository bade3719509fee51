"""The main job without a browser: every kind of message through the real worker, then a table.

    python -m project.demo.once SANDBOX_URL

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
    from .rows import Row

HEAD = ("gateway", "kind", "wire operation", "external id", "final status")
REFUSED_HEAD = ("gateway", "what", "why")


def main(arguments: Sequence[str]) -> int:
    from .child import end_with_parent

    end_with_parent()
    django.setup()
    # "Enqueued 12" of the queue is noise around a table.
    logging.getLogger("django-q").setLevel(logging.WARNING)
    from messaging.sandbox import SandboxClient

    from .rounds import Round

    result = Round(SandboxClient(arguments[0])).run()
    report = Report(result.sent, result.asked, result.refused, result.counts)
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

    @property
    def wrong(self) -> list[Row]:
        return [row for row in (*self.sent, *self.asked, *self.refused) if row.problem]

    def text(self) -> str:
        lines = [
            "Sent by the worker",
            *table(HEAD, [row.cells for row in self.sent]),
            "",
            "Asked",
            *table(HEAD, [row.cells for row in self.asked]),
            "",
            "Refused before anything was stored",
            *table(
                ("gateway", "what", "why"), [row.cells[:2] + row.cells[4:] for row in self.refused]
            ),
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
        ]
        for row in self.wrong:
            lines.append(f"NOT AS EXPECTED: {row.gateway}, {row.kind}: {row.problem}")
        return lines if self.wrong else [*lines, "Every row is as expected."]


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
