"""The WhatsApp HTTP API's document, taken apart: its addresses, tables and sample answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parent / "samples/seeds/whatsapp-http-api-2.0.0.txt").read_text()


@dataclass
class Section:
    """One operation's part of the document.

    `parameters` are the names of its address in order, `placeholders` what stands behind each;
    `table` the names of its table, True where marked as required; `answers` its sample answers
    as (HTTP status, JSON).
    """

    number: str
    operation: str
    parameters: list[tuple[str, str]] = field(default_factory=list)
    table: dict[str, bool] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    @property
    def uploads(self) -> bool:
        """True for the variants that take a local file."""
        return "(a)" in self.number


def _sections() -> list[Section]:
    parts = re.split(r"\n##+ (?=\d)", TEXT)[1:]
    found = []
    for part in parts:
        address = re.search(r"\]\(https://\{base_url\}/api/(\w+)\?([^)]*)\)", part)
        if address is None:
            continue
        number = "".join(re.findall(r"^([\d.]+)\s*(\(a\))?", part)[0])
        more = re.search(r"\n\[(&[^\]]*)\]\(#\)", part)
        query = address[2] + (more[1] if more else "")
        pairs = [tuple(pair.split("=", 1)) for pair in query.replace("...", "").split("&")]
        tables = re.split("Formatting:|Error Codes", part)[0]
        names = re.findall(r"^(\w+)(\*?)\t", tables, re.MULTILINE)
        section = Section(number, address[1], pairs)
        section.table = {name: bool(star) for name, star in names if name != "Parameter"}
        section.answers = list(_answers(part))
        found.append(section)
    return found


def _answers(part: str) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for status, text in re.findall(r"(\d{3})[A-Za-z -]+\t(?:<pre>)?(\{.*)", part):
        try:
            # A few samples are broken by the document's own line ends.
            found.append((int(status), json.JSONDecoder().raw_decode(text)[0]))
        except ValueError:
            continue
    return found


SECTIONS = _sections()
BY_NUMBER = {section.number: section for section in SECTIONS}
CODES = dict(re.findall(r"^(\d\d)-(.+)$", TEXT[TEXT.index("## 9. Error Codes") :], re.MULTILINE))
