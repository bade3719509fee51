"""WhatsApp HTTP API, receiving: the document's bodies and rows, and all that may come instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.adapters.base import Account, WebhookFile, WebhookRequest
from messaging.adapters.http import MASK, Http
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.adapters.whatsapp_inbox import chat_address, group_address, is_own_file, page
from messaging.adapters.whatsapp_rows import lower_keys
from messaging.content import Location, Media, Text
from messaging.content import from_json as content_from_json
from messaging.errors import ErrorClass, GatewayError
from messaging.events import Inbound, InboundMedia, Status, StatusUpdate

from .inbound_cases import FILE, form, posted, texts, values, without_to
from .recorder import Recorded, Recorder
from .whatsapp_cases import TOKEN, adapter
from .whatsapp_seed import BY_NUMBER, TEXT

NOW = datetime(2026, 3, 10, 20, 0, tzinfo=UTC)  # the 11th in India
INSTANCE = "65a1b2c3d4e5f60718293a40"
WA_ID = "A400AA11BB22CC33"
CHAT = "447700900123@s.whatsapp.net"


def document(marker: str) -> dict[str, Any]:
    """The body behind a heading of the document's section on the webhook."""
    section = TEXT[TEXT.index("## 8. Webhook") : TEXT.index("## 9. Error Codes")]
    found: dict[str, Any] = json.JSONDecoder().raw_decode(section[section.index(marker) :])[0]
    return found


DELIVERY = document('{   "clientID": "5f*****c8",   "createdAt": "2022-05-06T13:25')
TEXT_BODY = document('{   "clientID": "5f*****c8",   "createdAt": "2022-05-06T13:36')
# Printed behind the brace that ends the body before it.
MEDIA_BODY = document('{  \n  "reportType": "inbox",')
ROW: dict[str, Any] = BY_NUMBER["4.1"].answers[0][1]["data"]


@pytest.fixture(autouse=True)
def now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=True):
        yield


def gateway(**account: Any) -> WhatsAppHttp:
    """As the webhook uses it: speaking for the provider, which has no token."""
    return adapter(Http(), "https://wa.example.com", credentials={}, **account)


def parsed(request: WebhookRequest) -> Inbound:
    found = gateway().parse_webhook(request)
    assert found.problems == ()
    [event] = found.events
    assert isinstance(event, Inbound)
    return event


def text_body(**changes: Any) -> dict[str, Any]:
    real = {"instanceID": INSTANCE, "waID": CHAT, "waMessageID": WA_ID, "phone": "447700900123"}
    return TEXT_BODY | real | changes


def media_body(**changes: Any) -> dict[str, Any]:
    return text_body(type=MEDIA_BODY["type"], value=MEDIA_BODY["value"]) | changes


# --- The document ---------------------------------------------------------------------------------


def test_the_documents_delivery_report() -> None:
    [update] = gateway().parse_webhook(posted(DELIVERY)).events
    assert update == StatusUpdate(
        external_id="62*****00",
        to="5f*****f3",
        status=Status.READ,
        raw_status="4 Read",
        external_data={"waMessageID": "57*****E6", "createdAt": "2022-05-06T13:25:47.065+05:30"},
    )


def test_the_documents_text() -> None:
    event = parsed(posted(TEXT_BODY))
    assert event == Inbound(
        external_id="A4*****B7",
        to="5f*****f3",
        channel="whatsapp",
        # Masked in print, and so no number.
        address="",
        kind="text",
        content=Text("Hello").to_json(),
        text="Hello",
        occurred_at=datetime(2022, 5, 6, 8, 6, 19, tzinfo=UTC),
    )


def test_the_documents_picture() -> None:
    event = parsed(form(MEDIA_BODY, FILE))
    assert event.content == Media("image", caption="Hi this is test").to_json()
    assert event.content == {"kind": "image", "caption": "Hi this is test"}
    assert event.media == InboundMedia(file="5b1f", filename="a.jpg", content_type="image/jpeg")
    assert (event.kind, event.text) == ("image", "Picture: Hi this is test")
    assert (event.external_id, event.to) == ("67*****A3", "5f*****f3")


