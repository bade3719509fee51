"""The WhatsApp message object of IntelliSoftware (`wa_msgobject_v2`): shapes and limits.

Keys are those the IntelliSoftware document shows for each type, with the few of the public
message object that go with them; limits are those of the public message object.
"""

from __future__ import annotations

import re
from typing import Any

from .links import well_formed
from .shape import (
    ShapeError,
    array,
    boolean,
    number,
    obj,
    one_of,
    pattern,
    tagged,
    text,
    unique,
)

_label = one_of("WORK", "HOME")
_TROUBLED_VALUE = re.compile(r"[\n\r\t]| {5,}")


def _link(value: Any, at: str) -> None:
    if not isinstance(value, str) or not well_formed(value):
        raise ShapeError(f"{at} must be an http or https link")


_media = obj({"link": _link}, {"caption": text(1024)})
_document = obj({"link": _link}, {"caption": text(1024), "filename": text(240)})
_location = obj(
    {"longitude": number(-180, 180), "latitude": number(-90, 90)},
    {"name": text(), "address": text()},
)

_contact = obj(
    {
        "name": obj(
            {"formatted_name": text()},
            {
                "first_name": text(),
                "last_name": text(),
                "middle_name": text(),
                "suffix": text(),
                "prefix": text(),
            },
        )
    },
    {
        "addresses": array(
            obj(
                {},
                {
                    "street": text(),
                    "city": text(),
                    "state": text(),
                    "zip": text(),
                    "country": text(),
                    "country_code": text(),
                    "type": _label,
                },
            ),
            1,
            20,
        ),
        "birthday": pattern(r"\d{4}-\d{2}-\d{2}", "YYYY-MM-DD"),
        "emails": array(obj({"email": text()}, {"type": _label}), 1, 20),
        "org": obj({}, {"company": text(), "department": text(), "title": text()}),
        "phones": array(obj({"phone": text()}, {"type": _label}), 1, 20),
        "urls": array(obj({"url": text()}, {"type": _label}), 1, 20),
    },
)


def _contacts(value: Any, at: str) -> None:
    array(_contact, 1, 257)(value, at)
    for place, card in enumerate(value):
        if len(card["name"]) < 2:
            raise ShapeError(f"{at}[{place}].name needs another part beside formatted_name")


def _trimmed(most: int) -> Any:
    plain = text(most)

    def check(value: Any, at: str) -> None:
        plain(value, at)
        if value != value.strip():
            raise ShapeError(f"{at} must not begin or end with a space")

    return check


_header = tagged(
    "type",
    {
        "text": obj({"type": text(), "text": text(60)}),
        "image": obj({"type": text(), "image": obj({"link": _link})}),
        "video": obj({"type": text(), "video": obj({"link": _link})}),
        "document": obj(
            {"type": text(), "document": obj({"link": _link}, {"filename": text(240)})}
        ),
    },
)
_text_header = obj({"type": one_of("text"), "text": text(60)})
_footer = obj({"text": text(60)})
# The document's sample has no id; the public message object asks for one.
_reply = obj({"title": text(20)}, {"id": _trimmed(256)})
_list_row = obj({"id": text(200), "title": text(24)}, {"description": text(72)})
_section = obj({"rows": array(_list_row, 1, 10)}, {"title": text(24)})

_button_message = obj(
    {
        "type": text(),
        "body": obj({"text": text(1024)}),
        "action": obj({"buttons": array(obj({"type": one_of("reply"), "reply": _reply}), 1, 3)}),
    },
    {"header": _header, "footer": _footer},
)
_list_message = obj(
    {
        "type": text(),
        "body": obj({"text": text(4096)}),
        "action": obj({"button": text(20), "sections": array(_section, 1, 10)}),
    },
    {"header": _text_header, "footer": _footer},
)


def _interactive(value: Any, at: str) -> None:
    tagged("type", {"button": _button_message, "list": _list_message})(value, at)
    if value["type"] == "button":
        replies = [button["reply"] for button in value["action"]["buttons"]]
        unique([reply["title"] for reply in replies], f"{at}.action.buttons titles")
        unique([reply["id"] for reply in replies if "id" in reply], f"{at}.action.buttons ids")
    else:
        _check_sections(value["action"]["sections"], f"{at}.action.sections")


def _check_sections(sections: list[dict[str, Any]], at: str) -> None:
    rows = [row for section in sections for row in section["rows"]]
    if len(rows) > 10:
        raise ShapeError(f"{at} have more than 10 rows in total")
    unique([row["id"] for row in rows], f"{at} row ids")
    if len(sections) > 1 and not all("title" in section for section in sections):
        raise ShapeError(f"{at} need titles when there are several")


