"""One sandbox process for all these tests, reset before each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from messaging.sandbox import Sandbox, SandboxClient
from messaging.sandbox.accounts import (
    IS_ACCESS_KEY,
    IS_NUMBER,
    IS_SECRET_KEY,
    IX_API_KEY,
    WH_TOKEN,
)

from .receiver import Receiver, receiving

PHONE = "447700900123"
OTHER = "447700900124"
TIMEOUT = 10


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def control(sandbox: Sandbox) -> SandboxClient:
    client = sandbox.control
    client.reset()
    return client


@pytest.fixture
def hook(control: SandboxClient) -> Iterator[Receiver]:
    """A receiver that both gateways which post are told of."""
    with receiving() as receiver:
        control.webhook("whatsapp_http", f"{receiver.url}/wh")
        control.webhook("intellisoftware", f"{receiver.url}/is")
        yield receiver
        control.reset()


@pytest.fixture(scope="session")
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


class WhatsAppHttp:
    """Calls of the WhatsApp HTTP API with token and phone filled in."""

    def __init__(self, url: str, http: requests.Session) -> None:
        self.url = url
        self.http = http

    def __call__(
        self,
        operation: str,
        method: str = "POST",
        by: str = "body",
        files: Any = None,
        **params: Any,
    ) -> requests.Response:
        params = {"token": WH_TOKEN} | params
        if operation.startswith("send"):
            params = {"phone": PHONE} | params
        params = {name: value for name, value in params.items() if value is not None}
        place: dict[str, Any] = {"params" if by == "query" or method == "GET" else "data": params}
        url = f"{self.url}/api/{operation}"
        return self.http.request(method, url, files=files, timeout=TIMEOUT, **place)

    def text(self, message: str = "Hello", **params: Any) -> requests.Response:
        return self("sendText", message=message, **params)

    def rows(self, **params: Any) -> list[dict[str, Any]]:
        answer = self("campaignReport", **params).json()
        return list(answer["data"])


class IntelliSoftware:
    """Calls of IntelliSoftware with credentials and versions filled in."""

    def __init__(self, url: str, http: requests.Session) -> None:
        self.url = url
        self.http = http

    def envelope(self, **message: Any) -> dict[str, Any]:
        auth = {"authtype": "accesskey", "accesskey": IS_ACCESS_KEY, "secretkey": IS_SECRET_KEY}
        return {
            "auth": auth,
            "request_version": "1.0.0",
            "response_version": "1.0.3",
            "message": message,
        }

    def post(self, body: Any, path: str = "sendmsg") -> requests.Response:
        url = f"{self.url}/api/json/{path}.aspx"
        if isinstance(body, bytes):
            return self.http.post(url, data=body, timeout=TIMEOUT)
        return self.http.post(url, json=body, timeout=TIMEOUT)

    def send(self, msgobject: dict[str, Any], to: str = PHONE, **message: Any) -> requests.Response:
        content = {"format": "wa_msgobject_v2", "msgobject": msgobject}
        message = {"from": IS_NUMBER, "to": to, "channel": "whatsapp", "content": content} | message
        return self.post(self.envelope(**message))

    def text(self, body: str = "Hello", to: str = PHONE, **message: Any) -> requests.Response:
        return self.send({"type": "text", "text": {"body": body}}, to, **message)


class Intellixent:
    """Calls of Intellixent with the key and a valid body filled in."""

    def __init__(self, url: str, http: requests.Session) -> None:
        self.url = f"{url}/api/user/whatsapp"
        self.http = http
        self.headers = {"Authorization": f"Bearer {IX_API_KEY}"}

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.http.get(
            f"{self.url}/{path}", params=params, headers=self.headers, timeout=TIMEOUT
        )

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        return self.http.post(
            f"{self.url}/{path}", json=body, headers=self.headers | headers, timeout=TIMEOUT
        )

    def send(self, **changes: Any) -> requests.Response:
        body = {
            "sender_id": 12,
            "template_id": 45,
            "recipient_phone": f"+{PHONE}",
            "variables": {"1": "Asha", "2": "3 March", "3": "10:00"},
        } | changes
        return self.post("send", {name: value for name, value in body.items() if value is not ...})

    def freeform(self, **changes: Any) -> requests.Response:
        body = {"sender_id": 12, "recipient_phone": f"+{PHONE}", "message": "Hello"} | changes
        return self.post("send-freeform", body)


@pytest.fixture
def wh(sandbox: Sandbox, control: SandboxClient, http: requests.Session) -> WhatsAppHttp:
    return WhatsAppHttp(sandbox.url, http)


@pytest.fixture
def isoft(sandbox: Sandbox, control: SandboxClient, http: requests.Session) -> IntelliSoftware:
    return IntelliSoftware(sandbox.url, http)


@pytest.fixture
def ix(sandbox: Sandbox, control: SandboxClient, http: requests.Session) -> Intellixent:
    return Intellixent(sandbox.url, http)


@pytest.fixture
def slow_ix(ix: Intellixent, control: SandboxClient) -> Intellixent:
    """Intellixent without its pace, for tests of everything else."""
    control.account("intellixent", rate_limit=0)
    return ix