@pytest.mark.parametrize("number", ["4.1", "4.2"])
def test_the_documents_row(http: Http, server: Recorder, number: str) -> None:
    sample = BY_NUMBER[number].answers[0][1]
    server.answer(sample)
    given = adapter(http, server.url)
    page = given.fetch_inbox(NOW, NOW) if number == "4.1" else given.fetch_inbox_after("a1")
    [event] = page.events
    assert event == Inbound(
        external_id="7C***CE",
        external_ref="62***44",
        to="5f***f3",
        channel="whatsapp",
        address="1***3@g.us",
        content={"kind": "text", "body": "Let_me_check_the_status"},
        text="Let_me_check_the_status",
        occurred_at=datetime(2022, 6, 24, 7, 34, 25, tzinfo=UTC),
    )
    assert (page.cursor, page.complete) == ("62***44", False)


@pytest.mark.parametrize("number", ["4.1", "4.2"])
@pytest.mark.parametrize("index", [1, 2])
def test_the_documents_refusals(http: Http, server: Recorder, number: str, index: int) -> None:
    status, sample = BY_NUMBER[number].answers[index]
    server.answer(sample, status)
    given = adapter(http, server.url)
    ask = (lambda: given.fetch_inbox(NOW, NOW)) if number == "4.1" else (
        lambda: given.fetch_inbox_after("a1")
    )  # fmt: skip
    if index == 1:
        page = ask()
        assert (page.events, page.cursor, page.complete) == ((), "", True)
    else:
        with pytest.raises(GatewayError) as caught:
            ask()
        assert caught.value.failure.error_class is ErrorClass.AUTHENTICATION


# --- Delivery reports -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "info", "expected"),
    [
        (4, "Read", Status.READ),
        (3, "Delivered", Status.DELIVERED),
        (2, "", Status.SENT),
        (3, "", Status.DELIVERED),
        (4, None, Status.READ),
        (5, "", Status.READ),
        (5, "Played", Status.READ),
        (1, "Sent", Status.SENT),
        (1, "", None),
        (0, "", None),
        (0, "Failed", Status.FAILED),
        (0, "Number not registered", Status.FAILED),
        ("4", "", None),
        (None, None, None),
        ({}, [], None),
    ],
)
def test_delivery_reports(status: Any, info: Any, expected: Status | None) -> None:
    body = DELIVERY | {"status": status, "statusInfo": info, "phone": "447700900123"}
    [update] = gateway().parse_webhook(posted(body)).events
    assert isinstance(update, StatusUpdate)
    assert (update.status, update.address) == (expected, "+447700900123")


def test_a_delivery_reports_time_moves_nothing() -> None:
    """A-WH-30: it may be the message's time or the step's."""
    [update] = gateway().parse_webhook(posted(DELIVERY)).events
    assert isinstance(update, StatusUpdate)
    assert (update.occurred_at, update.delivered_at, update.read_at) == (None, None, None)
    assert update.submitted_at is None


def test_a_delivery_report_without_message() -> None:
    found = gateway().parse_webhook(posted(DELIVERY | {"messageID": None}))
    assert (found.events, found.problems) == ((), ("A delivery report names no message.",))


# --- Messages by webhook --------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["application/json", "", "text/plain", "x"])
def test_the_content_type_does_not_matter(content_type: str) -> None:
    assert parsed(posted(text_body(), content_type)).text == "Hello"


def test_the_json_of_a_form_without_file() -> None:
    assert parsed(form(text_body())).text == "Hello"


def test_a_urlencoded_form() -> None:
    body = "json=" + quote(json.dumps(text_body(value="a+b")))
    assert parsed(posted(body, "application/x-www-form-urlencoded")).text == "a+b"


def test_several_bodies() -> None:
    found = gateway().parse_webhook(posted([text_body(), DELIVERY, 5, None, text_body(value="2")]))
    assert [type(event) for event in found.events] == [Inbound, StatusUpdate, Inbound]
    assert found.problems == ("An entry is no JSON object.",) * 2


def test_names_in_any_letter_case() -> None:
    body = {name.upper(): value for name, value in text_body().items()}
    event = parsed(posted(body))
    assert (event.to, event.external_id, event.address) == (INSTANCE, WA_ID, "+447700900123")


def test_a_body_that_does_not_name_itself() -> None:
    inbox, delivery = text_body(), dict(DELIVERY)
    del inbox["reportType"], delivery["reportType"]
    assert parsed(posted(inbox)).text == "Hello"
    assert isinstance(gateway().parse_webhook(posted(delivery)).events[0], StatusUpdate)


