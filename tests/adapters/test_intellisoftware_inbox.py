"""IntelliSoftware, receiving: every sample of its document, and all that may come instead."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.adapters.base import SMS, WHATSAPP, Account, WebhookRequest
from messaging.adapters.http import Http
from messaging.adapters.intellisoftware import IntelliSoftware
from messaging.adapters.intellisoftware_inbox import phone_address
from messaging.adapters.intellixent import Intellixent
from messaging.content import Location, Media, Text
from messaging.content import from_json as content_from_json
from messaging.errors import ErrorClass
from messaging.events import Inbound, InboundMedia, Status, StatusUpdate

from .inbound_cases import form, posted, texts, values, without_to

SEED = (Path(__file__).parent / "samples/seeds/intellisoftware-receive.txt").read_text()
SENT = datetime(2025, 6, 3, 13, 50, 5, tzinfo=UTC)
ID = "21ba6a2ee454d1710d88f357df34fdb3f5"
URL = "https://media.example.com/a"


def samples() -> list[dict[str, Any]]:
    """Every JSON body of the document, in order."""
    decoder = json.JSONDecoder()
    return [
        decoder.raw_decode(SEED[match.start() :])[0]
        for match in re.finditer(r'^\{\n  "messages"', SEED, re.MULTILINE)
    ]


SAMPLES = samples()
FORM = re.findall(r"^text=.*$", SEED, re.MULTILINE)
UD = SAMPLES[2]["messages"][0]["content"]["ud"]


def gateway(channel: str = WHATSAPP, **account: Any) -> IntelliSoftware:
    given = {"credentials": {"accesskey": "Yva$ER%Uhs+U", "secretkey": "F{kQ^s`wVp"}} | account
    return IntelliSoftware(Account(base_url="", channel=channel, **given), Http())


def parsed(request: WebhookRequest) -> Inbound:
    found = gateway().parse_webhook(request)
    assert found.problems == ()
    [event] = found.events
    assert isinstance(event, Inbound)
    return event


def urlencoded(body: str) -> WebhookRequest:
    return WebhookRequest(content_type="application/x-www-form-urlencoded", body=body)


# --- The document ---------------------------------------------------------------------------------

BUTTON_1 = {"kind": "button_reply", "id": "BUTTON1", "title": "Button1"}
BUTTON_TEXT = {"kind": "button_reply", "id": "", "title": "BUTTON_TEXT"}
GOLDEN: list[tuple[str, dict[str, Any], str]] = [
    (SMS, Text("Message Text").to_json(), "Message Text"),
    (SMS, Text("Simley Emoji \U0001f603").to_json(), "Simley Emoji \U0001f603"),
    (SMS, {"kind": "binary", "ud": UD}, "Binary SMS"),
    (WHATSAPP, Text("MESSAGE_CONTENT").to_json(), "MESSAGE_CONTENT"),
    (WHATSAPP, BUTTON_TEXT, "BUTTON_TEXT"),
    (WHATSAPP, BUTTON_1, "Button1"),
    (WHATSAPP, {"kind": "image"}, "Picture"),
]


@pytest.mark.parametrize("number", range(len(GOLDEN)))
def test_the_documents_messages(number: int) -> None:
    channel, content, text = GOLDEN[number]
    event = parsed(posted(SAMPLES[number]))
    assert event == Inbound(
        external_id=ID,
        to="44771012346",
        channel=channel,
        address="+44771012345",
        kind=content["kind"],
        content=content,
        text=text,
        occurred_at=SENT,
        # What stands in the document is no web address.
        media=InboundMedia(missing=True) if content["kind"] == "image" else None,
    )


def test_all_of_the_document_is_here() -> None:
    assert (len(SAMPLES), len(FORM)) == (len(GOLDEN), 3)


@pytest.mark.parametrize("number", range(3))
def test_the_documents_form(number: int) -> None:
    """A-IS-12: without a sender it waits for a person."""
    assert parsed(urlencoded(FORM[number])) == Inbound(
        external_id="10011000000000000001",
        channel=SMS,
        content=Text("Message Text").to_json(),
        text="Message Text",
        occurred_at=SENT,
        external_data={"networkcode": "234010"},
    )


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        ("2010-02-03T13:50:05-00:00", datetime(2010, 2, 3, 13, 50, 5, tzinfo=UTC)),
        ("2010-06-10T14:45:12+01:00", datetime(2010, 6, 10, 13, 45, 12, tzinfo=UTC)),
    ],
)
def test_the_documents_times(sent: str, moment: datetime) -> None:
    """A-IS-14"""
    assert f"{sent} =" in SEED
    assert parsed(message(sent=sent)).occurred_at == moment


# --- Messages -------------------------------------------------------------------------------------


def message(content: Any = None, **changes: Any) -> WebhookRequest:
    given = {"content": {"msgtype": "text", "text": "Hi"} if content is None else content}
    return posted({"messages": [SAMPLES[0]["messages"][0] | given | changes]})


def whatsapp(kind: str, value: Any, key: str = "") -> Inbound:
    obj = {"type": kind, key or kind: value}
    return parsed(message({"format": "wa_msgobject_v2", "msgobject": obj}, channel="whatsapp"))


@pytest.mark.parametrize("content_type", ["application/json", "", "text/html", "x"])
def test_the_content_type_does_not_matter(content_type: str) -> None:
    assert parsed(posted(SAMPLES[0], content_type)).text == "Message Text"


@pytest.mark.parametrize(
    "body",
    [
        SAMPLES[0]["messages"],
        SAMPLES[0]["messages"][0],
        {"MESSAGES": [{key.upper(): value for key, value in SAMPLES[0]["messages"][0].items()}]},
    ],
)
def test_other_wrappings(body: Any) -> None:
    event = parsed(posted(body))
    assert (event.text, event.external_id, event.address) == ("Message Text", ID, "+44771012345")


def test_several_messages() -> None:
    entries = [sample["messages"][0] for sample in SAMPLES]
    found = gateway().parse_webhook(posted({"messages": [*entries, 5, {}, {"to": "1"}]}))
    assert [event.kind for event in found.events if isinstance(event, Inbound)] == [
        content["kind"] for _channel, content, _text in GOLDEN
    ]
    assert found.problems == (
        *["An entry is no JSON object."] * 2,
        "An entry is neither a message nor a report.",
    )


@pytest.mark.parametrize("body", ["", "null", "5", "[]", '{"messages": []}', "{", "[" * 5000])
def test_what_cannot_be_read_is_told(body: str) -> None:
    found = gateway().parse_webhook(posted(body))
    assert found.events == ()
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    ("content", "channel", "kind"),
    [
        ({"msgtype": "text", "text": "a"}, SMS, "text"),
        ({"text": "a"}, SMS, "text"),
        ({"text": ""}, SMS, "text"),
        ({"text": 1234}, SMS, "text"),
        ("a", SMS, "text"),
        ({"msgtype": "text", "ud": "00FF", "text": "x"}, SMS, "binary"),
        ({"ud": ""}, SMS, "unsupported"),
        ({"msgtype": "text"}, SMS, "unsupported"),
        (
            {"msgtype": "text", "msgobject": {"type": "text", "text": {"body": "a"}}},
            WHATSAPP,
            "text",
        ),
        ({"format": "wa_msgobject_v2"}, WHATSAPP, "unsupported"),
        ({"format": "x", "msgobject": {"type": "text", "text": "a"}, "ud": "00"}, WHATSAPP, "text"),
        ({"format": "x", "msgobject": "words"}, WHATSAPP, "unsupported"),
    ],
)
def test_what_kind_it_is(content: Any, channel: str, kind: str) -> None:
    """A-IS-10, A-IS-11"""
    event = parsed(message(content, channel=None))
    assert (event.channel, event.kind, event.content["kind"]) == (channel, kind, kind)


def test_a_message_without_content() -> None:
    entry = SAMPLES[0]["messages"][0] | {"text": "Hi"}
    del entry["content"]
    assert parsed(posted(entry)).text == "Hi"


@pytest.mark.parametrize("kind", ["reply", "interactive", "button_reply", "list_reply"])
@pytest.mark.parametrize("key", ["interactive", "reply", "button_reply", "list_reply"])
@pytest.mark.parametrize("nested", ["", "reply", "button_reply", "list_reply"])
def test_replies(kind: str, key: str, nested: str) -> None:
    """A-IS-9, and Meta's own form."""
    value: dict[str, Any] = {"id": "BUTTON1", "title": "Button1", "description": "more"}
    event = whatsapp(kind, {"type": nested, nested: value} if nested else value, key)
    assert (event.content, event.text) == (BUTTON_1, "Button1")


