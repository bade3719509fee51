"""IntelliSoftware's answers beyond its document: odd errors, rewritten numbers, no answer at all.

Who is not answered for may have been sent to: never a failure, never a repetition.
"""

from __future__ import annotations

from typing import Any

import pytest

from messaging.adapters.http import Http
from messaging.adapters.intellisoftware import IntelliSoftware
from messaging.errors import ErrorClass, Verdict

from .builders import (
    ABROAD,
    AMBIGUOUS,
    HELLO,
    OTHER,
    PHONE,
    failures,
    ids,
    intellisoftware,
    message_of,
    ok,
    outbound,
)
from .recorder import Recorder

FAILURE = {"response_status": "failure", "errors": [{"error": "login_invalid", "error_code": 11}]}


@pytest.fixture
def gateway(http: Http, server: Recorder) -> IntelliSoftware:
    return intellisoftware(http, server.url)


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected", "code"),
    [
        ({"error_code": 2}, ErrorClass.INVALID_RECIPIENT, "2"),
        ({"error_code": "10"}, ErrorClass.QUOTA, "10"),
        ({"error": "login_invalid"}, ErrorClass.AUTHENTICATION, "login_invalid"),
        # By the code where the two differ, by the name where the code is none we know.
        ({"error": "login_invalid", "error_code": 2}, ErrorClass.INVALID_RECIPIENT, "2"),
        ({"error": "login_invalid", "error_code": 99}, ErrorClass.AUTHENTICATION, "99"),
        ({"error": "never_heard_of", "error_code": 4}, ErrorClass.UNKNOWN_REJECTION, "4"),
        ({"error": ["odd"], "error_code": {"odd": 1}}, ErrorClass.UNKNOWN_REJECTION, None),
        ({"error": "x" * 5000, "error_code": "9" * 5000}, ErrorClass.UNKNOWN_REJECTION, "9" * 50),
        # Descriptions may change and are never read.
        (
            {"error_code": 4, "error_description": "insufficient_credit"},
            ErrorClass.UNKNOWN_REJECTION,
            "4",
        ),
    ],
)
def test_unusual_errors(
    gateway: IntelliSoftware,
    server: Recorder,
    error: dict[str, Any],
    expected: ErrorClass,
    code: str | None,
) -> None:
    server.answer({"response_status": "failure", "errors": [error]})
    server.answer(ok({"to": "447700900123", **error}))
    for _ in range(2):
        failure = gateway.send(outbound()).results[0].failure
        assert failure is not None
        assert (failure.verdict, failure.error_class) == (Verdict.REFUSED, expected)
        assert code is None or failure.code == code


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([{"error_code": 4}, {"error_code": 3}, {"error_code": 11}], ErrorClass.AUTHENTICATION),
        ([{"error_code": 1}, {"error_code": 26}], ErrorClass.TEMPLATE),
        ([{"error_code": 4}, {"error_code": 12}], ErrorClass.TRANSIENT),
        ([], ErrorClass.UNKNOWN_REJECTION),
        (None, ErrorClass.UNKNOWN_REJECTION),
        (["login_invalid"], ErrorClass.UNKNOWN_REJECTION),
    ],
)
def test_several_errors(
    gateway: IntelliSoftware, server: Recorder, errors: Any, expected: ErrorClass
) -> None:
    server.answer({"response_status": "failure", "errors": errors})
    assert failures(gateway.send(outbound())) == [(Verdict.REFUSED, expected)]


