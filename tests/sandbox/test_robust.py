"""Whatever comes in, an answer of the document goes out: no request may break the sandbox."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.sandbox.accounts import (
    IS_ACCESS_KEY,
    IS_NUMBER,
    IS_SECRET_KEY,
    IX_API_KEY,
    WH_TOKEN,
)
from messaging.sandbox.app import App
from messaging.sandbox.state import State
from messaging.sandbox.whatsapp_rules import BUTTON_PARAMETERS, SENDS
from messaging.sandbox.wire import Reply, Request, render

from .conftest import PHONE

QUICK = settings(max_examples=150, deadline=None)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.sampled_from(
    ["type", "text", "body", "interactive", "action", "buttons", "reply", "title", "id", "to",
     "template", "components", "parameters", "language", "name", "contacts", "list", "sections"]
) | st.text(max_size=5)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def _answer(app: App, request: Request) -> Reply:
    reply = app.handle(request)
    assert isinstance(reply, Reply)
    assert render(reply).startswith(b"HTTP/1.1 ")
    return reply


def _request(path: str, body: bytes, content_type: str, **headers: str) -> Request:
    request = Request("POST", path, "", {"content-type": content_type, **headers})
    request.body = body
    return request


def _lists(app: App) -> None:
    """The control API can print everything that was recorded."""
    for resource in ("arrivals", "deliveries", "stats"):
        reply = _answer(app, Request("GET", f"/_sandbox/{resource}", "", {}))
        assert reply.status == 200
        json.loads(reply.body)


@QUICK
@given(JSON, st.sampled_from(["msgobject", "content", "message", "auth", "whole"]))
def test_intellisoftware_takes_any_json(value: Any, place: str) -> None:
    app = App(State())
    content = {"format": "wa_msgobject_v2", "msgobject": {"type": "text", "text": {"body": "x"}}}
    auth = {"authtype": "accesskey", "accesskey": IS_ACCESS_KEY, "secretkey": IS_SECRET_KEY}
    message = {"from": IS_NUMBER, "to": PHONE, "channel": "whatsapp", "content": content}
    body: Any = {"request_version": "1.0.0", "response_version": "1.0.3"}
    body |= {"auth": auth, "message": message}
    parent = {"msgobject": content, "content": message, "message": body, "auth": body}.get(place)
    if parent is None:
        body = value
    else:
        parent[place] = value
    path = "/api/json/sendmsg.aspx"
    reply = _answer(app, _request(path, json.dumps(body).encode(), "application/json"))
    answer = json.loads(reply.body)
    assert answer["response_status"] in ("ok", "failure")
    _lists(app)


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "sender_id",
                "template_id",
                "recipient_phone",
                "recipient_name",
                "variables",
                "message",
            ]
        )
        | st.text(max_size=5),
        JSON | st.just(12) | st.just(45) | st.just(f"+{PHONE}"),
    ),
    st.sampled_from(["send", "send-freeform"]),
)
def test_intellixent_takes_any_json(body: dict[str, Any], operation: str) -> None:
    app = App(State())
    path = f"/api/user/whatsapp/{operation}"
    key = f"Bearer {IX_API_KEY}"
    request = _request(path, json.dumps(body).encode(), "application/json", authorization=key)
    reply = _answer(app, request)
    answer = json.loads(reply.body)
    assert "success" in answer or "message" in answer
    _lists(app)


@QUICK
@given(
    st.sampled_from(sorted(SENDS)),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["phone", "message", "link", "name", "header", "footer", "rows", "buttonText",
                 "degreesLatitude", "degreesLongitude", "contactName", "contactPhone",
                 *BUTTON_PARAMETERS]
            ) | st.text(max_size=5),
            st.text(st.characters(codec="utf-8")) | st.just(PHONE) | st.just("s:t:d"),
        )
    ),
)  # fmt: skip
def test_whatsapp_http_takes_any_parameters(operation: str, pairs: list[tuple[str, str]]) -> None:
    app = App(State())
    body = urlencode([("token", WH_TOKEN), *pairs]).encode()
    kind = "application/x-www-form-urlencoded"
    reply = _answer(app, _request(f"/api/{operation}", body, kind))
    assert reply.status in (200, 400, 401, 500)
    if reply.status != 500:
        assert json.loads(reply.body)["status"] in ("success", "error")
    _lists(app)


@QUICK
@given(st.binary(max_size=200), st.sampled_from(sorted(SENDS)))
def test_whatsapp_http_takes_any_multipart(body: bytes, operation: str) -> None:
    app = App(State())
    framed = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + body
    request = _request(f"/api/{operation}", framed, "multipart/form-data; boundary=b")
    request.query = f"token={WH_TOKEN}&phone={PHONE}"
    assert _answer(app, request).status in (200, 400, 500)
    _lists(app)