@pytest.mark.parametrize(
    ("kind", "value", "content"),
    [
        ("reply", {"title": "Yes"}, {"id": "", "title": "Yes"}),
        ("reply", {"id": "y"}, {"id": "y", "title": ""}),
        ("button", {"text": "Yes", "payload": "p"}, {"id": "p", "title": "Yes"}),
    ],
)
def test_replies_with_parts_only(kind: str, value: Any, content: dict[str, Any]) -> None:
    assert whatsapp(kind, value).content == {"kind": "button_reply", **content}


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
def test_files(kind: str) -> None:
    value = {"link": URL, "caption": "C", "filename": "a.pdf", "mime_type": "application/pdf"}
    event = whatsapp(kind, value)
    filename = "a.pdf" if kind == "document" else ""
    content = Media(kind, link=URL, filename=filename, caption="C")
    assert event.content == content.to_json()
    assert content_from_json(dict(event.content)) == content
    assert event.text == content.preview()
    assert event.media == InboundMedia(link=URL, filename="a.pdf", content_type="application/pdf")


@pytest.mark.parametrize(
    "value", [{}, None, "x", {"link": None}, {"link": "javascript:alert(1)"}, {"link": "x" * 3000}]
)
def test_a_file_nobody_can_get(value: Any) -> None:
    event = whatsapp("image", value)
    assert (event.kind, event.content) == ("image", {"kind": "image"})
    assert event.media == InboundMedia(missing=True)