@pytest.mark.parametrize("body", ["", "{", "null", "5", '"x"', "[]", "[" * 5000, "a=b&c", "%%%"])
def test_what_cannot_be_read_is_told(body: str) -> None:
    found = gateway().parse_webhook(posted(body))
    assert found.events == ()
    assert len(found.problems) == 1


def test_an_unknown_report_is_told() -> None:
    found = gateway().parse_webhook(posted(text_body(reportType="calls")))
    assert found.problems == ("“calls” is no kind of report that is known here.",)


@pytest.mark.parametrize(
    ("field", "kind", "mime", "expected"),
    [
        ("file1", "image", "image/jpeg", "image"),
        ("upload", "video", "video/mp4", "video"),
        ("File1", "audio", "audio/ogg", "audio"),
        ("file1", "document", "application/pdf", "document"),
        ("file1", "sticker", "image/webp", "sticker"),
        ("file1", "ptt", "audio/ogg", "audio"),
        ("file1", "file", "", "document"),
        ("file1", "media", "video/mp4", "video"),
        ("file1", "IMAGE", "image/png", "image"),
        ("file1", "something", "application/zip", "document"),
    ],
)
def test_files(field: str, kind: str, mime: str, expected: str) -> None:
    """A-WH-29: any type, under any field's name."""
    file = WebhookFile(field=field, key="k", filename="n.bin", content_type="text/html")
    event = parsed(form(media_body(type=kind, value={"caption": "C", "type": mime}), file))
    assert event.kind == event.content["kind"] == expected
    assert event.media is not None
    assert (event.media.file, event.media.content_type) == ("k", mime or "text/html")
    content_from_json(dict(event.content))


@pytest.mark.parametrize(
    "request_",
    [
        form(media_body()),
        form(media_body(), file1="\x89PNG..."),
        posted(media_body()),
        form(media_body(value=None)),
        form(media_body(value="words")),
    ],
)
def test_a_file_nobody_can_get(request_: WebhookRequest) -> None:
    event = parsed(request_)
    assert event.kind == "image"
    assert event.media is not None
    assert event.media.missing
    assert not event.media.file


def test_file1_comes_before_others() -> None:
    other = WebhookFile(field="a", key="other")
    found = gateway().parse_webhook(form(media_body(), other, FILE))
    assert isinstance(found.events[0], Inbound)
    assert found.events[0].media == InboundMedia(
        file="5b1f", filename="a.jpg", content_type="image/jpeg"
    )
    assert found.problems == ("A file came that belongs to no message.",)


def test_a_file_with_a_text_is_told() -> None:
    found = gateway().parse_webhook(form(text_body(), FILE))
    assert (len(found.events), len(found.problems)) == (1, 1)


@pytest.mark.parametrize("kind", ["poll", "order", "buttons_response", "", "text"])
def test_other_types_are_kept(kind: str) -> None:
    value = {"question": "Which?", "options": ["a", "b"]}
    event = parsed(posted(text_body(type=kind, value=value)))
    assert event.kind == event.content["kind"] == "unsupported"
    assert event.content["raw"]["value"] == value
    assert event.content["raw"]["instanceID"] == MASK
    assert event.text


def test_the_words_of_other_types_are_shown() -> None:
    event = parsed(posted(text_body(type="buttons_response", value="Yes")))
    assert (event.kind, event.text) == ("unsupported", "Yes")


def test_a_file_of_an_unknown_type_is_kept() -> None:
    event = parsed(form(text_body(type="thing", value={"a": 1}), FILE))
    assert event.kind == "unsupported"
    assert event.media is not None
    assert event.media.file == "5b1f"


def test_objects_that_explain_themselves() -> None:
    """A-WH-28"""
    place = {"degreesLatitude": 50.7154, "degreesLongitude": "-1.9872", "name": "Shop"}
    event = parsed(posted(text_body(type="location", value=place)))
    assert event.content == Location(50.7154, -1.9872, name="Shop").to_json()
    card = {"displayName": "Asha", "phone": "+447700900124"}
    event = parsed(posted(text_body(type="contact", value=card)))
    assert event.content["cards"] == [{"name": "Asha", "phones": [{"phone": "+447700900124"}]}]


@pytest.mark.parametrize("value", [{"latitude": 91, "longitude": 0}, {"latitude": "x"}, {}, "x", 5])
def test_places_that_are_none(value: Any) -> None:
    assert parsed(posted(text_body(type="location", value=value))).kind == "unsupported"


