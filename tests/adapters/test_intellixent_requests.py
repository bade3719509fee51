"""What goes to Intellixent, and what is refused before it goes."""

from __future__ import annotations

import pytest

from messaging.adapters.base import Outbound, Recipient
from messaging.adapters.http import Http
from messaging.adapters.intellixent import Intellixent
from messaging.content import NAMED, Content, Location, Media, TemplateButton, Text
from messaging.errors import ErrorClass, GatewayError, Verdict

from .builders import HELLO, PHONE, failure_of, intellixent, outbound, template
from .recorder import Recorder

SUCCESS = {"success": True, "message_sid": "SM0123456789abcdef0123456789abcdef"}


@pytest.fixture
def gateway(http: Http, server: Recorder) -> Intellixent:
    return intellixent(http, server.url)


# --- Requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "variables"),
    [
        pytest.param(template("Open again.", {}), None, id="no variables"),
        pytest.param(
            template(
                "{{customer}}, {{order}}",
                {"customer": "Asha", "order": "7"},
                parameter_format=NAMED,
            ),
            {"customer": "Asha", "order": "7"},
            id="names",
        ),
        pytest.param(
            template("{{1}} on {{2}}", {"customer": "Asha", "day": "Monday"}),
            {"1": "Asha", "2": "Monday"},
            id="people's words for positions",
        ),
        pytest.param(template("Hi {{1}}", {"1": 7}), {"1": "7"}, id="numbers become strings"),  # type: ignore[dict-item]
        pytest.param(template("Hi {{1}}", {"1": "Ж😃"}), {"1": "Ж😃"}, id="any writing"),
        pytest.param(template("", {"1": "Asha"}), {"1": "Asha"}, id="body not known"),
        pytest.param(
            template(
                "Hi {{who}}",
                {"who": "Asha", "no": "7"},
                parameter_format=NAMED,
                header_kind="text",
                header="Order {{no}}",
            ),
            {"who": "Asha", "no": "7"},
            id="names in a text header",
        ),
    ],
)
def test_variables(
    gateway: Intellixent, server: Recorder, content: Content, variables: dict[str, str] | None
) -> None:
    server.answer(SUCCESS)
    gateway.send(outbound(content))
    sent = server.requests[0].json()
    assert sent == {
        "sender_id": 12,
        "template_id": 45,
        "recipient_phone": PHONE,
        **({"variables": variables} if variables else {}),
    }


@pytest.mark.parametrize(("length", "kept"), [(255, 255), (256, 255), (4000, 255)])
def test_a_long_name_is_cut(gateway: Intellixent, server: Recorder, length: int, kept: int) -> None:
    server.answer(SUCCESS)
    gateway.send(outbound(template(), name="ä" * length))
    assert server.requests[0].json()["recipient_name"] == "ä" * kept


# --- Limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Text("a" * 4097), "at most 4096"),
        (Media("image", link="https://example.com/a.jpg"), "texts and templates"),
        (Location(1, 2), "texts and templates"),
        (template(external_id=""), "no id"),
        (template(external_id="order_ready"), "no id"),
        (
            template(header_kind="image", file=Media("image", link="https://e.com/a.jpg")),
            "header",
        ),
        (template(header_kind="location", file=Location(1, 2)), "header"),
        (template(header_kind="video"), "header"),
        (template(buttons=[TemplateButton("url", "Go", "https://e.com/{{1}}")]), "buttons"),
        (template(header_kind="text", header="Order {{1}}"), "places"),
        (
            template("{{a}}", parameter_format=NAMED, buttons=[TemplateButton("copy_code")]),
            "buttons",
        ),
    ],
)
def test_refusals(gateway: Intellixent, server: Recorder, content: Content, words: str) -> None:
    """Said before queueing, and again before sending: never dropped on the way."""
    refusals = gateway.validate(content).refusals
    assert any(words in sentence for sentence in refusals)
    failure = failure_of(gateway.send(outbound(content)))
    assert (failure.verdict, failure.error_class) == (
        Verdict.NEVER_LEFT,
        ErrorClass.INVALID_CONTENT,
    )
    assert server.requests == []


@pytest.mark.parametrize(
    "content",
    [
        Text("a" * 4096),
        template(),
        template("Hi", header_kind="text", header="Order", footer="Bye"),
        template("Hi", buttons=[TemplateButton("url", "Go", "https://e.com/")]),
    ],
)
def test_just_within(gateway: Intellixent, content: Content) -> None:
    assert gateway.validate(content).refusals == ()


@pytest.mark.parametrize("external_id", ["", "twelve", "12a", "-1", "1.5", "٣", "1" * 19])
def test_sender_needs_a_whole_number(http: Http, server: Recorder, external_id: str) -> None:
    gateway = intellixent(http, server.url, external_id=external_id)
    [sentence] = gateway.validate(HELLO).refusals
    assert "whole number" in sentence
    assert failure_of(gateway.send(outbound())).verdict is Verdict.NEVER_LEFT
    for read in (gateway.fetch_templates, lambda: gateway.session_status(PHONE)):
        with pytest.raises(GatewayError) as caught:
            read()
        assert caught.value.failure.error_class is ErrorClass.CONFIGURATION
    assert server.requests == []


@pytest.mark.parametrize("address", ["120363@g.us", "555@lid", "447700900123", ""])
def test_only_numbers(gateway: Intellixent, server: Recorder, address: str) -> None:
    failure = failure_of(gateway.send(outbound(HELLO, address)))
    assert (failure.verdict, failure.error_class) == (
        Verdict.NEVER_LEFT,
        ErrorClass.INVALID_CONTENT,
    )
    assert server.requests == []


def test_one_recipient_per_call(gateway: Intellixent, server: Recorder) -> None:
    outcome = gateway.send(Outbound(content=HELLO, recipients=(Recipient(PHONE),) * 2))
    assert [result.failure and result.failure.verdict for result in outcome.results] == [
        Verdict.NEVER_LEFT
    ] * 2
    assert server.requests == []