def test_a_voice_message() -> None:
    assert whatsapp("voice", {"link": URL}).content == Media("audio", link=URL).to_json()


def test_a_place() -> None:
    value = {"latitude": 50.7154, "longitude": -1.9872, "name": "Shop", "address": "1 High St"}
    event = whatsapp("location", value | {"url": "javascript:x"})
    content = Location(50.7154, -1.9872, name="Shop", address="1 High St")
    assert (event.content, event.text) == (content.to_json(), "Location: Shop")


def test_cards() -> None:
    card = {
        "name": {"formatted_name": "Asha Rao", "first_name": "Asha", "last_name": "Rao"},
        "phones": [{"phone": "+447700900123", "type": "WORK", "wa_id": "447700900123"}, "x", {}],
        "emails": [{"email": "asha@example.com", "type": "WORK"}],
        "addresses": [{"city": "Poole", "country_code": "GB", "type": "WORK"}, {"type": "HOME"}],
        "org": {"company": "Example Ltd", "department": "Sales", "title": "Manager"},
        "urls": [{"url": "https://example.com"}],
        "birthday": "1990-04-30",
    }
    event = whatsapp("contacts", [card, 5, {}, {"name": {"first_name": "B"}, "birthday": "x"}])
    content = content_from_json(dict(event.content))
    assert content.problems() == []
    assert event.content["cards"][0] == {
        "name": "Asha Rao",
        "first_name": "Asha",
        "last_name": "Rao",
        "phones": [{"phone": "+447700900123", "type": "WORK"}],
        "emails": [{"email": "asha@example.com", "type": "WORK"}],
        "addresses": [{"city": "Poole", "country_code": "GB", "type": "WORK"}],
        "organization": "Example Ltd",
        "department": "Sales",
        "title": "Manager",
        "urls": [{"url": "https://example.com"}],
        "birthday": "1990-04-30",
    }
    assert event.text == "Contact: Asha Rao, B"