def test_emoji_and_characters_nobody_can_store() -> None:
    body = json.dumps(text_body()).replace('"Hello"', r'"\ud83d\ude03 \ud83d \u0000"')
    assert parsed(posted(body)).text == "\U0001f603 \ufffd \ufffd"


# --- Ids and secrets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({}, (WA_ID, "")),
        ({"messageID": "6" * 24}, (WA_ID, "6" * 24)),
        ({"waMessageID": None, "messageID": "6" * 24}, ("messageID:" + "6" * 24, "6" * 24)),
        ({"waMessageID": ""}, ("", "")),
        ({"waMessageID": ["x"], "messageID": True}, ("", "")),
    ],
)
def test_ids(changes: dict[str, Any], ids: tuple[str, str]) -> None:
    """A-WH-7"""
    event = parsed(posted(text_body(**changes)))
    assert (event.external_id, event.external_ref) == ids


def test_the_instance_id_goes_nowhere_else() -> None:
    """A-WH-2"""
    told = text_body(
        value=f"id {INSTANCE}",
        full_push_name=INSTANCE,
        waMessageID=f"x{INSTANCE}",
        createdAt=INSTANCE,
    )
    event = parsed(posted(told))
    assert event.to == INSTANCE
    assert INSTANCE not in without_to(event)
    assert INSTANCE not in repr(event)
    assert event.external_data["createdAt"] == MASK
    raw = parsed(posted(text_body(type="new", value={"token": [INSTANCE], INSTANCE: "x"})))
    assert INSTANCE not in without_to(raw)


def test_a_time_that_is_none() -> None:
    event = parsed(posted(text_body(createdAt="yesterday")))
    assert event.occurred_at is None
    assert event.external_data == {"createdAt": "yesterday"}


@pytest.mark.parametrize(
    ("to", "token", "instance_id", "owned"),
    [
        (TOKEN, TOKEN, "", True),
        (INSTANCE, TOKEN, INSTANCE, True),
        (INSTANCE, "", INSTANCE, True),
        (INSTANCE, TOKEN, "", False),
        (TOKEN[:-1], TOKEN, INSTANCE, False),
        ("", "", "", False),
        ("", TOKEN, "", False),
        ("\ud83d", TOKEN, "é", False),
        ("é", TOKEN, "é", True),
    ],
)
def test_whose_it_is(to: str, token: str, instance_id: str, owned: bool) -> None:
    account = Account(base_url="", credentials={"token": token}, instance_id=instance_id)
    assert WhatsAppHttp(account, Http()).owns(Inbound(to=to)) is owned


def test_secrets_are_named() -> None:
    assert {"token", "instanceid", "clientid"} <= WhatsAppHttp.secret_names
    assert str(WhatsAppHttp.webhook_help)


# --- Chats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (CHAT, "+447700900123"),
        ("447700900123:12@s.whatsapp.net", "+447700900123"),
        ("447700900123@c.us", "+447700900123"),
        ("447700900123", "+447700900123"),
        ("+447700900123", "+447700900123"),
        (447700900123, "+447700900123"),
        ("447700900123@S.WhatsApp.Net", "+447700900123"),
        ("120363000000000001@g.us", "120363000000000001@g.us"),
        ("447700900123-1612345678@g.us", "447700900123-1612345678@g.us"),
        ("99887766554433:3@lid", "99887766554433@lid"),
        ("status@broadcast", ""),
        ("1@newsletter", ""),
        ("123456", ""),
        ("0123456789", ""),
        ("1234567890123456", ""),
        ("447700900123@example.com", ""),
        ("a b@g.us", ""),
        ("1" * 99 + "@g.us", ""),
        ("", ""),
        (None, ""),
        (True, ""),
        ({}, ""),
    ],
)
def test_chat_ids(value: Any, address: str) -> None:
    assert chat_address(value) == address


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({"waID": None}, "+447700900123"),
        ({"waID": ""}, "+447700900123"),
        ({"waID": "447700900124@c.us"}, "+447700900124"),
        ({"waID": "1@g.us", "phone": "1"}, "1@g.us"),
        ({"waID": "", "phone": "120363000000000001"}, "120363000000000001@g.us"),
        ({"waID": "", "phone": "120363000000000001@g.us"}, "120363000000000001@g.us"),
        ({"waID": "", "phone": "447700900123-1612345678"}, "447700900123-1612345678@g.us"),
        ({"waID": "77@hosted"}, "+447700900123"),
        ({"waID": "9988776655@lid"}, "9988776655@lid"),
        ({"waID": "x", "phone": "y"}, ""),
    ],
)
def test_where_a_message_is_from(changes: dict[str, Any], address: str) -> None:
    """A-WH-9"""
    assert parsed(posted(text_body(**changes))).address == address


