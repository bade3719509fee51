"""IntelliSoftware's message objects: every type that is taken, and what is wrong with the rest."""

from __future__ import annotations

import re
from typing import Any

import pytest

from messaging.sandbox import SandboxClient

from .conftest import PHONE, IntelliSoftware

LINK = "https://media.example.com/a.bin"
ADDRESS = {
    "street": "1 High St", "city": "Poole", "state": "Dorset", "zip": "BH15 1AA",
    "country": "United Kingdom", "country_code": "GB", "type": "WORK",
}  # fmt: skip
CARD = {
    "addresses": [ADDRESS],
    "birthday": "1990-04-30",
    "emails": [{"email": "asha@example.com", "type": "WORK"}],
    "name": {"formatted_name": "Asha Rao", "first_name": "Asha", "last_name": "Rao"},
    "org": {"company": "Example Ltd", "department": "Sales", "title": "Manager"},
    "phones": [{"phone": "+447700900123", "type": "HOME"}],
    "urls": [{"url": "https://example.com", "type": "WORK"}],
}


def _body(*texts: str, named: bool = False) -> list[dict[str, Any]]:
    names = ("customer", "order_no")
    parameters = [{"type": "text", "text": text} for text in texts]
    if named:
        for name, parameter in zip(names, parameters, strict=False):
            parameter["parameter_name"] = name
    return [{"type": "body", "parameters": parameters}]


def _template(name: str, code: str = "en_GB", components: Any = None) -> dict[str, Any]:
    template = {"name": name, "language": {"policy": "deterministic", "code": code}}
    if components is not None:
        template["components"] = components
    return {"type": "template", "template": template}


def _buttons(*replies: dict[str, str], **more: Any) -> dict[str, Any]:
    action = {"buttons": [{"type": "reply", "reply": reply} for reply in replies]}
    interactive = {"type": "button", "body": {"text": "Can you come?"}, "action": action} | more
    return {"type": "interactive", "interactive": interactive}


def _list(*sections: dict[str, Any]) -> dict[str, Any]:
    action = {"button": "Open", "sections": list(sections)}
    interactive = {"type": "list", "body": {"text": "Pick"}, "action": action}
    return {"type": "interactive", "interactive": interactive}


def _rows(count: int, start: int = 0) -> list[dict[str, str]]:
    return [{"id": str(n), "title": f"Row {n}"} for n in range(start, start + count)]


ORDER_READY = _template("order_ready", components=_body("Asha", "A-1007", named=True))
OBJECTS: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": {"body": "Hello 😃"}},
    "template named": ORDER_READY,
    "template positional": _template("welcome", "en", _body("Asha")),
    "template plain": _template("shop_open"),
    "contacts": {"type": "contacts", "contacts": [CARD]},
    "audio": {"type": "audio", "audio": {"link": LINK, "caption": "As the sample shows"}},
    "image": {"type": "image", "image": {"link": LINK, "caption": "New stock"}},
    "video": {"type": "video", "video": {"link": LINK}},
    "sticker": {"type": "sticker", "sticker": {"link": LINK, "caption": "As the sample shows"}},
    "document": {"type": "document", "document": {"link": LINK, "filename": "invoice.pdf"}},
    "location": {
        "type": "location",
        "location": {"longitude": -1.9872, "latitude": 50.7154, "name": "Shop", "address": "Poole"},
    },
    "buttons as the sample": _buttons(
        {"title": "Yes"}, {"title": "No"}, header={"type": "text", "text": "Appointment"}
    ),
    "buttons with ids": _buttons({"id": "yes", "title": "Yes"}, footer={"text": "Shop"}),
    "list": _list({"title": "Drinks", "rows": _rows(2)}, {"title": "Food", "rows": _rows(8, 2)}),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_every_type_is_taken(isoft: IntelliSoftware, control: SandboxClient, name: str) -> None:
    response = isoft.send(OBJECTS[name])
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ["response_status", "messages"], answer
    assert answer["response_status"] == "ok"
    (entry,) = answer["messages"]
    assert list(entry) == ["to", "id"]
    assert entry["to"] == PHONE
    assert re.fullmatch(r"[0-9a-f]{34}", entry["id"])
    (delivery,) = control.deliveries()
    assert (delivery["phone"], delivery["id"]) == (PHONE, entry["id"])


