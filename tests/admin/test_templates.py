"""Templates: written with fields instead of JSON, copied, sent."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from messaging.models import Template

from .conftest import Office


def url(name: str, row: Any = None) -> str:
    return reverse(f"admin:messaging_template_{name}", args=[row.pk] if row else [])


def data(office: Office, **values: Any) -> dict[str, Any]:
    return {
        "provider": office.provider.pk,
        "name": "order_ready",
        "language": "en_GB",
        "status": "approved",
        "parameter_format": "positional",
        "body": "Your order {{1}} is ready.",
        **values,
    }


def test_buttons_are_fields(boss: Client, office: Office) -> None:
    values = data(
        office,
        button1_type="quick_reply",
        button1_text="Thanks",
        button2_type="url",
        button2_text="Track",
        button2_value="https://example.com/{{1}}",
        button3_type="call",
        button3_text="Call",
        button3_value="+447700900001",
    )
    response = boss.post(url("add"), values)
    assert response.status_code == 302, response.context["errors"]
    row = Template.objects.get(name="order_ready")
    assert row.buttons == [
        {"type": "quick_reply", "text": "Thanks"},
        {"type": "url", "text": "Track", "value": "https://example.com/{{1}}"},
        {"type": "call", "text": "Call", "value": "+447700900001"},
    ]
    assert row.variables == ["1", "button2_1"]

    text = boss.get(url("change", row)).content.decode()
    assert 'value="https://example.com/{{1}}"' in text
    assert 'name="sample_button2_1"' in text

    boss.post(
        url("change", row),
        {**values, "button2_type": "", "button2_text": "", "button2_value": "", "sample_1": "1007"},
    )
    row.refresh_from_db()
    assert [button["type"] for button in row.buttons] == ["quick_reply", "call"]
    assert row.variables == ["1"]
    assert row.samples == {"1": "1007"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"button1_text": "Yes"}, "Say what this button does."),
        ({"button1_type": "quick_reply"}, "Enter the text on the button."),
        (
            {"button1_type": "url", "button1_text": "Go", "button1_value": "example.com"},
            "Enter a full web address",
        ),
        ({"button1_type": "call", "button1_text": "Go"}, "Enter the phone number it calls."),
        ({"header_kind": "text"}, "A text header needs its text."),
        ({"name": "reminder"}, "There is a template of this name and language already."),
    ],
)
def test_mistakes_are_told(
    boss: Client, office: Office, values: dict[str, str], words: str
) -> None:
    response = boss.post(url("add"), data(office, **values))
    assert words in response.content.decode()
    assert Template.objects.count() == 1


def test_more_buttons_than_the_form_offers_are_kept(boss: Client, office: Office) -> None:
    many = [{"type": "quick_reply", "text": f"Answer {number}"} for number in range(5)]
    Template.objects.update(buttons=many)
    row = office.template
    text = boss.get(url("change", row)).content.decode()
    assert 'value="Answer 4"' in text


def test_a_status_is_set_by_hand(boss: Client, office: Office) -> None:
    row = office.template
    values = data(office, name=row.name, body=row.body, status="rejected")
    boss.post(url("change", row), values)
    row.refresh_from_db()
    assert row.status == "rejected"
    assert b"Send this template" not in boss.get(url("change", row)).content


def test_duplicating(boss: Client, office: Office) -> None:
    Template.objects.update(external_id="55", samples={"1": "Ann"})
    for expected in ("reminder_copy", "reminder_copy_2", "reminder_copy_3"):
        response = boss.post(url("duplicate", office.template))
        copy = Template.objects.order_by("-pk")[0]
        assert response.url == url("change", copy)
        assert (copy.name, copy.status, copy.external_id) == (expected, "unknown", "")
        assert copy.body == office.template.body
        assert copy.samples == {"1": "Ann"}
    assert Template.objects.count() == 4


def test_sending_it_leads_to_the_send_page(boss: Client, office: Office) -> None:
    response = boss.get(url("send", office.template), follow=True)
    text = response.content.decode()
    assert 'name="c-v_1"' in text
    assert "Dear {{1}}, see you on {{2}}." in text
    assert f'<option value="{office.sender.pk}" selected>' in text


def test_what_a_template_says_is_escaped_on_the_send_page(boss: Client, office: Office) -> None:
    Template.objects.update(body="<script>alert(1)</script> {{1}}", samples={"1": '"><b>x'})
    text = boss.get(url("send", office.template), follow=True).content.decode()
    assert "<script>alert" not in text
    assert "<b>x" not in text


def test_only_approved_templates_are_found_for_sending(boss: Client, office: Office) -> None:
    Template.objects.create(
        provider=office.provider, name="reminder_new", body="x", status="pending"
    )
    query = {
        "app_label": "messaging",
        "model_name": "message",
        "field_name": "template",
        "term": "reminder",
    }
    found = boss.get(reverse("admin:autocomplete"), query).json()["results"]
    assert [row["text"] for row in found] == ["reminder (en_GB)"]