def test_a_groups_author() -> None:
    event = parsed(posted(text_body(waID="1@g.us", full_push_name="Asha")))
    assert event.name == ""
    assert event.external_data == {"author": "+447700900123", "author_name": "Asha"}
    event = parsed(posted(text_body(full_push_name="Asha")))
    assert (event.name, event.external_data) == ("Asha", {})


def test_the_number_beside_a_hidden_id() -> None:
    event = parsed(posted(text_body(waID="9988776655@lid")))
    assert event.external_data == {"phone": "+447700900123"}
    event = parsed(posted(text_body(waID="9988776655@lid", phone="9988776655")))
    assert event.external_data == {}


@pytest.mark.parametrize(
    ("chat", "why"),
    [
        ("status@broadcast", "status"),
        ("447700900123@broadcast", "status"),
        ("120363@newsletter", "newsletter"),
    ],
)
def test_posts_that_are_no_messages(chat: str, why: str) -> None:
    event = parsed(posted(text_body(waID=chat)))
    assert (event.kind, event.address, event.text) == ("text", chat, "Hello")
    assert event.external_data == {"ignored": why}


def test_group_ids_of_lists() -> None:
    assert group_address("918000000389") == "918000000389@g.us"
    assert group_address("1@g.us") == "1@g.us"
    assert group_address("1@c.us") == group_address(None) == ""


# --- The inbox report -----------------------------------------------------------------------------


def row(number: int, **changes: Any) -> dict[str, Any]:
    return ROW | {
        "messageID": f"{number:024x}",
        "waMessageID": f"WA{number}",
        "instanceID": INSTANCE,
        "waID": CHAT,
        "phone": "447700900123",
        "createdAt": f"2026-03-10T14:00:{number:02}+05:30",
        **changes,
    }


def report(data: Any, total: Any = 0) -> dict[str, Any]:
    return {"status": "success", "message": "00-Success", "data": data, "total": total}


def asked(request: Recorded) -> tuple[str, str]:
    assert set(request.parameters) == {"token", "start_date", "end_date"}
    return request.parameters["start_date"][0], request.parameters["end_date"][0]


@pytest.mark.parametrize(
    ("data", "count"), [(None, 0), ([], 0), ({}, 0), (row(1), 1), ([row(1), row(2), 5, None], 2)]
)
def test_data_in_all_its_forms(http: Http, server: Recorder, data: Any, count: int) -> None:
    """A-WH-5"""
    server.answer(report(data))
    assert len(adapter(http, server.url).fetch_inbox_after("a1").events) == count


def test_asking_after_a_message(http: Http, server: Recorder) -> None:
    """A-WH-6: no limit, whose meaning nobody knows."""
    server.answer(report([row(1)]))
    adapter(http, server.url).fetch_inbox_after("65a1")
    [request] = server.requests
    assert request.path == "/api/inboxReportOffset"
    assert request.parameters == {"token": [TOKEN], "offset": ["65a1"]}


def test_asking_by_days(http: Http, server: Recorder) -> None:
    """A-WH-24; other than delivery reports they reach back as far as wanted."""
    server.answer(report([row(1)]))
    given = adapter(http, server.url)
    given.fetch_inbox(NOW - timedelta(days=30), NOW)
    given.fetch_inbox(NOW + timedelta(days=9), NOW)
    [request] = server.requests
    assert request.path == "/api/inboxReport"
    assert asked(request) == ("08-02-2026", "12-03-2026")


def test_oldest_first_in_any_order(http: Http, server: Recorder) -> None:
    rows = [row(3), row(1, createdAt="2026-03-10T15:00:00+05:30"), row(2), row(3)]
    server.answer(report(rows, total=4))
    page = adapter(http, server.url).fetch_inbox_after("a1")
    assert [event.external_id for event in page.events] == ["WA1", "WA2", "WA3"]
    assert (page.cursor, page.complete) == (f"{3:024x}", True)