def test_templates_are_delivered_as_their_text(
    isoft: IntelliSoftware, control: SandboxClient
) -> None:
    isoft.send(ORDER_READY)
    assert control.deliveries()[0]["text"] == "Hello Asha, your order A-1007 is ready."
    (arrival,) = control.arrivals()
    assert arrival["text"] == "order_ready Asha A-1007"
    assert arrival["content"]["content"]["msgobject"] == ORDER_READY


BAD_OBJECTS: dict[str, Any] = {
    "no type": {"text": {"body": "x"}},
    "unknown type": {"type": "poll", "poll": {}},
    "not an object": "text",
    "text empty": {"type": "text", "text": {"body": ""}},
    "text too long": {"type": "text", "text": {"body": "x" * 4097}},
    "text not a string": {"type": "text", "text": {"body": 5}},
    "unknown key": {"type": "text", "text": {"body": "x", "bold": True}},
    "two payloads": {"type": "text", "text": {"body": "x"}, "image": {"link": LINK}},
    "image without link": {"type": "image", "image": {"caption": "x"}},
    "image bad link": {"type": "image", "image": {"link": "a.jpg"}},
    "caption too long": {"type": "image", "image": {"link": LINK, "caption": "x" * 1025}},
    "image with filename": {"type": "image", "image": {"link": LINK, "filename": "a"}},
    "location text": {"type": "location", "location": {"longitude": "1", "latitude": "2"}},
    "location range": {"type": "location", "location": {"longitude": 181, "latitude": 2}},
    "contact one name": {"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]},
    "contact none": {"type": "contacts", "contacts": []},
    "contact label": {
        "type": "contacts",
        "contacts": [CARD | {"emails": [{"email": "a@b.c", "type": "Work"}]}],
    },
    "contact birthday": {"type": "contacts", "contacts": [CARD | {"birthday": "30/4/1990"}]},
    "no buttons": _buttons(),
    "four buttons": _buttons(*({"title": str(n)} for n in range(4))),
    "button title long": _buttons({"title": "t" * 21}),
    "button titles equal": _buttons({"title": "Yes"}, {"title": "Yes"}),
    "button ids equal": _buttons({"id": "a", "title": "Yes"}, {"id": "a", "title": "No"}),
    "button id spaces": _buttons({"id": " a", "title": "Yes"}),
    "button header long": _buttons({"title": "Y"}, header={"type": "text", "text": "h" * 61}),
    "button body long": _buttons({"title": "Y"}, body={"text": "b" * 1025}),
    "button call": {
        "type": "interactive",
        "interactive": {
            "type": "button",
            "body": {"text": "x"},
            "action": {"buttons": [{"type": "phone", "reply": {"title": "x"}}]},
        },
    },
    "list eleven rows": _list(
        {"title": "A", "rows": _rows(6)}, {"title": "B", "rows": _rows(5, 6)}
    ),
    "list row without id": _list({"rows": [{"title": "x"}]}),
    "list sections untitled": _list({"rows": _rows(1)}, {"rows": _rows(1, 1)}),
    "template policy": {
        "type": "template",
        "template": {"name": "welcome", "language": {"policy": "fallback", "code": "en"}},
    },
    "template line break": _template("welcome", "en", _body("Asha\nRao")),
    "template empty value": _template("welcome", "en", _body("")),
    "template upper case": _template("Welcome", "en", _body("Asha")),
}


@pytest.mark.parametrize("name", BAD_OBJECTS)
def test_bad_objects_are_invalid_requests(
    isoft: IntelliSoftware, control: SandboxClient, name: str
) -> None:
    response = isoft.send(BAD_OBJECTS[name])
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ["response_status", "errors"]
    assert answer["response_status"] == "failure"
    (error,) = answer["errors"]
    assert list(error) == ["error", "error_code", "error_description"]
    assert (error["error"], error["error_code"]) == ("invalid_request", 3)
    assert control.deliveries() == []


@pytest.mark.parametrize(
    "msgobject",
    [
        _template("no_such_template"),
        _template("order_ready", "en", _body("Asha", "A-1007", named=True)),
        _template("order_ready", components=_body("Asha", named=True)),
        _template("order_ready", components=_body("Asha", "A-1007")),
        _template("order_ready"),
        _template("welcome", "en", _body("Asha", "Rao")),
        _template("welcome", "en", _body("Asha", named=True)),
        _template("spring_sale"),
    ],
)
def test_template_refusals(isoft: IntelliSoftware, msgobject: dict[str, Any]) -> None:
    (error,) = isoft.send(msgobject).json()["errors"]
    assert (error["error"], error["error_code"]) == ("invalid_template", 26)
