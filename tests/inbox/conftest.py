"""A provider whose gateway posts to us, and events as its adapter would make them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from messaging.content import Text
from messaging.events import Inbound
from messaging.models import Sender
from tests.rows import make_provider, make_sender

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def frozen() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def sender(db: None) -> Sender:
    provider = make_provider(window_policy="inbound_only")
    return make_sender(provider, address="+447700900100")


def wrote(text: str = "Hello", **values: Any) -> Inbound:
    """A text from +447911123456."""
    content = Text(text).to_json()
    given = {"external_id": "in-1", "address": "+447911123456", "text": text, "content": content}
    return Inbound(**{**given, **values})