# --- Which answer belongs to whom -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("phones", "entries", "expected"),
    [
        pytest.param(
            [PHONE, OTHER],
            [{"to": "447700900124", "id": "b"}, {"to": "447700900123", "id": "a"}],
            ["a", "b"],
            id="another order",
        ),
        pytest.param(
            [PHONE, ABROAD],
            [{"to": "+447700900123", "id": "a"}, {"to": "00919812345678", "id": "b"}],
            ["a", "b"],
            id="plus and zeros",
        ),
        pytest.param(
            [PHONE, ABROAD],
            [{"to": "07700900123", "id": "a"}, {"to": 919812345678, "id": 7}],
            ["a", "7"],
            id="national form and numbers",
        ),
        pytest.param(
            [PHONE, OTHER], [{"to": "447700900124", "id": "b"}], [None, "b"], id="left out"
        ),
        pytest.param(
            [PHONE, OTHER],
            [{"to": "447700900123", "id": "x"}, {"to": "447700900124", "id": "x"}],
            ["x", "x"],
            id="one id for the whole call",
        ),
        pytest.param(
            [PHONE, "+917700900123"],
            [{"to": "07700900123", "id": "a"}],
            [None, None],
            id="an ending that two have",
        ),
        pytest.param(
            [PHONE, "+917700900123"],
            [{"to": "447700900123", "id": "a"}, {"to": "07700900123", "id": "b"}],
            ["a", None],
            id="an ending that two have beside an exact answer",
        ),
        pytest.param(
            [PHONE],
            [{"to": "07700900123", "id": "a"}, {"to": "7700900123", "id": "b"}],
            [None],
            id="two answers for one ending",
        ),
        pytest.param(
            [PHONE],
            [{"to": "447700900123", "error_code": 1}, {"to": "447700900123", "id": "a"}],
            ["a"],
            id="answered twice, taken once",
        ),
        pytest.param(
            [PHONE],
            [{"to": "447700900123", "id": "a"}, {"to": "447700900123", "error_code": 1}],
            ["a"],
            id="answered twice, taken first",
        ),
        pytest.param([PHONE], [{"to": "900123", "id": "a"}], [None], id="too few digits"),
        pytest.param([PHONE], [{"to": "447700900999", "id": "a"}], [None], id="a stranger"),
        pytest.param([PHONE], [{"id": "a"}], ["a"], id="one for one without a number"),
        pytest.param([PHONE, OTHER], [{"id": "a"}, {"id": "b"}], [None, None], id="no numbers"),
        pytest.param([PHONE], [{"to": "447700900123"}], [None], id="neither id nor error"),
        pytest.param([PHONE], [{"to": "447700900123", "id": ""}], [None], id="empty id"),
        pytest.param([PHONE], [{"to": "447700900123", "id": None}], [None], id="null id"),
        pytest.param([PHONE], [{"to": "447700900123", "id": ["a"]}], [None], id="list as id"),
        pytest.param([PHONE], [{"to": "447700900123", "id": True}], [None], id="truth as id"),
        pytest.param([PHONE], [{"to": "447700900123", "id": "a" * 201}], [None], id="huge id"),
        pytest.param(
            [PHONE],
            [{"to": "447700900123", "id": "a", "error": "", "error_code": 0}],
            ["a"],
            id="empty error",
        ),
        pytest.param(
            [PHONE],
            [{"to": "447700900123", "id": "a", "error": "gateway_error", "error_code": 1}],
            [None],
            id="id and error",
        ),
        pytest.param([PHONE], [], [None], id="nobody"),
        pytest.param([PHONE], ["odd", None, 5, []], [None], id="no objects"),
    ],
)
def test_matching(
    gateway: IntelliSoftware,
    server: Recorder,
    phones: list[str],
    entries: list[Any],
    expected: list[str | None],
) -> None:
    """Who is not answered for may have been sent to: never a failure, never a repetition."""
    server.answer({"response_status": "ok", "messages": entries})
    outcome = gateway.send(outbound(HELLO, *phones))
    assert ids(outcome) == expected
    assert set(failures(outcome)) <= {(Verdict.MAYBE_SENT, ErrorClass.AMBIGUOUS)}


def test_cost_is_kept(gateway: IntelliSoftware, server: Recorder) -> None:
    entry = {"to": "447700900123", "id": "a1", "msgparts": 2, "creditsused": "2.0"}
    server.answer(ok(entry | {"new": 1}))
    assert gateway.send(outbound()).results[0].external_data == entry


def test_equal_numbers_share_a_place(gateway: IntelliSoftware, server: Recorder) -> None:
    server.answer(ok({"to": "447700900123", "id": "a"}, {"to": "447700900124", "id": "b"}))
    outcome = gateway.send(outbound(HELLO, PHONE, OTHER, PHONE))
    assert message_of(server)["to"] == "447700900123,447700900124"
    assert ids(outcome) == ["a", "b", "a"]


