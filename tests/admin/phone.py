"""A phone to pair: what its gateway says next, and a log of how often it was asked."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.adapters.base import Balance, Connection
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.errors import ErrorClass, Failure, GatewayError, Verdict
from messaging.models import Provider, Sender
from messaging.sandbox.png import qr_like

CODE = qr_like("one")
OTHER_CODE = qr_like("two")
TOKEN = "65a1b2c3d4e5f60718293a99"


class Phone:
    """Stands in for the gateway's word on a phone."""

    def __init__(self) -> None:
        self.answer: Connection | Exception = Connection(connected=False, code=CODE)
        self.asked = 0

    def connection(self, _adapter: Any) -> Connection:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def show(self, code: bytes) -> None:
        self.answer = Connection(connected=False, code=code)

    def scan(self, **values: Any) -> None:
        known = {
            "name": "Acme Clinic",
            "address": "+447700900555",
            "platform": "MD",
            "balance": Balance(amount="4300", used_today=699),
        }
        self.answer = Connection(connected=True, **{**known, **values})

    def fail(self, error_class: ErrorClass, text: str = "") -> None:
        failure = Failure(verdict=Verdict.REFUSED, error_class=error_class, text=text)
        self.answer = GatewayError(failure)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Phone:
    found = Phone()
    monkeypatch.setattr(WhatsAppHttp, "connection", lambda adapter: found.connection(adapter))
    return found


@pytest.fixture
def phone(db: None, gateway: Phone) -> Sender:
    provider = Provider.objects.create(
        name="Phones", adapter="whatsapp_http", base_url="http://127.0.0.1:9"
    )
    return Sender.objects.create(provider=provider, name="Pharmacy", credentials={"token": TOKEN})
