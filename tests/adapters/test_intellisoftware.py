"""IntelliSoftware: every sample, answer and error of its document.

Expected requests are the document's own samples, read from the copy beside the tests.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from messaging.adapters.http import Http
from messaging.adapters.intellisoftware import ERRORS, IntelliSoftware
from messaging.content import (
    NAMED,
    Buttons,
    CardAddress,
    CardEmail,
    CardPhone,
    CardUrl,
    ContactCard,
    ContactCards,
    Content,
    Location,
    Media,
    TemplateMessage,
    TemplateRef,
    Text,
)
from messaging.errors import ErrorClass, GatewayError, Scope, Verdict
from messaging.events import Status
from messaging.sandbox import Sandbox
from messaging.sandbox.accounts import IS_ACCESS_KEY, IS_NUMBER, IS_SECRET_KEY

from .builders import (
    HELLO,
    LINK,
    OTHER,
    PHONE,
    buttons,
    failures,
    ids,
    intellisoftware,
    message_of,
    ok,
    outbound,
    ref,
)
from .recorder import Recorder

SEED = (Path(__file__).parent / "samples/seeds/intellisoftware-send.txt").read_text()


def documents(marker: str) -> list[Any]:
    """Every JSON value of the document that follows the marker."""
    decoder = json.JSONDecoder()
    return [
        decoder.raw_decode(SEED, SEED.index("{", match.end()))[0]
        for match in re.finditer(marker, SEED)
    ]


REQUESTS = {
    request["message"]["content"]["msgobject"]["type"]: request
    for request in documents("POST https://[^ \n]*")
}
SINGLE = documents("Response single recipient:")[0]
MULTIPLE = documents("Response multiple recipients:")[0]
FAILURE = documents("Response overall failure:")[0]
TABLE = {(name, int(code)) for name, code in re.findall(r"\| (\w+) \| (\d+) \| [A-Z]", SEED)}


@pytest.fixture
def gateway(http: Http, server: Recorder) -> IntelliSoftware:
    return intellisoftware(http, server.url)


# --- The document's requests ----------------------------------------------------------------------

SAMPLES: dict[str, Content] = {
    "text": Text("MESSAGE_CONTENT"),
    "template": TemplateMessage(
        TemplateRef(
            name="TEMPLATE_NAME",
            language="en_GB",
            parameter_format=NAMED,
            body="Hello {{PARAMETER_NAME}}",
        ),
        {"PARAMETER_NAME": "PARAMETER_TEXT"},
    ),
    "contacts": ContactCards(
        [
            ContactCard(
                "NAME",
                first_name="FIRST_NAME",
                last_name="LAST_NAME",
                middle_name="MIDDLE_NAME",
                suffix="SUFFIX",
                prefix="SUFFIX",
                birthday="YYYY-MM-DD",
                organization="COMPANY",
                department="DEPARTMENT",
                title="TITLE",
                phones=[CardPhone("PHONE_NUMBER", "WORK"), CardPhone("PHONE_NUMBER", "HOME")],
                emails=[CardEmail("EMAIL", "WORK"), CardEmail("EMAIL", "HOME")],
                urls=[CardUrl("URL", "WORK")],
                addresses=[
                    CardAddress("STREET", "CITY", "STATE", "ZIP", "COUNTRY", "COUNTRY_CODE", place)
                    for place in ("WORK", "HOME")
                ],
            )
        ]
    ),
    "location": Location(0, 0, "LOCATION_NAME", "LOCATION_ADDRESS"),
    "interactive": Buttons(
        "MESSAGE_CONTENT", replies=["BUTTON1", "BUTTON2"], header=Text("HEADER_TEXT")
    ),
    **{
        kind: Media(kind, link="MEDIA_URL", caption="CAPTION")
        for kind in ("audio", "image", "video", "sticker", "document")
    },
}


def test_every_sample_has_its_content() -> None:
    assert set(SAMPLES) == set(REQUESTS)
    assert len(REQUESTS) == 10


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_request_is_the_documents_sample(http: Http, server: Recorder, kind: str) -> None:
    """Byte for byte the same JSON, credentials included, but for the reply ids we must add."""
    sample = REQUESTS[kind]
    auth = sample["auth"]
    gateway = intellisoftware(
        http,
        server.url,
        credentials={"accesskey": auth["accesskey"], "secretkey": auth["secretkey"]},
        address="SENDER_ID",
    )
    server.answer(SINGLE)
    outcome = gateway.send(outbound(SAMPLES[kind], "+44771012345"))

    [request] = server.requests
    assert (request.method, request.path, request.query) == ("POST", "/api/json/sendmsg.aspx", "")
    assert request.headers["Content-Type"].startswith("application/json")
    sent = request.json()
    if kind == "interactive":
        buttons = sent["message"]["content"]["msgobject"]["interactive"]["action"]["buttons"]
        assert [button["reply"].pop("id") for button in buttons] == ["button_1", "button_2"]
    assert sent == sample
    assert ids(outcome) == [SINGLE["messages"][0]["id"]]


# --- The document's answers -----------------------------------------------------------------------


def test_the_documents_answers_are_one_set() -> None:
    for marker, sample in (
        ("single recipient", SINGLE),
        ("multiple recipients", MULTIPLE),
        ("overall failure", FAILURE),
    ):
        found = documents(f"Response {marker}:")
        assert len(found) == 10
        assert all(answer == sample for answer in found)


def test_multiple_recipients(gateway: IntelliSoftware, server: Recorder) -> None:
    server.answer(MULTIPLE)
    outcome = gateway.send(outbound(HELLO, "+44771012345", "+44771012346"))
    assert message_of(server)["to"] == "44771012345,44771012346"
    first, second = outcome.results
    assert first.status is Status.ACCEPTED
    assert first.external_id == "21ba6a2ee454d1710d88f357df34fdb3f5"
    assert first.external_data == {
        "to": "44771012345",
        "id": "21ba6a2ee454d1710d88f357df34fdb3f5",
    }
    assert second.failure is not None
    assert (second.failure.code, second.failure.text) == ("2", "invalid_number")
    assert failures(outcome) == [(Verdict.REFUSED, ErrorClass.INVALID_RECIPIENT)]
    assert len(outcome.calls) == 1


EXPECTED = {
    1: ErrorClass.TRANSIENT,
    2: ErrorClass.INVALID_RECIPIENT,
    3: ErrorClass.INVALID_CONTENT,
    5: ErrorClass.INVALID_CONTENT,
    10: ErrorClass.QUOTA,
    11: ErrorClass.AUTHENTICATION,
    12: ErrorClass.TRANSIENT,
    18: ErrorClass.QUOTA,
    19: ErrorClass.QUOTA,
    20: ErrorClass.AUTHENTICATION,
    21: ErrorClass.AUTHENTICATION,
    22: ErrorClass.CONFIGURATION,
    26: ErrorClass.TEMPLATE,
    27: ErrorClass.CONFIGURATION,
    28: ErrorClass.INVALID_RECIPIENT,
    29: ErrorClass.INVALID_RECIPIENT,
}
LANE = {10, 11, 18, 19, 20, 21, 22, 27}
RETRY = {1, 12, 10, 18, 19}
UNTIL = {18: "day", 19: "month"}


def test_the_error_table_is_the_documents() -> None:
    assert {(name, code) for code, name, _ in ERRORS} == TABLE
    assert set(EXPECTED) == {code for _, code in TABLE}


@pytest.mark.parametrize("level", ["overall", "recipient"])
@pytest.mark.parametrize(("name", "code"), sorted(TABLE))
def test_every_error_at_both_levels(
    gateway: IntelliSoftware, server: Recorder, name: str, code: int, level: str
) -> None:
    error = {"error": name, "error_code": code, "error_description": "Words"}
    if level == "overall":
        server.answer({"response_status": "failure", "errors": [error]})
    else:
        server.answer(ok({"to": "447700900124", "id": "a1"}, {"to": "447700900123", **error}))
    outcome = gateway.send(outbound(HELLO, PHONE, OTHER))
    assert len(outcome.results) == 2
    failure = outcome.results[0].failure
    assert failure is not None
    assert failure.verdict is Verdict.REFUSED
    assert failure.error_class is EXPECTED[code]
    assert failure.scope is (Scope.LANE if code in LANE else Scope.MESSAGE)
    assert failure.retry is (code in RETRY)
    assert failure.until == UNTIL.get(code, "")
    assert (failure.code, failure.text) == (str(code), f"{name}: Words")
    assert ids(outcome)[1] == (None if level == "overall" else "a1")
    assert len(failures(outcome)) == (2 if level == "overall" else 1)


# --- Who sends ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ({"address": "+447700900100"}, "447700900100"),
        ({"address": "SHOP"}, "SHOP"),
        ({"address": "+447700900100", "external_id": "SENDER_7"}, "SENDER_7"),
        ({"address": "", "name": "Front desk"}, None),
    ],
)
def test_from(http: Http, server: Recorder, account: dict[str, str], expected: str | None) -> None:
    server.answer(SINGLE)
    intellisoftware(http, server.url, **account).send(outbound())
    message = message_of(server)
    assert message.get("from") == expected
    assert ("from" in message) == (expected is not None)
    assert message["channel"] == "whatsapp"


# --- Balance --------------------------------------------------------------------------------------


def test_balance(gateway: IntelliSoftware, server: Recorder) -> None:
    server.answer({"response_status": "ok", "balance": "100.0"})
    balance = gateway.test()
    assert (balance.amount, balance.raw["balance"]) == ("100.0", "100.0")
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/api/json/getbalance.aspx")
    sent = request.json()
    assert set(sent) == {"auth", "request_version", "response_version"}
    assert balance.call is not None
    assert balance.call.request == {}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, FAILURE, ErrorClass.AUTHENTICATION),
        (200, b"<html>", ErrorClass.TRANSIENT),
        (503, b"", ErrorClass.TRANSIENT),
        (200, {"response_status": "perhaps"}, ErrorClass.TRANSIENT),
    ],
)
def test_balance_failures(
    gateway: IntelliSoftware, server: Recorder, status: int, body: Any, expected: ErrorClass
) -> None:
    server.answer(body, status)
    with pytest.raises(GatewayError) as caught:
        gateway.balance()
    assert caught.value.failure.error_class is expected


def test_balance_may_be_missing(gateway: IntelliSoftware, server: Recorder) -> None:
    server.answer({"response_status": "ok"})
    assert gateway.balance().amount is None


# --- Secrets --------------------------------------------------------------------------------------


def test_record_holds_the_message_only(gateway: IntelliSoftware, server: Recorder) -> None:
    """The keys leave in the body; a gateway that repeats them does not bring them into a record."""
    secrets = list(gateway.account.credentials.values())
    server.answer(
        {
            "response_status": "failure",
            "errors": [{"error_code": 11, "error_description": f"Bad key {secrets[1]}"}],
            "auth": {"accesskey": secrets[0], "secretkey": secrets[1]},
        }
    )
    outcome = gateway.send(outbound())
    [request] = server.requests
    assert request.json()["auth"] == {
        "authtype": "accesskey",
        "accesskey": secrets[0],
        "secretkey": secrets[1],
    }
    [call] = outcome.calls
    assert call.request == {"message": request.json()["message"]}
    shown = repr((outcome, gateway.account))
    for secret in secrets:
        assert secret not in shown
        assert repr(secret)[1:-1] not in shown
    assert call.response["auth"] == {"accesskey": "***", "secretkey": "***"}


# --- The sandbox, which enforces the document -----------------------------------------------------


@pytest.fixture(scope="module")
def sandbox() -> Any:
    with Sandbox() as running:
        yield running


@pytest.mark.parametrize(
    "content",
    [
        HELLO,
        TemplateMessage(
            ref(parameter_format=NAMED, body="Hello {{customer}}, {{order_no}}."),
            {"customer": "Asha", "order_no": "A-7"},
        ),
        TemplateMessage(
            TemplateRef(name="welcome", language="en", body="Welcome, {{1}}!"), {"1": "Asha"}
        ),
        ContactCards([ContactCard("Asha", phones=["+447700900123"], organization="Example")]),
        Location(50.7, -1.9, "Shop", "1 High Street"),
        buttons(header=Media("image", link=LINK), footer="Footer"),
        *(Media(kind, link=LINK) for kind in ("image", "video", "audio", "document", "sticker")),
    ],
    ids=lambda content: content.kind,
)
def test_sandbox_takes(http: Http, sandbox: Sandbox, content: Content) -> None:
    gateway = intellisoftware(
        http,
        sandbox.url,
        credentials={"accesskey": IS_ACCESS_KEY, "secretkey": IS_SECRET_KEY},
        address=f"+{IS_NUMBER}",
    )
    outcome = gateway.send(outbound(content, PHONE, OTHER))
    assert failures(outcome) == []
    assert len({result.external_id for result in outcome.results}) == 2
    assert gateway.balance().amount is not None
