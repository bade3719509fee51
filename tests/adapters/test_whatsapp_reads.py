"""WhatsApp HTTP API, reading: balance, connection, and what report rows prove."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from messaging.adapters.http import MASK, Http
from messaging.errors import ErrorClass, Failure, GatewayError, Scope
from messaging.events import Status

from .recorder import Recorded, Recorder
from .whatsapp_cases import BALANCE, LANE, TOKEN, adapter
from .whatsapp_seed import BY_NUMBER, TEXT

NOW = datetime(2026, 3, 10, 20, 0, tzinfo=UTC)  # the 11th in India
ROW: dict[str, Any] = BY_NUMBER["2.1"].answers[0][1]["data"]
NO_DATA = BY_NUMBER["2.2"].answers[1][1]
QR = BY_NUMBER["3.1"].answers[0][1]


@pytest.fixture(autouse=True)
def now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=True):
        yield


def failed(operation: Any, *arguments: Any) -> Failure:
    with pytest.raises(GatewayError) as caught:
        operation(*arguments)
    assert TOKEN not in f"{caught.value!r} {caught.value.failure!r}"
    return caught.value.failure


# --- Balance ------------------------------------------------------------------------------------


def test_balance(http: Http, server: Recorder) -> None:
    server.answer(BALANCE)
    balance = adapter(http, server.url).balance()
    assert balance.amount == "4300"
    assert balance.expires_at == datetime(2023, 5, 4, 16, 59, 59, tzinfo=UTC)
    assert balance.used_today is None
    assert balance.raw == BALANCE["data"]
    assert balance.call is not None
    assert balance.call.operation == "checkBal"
    [request] = server.requests
    assert (request.path, request.parameters) == ("/api/checkBal", {"token": [TOKEN]})


def test_the_test_is_the_balance(http: Http, server: Recorder) -> None:
    server.answer(BALANCE)
    assert adapter(http, server.url).test().amount == "4300"


@pytest.mark.parametrize("data", [None, {}, [], "x", {"quota": None, "expiryDate": 5}])
def test_balance_that_says_nothing(http: Http, server: Recorder, data: Any) -> None:
    server.answer({"status": "success", "message": "00-Success", "data": data})
    balance = adapter(http, server.url).balance()
    assert (balance.amount, balance.expires_at) == (None, None)


READ_FAILURES: list[tuple[int, Any, ErrorClass, Scope, bool]] = [
    (401, BY_NUMBER["5."].answers[1][1], ErrorClass.AUTHENTICATION, LANE, False),
    (400, {"message": "03-Instance id not found"}, ErrorClass.CONFIGURATION, LANE, False),
    (200, {"status": "error", "message": "06-Not enough quota"}, ErrorClass.QUOTA, LANE, True),
    (400, {"message": "15-QrCode failed"}, ErrorClass.TRANSIENT, Scope.MESSAGE, True),
    (400, {"message": "77-New"}, ErrorClass.UNKNOWN_REJECTION, Scope.MESSAGE, False),
    (400, b"", ErrorClass.UNKNOWN_REJECTION, Scope.MESSAGE, False),
    (200, b"<html>", ErrorClass.TRANSIENT, Scope.MESSAGE, True),
    (200, {"status": "huh"}, ErrorClass.TRANSIENT, Scope.MESSAGE, True),
    (302, b"", ErrorClass.CONFIGURATION, LANE, False),
    (403, b"", ErrorClass.TRANSIENT, Scope.MESSAGE, True),
    (429, b"", ErrorClass.RATE_LIMIT, LANE, True),
    (502, b"", ErrorClass.TRANSIENT, Scope.MESSAGE, True),
    (503, b"<html>", ErrorClass.TRANSIENT, Scope.MESSAGE, True),
    (504, b"", ErrorClass.TRANSIENT, Scope.MESSAGE, True),
]


@pytest.mark.parametrize(("status", "body", "error_class", "scope", "retry"), READ_FAILURES)
@pytest.mark.parametrize("operation", ["balance", "connection", "fetch_statuses", "fetch_status"])
def test_read_failures(
    http: Http,
    server: Recorder,
    operation: str,
    status: int,
    body: Any,
    error_class: ErrorClass,
    scope: Scope,
    retry: bool,
) -> None:
    server.answer(body, status)
    arguments = {"fetch_statuses": (NOW, NOW), "fetch_status": ("a1",)}.get(operation, ())
    failure = failed(getattr(adapter(http, server.url), operation), *arguments)
    assert (failure.error_class, failure.scope, failure.retry) == (error_class, scope, retry)


def test_an_instance_never_charged(http: Http, server: Recorder) -> None:
    server.answer(b"", 500)
    failure = failed(adapter(http, server.url).balance)
    assert (failure.error_class, failure.scope, failure.code) == (ErrorClass.QUOTA, LANE, "500")


def test_500_elsewhere_passes(http: Http, server: Recorder) -> None:
    server.answer(b"", 500)
    gateway = adapter(http, server.url)
    assert failed(gateway.connection).error_class is ErrorClass.TRANSIENT
    assert failed(gateway.fetch_statuses, NOW, NOW).error_class is ErrorClass.TRANSIENT


def test_a_call_that_breaks(http: Http) -> None:
    failure = failed(adapter(http, "http://127.0.0.1:1").balance)
    assert (failure.error_class, failure.retry) == (ErrorClass.TRANSIENT, True)


# --- Connection ---------------------------------------------------------------------------------

#: The document's own sample is broken by line ends; these are its fields.
STATUS: dict[str, Any] = {
    "instanceID": TOKEN,
    "clientID": "5f00000000000000000000c8",
    "name": "ABC",
    "login": True,
    "status": True,
    "creditID": "620000000000000000000000",
    "creditReadID": "620000000000000000000001",
    "quota": 5000,
    "todayUsageUpdate": "0001-01-01T00:00:00Z",
    "webHook": "https://desk.example.com/hook/secret",
    "info": {"Connected": True, "Pushname": "wa_profile_name", "Wid": "919800000000"},
}


def qr(data: Any, **changes: Any) -> dict[str, Any]:
    return {"status": "success", "message": "00-Success", "data": data, **changes}


def test_connected(http: Http, server: Recorder) -> None:
    server.answer(qr(STATUS))
    connection = adapter(http, server.url).connection()
    assert connection.connected is True
    assert (connection.name, connection.address) == ("wa_profile_name", "+919800000000")
    for name in ("instanceID", "clientID", "creditID", "creditReadID", "webHook"):
        assert connection.details[name] == MASK
    assert connection.details["quota"] == 5000
    [request] = server.requests
    assert (request.path, request.parameters) == ("/api/qrCode", {"token": [TOKEN]})


@pytest.mark.parametrize(
    ("answer", "connected"),
    [
        (QR, False),
        (qr("iVBOR", status="qrcode", message="success"), False),
        (qr({"login": True, "status": True}), True),
        (qr({"login": True, "status": False}), False),
        (qr({"login": False, "status": True}), False),
        (qr({"login": False, "status": False, "info": {"Connected": True}}), True),
        (qr({"INFO": {"connected": False}}), False),
    ],
)
def test_connection_states(
    http: Http, server: Recorder, answer: dict[str, Any], connected: bool
) -> None:
    server.answer(answer)
    connection = adapter(http, server.url).connection()
    assert connection.connected is connected
    assert "iVBOR" not in repr(connection)


@pytest.mark.parametrize("data", [None, {}, [], 5, "", {"login": "yes"}])
def test_connection_that_says_nothing(http: Http, server: Recorder, data: Any) -> None:
    server.answer(qr(data))
    failure = failed(adapter(http, server.url).connection)
    assert failure.error_class is ErrorClass.TRANSIENT


def test_the_code_is_not_kept(http: Http, server: Recorder) -> None:
    server.answer(QR)
    answer = adapter(http, server.url)._read("qrCode")
    assert answer.call.response["data"] == MASK
    assert QR["data"] not in repr(answer.call)


# --- Reports ------------------------------------------------------------------------------------


def report(*ids: str, total: int | None = None) -> dict[str, Any]:
    rows = [ROW | {"messageID": each} for each in ids]
    return {"status": "success", "message": "00-Success", "data": rows,
            "total": len(ids) if total is None else total}  # fmt: skip


def asked(request: Recorded) -> tuple[str, str]:
    assert set(request.parameters) == {"token", "start_date", "end_date"}
    return request.parameters["start_date"][0], request.parameters["end_date"][0]


def test_the_documents_report(http: Http, server: Recorder) -> None:
    server.answer(BY_NUMBER["2.2"].answers[0][1])
    [update] = adapter(http, server.url).fetch_statuses(NOW, NOW)
    assert update.status is Status.DELIVERED
    assert server.requests[0].path == "/api/campaignReport"
    assert "start_date=<dd-mm-yyyy>&end_date=<dd-mm-yyyy>" in TEXT


@pytest.mark.parametrize(
    ("start", "end", "zone", "expected"),
    [
        (timedelta(0), timedelta(0), "Asia/Kolkata", ("10-03-2026", "12-03-2026")),
        (timedelta(0), timedelta(0), "UTC", ("09-03-2026", "11-03-2026")),
        (timedelta(0), timedelta(0), "Nowhere/Land", ("09-03-2026", "11-03-2026")),
        (timedelta(days=2), timedelta(0), "Asia/Kolkata", ("08-03-2026", "12-03-2026")),
        (timedelta(days=6), timedelta(0), "Asia/Kolkata", ("04-03-2026", "12-03-2026")),
        (timedelta(days=30), timedelta(days=-9), "Asia/Kolkata", ("04-03-2026", "12-03-2026")),
        (timedelta(days=9), timedelta(days=6), "Asia/Kolkata", ("04-03-2026", "06-03-2026")),
    ],
)
def test_days(
    http: Http,
    server: Recorder,
    start: timedelta,
    end: timedelta,
    zone: str,
    expected: tuple[str, str],
) -> None:
    server.answer(NO_DATA, 400)
    gateway = adapter(http, server.url, time_zone=zone)
    assert gateway.fetch_statuses(NOW - start, NOW - end) == []
    assert [asked(request) for request in server.requests] == [expected]


def test_nothing_older_than_seven_days_is_asked_for(http: Http, server: Recorder) -> None:
    old = NOW - timedelta(days=20)
    assert adapter(http, server.url).fetch_statuses(old, old) == []
    assert server.requests == []


@pytest.mark.parametrize("data", [None, [], {}])
def test_empty_reports(http: Http, server: Recorder, data: Any) -> None:
    server.answer(report() | {"data": data})
    assert adapter(http, server.url).fetch_statuses(NOW, NOW) == []
    assert len(server.requests) == 1


def test_a_report_that_is_not_whole_is_asked_for_by_days(http: Http, server: Recorder) -> None:
    by_day = {
        "10-03-2026": report("a", "b"),
        "11-03-2026": report("b", "c"),
        "12-03-2026": report("d", total=9),
    }

    def answer(request: Recorded) -> dict[str, Any]:
        first, last = asked(request)
        return by_day[first] if first == last else report("a", "d", total=4)

    server.answer(answer)
    updates = adapter(http, server.url).fetch_statuses(NOW, NOW)
    assert sorted(update.external_id for update in updates) == ["a", "b", "c", "d"]
    assert [asked(request) for request in server.requests] == [
        ("10-03-2026", "12-03-2026"),
        *[(f"{day}-03-2026", f"{day}-03-2026") for day in (10, 11, 12)],
    ]


def test_a_report_that_is_too_long_is_asked_for_by_days(
    http: Http, server: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.adapters.whatsapp_http._REPORT_CAP", 1500)
    server.answer(lambda request: report(*(["a"] if len(set(asked(request))) == 1 else "abc")))
    [update] = adapter(http, server.url).fetch_statuses(NOW, NOW)
    assert update.external_id == "a"
    assert len(server.requests) == 4


def test_a_report_may_be_longer_than_other_answers(http: Http, server: Recorder) -> None:
    server.answer(report(*(f"{number:024x}" for number in range(2500))))
    assert len(adapter(http, server.url).fetch_statuses(NOW, NOW)) == 2500


def test_rows_without_id_are_left_out(http: Http, server: Recorder) -> None:
    server.answer(report() | {"data": [ROW | {"messageID": None}, {"text": "x"}, 5]})
    assert adapter(http, server.url).fetch_statuses(NOW, NOW) == []


def test_one_message(http: Http, server: Recorder) -> None:
    server.answer(BY_NUMBER["2.1"].answers[0][1])
    update = adapter(http, server.url).fetch_status("62b32db5758e0afb0d3907e1")
    assert update is not None
    assert (update.status, update.external_id) == (Status.DELIVERED, "62b32db5758e0afb0d3907e1")
    [request] = server.requests
    assert request.path == "/api/campaignStatus"
    assert request.parameters == {"token": [TOKEN], "msg_id": ["62b32db5758e0afb0d3907e1"]}


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (400, NO_DATA), (200, qr(None)), (200, qr([]))]
)
def test_a_message_the_gateway_does_not_know(
    http: Http, server: Recorder, status: int, body: Any
) -> None:
    server.answer(body, status)
    assert adapter(http, server.url).fetch_status("a1") is None