def test_hundred_in_one_call(gateway: IntelliSoftware, server: Recorder) -> None:
    phones = [f"+4477009{number:05}" for number in range(100)]
    server.answer(ok(*({"to": phone[1:], "id": f"id{phone[-5:]}"} for phone in phones[::-1])))
    outcome = gateway.send(outbound(HELLO, *phones))
    assert message_of(server)["to"].split(",") == [phone[1:] for phone in phones]
    assert ids(outcome) == [f"id{phone[-5:]}" for phone in phones]


def test_more_than_hundred_never_leave(gateway: IntelliSoftware, server: Recorder) -> None:
    outcome = gateway.send(outbound(HELLO, *[f"+4477009{number:05}" for number in range(101)]))
    assert failures(outcome) == [(Verdict.NEVER_LEFT, ErrorClass.INTERNAL)] * 101
    assert server.requests == []


def test_groups_are_left_out_of_the_call(gateway: IntelliSoftware, server: Recorder) -> None:
    server.answer(ok({"to": "447700900123", "id": "a"}))
    outcome = gateway.send(outbound(HELLO, "120363@g.us", PHONE, "555@lid"))
    assert ids(outcome) == [None, "a", None]
    assert failures(outcome) == [(Verdict.NEVER_LEFT, ErrorClass.INVALID_CONTENT)] * 2
    assert message_of(server)["to"] == "447700900123"
    outcome = gateway.send(outbound(HELLO, "120363@g.us"))
    assert failures(outcome) == [(Verdict.NEVER_LEFT, ErrorClass.INVALID_CONTENT)]
    assert len(server.requests) == 1


# --- Answers that are none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # The body rules at any status.
        (500, FAILURE, (Verdict.REFUSED, ErrorClass.AUTHENTICATION)),
        (400, FAILURE, (Verdict.REFUSED, ErrorClass.AUTHENTICATION)),
        (500, ok({"to": "447700900123", "id": "a1"}), None),
        (200, {"response_status": "OK", "messages": [{"to": "447700900123", "id": "a1"}]}, None),
        # Nothing the document knows.
        (200, b"<html>Welcome</html>", AMBIGUOUS),
        (200, b"", AMBIGUOUS),
        (200, b"[]", AMBIGUOUS),
        (200, b"null", AMBIGUOUS),
        (200, b"ID:10011000000000000042", AMBIGUOUS),
        (200, {}, AMBIGUOUS),
        (200, {"response_status": "ok"}, AMBIGUOUS),
        (200, {"response_status": ["ok"], "messages": {"to": 1}}, AMBIGUOUS),
        (200, {"response_status": "perhaps"}, AMBIGUOUS),
        (404, {"response_status": "ok", "messages": {}}, AMBIGUOUS),
        (
            200,
            {"response_status": "failure", "messages": [{"to": "447700900123", "id": "a1"}]},
            AMBIGUOUS,
        ),
        (500, b"<html>Server Error</html>", AMBIGUOUS),
        (502, b"", AMBIGUOUS),
        (503, b"<html>Unavailable</html>", AMBIGUOUS),
        (408, b"", AMBIGUOUS),
        (429, b"", (Verdict.REFUSED, ErrorClass.RATE_LIMIT)),
        (401, b"", (Verdict.REFUSED, ErrorClass.AUTHENTICATION)),
        (404, b"<html>Not Found</html>", (Verdict.REFUSED, ErrorClass.UNKNOWN_REJECTION)),
        (302, b"", (Verdict.REFUSED, ErrorClass.CONFIGURATION)),
    ],
)
def test_other_answers(
    gateway: IntelliSoftware,
    server: Recorder,
    status: int,
    body: Any,
    expected: tuple[Verdict, ErrorClass] | None,
) -> None:
    server.answer(body, status)
    outcome = gateway.send(outbound())
    assert failures(outcome) == ([expected] if expected else [])
    assert len(outcome.calls) == len(server.requests) == 1
