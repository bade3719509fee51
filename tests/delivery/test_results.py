"""From one result to a message's next state: the whole table."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.adapters.base import SendResult
from messaging.delivery.results import Decision, decide, is_outage, storable
from messaging.errors import ErrorClass, Failure, Scope, Verdict
from messaging.events import Status

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
DUE = NOW - timedelta(seconds=30)
DELAYS = (5, 30, 180)


def decided(result: SendResult, retries: int = 0) -> Decision:
    return decide(
        result,
        message_id=1,
        conversation_id=2,
        claim=UUID(int=3),
        now=NOW,
        due_at=DUE,
        retries=retries,
        delays=DELAYS,
        call=0,
    )


def failed(verdict: Verdict, error_class: ErrorClass, **values: Any) -> SendResult:
    return SendResult(failure=Failure(verdict=verdict, error_class=error_class, **values))


def refused(error_class: ErrorClass, **values: Any) -> SendResult:
    return failed(Verdict.REFUSED, error_class, **values)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, Status.ACCEPTED),
        (Status.ACCEPTED, Status.ACCEPTED),
        (Status.SENT, Status.SENT),
        # What is more can only be a report's to say, and "queued" is the gateway's word for taken.
        (Status.READ, Status.ACCEPTED),
        (Status.QUEUED, Status.ACCEPTED),
    ],
)
def test_taken(status: Status | None, expected: Status) -> None:
    result = SendResult(status=status, external_id="a1", external_data={"ref": "b"})
    decision = decided(result)
    assert (decision.status, decision.external_id) == (expected, "a1")
    assert decision.external_data == {"ref": "b"}
    assert (decision.error_class, decision.due_at) == ("", None)


def test_taken_without_an_id_is_unknown() -> None:
    decision = decided(SendResult(status=Status.ACCEPTED))
    assert (decision.status, decision.error_class) == (Status.UNKNOWN, "ambiguous")


@pytest.mark.parametrize("error_class", list(ErrorClass))
@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("retry", [True, False])
def test_what_may_have_been_sent_is_never_queued_again(
    error_class: ErrorClass, scope: Scope, retry: bool
) -> None:
    result = failed(Verdict.MAYBE_SENT, error_class, scope=scope, retry=retry, retry_after=1.0)
    assert decided(result).status is Status.UNKNOWN


def test_an_unknown_one_keeps_an_id_that_was_seen() -> None:
    result = replace(failed(Verdict.MAYBE_SENT, ErrorClass.AMBIGUOUS), external_id="a1")
    assert decided(result).external_id == "a1"


@pytest.mark.parametrize(
    ("retries", "seconds"), [(0, 5), (1, 30), (2, 180)], ids=["first", "second", "third"]
)
def test_what_can_pass_is_tried_again_later_and_later(retries: int, seconds: int) -> None:
    decision = decided(refused(ErrorClass.TRANSIENT, retry=True), retries)
    assert decision.status is Status.QUEUED
    assert (decision.due_at, decision.retries) == (NOW + timedelta(seconds=seconds), retries + 1)


def test_tries_end() -> None:
    decision = decided(refused(ErrorClass.TRANSIENT, retry=True, code="1", text="Busy."), 3)
    assert decision.status is Status.FAILED
    assert (decision.error_class, decision.error_code, decision.error_text) == (
        "transient",
        "1",
        "Busy.",
    )


@pytest.mark.parametrize(
    "error_class",
    [
        ErrorClass.INVALID_RECIPIENT,
        ErrorClass.INVALID_CONTENT,
        ErrorClass.TEMPLATE,
        ErrorClass.WINDOW_CLOSED,
        ErrorClass.MEDIA,
        ErrorClass.UNKNOWN_REJECTION,
        ErrorClass.INTERNAL,
    ],
)
def test_a_refusal_that_stays_is_final_at_once(error_class: ErrorClass) -> None:
    assert decided(refused(error_class)).status is Status.FAILED


@pytest.mark.parametrize(
    "error_class", [ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.CONFIGURATION]
)
@pytest.mark.parametrize("retries", [0, 3])
def test_the_accounts_trouble_costs_the_message_nothing(
    error_class: ErrorClass, retries: int
) -> None:
    decision = decided(refused(error_class, scope=Scope.LANE), retries)
    assert (decision.status, decision.due_at, decision.retries) == (Status.QUEUED, DUE, retries)


def test_a_gateway_out_of_reach_costs_the_message_nothing() -> None:
    result = failed(Verdict.NEVER_LEFT, ErrorClass.TRANSIENT, retry=True)
    decision = decided(result, 3)
    assert (decision.status, decision.due_at, decision.retries) == (Status.QUEUED, DUE, 3)
    assert result.failure
    assert is_outage(result.failure)


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 5), (40.0, 40)])
def test_patience_with_a_busy_gateway_has_no_count(retry_after: float | None, seconds: int) -> None:
    result = refused(ErrorClass.RATE_LIMIT, retry=True, retry_after=retry_after)
    for retries in (0, 3):
        decision = decided(result, retries)
        assert decision.status is Status.QUEUED
        assert decision.due_at == NOW + timedelta(seconds=seconds)
        assert decision.retries == max(retries, 1)


def test_odd_words_are_cut_and_cleaned_for_both_databases() -> None:
    text = "a\x00b\ud800" + "c" * 5000
    decision = decided(refused(ErrorClass.UNKNOWN_REJECTION, code=text, text=text))
    assert (len(decision.error_code), len(decision.error_text)) == (50, 1000)
    assert decision.error_text.startswith("a\ufffdb?")
    taken = decided(SendResult(external_id="x" * 500, external_data={"a": None, "b": {"c": None}}))
    assert len(taken.external_id) == 200
    assert taken.external_data == {"b": {}}


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_becomes_storable(text: str) -> None:
    clean = storable(text)
    assert "\x00" not in clean
    clean.encode()
    assert json.loads(json.dumps(clean)) == clean
    assert len(clean) == len(text)


@given(
    st.builds(
        Failure,
        verdict=st.sampled_from(Verdict),
        error_class=st.sampled_from(ErrorClass),
        scope=st.sampled_from(Scope),
        retry=st.booleans(),
        retry_after=st.none() | st.floats(1, 3600),
    ),
    st.integers(0, 5),
)
def test_only_proof_of_nothing_taken_leads_back_to_the_queue(
    failure: Failure, retries: int
) -> None:
    decision = decided(SendResult(failure=failure), retries)
    if failure.verdict is Verdict.MAYBE_SENT:
        assert decision.status is Status.UNKNOWN
    else:
        assert decision.status in (Status.QUEUED, Status.FAILED)
    if decision.status is Status.QUEUED:
        assert decision.due_at is not None
        assert decision.retries >= retries