def test_oldest_first_by_time_where_ids_are_others(http: Http, server: Recorder) -> None:
    rows = [row(3, messageID="b"), row(1, messageID="z"), row(2), row(9, messageID=None),
            row(4, messageID="no-time", createdAt=None)]  # fmt: skip
    server.answer(report(rows, total="many"))
    page = adapter(http, server.url).fetch_inbox_after("a1")
    assert [event.external_id for event in page.events] == ["WA4", "WA1", "WA2", "WA3", "WA9"]
    assert (page.cursor, page.complete) == ("b", True)


def test_no_cursor_without_ids(http: Http, server: Recorder) -> None:
    server.answer(report([row(1, messageID=None), row(2, messageID="x" * 150)]))
    page = adapter(http, server.url).fetch_inbox_after("a1")
    assert (len(page.events), page.cursor) == (2, "")


def test_more_than_was_given(http: Http, server: Recorder) -> None:
    server.answer(report([row(1)], total=2))
    assert adapter(http, server.url).fetch_inbox_after("a1").complete is False


def test_days_that_are_not_whole_are_asked_for_one_by_one(http: Http, server: Recorder) -> None:
    def answer(request: Recorded) -> dict[str, Any]:
        first, last = asked(request)
        if first != last:
            return report([row(1)], total=9)
        return report([row(int(first[:2])), row(1)], total=3 if first == "11-03-2026" else 2)

    server.answer(answer)
    page = adapter(http, server.url).fetch_inbox(NOW, NOW)
    assert [event.external_id for event in page.events] == ["WA1", "WA10", "WA11", "WA12"]
    assert page.complete is False
    assert len(server.requests) == 4


def test_a_long_report(http: Http, server: Recorder) -> None:
    server.answer(report([row(number) | {"createdAt": None} for number in range(1, 2500)]))
    assert len(adapter(http, server.url).fetch_inbox_after("a1").events) == 2499


def rows_of(http: Http, server: Recorder, **changes: Any) -> Inbound:
    server.answer(report([row(1, **changes)]))
    [event] = adapter(http, server.url).fetch_inbox_after("a1").events
    return event


def test_a_rows_secrets(http: Http, server: Recorder) -> None:
    event = rows_of(http, server, text="", value={"a": f"{TOKEN} {INSTANCE}"})
    assert event.to == INSTANCE
    assert event.kind == "unsupported"
    shown = without_to(event)
    assert INSTANCE not in shown
    assert TOKEN not in shown
    assert adapter(http, server.url, instance_id=INSTANCE).owns(event)


@pytest.mark.parametrize(
    ("link", "own"),
    [
        ("https://wa.example.com/files/a.jpg", True),
        ("https://wa.example.com:8443/a.jpg", False),
        ("https://wa.example.com:443/a.jpg", True),
        ("https://WA.example.com/a.jpg", True),
        ("http://wa.example.com/a.jpg", False),
        ("https://evil.example.com/a.jpg", False),
        ("https://wa.example.com@evil.example.com/a.jpg", False),
        ("https://user:x@wa.example.com/a.jpg", False),
        ("https://wa.example.com.evil.com/a.jpg", False),
        ("https://wa.example.com:x/a.jpg", False),
        ("https://[wa.example.com/a.jpg", False),
        ("//wa.example.com/a.jpg", False),
        ("/files/a.jpg", False),
        ("files/a.jpg", False),
        (f"https://wa.example.com/{MASK}_a.jpg", False),
        ("https://wa.example.com/" + "a" * 2000, False),
        ("file:///etc/passwd", False),
        ("", False),
        (None, False),
        ({}, False),
    ],
)
def test_files_of_the_gateways_own(link: Any, own: bool) -> None:
    """A-WH-27"""
    assert is_own_file(link, "https://wa.example.com") is own


