"""What the tests of receiving share: bodies of the documents, and inputs nobody meant to send."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from messaging.adapters.base import WebhookFile, WebhookRequest
from messaging.events import Inbound, StatusUpdate

BAD = "\x00", "\ud83d"
FILE = WebhookFile(field="file1", key="5b1f", filename="a.jpg", content_type="image/jpeg", size=9)


def posted(data: Any, content_type: str = "application/json") -> WebhookRequest:
    body = data if isinstance(data, str) else json.dumps(data)
    return WebhookRequest(content_type=content_type, body=body)


def form(data: Any, *files: WebhookFile, **fields: str) -> WebhookRequest:
    text = data if isinstance(data, str) else json.dumps(data)
    return WebhookRequest(
        content_type="multipart/form-data; boundary=x", fields={"json": text, **fields}, files=files
    )


def without_to(event: Inbound | StatusUpdate) -> str:
    """All an event holds but `to`, as it would be stored."""
    values = {
        field.name: getattr(event, field.name)
        for field in dataclasses.fields(event)
        if field.name != "to"
    }
    return json.dumps(values, default=_plain, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """What JSON does not know by itself: read-only mappings, files, times."""
    return dict(value) if isinstance(value, Mapping) else str(value)


texts = st.text(alphabet=st.characters(), max_size=8) | st.sampled_from(
    [*BAD, "447700900123", "447700900123@s.whatsapp.net", "1@g.us", "2026-03-01T09:15:00-00:00"]
)


def values(names: list[str]) -> st.SearchStrategy[Any]:
    """JSON values whose objects use these names, so that they come near the real ones."""
    keys = st.sampled_from(names) | texts
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
    words = st.sampled_from(["inbox", "delivery", "text", "image", "reply", "location", "contacts"])
    return st.recursive(
        leaves | words,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=8),
        max_leaves=20,
    )
