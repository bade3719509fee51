"""Checks of Q_CLUSTER: what the queue must be to be only a bell. One warning per departure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage

from .. import conf
from ..errors import ConfigurationError
from .finding import TAG, Finding
from .rules import Rule, number
from .storage import messages_alias

Q_MISSING = Finding(
    "messaging.W010",
    "There is no Q_CLUSTER in the settings.",
    "Copy the block from the documentation; until then only `messaging_drain` sends.",
)
Q_BROKER = Finding(
    "messaging.W010",
    "The broker of Q_CLUSTER is {value!r}, but the messages are in the database {alias!r}.",
    "Set 'orm' to that name: the ORM broker's bell then commits with the message.",
)
Q_WORKERS = Finding(
    "messaging.W011",
    "Q_CLUSTER['workers'] is {value!r}.",
    "Set 'workers': 2 or more: one drains, another keeps the minute's tick.",
)
Q_RETRY = Finding(
    "messaging.W012",
    "Q_CLUSTER['retry'] is {value!r}, and must be at least {least:g}.",
    "timeout × (queue_limit ÷ workers + 2): a shorter one runs tasks twice. "
    "Set 'timeout': 120, 'retry': 600, 'queue_limit': 2.",
)
Q_ACK_FAILURES = Finding(
    "messaging.W013",
    "Q_CLUSTER['ack_failures'] is {value!r}.",
    "Set 'ack_failures': True: a failed task would come back for ever.",
)
Q_MAX_ATTEMPTS = Finding(
    "messaging.W014",
    "Q_CLUSTER['max_attempts'] is {value!r}.",
    "Set 'max_attempts': 1: tries again belong to the message, not to the queue.",
)
Q_CATCH_UP = Finding(
    "messaging.W015",
    "Q_CLUSTER['catch_up'] is {value!r}.",
    "Set 'catch_up': False: a day without worker would replay 1,440 ticks.",
)
Q_SAVE_LIMIT = Finding(
    "messaging.W016",
    "Q_CLUSTER['save_limit'] is {value!r}.",
    "Set 'save_limit': 50 (0 to 250): all kept rows are loaded after each task.",
)
Q_POLL = Finding(
    "messaging.W017",
    "Q_CLUSTER['poll'] is {value!r}.",
    "Set 'poll': 0.2 (at most 1): it is how long a reply waits for an idle worker.",
)
Q_BULK = Finding(
    "messaging.W018",
    "Q_CLUSTER['bulk'] is {value!r}.",
    "Set 'bulk': 1: tasks taken ahead are run late, or twice.",
)
Q_TIMEOUT = Finding(
    "messaging.W019",
    "Q_CLUSTER['timeout'] is {value!r}, and must be at least {least:g}.",
    "Set 'timeout': 120, or a whole number of seconds no less than MESSAGING's DRAIN_SECONDS and "
    "TOTAL_TIMEOUT together: a round of sending would be cut short.",
)
Q_SYNC = Finding(
    "messaging.W020",
    "Q_CLUSTER['sync'] is {value!r}.",
    "Take it out: gateways would be called inside your requests and transactions.",
)


def exactly(wanted: object) -> Rule:
    return lambda value: "" if type(value) is type(wanted) and value == wanted else "is another"


#: The finding, the key, django-q2's default, and what is right.
Q_RULES: Final[Sequence[tuple[Finding, str, Any, Rule]]] = (
    # Nothing stands for the number of processors, which may be one.
    (Q_WORKERS, "workers", None, number(2, 1_000, whole=True)),
    (Q_ACK_FAILURES, "ack_failures", False, exactly(True)),
    (Q_MAX_ATTEMPTS, "max_attempts", 0, exactly(1)),
    (Q_CATCH_UP, "catch_up", True, exactly(False)),
    (Q_SAVE_LIMIT, "save_limit", 250, number(0, 250, whole=True)),
    (Q_POLL, "poll", 0.2, number(0.01, 1)),
    (Q_BULK, "bulk", 1, exactly(1)),
    (Q_SYNC, "sync", False, exactly(False)),
)


@checks.register(TAG)
def check_queue(**kwargs: Any) -> list[CheckMessage]:
    cluster = getattr(settings, "Q_CLUSTER", None)
    if not isinstance(cluster, Mapping):
        return [Q_MISSING()]
    found = []
    if _broker(cluster) != messages_alias():
        found.append(Q_BROKER(value=_broker(cluster), alias=messages_alias()))
    for finding, name, default, rule in Q_RULES:
        value = cluster.get(name, default)
        if rule(value):
            found.append(finding(value=value))
    timeout, retry = cluster.get("timeout"), cluster.get("retry", 60)
    if number(least := _least_timeout(), 1e9, whole=True)(timeout):
        found.append(Q_TIMEOUT(value=timeout, least=least))
    if number(least := _least_retry(cluster), 1e9)(retry):
        found.append(Q_RETRY(value=retry, least=least))
    return found


def _least_timeout() -> float:
    try:
        return float(conf.get("DRAIN_SECONDS") + conf.get("TOTAL_TIMEOUT"))
    except (ConfigurationError, TypeError):
        return 0.0  # reported as a wrong value


def _broker(cluster: Mapping[str, Any]) -> object:
    """What django-q2 takes: these names come before `orm`."""
    return next(
        (name for name in ("broker_class", "iron_mq", "sqs") if cluster.get(name)),
        cluster.get("orm"),
    )


def _least_retry(cluster: Mapping[str, Any]) -> float:
    """django-q2 counts from the moment a task is fetched ahead, not from its start."""
    workers, timeout = cluster.get("workers") or os.cpu_count() or 4, cluster.get("timeout") or 0
    try:
        return float(timeout * (cluster.get("queue_limit", workers**2) / workers + 2))
    except TypeError:
        return 0.0  # reported by the rules above
