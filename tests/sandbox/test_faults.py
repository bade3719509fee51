"""Every fault mode, on every system where it makes a difference."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from messaging.sandbox import Sandbox, SandboxClient, SandboxError

from .conftest import OTHER, PHONE, IntelliSoftware, Intellixent, WhatsAppHttp

SHORT = 0.25
Send = Callable[..., requests.Response]


@pytest.fixture
def plain() -> Any:
    """A session of its own: broken connections must not reach other tests."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture(params=["whatsapp_http", "intellisoftware", "intellixent"])
def system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def send(system: str, sandbox: Sandbox, control: SandboxClient, plain: requests.Session) -> Send:
    """One valid send on the system under test, on connections of its own."""
    if system == "whatsapp_http":
        return WhatsAppHttp(sandbox.url, plain).text
    if system == "intellisoftware":
        return IntelliSoftware(sandbox.url, plain).text
    control.account("intellixent", rate_limit=0)
    return Intellixent(sandbox.url, plain).send


def _only_arrival(control: SandboxClient) -> dict[str, Any]:
    (arrival,) = control.arrivals()
    return arrival


def test_latency_takes_the_message_and_answers_late(
    send: Send, system: str, control: SandboxClient
) -> None:
    control.fault("latency", gateway=system, seconds=SHORT)
    start = time.monotonic()
    assert send().status_code == 200
    assert time.monotonic() - start >= SHORT
    assert len(control.deliveries()) == 1
    assert _only_arrival(control)["fault"] == "latency"


def test_slow_answers_do_not_hold_up_others(
    wh: WhatsAppHttp, isoft: IntelliSoftware, control: SandboxClient, plain: requests.Session
) -> None:
    control.fault("hang_after", gateway="whatsapp_http")
    with pytest.raises(requests.ReadTimeout):
        plain.get(f"{wh.url}/api/checkBal", timeout=0.05)
    assert isoft.text().status_code == 200


@pytest.mark.parametrize(("mode", "taken"), [("hang_before", 0), ("hang_after", 1)])
def test_hang(
    send: Send, system: str, control: SandboxClient, plain: requests.Session, mode: str, taken: int
) -> None:
    control.fault(mode, gateway=system)
    original = plain.request

    def impatient(*args: Any, **kwargs: Any) -> requests.Response:
        return original(*args, **kwargs | {"timeout": SHORT})

    plain.request = impatient  # type: ignore[method-assign]
    plain.post = lambda url, **kwargs: impatient("POST", url, **kwargs)  # type: ignore[assignment,method-assign]
    with pytest.raises(requests.ReadTimeout):
        send()
    assert len(control.deliveries()) == taken
    arrival = _only_arrival(control)
    assert (arrival["status"], arrival["accepted"]) == (0, taken)


@pytest.mark.parametrize(("mode", "taken"), [("cut_before", 0), ("cut_after", 1)])
def test_cut_is_a_reset(
    send: Send, system: str, control: SandboxClient, mode: str, taken: int
) -> None:
    control.fault(mode, gateway=system)
    with pytest.raises(requests.ConnectionError) as caught:
        send()
    assert "reset" in str(caught.value).lower()
    assert len(control.deliveries()) == taken
    assert _only_arrival(control)["status"] == 0


def test_cut_in_the_middle_of_the_body(send: Send, system: str, control: SandboxClient) -> None:
    control.fault("cut_midbody", gateway=system)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        send()
    assert len(control.deliveries()) == 1