def test_a_reaction() -> None:
    event = whatsapp("reaction", {"message_id": ID, "emoji": "\U0001f44d"})
    assert event.content == {"kind": "reaction", "emoji": "\U0001f44d", "message_id": ID}
    assert event.text == "\U0001f44d"
    assert whatsapp("reaction", {"message_id": ID}).text == "Reaction removed"


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("order", {"catalog_id": "1", "text": "For you"}, "For you"),
        ("system", {"body": "changed number"}, "changed number"),
        ("interactive", {"type": "nfm_reply", "nfm_reply": {"response_json": "{}"}}, None),
        ("unsupported", None, None),
        ("text", {"body": 5}, None),
        ("button", "x", None),
        ("location", {"latitude": "north"}, None),
        ("contacts", [], None),
        ("reaction", {}, None),
        ("", {}, None),
        ("new", ["x"], None),
    ],
)
def test_other_types_are_kept(kind: str, value: Any, text: str | None) -> None:
    event = whatsapp(kind, value, "" if kind else "x")
    assert event.kind == "unsupported"
    assert event.content["raw"]["type"] == kind
    assert event.text == (text or "A message of a kind that cannot be shown here")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"messageid": None}, {"external_id": ""}),
        ({"messageid": "x" * 300}, {"external_id": ""}),
        ({"messageid": None, "id": 77}, {"external_id": "77"}),
        ({"sent": "soon"}, {"occurred_at": None, "external_data": {"sent": "soon"}}),
        ({"sent": None}, {"occurred_at": None, "external_data": {}}),
        ({"from": 447700900123}, {"address": "+447700900123"}),
        ({"from": "whatsapp:+44 7700 900123"}, {"address": "+447700900123"}),
        ({"from": "ACME"}, {"address": "", "external_data": {"from": "ACME"}}),
        ({"from": "60777"}, {"address": "", "external_data": {"from": "60777"}}),
        ({"from": "07700900123"}, {"address": "", "external_data": {"from": "07700900123"}}),
        ({"from": None}, {"address": "", "external_data": {}}),
        ({"to": None}, {"to": ""}),
        ({"channel": "SMS"}, {"channel": "sms"}),
        ({"channel": "rcs"}, {"channel": "rcs"}),
    ],
)
def test_fields(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    event = parsed(message(**changes))
    assert {name: getattr(event, name) for name in expected} == expected


def test_characters_nobody_can_store() -> None:
    body = json.dumps(SAMPLES[0]).replace("Message Text", r"a\ud83d\u0000b")
    assert parsed(posted(body)).text == "a\ufffd\ufffdb"


# --- The older form -------------------------------------------------------------------------------


def test_a_form_with_a_sender() -> None:
    event = parsed(urlencoded("from=447700900123&to=447700900100&" + FORM[0].replace("+", "%20")))
    assert (event.address, event.to, event.text) == (
        "+447700900123",
        "447700900100",
        "Message Text",
    )
    assert gateway(SMS, address="+447700900100").owns(event)
    assert not gateway(WHATSAPP, address="+447700900100").owns(event)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("text=%c2%a35+%F0%9F%98%83&msgid=1", "£5 \U0001f603"),
        ("text=%a35&msgid=1", "\ufffd5"),
        ("text=a%00b&msgid=1", "a\ufffdb"),
        ("text=&msgid=1", ""),
        ("TEXT=a%26b&MsgID=1", "a&b"),
        ("msgid=1&text=a&text=b", "b"),
    ],
)
def test_forms(query: str, text: str) -> None:
    event = parsed(urlencoded(query))
    assert (event.text, event.external_id, event.content) == (text, "1", Text(text).to_json())


def test_a_form_in_parts() -> None:
    request = form("", text="Hi", msgid="1", **{"from": "447700900123"})
    assert (parsed(request).text, parsed(request).address) == ("Hi", "+447700900123")


def test_a_binary_form() -> None:
    assert parsed(urlencoded("ud=00FF&msgid=1")).content == {"kind": "binary", "ud": "00FF"}


