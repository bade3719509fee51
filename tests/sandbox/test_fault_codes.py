"""The documented error codes as faults, and what only IntelliSoftware's answers can do."""

from __future__ import annotations

import pytest

from messaging.sandbox import SandboxClient

from .conftest import OTHER, PHONE, IntelliSoftware, Intellixent, WhatsAppHttp

WH_CODES = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "15"]
IS_CODES = [1, 2, 3, 5, 10, 11, 12, 18, 19, 20, 21, 22, 26, 27, 28, 29]


@pytest.mark.parametrize("status", [None, 200])
@pytest.mark.parametrize("code", WH_CODES)
def test_whatsapp_codes(
    wh: WhatsAppHttp, control: SandboxClient, code: str, status: int | None
) -> None:
    control.fault(
        "code", gateway="whatsapp_http", code=code, **({"http": status} if status else {})
    )
    response = wh.text()
    assert response.status_code == (status or 400)
    assert response.json()["status"] == "error"
    assert response.json()["message"].startswith(f"{code}-")
    assert control.deliveries() == []
    assert control.arrivals()[0]["code"] == code


def test_whatsapp_bad_token_as_a_fault(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.fault("code", gateway="whatsapp_http", code="invalid object id")
    response = wh.text()
    assert (response.status_code, response.json()["message"]) == (401, "invalid object id")


@pytest.mark.parametrize("code", IS_CODES)
def test_intellisoftware_codes_at_both_levels(
    isoft: IntelliSoftware, control: SandboxClient, code: int
) -> None:
    options = {"gateway": "intellisoftware", "code": code, "times": 1}
    control.fault("code", http=500, description="Later", **options)
    response = isoft.text()
    assert response.status_code == 500
    (error,) = response.json()["errors"]
    assert (error["error_code"], error["error_description"]) == (code, "Later")
    control.fault("code", level="recipient", phone=OTHER, **options)
    taken, refused = isoft.text(to=f"{PHONE},{OTHER}").json()["messages"]
    assert "id" in taken
    assert (refused["to"], refused["error_code"]) == (OTHER, code)
    assert [item["phone"] for item in control.deliveries()] == [PHONE]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("SENDER_NOT_FOUND", 404),
        ("TEMPLATE_NOT_APPROVED", 422),
        ("INSUFFICIENT_BALANCE", 402),
        ("SESSION_EXPIRED", 403),
        ("MESSAGING_LIMIT_UNAVAILABLE", 422),
        ("UNKNOWN_ERROR", 422),
        ("TWILIO_ERROR_63016", 422),
    ],
)
def test_intellixent_codes(
    slow_ix: Intellixent, control: SandboxClient, code: str, status: int
) -> None:
    control.fault("code", gateway="intellixent", code=code, times=1)
    response = slow_ix.send()
    assert (response.status_code, response.json()["error_code"]) == (status, code)
    control.fault("code", gateway="intellixent", code=code, http=200)
    response = slow_ix.send()
    assert (response.status_code, response.json()["success"]) == (200, False)


def test_a_code_after_the_message_was_taken(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.fault("code", gateway="whatsapp_http", code="05", accept=True)
    assert wh.text().status_code == 400
    assert len(control.deliveries()) == 1
    assert control.arrivals()[0]["accepted"] == 1


def test_omit_reorder_rewrite(isoft: IntelliSoftware, control: SandboxClient) -> None:
    to = f"{PHONE},{OTHER}"
    control.fault("omit", gateway="intellisoftware", phone=OTHER, times=1)
    control.fault("reorder", gateway="intellisoftware", times=1)
    control.fault("rewrite", gateway="intellisoftware", variant="national", times=1)
    answers = [[entry["to"] for entry in isoft.text(to=to).json()["messages"]] for _ in range(3)]
    assert answers == [[PHONE], [OTHER, PHONE], ["07700900123", "07700900124"]]
    assert len(control.deliveries()) == 6