@pytest.mark.parametrize("status", [302, 403, 408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("accept", [None, True])
def test_any_status(
    send: Send, system: str, control: SandboxClient, status: int, accept: bool | None
) -> None:
    options: dict[str, Any] = {"retry_after": "7"} if status == 429 else {}
    if status == 302:
        options["location"] = "http://127.0.0.1:9/elsewhere"
    if accept is not None:
        options["accept"] = accept
    control.fault("status", gateway=system, http=status, **options)
    if status == 302:
        with pytest.raises(requests.ConnectionError):
            send()
    else:
        response = send()
        assert response.status_code == status
        assert response.headers.get("Retry-After") == options.get("retry_after")
    assert len(control.deliveries()) == bool(accept)
    assert _only_arrival(control)["status"] == status


def test_status_with_a_body(send: Send, system: str, control: SandboxClient) -> None:
    control.fault("status", gateway=system, http=500, body='{"error":"oops"}')
    response = send()
    assert response.json() == {"error": "oops"}
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("accept", [False, True])
def test_html_at_200(send: Send, system: str, control: SandboxClient, accept: bool) -> None:
    control.fault("html", gateway=system, accept=accept)
    response = send()
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert "<html>" in response.text
    assert len(control.deliveries()) == accept


def test_truncated_json(send: Send, system: str, control: SandboxClient) -> None:
    control.fault("truncated_json", gateway=system)
    response = send()
    assert response.text.startswith("{")
    with pytest.raises(requests.JSONDecodeError):
        response.json()
    assert len(control.deliveries()) == 1


@pytest.mark.parametrize(
    ("shape", "kind"),
    [("types", dict), ("list", list), ("null", type(None)), ("string", str), ("number", int)],
)
def test_wrong_json(
    send: Send, system: str, control: SandboxClient, shape: str, kind: type
) -> None:
    control.fault("wrong_json", gateway=system, shape=shape)
    assert isinstance(send().json(), kind)
    assert len(control.deliveries()) == 1


def test_json_too_deep_for_any_reader(send: Send, system: str, control: SandboxClient) -> None:
    control.fault("wrong_json", gateway=system, shape="deep")
    with pytest.raises((RecursionError, requests.JSONDecodeError)):
        json.loads(send().content)


@pytest.mark.parametrize("variant", ["empty", "null", "absent"])
def test_success_without_an_id(
    send: Send, system: str, control: SandboxClient, variant: str
) -> None:
    control.fault("no_id", gateway=system, variant=variant)
    response = send()
    assert response.status_code == 200
    (delivery,) = control.deliveries()
    assert delivery["id"] not in response.text
    answer = response.json()
    if system == "whatsapp_http":
        expected = {"empty": [], "null": None}
        assert answer["message"] == "00-Success"
        assert answer["data"].get("messageIDs", ...) == expected.get(variant, ...)
    elif system == "intellisoftware":
        assert answer["response_status"] == "ok"
        expected_entries = {"empty": [{"to": PHONE}], "null": [{"to": PHONE, "id": None}]}
        assert answer.get("messages") == expected_entries.get(variant)
    else:
        assert answer["success"] is True
        assert ("message_sid" in answer) == (variant != "absent")


def test_empty_body(send: Send, system: str, control: SandboxClient) -> None:
    control.fault("empty", gateway=system)
    response = send()
    assert (response.status_code, response.content) == (200, b"")
    assert len(control.deliveries()) == 1


def test_drip(send: Send, system: str, control: SandboxClient) -> None:
    control.fault("drip", gateway=system, bytes_per_second=1000)
    start = time.monotonic()
    response = send()
    assert response.status_code == 200
    json.loads(response.content)
    assert 0.1 < time.monotonic() - start < 2


def test_huge_body(send: Send, system: str, control: SandboxClient) -> None:
    control.fault("huge", gateway=system, megabytes=5)
    response = send()
    assert len(response.content) > 5_000_000
    assert isinstance(response.json(), dict)


def test_times_and_skip(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.fault("status", http=503, skip=1, times=2)
    assert [wh.text().status_code for _ in range(5)] == [200, 503, 503, 200, 200]
    (fault,) = control.faults()
    assert fault["hits"] == 2


def test_by_operation_phone_and_text(
    wh: WhatsAppHttp, isoft: IntelliSoftware, control: SandboxClient
) -> None:
    control.fault("status", http=500, operation="send*", phone=f"+{OTHER}")
    control.fault("status", http=502, contains="poison")
    control.fault("status", http=504, gateway="whatsapp_http", operation="checkBal")
    assert wh.text(phone=OTHER).status_code == 500
    assert wh.text("a poison message").status_code == 502
    assert wh.text().status_code == 200
    assert wh("checkBal").status_code == 504
    assert isoft.text(to=f"{PHONE},{OTHER}").status_code == 500
    assert isoft.text("poison").status_code == 502
    assert isoft.text().status_code == 200


def test_template_variables_count_as_text(
    slow_ix: Intellixent, isoft: IntelliSoftware, control: SandboxClient
) -> None:
    control.fault("status", http=502, contains="Asha")
    assert slow_ix.send().status_code == 502
    parameters = [{"type": "text", "text": "Asha"}]
    template = {
        "name": "welcome",
        "language": {"policy": "deterministic", "code": "en"},
        "components": [{"type": "body", "parameters": parameters}],
    }
    assert isoft.send({"type": "template", "template": template}).status_code == 502


def test_by_account(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", token="c" * 24, name="second")
    control.fault("status", http=500, account="second")
    assert wh.text(token="c" * 24).status_code == 500
    assert wh.text().status_code == 200


def test_the_first_that_strikes_wins(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.fault("status", http=500, times=1)
    control.fault("status", http=502)
    assert [wh.text().status_code for _ in range(2)] == [500, 502]


def test_any_mode_may_be_late(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.fault("status", http=500, seconds=SHORT)
    start = time.monotonic()
    assert wh.text().status_code == 500
    assert time.monotonic() - start >= SHORT


def test_rate_is_repeatable(wh: WhatsAppHttp, control: SandboxClient) -> None:
    runs = []
    for seed in (1, 1, 2):
        control.clear_faults()
        control.fault("status", http=500, rate=0.5, seed=seed)
        runs.append([wh.text().status_code for _ in range(20)])
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {200, 500}


def test_a_refused_request_is_not_taken_by_an_accepting_fault(
    wh: WhatsAppHttp, control: SandboxClient
) -> None:
    control.fault("no_id", gateway="whatsapp_http")
    assert wh.text("x" * 2001).status_code == 400
    assert control.deliveries() == []


def test_faults_are_listed_and_deleted(wh: WhatsAppHttp, control: SandboxClient) -> None:
    first = control.fault("status", http=500)
    control.fault("empty")
    assert [fault["mode"] for fault in control.faults()] == ["status", "empty"]
    control.clear_faults(first)
    assert [fault["mode"] for fault in control.faults()] == ["empty"]
    control.clear_faults()
    assert control.faults() == []
    assert wh.text().json()["status"] == "success"


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("explode", {}),
        ("status", {}),
        ("status", {"http": 99}),
        ("status", {"http": "500"}),
        ("code", {"code": "05"}),
        ("code", {"gateway": "whatsapp_http"}),
        ("code", {"gateway": "whatsapp_http", "code": "99"}),
        ("code", {"gateway": "intellisoftware", "code": 4}),
        ("code", {"gateway": "intellixent", "code": "NO_SUCH_CODE"}),
        ("hang_before", {"accept": True}),
        ("latency", {"gateway": "other"}),
        ("latency", {"sometimes": True}),
        ("latency", {"hits": 3}),
    ],
)
def test_senseless_faults_are_refused(
    control: SandboxClient, mode: str, options: dict[str, Any]
) -> None:
    with pytest.raises(SandboxError):
        control.fault(mode, **options)
    assert control.faults() == []
