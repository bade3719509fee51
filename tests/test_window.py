"""The 24-hour rule: Python and SQL say the same, over the whole table."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from messaging.models import Conversation, Message, Provider, Sender, WindowOpenedBy, WindowPolicy
from messaging.window import CONDITION, LENGTH, Window
from tests.rows import make_conversation, make_message, make_provider, make_sender

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
MARGIN = timedelta(seconds=120)

POLICIES = list(WindowPolicy.values)
OPENERS = ["", *WindowOpenedBy.values]
#: Around the moments that matter, and never.
ENDS = [None, NOW - TICK, NOW, NOW + TICK, NOW + MARGIN, NOW + MARGIN + TICK]
WROTE = [None, *(end - LENGTH for end in ENDS if end)]


def window(policy: str, **values: object) -> Window:
    return Window(policy=policy, **values)  # type: ignore[arg-type]


# What the rule says


@pytest.mark.parametrize(
    ("policy", "opened_by", "is_open"),
    [
        ("none", "", True),
        ("inbound_only", "", False),
        ("inbound_only", "inbound", True),
        ("inbound_only", "session", True),
        ("inbound_only", "template", False),
        ("inbound_or_template", "inbound", True),
        ("inbound_or_template", "template", True),
        ("inbound_or_template", "", False),
    ],
)
def test_what_opens_it_under_each_policy(policy: str, opened_by: str, is_open: bool) -> None:
    expires_at = NOW + TICK if opened_by else None
    assert window(policy, opened_by=opened_by, expires_at=expires_at).is_open(NOW) == is_open


def test_its_end_is_exclusive() -> None:
    one = window("inbound_only", opened_by="inbound", expires_at=NOW)
    assert one.is_open(NOW - TICK)
    assert not one.is_open(NOW)
    assert not one.is_open(NOW - MARGIN, MARGIN)
    assert one.is_open(NOW - MARGIN - TICK, MARGIN)


def test_a_template_does_not_take_away_what_the_customer_opened() -> None:
    """Stored is the later end of the two; under `inbound_only` only the customer's counts."""
    one = window(
        "inbound_only",
        opened_by="template",
        last_inbound_at=NOW - LENGTH + timedelta(hours=1),
        expires_at=NOW + timedelta(hours=20),
    )
    assert one.ends_at == NOW + timedelta(hours=1)
    assert one.is_open(NOW)
    assert not one.is_open(NOW + timedelta(hours=1))


@pytest.mark.parametrize("policy", POLICIES)
def test_sms_and_groups_have_none(policy: str) -> None:
    assert window(policy, channel="sms").is_open(NOW)
    assert window(policy, is_group=True).is_open(NOW)
    assert not window(policy, channel="sms").limited


def test_a_refused_message_closes_it_whatever_was_open() -> None:
    for policy in POLICIES[:2]:
        closed = window(policy, opened_by="closed", last_inbound_at=NOW, expires_at=NOW)
        assert not closed.is_open(NOW)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=2)),
)
def test_more_margin_never_opens_it(expires_at: datetime, margin: timedelta) -> None:
    one = window("inbound_only", opened_by="inbound", expires_at=expires_at)
    assert one.is_open(NOW) or not one.is_open(NOW, margin)


# And SQL says the same


def sql_is_open(message: Message, now: datetime, margin: timedelta) -> bool:
    adapt = connection.ops.adapt_datetimefield_value
    tables = {model: model._meta.db_table for model in (Message, Conversation, Sender, Provider)}
    statement = f"""
        SELECT count(*) FROM {tables[Message]} m
        JOIN {tables[Conversation]} c ON c.id = m.conversation_id
        JOIN {tables[Sender]} s ON s.id = m.sender_id
        JOIN {tables[Provider]} p ON p.id = s.provider_id
        WHERE m.id = %s AND {CONDITION}
    """
    with connection.cursor() as cursor:
        times = [adapt(now + margin), adapt(now + margin - LENGTH)]
        cursor.execute(statement, [message.pk, *times])
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channel", ["whatsapp", "sms"])
@pytest.mark.parametrize("kind", ["person", "group"])
def test_python_and_sql_agree(policy: str, channel: str, kind: str) -> None:
    sender = make_sender(make_provider(window_policy=policy), channel=channel)
    conversation = make_conversation(sender, kind=kind)
    message = make_message(conversation)
    for opened_by, expires_at, wrote in itertools.product(OPENERS, ENDS, WROTE):
        Conversation.objects.update(
            window_opened_by=opened_by, window_expires_at=expires_at, last_inbound_at=wrote
        )
        one = window(
            policy,
            channel=channel,
            is_group=kind == "group",
            opened_by=opened_by,
            expires_at=expires_at,
            last_inbound_at=wrote,
        )
        for margin in (timedelta(0), MARGIN):
            case = (opened_by, expires_at, wrote, margin)
            assert one.is_open(NOW, margin) == sql_is_open(message, NOW, margin), case
