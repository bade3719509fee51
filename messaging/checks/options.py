"""Checks of the dict MESSAGING, and of the adapters it lists."""

from __future__ import annotations

import base64
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage

from .. import adapters, conf
from ..errors import ConfigurationError
from .finding import TAG, Finding
from .rules import RULES, hosts, network, public_url, strings

NOT_A_DICT = Finding(
    "messaging.E001",
    "MESSAGING must be a dict.",
    "See the settings table of the documentation.",
)
NO_KEYS = Finding(
    "messaging.E002",
    "MESSAGING['ENCRYPTION_KEYS'] is empty, so no credentials can be stored.",
    "Make a key with `manage.py messaging_rotate_keys --new-key` and keep it outside the database.",
)
BAD_KEY = Finding(
    "messaging.E003",
    "MESSAGING['ENCRYPTION_KEYS']: key number {number} {problem}.",
    "Make a key with `manage.py messaging_rotate_keys --new-key`.",
)
BAD_VALUE = Finding(
    "messaging.E004",
    "MESSAGING['{name}'] {problem}.",
    "See the settings table of the documentation.",
)
BAD_ADAPTER = Finding(
    "messaging.E005",
    "{problem}",
    "ADAPTERS lists dotted paths of Adapter classes, each with a slug of its own.",
)
UNKNOWN_NAME = Finding(
    "messaging.W001",
    "MESSAGING has no setting {name!r}.{guess}",
    "It has no effect. See the settings table of the documentation.",
)
TOO_WIDE = Finding(
    "messaging.W002",
    "MESSAGING['ALLOWED_PRIVATE_HOSTS'] lists {entry!r}: {problem}.",
    "Name the hosts of your gateways one by one; whoever may edit a provider can reach the rest.",
)
NOT_HTTPS = Finding(
    "messaging.W003",
    "MESSAGING['PUBLIC_BASE_URL'] is not https.",
    "Gateways fetch your files, and will send you messages, through this address.",
)
NO_PUBLIC_URL = Finding(
    "messaging.W004",
    "MESSAGING['PUBLIC_BASE_URL'] is empty.",
    "Uploaded files are refused on gateways that take links only. Set it to this site's address.",
)
BORROWED_KEY = Finding(
    "messaging.W007",
    "MESSAGING['ENCRYPTION_KEYS'] is empty: with DEBUG on, a key made from SECRET_KEY is used.",
    "Credentials stored now cannot be read once DEBUG is off or SECRET_KEY changes.",
)
DEBUG_ON = Finding(
    "messaging.W008",
    "DEBUG is on at a public address, with keys for real credentials.",
    "Error pages would show visitors what messages say. Switch DEBUG off.",
)


@checks.register(TAG)
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    try:
        configured = conf.configured()
    except ConfigurationError:
        return [NOT_A_DICT()]
    return [*_names(configured), *_values(configured), *_keys(configured)]


def _names(configured: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for name in configured:
        if name not in conf.DEFAULTS:
            close = difflib.get_close_matches(str(name).upper(), conf.DEFAULTS, n=1)
            yield UNKNOWN_NAME(name=name, guess=f" Did you mean {close[0]!r}?" if close else "")


def _values(configured: Mapping[str, Any]) -> Iterator[CheckMessage]:
    wrong = False
    for name, rule in RULES.items():
        if name in configured and (problem := rule(configured[name])):
            wrong = True
            yield BAD_VALUE(name=name, problem=problem)
    if not wrong and conf.get("TOTAL_TIMEOUT") < conf.get("CONNECT_TIMEOUT"):
        yield BAD_VALUE(name="TOTAL_TIMEOUT", problem="is shorter than CONNECT_TIMEOUT")


def _keys(configured: Mapping[str, Any]) -> Iterator[CheckMessage]:
    keys = configured.get("ENCRYPTION_KEYS", [])
    if strings(keys):
        return  # reported as a wrong value
    if not any(keys):
        yield BORROWED_KEY() if settings.DEBUG else NO_KEYS()
    for number, key in enumerate(keys, start=1):
        if key and (problem := _key_problem(key)):
            yield BAD_KEY(number=number, problem=problem)


def _key_problem(key: str) -> str:
    """Never quotes the key: what a check says ends up in logs."""
    try:
        raw = base64.urlsafe_b64decode(key)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        return "is not 32 url-safe base64 bytes"
    return "can be guessed" if len(set(raw)) < 12 else ""


@checks.register(TAG)
def check_adapters(**kwargs: Any) -> list[CheckMessage]:
    try:
        if strings(conf.get("ADAPTERS")):
            return []  # reported as a wrong value
        classes = adapters.adapter_classes()
    except ConfigurationError as error:
        return [BAD_ADAPTER(problem=str(error))]
    return [
        BAD_ADAPTER(problem=f"The slug {slug!r} is not lower-case letters, digits and _.")
        for slug in classes
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,49}", slug)
    ]


# What only a public site needs


@checks.register(TAG, deploy=True)
def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    try:
        url, listed = conf.get("PUBLIC_BASE_URL"), conf.get("ALLOWED_PRIVATE_HOSTS")
    except ConfigurationError:
        return []
    if public_url(url) or hosts(listed):
        return []  # reported as wrong values
    found = [TOO_WIDE(entry=entry, problem=problem) for entry, problem in _wide(listed)]
    if not url:
        found.append(NO_PUBLIC_URL())
    elif urlsplit(url).scheme != "https":
        found.append(NOT_HTTPS())
    if settings.DEBUG and url and any(conf.get("ENCRYPTION_KEYS")):
        found.append(DEBUG_ON())
    return found


def _wide(listed: Iterable[str]) -> Iterator[tuple[str, str]]:
    for entry in listed:
        addresses = network(entry)
        if addresses is None or addresses.is_loopback:
            continue
        if addresses.num_addresses > 256:
            yield entry, f"{addresses.num_addresses} addresses may be reached"
        elif addresses.is_link_local:
            yield entry, "cloud providers keep their machines' credentials there"