@pytest.mark.parametrize("query", ["a=b", "msgid=1", "%%%", "status=4"])
def test_forms_that_say_nothing(query: str) -> None:
    found = gateway().parse_webhook(urlencoded(query))
    assert found.events == ()
    assert len(found.problems) == 1


# --- Reports --------------------------------------------------------------------------------------


def report(**fields: Any) -> StatusUpdate:
    """The only report, the same by form and by JSON."""
    row = {"msgid": ID, "toaddr": "447700900123", **fields}
    given = {name: value for name, value in row.items() if value is not None}
    query = "&".join(f"{name}={value}" for name, value in given.items())
    requests = [urlencoded(query), posted(given), posted({"messages": [given]})]
    requests.append(posted({"statuses": [given]}))
    found = [gateway().parse_webhook(request) for request in requests]
    assert all(each == found[0] for each in found)
    [update] = found[0].events
    assert isinstance(update, StatusUpdate)
    return update


INVALID, NOBODY = ErrorClass.INVALID_CONTENT, ErrorClass.INVALID_RECIPIENT


@pytest.mark.parametrize(
    ("code", "status", "error_class"),
    [
        ("0", None, ""),
        ("1", Status.ACCEPTED, ""),
        ("2", Status.ACCEPTED, ""),
        ("3", Status.SENT, ""),
        ("4", Status.DELIVERED, ""),
        ("5", Status.FAILED, INVALID),
        ("6", Status.FAILED, NOBODY),
        ("7", Status.FAILED, NOBODY),
        ("8", Status.FAILED, ErrorClass.UNKNOWN_REJECTION),
        ("11", Status.DELIVERED, ""),
        ("12", Status.FAILED, ErrorClass.UNKNOWN_REJECTION),
        ("9", None, ""),
        ("04", Status.DELIVERED, ""),
        (4, Status.DELIVERED, ""),
        ("-1", None, ""),
        ("Delivered", Status.DELIVERED, ""),
        ("READ", Status.READ, ""),
        ("sent", Status.SENT, ""),
        ("queued", Status.ACCEPTED, ""),
        ("undelivered", Status.FAILED, ErrorClass.UNKNOWN_REJECTION),
        ("failed", Status.FAILED, ErrorClass.UNKNOWN_REJECTION),
        ("expired", Status.FAILED, ErrorClass.UNKNOWN_REJECTION),
        ("rejected", Status.FAILED, ErrorClass.UNKNOWN_REJECTION),
        ("unknown", None, ""),
        ("", None, ""),
    ],
)
def test_reports(code: Any, status: Status | None, error_class: str) -> None:
    """A-IS-15"""
    update = report(status=code)
    assert (update.external_id, update.address) == (ID, "+447700900123")
    assert (update.status, update.error_class) == (status, error_class)
    assert update.raw_status == str(code)
    assert update.error_code == (str(code) if error_class else "")
    assert bool(update.error_text) == bool(error_class)
    assert update.occurred_at is None


@pytest.mark.parametrize("name", ["msgid", "messageid", "id", "MessageID"])
@pytest.mark.parametrize("to", ["toaddr", "to", "ToAddr"])
def test_reports_under_other_names(name: str, to: str) -> None:
    row = {"msgid": None, "toaddr": None, name: ID, to: "447700900124", "status": "4"}
    update = report(**row)
    assert (update.external_id, update.address) == (ID, "+447700900124")


def test_a_report_that_says_why() -> None:
    update = report(status="6", error_code="131026", error="Undeliverable")
    assert (update.error_code, update.error_text) == ("131026", "Undeliverable")


@pytest.mark.parametrize("status", [True, None, [], {}])
def test_reports_of_no_status(status: Any) -> None:
    [update] = gateway().parse_webhook(posted({"id": "1", "status": status})).events
    assert isinstance(update, StatusUpdate)
    assert update.status is None