def _parameter_text(value: Any, at: str) -> None:
    text(1024)(value, at)
    if _TROUBLED_VALUE.search(value):
        raise ShapeError(f"{at} must not hold line breaks, tabs or more than four spaces in a row")


_text_parameter = obj(
    {"type": text(), "text": _parameter_text},
    {"parameter_name": pattern(r"[a-z0-9_]+", "lower-case letters, digits and underscores")},
)
_header_parameter = tagged(
    "type",
    {
        "text": _text_parameter,
        "image": obj({"type": text(), "image": obj({"link": _link})}),
        "video": obj({"type": text(), "video": obj({"link": _link})}),
        "document": obj(
            {"type": text(), "document": obj({"link": _link}, {"filename": text(240)})}
        ),
        "location": obj({"type": text(), "location": _location}),
    },
)
_button_parameter = tagged(
    "type",
    {
        "text": _text_parameter,
        "payload": obj({"type": text(), "payload": text(256)}),
        "coupon_code": obj({"type": text(), "coupon_code": text(20)}),
    },
)
_component = tagged(
    "type",
    {
        "header": obj({"type": text(), "parameters": array(_header_parameter, 1, 1)}),
        "body": obj({"type": text(), "parameters": array(
            tagged("type", {"text": _text_parameter}), 1, 100)}),
        "button": obj({
            "type": text(),
            "sub_type": one_of("quick_reply", "url", "copy_code"),
            "index": pattern(r"[0-9]", "a digit as a string"),
            "parameters": array(_button_parameter, 1, 1),
        }),
    },
)  # fmt: skip
_template = obj(
    {
        "name": pattern(r"[a-z0-9_]{1,512}", "lower-case letters, digits and underscores"),
        "language": obj(
            {
                "policy": one_of("deterministic"),
                "code": pattern(r"[a-z]{2,3}(_[A-Z]{2})?", "a language code such as en_GB"),
            }
        ),
    },
    {"components": array(_component, 0, 20)},
)

_TYPES = {
    "text": obj({"body": text(4096)}, {"preview_url": boolean}),
    "template": _template,
    "contacts": _contacts,
    "audio": _media,
    "image": _media,
    "video": _media,
    "sticker": _media,
    "document": _document,
    "location": _location,
    "interactive": _interactive,
}

_msgobject = tagged(
    "type", {kind: obj({"type": text(), kind: check}) for kind, check in _TYPES.items()}
)


def check_msgobject(value: Any) -> None:
    """Raise ShapeError unless `value` is a message object of the document."""
    _msgobject(value, "msgobject")


def summary(value: dict[str, Any]) -> str:
    """The text a person would see, or the nearest to it; works on broken objects too."""
    kind = value.get("type")
    part = value.get(kind) if isinstance(kind, str) else None
    if not isinstance(part, dict):
        return ""
    if kind == "template":
        return " ".join([str(part.get("name")), *_spoken(part)])
    for found in (part.get("body"), part.get("caption"), part.get("name"), part.get("link")):
        if isinstance(found, dict):
            found = found.get("text")
        if isinstance(found, str):
            return found
    return ""


def _spoken(template: dict[str, Any]) -> list[str]:
    """Every parameter text of a template, in order, however odd the rest is."""
    components = template.get("components")
    texts = []
    for component in components if isinstance(components, list) else ():
        parameters = component.get("parameters") if isinstance(component, dict) else None
        for parameter in parameters if isinstance(parameters, list) else ():
            if isinstance(parameter, dict) and isinstance(parameter.get("text"), str):
                texts.append(parameter["text"])
    return texts


def check_template(template: dict[str, Any], known: list[dict[str, Any]]) -> str:
    """The rendered body of an approved template; ShapeError when it cannot be sent like this."""
    name, code = template["name"], template["language"]["code"]
    found = [item for item in known if item["name"] == name and item["language"] == code]
    if not found:
        raise ShapeError(f"no template {name} in {code}")
    if found[0]["status"] != "APPROVED":
        raise ShapeError(f"template {name} is {found[0]['status']}")
    values = _values(template, bool(found[0]["named"]))
    wanted = found[0]["variables"]
    if sorted(values) != sorted(wanted):
        raise ShapeError(f"template {name} takes {', '.join(wanted) or 'no parameters'}")
    body = str(found[0]["body"])
    for variable, value in values.items():
        body = body.replace("{{" + variable + "}}", value)
    return body


def _values(template: dict[str, Any], named: bool) -> dict[str, str]:
    values: dict[str, str] = {}
    for component in template.get("components", []):
        if component["type"] != "body":
            continue
        for place, parameter in enumerate(component["parameters"], 1):
            if ("parameter_name" in parameter) != named:
                raise ShapeError("parameters are " + ("named" if named else "positional"))
            values[parameter["parameter_name"] if named else str(place)] = parameter["text"]
    return values
