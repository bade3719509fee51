"""What a gateway saw, in a few words, read from what the sandbox recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_BUTTONS: Final = {
    "button1": "1",
    "button2": "2",
    "button3": "3",
    "callButtonText": "call",
    "urlButtonText": "url",
}


def wire_of(arrival: Mapping[str, Any]) -> str:
    """The operation and what tells its variants apart, as `sendFilesButton upload 1+call`."""
    content = arrival["content"] or {}
    detail = {
        "whatsapp_http": _whatsapp_http,
        "intellisoftware": _intellisoftware,
        "intellixent": _intellixent,
    }[arrival["gateway"]]
    if arrival["operation"] == "sendFiles" and arrival["text"]:
        # Without words of its own this one is recorded by its link.
        content = {"link": arrival["text"], **content}
    return " ".join([arrival["operation"], *detail(content)])


def _whatsapp_http(content: Mapping[str, Any]) -> Iterator[str]:
    if "link" in content:
        yield "link"
    if "file" in content:
        yield "upload"
    if pressed := [word for name, word in _BUTTONS.items() if content.get(name)]:
        yield "+".join(pressed)


def _intellisoftware(content: Mapping[str, Any]) -> Iterator[str]:
    yield str(content.get("channel", "no channel"))
    message = content.get("content", {}).get("msgobject", {})
    if "type" in message:
        yield message["type"]
    links = list(_links(message))
    if links:
        yield "signed link" if "/messaging/media/" in links[0] else "link"


def _links(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("link"), str):
            yield value["link"]
        for item in value.values():
            yield from _links(item)


def _intellixent(content: Mapping[str, Any]) -> Iterator[str]:
    if "template_id" in content:
        yield "template"