# --- Whose it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "channel", "account", "owned"),
    [
        ("447700900100", WHATSAPP, {"address": "+447700900100"}, True),
        ("+44 7700 900100", WHATSAPP, {"address": "+447700900100"}, True),
        ("447700900100", WHATSAPP, {"address": "X", "external_id": "447700900100"}, True),
        ("447700900100", SMS, {"address": "+447700900100"}, False),
        ("447700900100", "", {"address": "+447700900100"}, True),
        ("447700900101", WHATSAPP, {"address": "+447700900100"}, False),
        ("60777", WHATSAPP, {"address": "60777"}, True),
        ("Acme", WHATSAPP, {"address": "ACME"}, True),
        ("Acme1", WHATSAPP, {"address": "ACME2"}, False),
        ("1", WHATSAPP, {"address": "ACME1"}, False),
        ("", WHATSAPP, {"address": ""}, False),
        ("", "", {"address": "+447700900100"}, False),
        ("x", WHATSAPP, {}, False),
    ],
)
def test_whose_it_is(to: str, channel: str, account: dict[str, str], owned: bool) -> None:
    assert gateway(**account).owns(Inbound(to=to, channel=channel)) is owned


@pytest.mark.parametrize(
    ("value", "address"),
    [("44 (7700) 900-123", "+447700900123"), ("00447700900123", "+447700900123"), (True, ""),
     ("4477009001234567", ""), ("12345", ""), ([], "")],
)  # fmt: skip
def test_numbers(value: Any, address: str) -> None:
    assert phone_address(value) == address


def test_what_the_admin_says() -> None:
    assert str(IntelliSoftware.webhook_help)
    assert IntelliSoftware.supports("parse_webhook")
    assert not IntelliSoftware.supports("fetch_inbox")


@pytest.mark.parametrize(
    "operation", ["parse_webhook", "fetch_inbox", "fetch_inbox_after", "connection"]
)
def test_intellixent_receives_nothing(operation: str) -> None:
    assert not Intellixent.supports(operation)
    assert Intellixent.webhook_help == ""


# --- Anything at all ------------------------------------------------------------------------------

NAMES = ["messages", "statuses", "to", "from", "messageid", "msgid", "channel", "sent", "content",
         "msgtype", "text", "ud", "format", "msgobject", "type", "interactive", "reply", "status",
         "toaddr", "contacts", "location", "image", "link", "body", "title", "id", "name",
         "latitude", "longitude", "phones", "phone", "reaction", "emoji"]  # fmt: skip
NUMBER = "44770099887766"


def check(request: WebhookRequest) -> None:
    found = gateway().parse_webhook(request)
    assert all(isinstance(problem, str) and problem for problem in found.problems)
    assert found.events or found.problems
    for event in found.events:
        stored = without_to(event)
        stored.encode()
        # An escaped backslash before it: somebody typed it.
        assert "\\u0000" not in stored.replace("\\\\", "")
        if isinstance(event, Inbound):
            assert NUMBER not in stored
            assert gateway().owns(event) is False
            assert re.fullmatch(r"(\+\d{7,15})?", event.address)
            if event.kind in ("text", "image", "location", "contacts"):
                assert content_from_json(dict(event.content)).to_json() == event.content


@settings(max_examples=300, deadline=None)
@given(values(NAMES))
def test_any_json_is_survived(data: Any) -> None:
    check(posted(data))


entries = st.fixed_dictionaries(
    {"to": st.just(NUMBER), "content": values(NAMES)},
    optional={name: values(NAMES) for name in ("from", "sent", "channel", "messageid", "text")},
)
objects = st.fixed_dictionaries(
    {"type": st.sampled_from(NAMES)}, optional={name: values(NAMES) for name in NAMES[15:]}
).map(lambda obj: {"to": NUMBER, "content": {"format": "x", "msgobject": obj}})


@settings(max_examples=300, deadline=None)
@given(st.lists(entries | objects, min_size=1, max_size=2))
def test_the_number_it_came_to_is_kept_apart(messages: list[Any]) -> None:
    check(posted({"messages": messages}))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "replace")) | texts,
       st.dictionaries(st.sampled_from(NAMES) | texts, texts, max_size=5))  # fmt: skip
def test_any_bytes_and_fields_are_survived(body: str, fields: dict[str, str]) -> None:
    check(WebhookRequest(body=body, fields=fields))
    check(urlencoded(f"text={body}&msgid=1"))