@pytest.mark.parametrize("name", ["mediaPath", "link"])
def test_a_polled_file(http: Http, server: Recorder, name: str) -> None:
    link = f"{server.url}/files/a.jpg"
    event = rows_of(http, server, isMedia=True, mediaType="image", text="Look", **{name: link})
    assert event.content == {"kind": "image", "caption": "Look"}
    assert event.media == InboundMedia(link=link)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"isMedia": True, "mediaType": "image/png", "text": ""}, "image"),
        ({"isMedia": True, "mediaType": "", "text": ""}, "document"),
        ({"isMedia": False, "mediaType": "video"}, "video"),
        ({"mediaPath": "files/secret.pdf"}, "document"),
        ({"isMedia": True, "mediaType": "ptt", "link": "https://evil.example.com/a"}, "audio"),
        ({"isMedia": True, "mediaType": "image", "mediaPath": f"/{INSTANCE}.jpg"}, "image"),
    ],
)
def test_a_polled_file_only_the_webhook_has(
    http: Http, server: Recorder, changes: dict[str, Any], kind: str
) -> None:
    event = rows_of(http, server, **changes)
    assert event.kind == kind
    assert event.media is not None
    assert (event.media.missing, event.media.link) == (True, "")
    assert INSTANCE not in without_to(event)


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"full_push_name": "Asha"}, "text", "Let_me_check_the_status"),
        ({"text": "", "value": "Words"}, "text", "Words"),
        ({"isLocation": True, "location": {"latitude": 1, "longitude": 2}}, "location", "Location"),
        ({"isLocation": True, "location": None, "text": "here"}, "unsupported", "here"),
        ({"location": {"x": 1}, "text": ""}, "unsupported", None),
        ({"isContact": True, "contact": {"name": "Asha"}}, "contacts", "Contact: Asha"),
        ({"isContact": True, "contact": [{"vcard": "BEGIN"}], "text": ""}, "unsupported", None),
        ({"isButton": True, "text": "Yes"}, "button_reply", "Yes"),
        ({"button": {"selectedDisplayText": "No", "id": 5}, "text": ""}, "button_reply", "No"),
        ({"isButton": True, "text": ""}, "unsupported", None),
        (
            {"isList": True, "list": {"title": "Tea", "rowId": "t"}, "text": ""},
            "button_reply",
            "Tea",
        ),
        ({"text": None}, "unsupported", None),
        ({"text": "", "value": {"a": 1}}, "unsupported", None),
        ({"text": ["x"]}, "unsupported", None),
    ],
)
def test_rows(
    http: Http, server: Recorder, changes: dict[str, Any], kind: str, text: str | None
) -> None:
    """A-WH-28"""
    event = rows_of(http, server, **changes)
    assert event.kind == event.content["kind"] == kind
    assert event.text == (text or event.text)
    assert event.text


# --- Anything at all ------------------------------------------------------------------------------

NAMES = ["reportType", "type", "value", "phone", "waID", "waMessageID", "messageID", "status",
         "statusInfo", "createdAt", "instanceID", "caption", "location", "contact", "isButton",
         "text", "isMedia", "mediaPath", "latitude", "longitude", "phones", "name"]  # fmt: skip
PARSER = gateway()


def check(request: WebhookRequest) -> None:
    found = PARSER.parse_webhook(request)
    assert all(isinstance(problem, str) and problem for problem in found.problems)
    assert found.events or found.problems
    for event in found.events:
        stored = without_to(event)
        stored.encode()
        # An escaped backslash before it: somebody typed it.
        assert "\\u0000" not in stored.replace("\\\\", "")
        assert INSTANCE not in stored
        if isinstance(event, Inbound):
            assert PARSER.owns(event) is False
            assert len(event.external_id) <= 200


@settings(max_examples=300, deadline=None)
@given(values(NAMES))
def test_any_json_is_survived(data: Any) -> None:
    text = json.dumps(data)
    check(posted(text))
    check(form(text, FILE))


bodies = st.fixed_dictionaries(
    {"reportType": st.sampled_from(["inbox", "delivery"]), "instanceID": st.just(INSTANCE)},
    optional={
        name: values(NAMES) | st.just(INSTANCE) for name in NAMES[1:] if name != "instanceID"
    },
)


@settings(max_examples=300, deadline=None)
@given(bodies)
def test_the_instance_id_never_leaks(body: dict[str, Any]) -> None:
    check(posted(body))
    check(form(body, FILE))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "replace")) | texts,
       st.dictionaries(texts, texts, max_size=3), texts)  # fmt: skip
def test_any_bytes_and_fields_are_survived(body: str, fields: dict[str, str], kind: str) -> None:
    check(WebhookRequest(content_type=kind, body=body, fields=fields))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), values(NAMES)), max_size=3))
def test_any_rows_are_survived(rows: list[dict[str, Any]]) -> None:
    given_rows = [lower_keys(json.loads(json.dumps(each))) for each in rows]
    found = page(given_rows, True, zone=UTC, secrets=[], base_url="https://wa.example.com")
    assert len(found.cursor) <= 100


def test_numbers_beyond_floats() -> None:
    body = json.dumps(text_body(type="new", value="N")).replace('"N"', "1" * 400 + ".0")
    check(posted(body))
