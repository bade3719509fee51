"""What each setting may be. A rule gives the problem in words, or nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

Rule = Callable[[Any], str]


def strings(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ""
    return "must be a list of strings"


def flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be True or False"


def words(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "must be a dict of languages and lists of words"
    for language, listed in value.items():
        if not isinstance(language, str) or strings(listed):
            return f"has no list of words for {language!r}"
        if len(too_weak := [word for word in listed if len(word.strip()) < 2]):
            return f"has {too_weak[0]!r}, which people write for other reasons"
    return ""


def text(value: Any) -> str:
    if isinstance(value, str) and len(value) <= 1000 and "\x00" not in value:
        return ""
    return "must be a text of at most 1000 characters"


def number(least: float, most: float, *, whole: bool = False) -> Rule:
    kinds = "a whole number" if whole else "a number"

    def rule(value: Any) -> str:
        allowed = int if whole else (int, float)
        if isinstance(value, allowed) and not isinstance(value, bool) and least <= value <= most:
            return ""
        return f"must be {kinds} from {least:g} to {most:g}"

    return rule


def delays(value: Any) -> str:
    one = number(0, 86_400)
    if isinstance(value, list | tuple) and not any(one(item) for item in value):
        return ""
    return "must be a list of seconds, each from 0 to 86400"


def region(value: Any) -> str:
    from phonenumbers import SUPPORTED_REGIONS  # heavy, and only a check needs it

    return "" if value == "" or value in SUPPORTED_REGIONS else 'must be a country such as "GB"'


def public_url(value: Any) -> str:
    if not isinstance(value, str):
        return "must be a string"
    parts = urlsplit(value)
    whole = parts.scheme in ("http", "https") and parts.hostname
    if value and (not whole or parts.query or parts.fragment or parts.username):
        return "must be the site's address, such as https://desk.example.com"
    return ""


def hosts(value: Any) -> str:
    if problem := strings(value):
        return problem
    wrong = [entry for entry in value if not network(entry) and not _HOST.fullmatch(entry)]
    return f"has {wrong[0]!r}, which is no host, host:port, address or network" if wrong else ""


_HOST = re.compile(
    r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]+\.?(?::\d{1,5})?|\[[0-9a-f:.]+\](?::\d{1,5})?", re.I
)


def network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip().strip("[]"), strict=False)
    except ValueError:
        return None


#: What each setting may be; a function gives the problem in words, or nothing.
RULES: Final[Mapping[str, Rule]] = {
    "ENCRYPTION_KEYS": strings,
    "ALLOWED_PRIVATE_HOSTS": hosts,
    "PUBLIC_BASE_URL": public_url,
    "MEDIA_LINK_SECONDS": number(60, 604_800, whole=True),
    "MEDIA_MAX_BYTES": number(1_000, 100_000_000, whole=True),
    "ADAPTERS": strings,
    "DEFAULT_REGION": region,
    "WEBHOOK_MAX_BYTES": number(10_000, 100_000_000, whole=True),
    "THREADS": number(1, 256, whole=True),
    "DRAIN_SECONDS": number(5, 3_600),
    "DRAIN_LINGER": number(0, 60),
    "DRAIN_LEASE": number(3, 600),
    "WINDOW_MARGIN": number(0, 3_600),
    "DATABASE_CLOCK": flag,
    "CONNECT_TIMEOUT": number(0.1, 60),
    "READ_TIMEOUT": number(0.1, 300),
    "TOTAL_TIMEOUT": number(0.1, 300),
    "RETRY_DELAYS": delays,
    "PAUSE_SECONDS": number(1, 3_600),
    "EXPIRE_HOURS": number(0, 8_760),
    "KEEP_STATUS_POSTS": flag,
    "STOP_WORDS": words,
    "START_WORDS": words,
    "CONFIRM_OPT_OUT": flag,
    "OPT_OUT_TEXT": text,
    "OPT_IN_TEXT": text,
    "KEEP_CALLS": flag,
}
