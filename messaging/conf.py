"""The settings: one dict `MESSAGING` in the host's settings, read lazily, every key with a default.

`get("NAME")` is the only way to read one. Nothing is read at import.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings

from .errors import ConfigurationError

DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        # Fernet keys for stored credentials; the first encrypts, all decrypt. Required outside
        # DEBUG. Make one with `manage.py messaging_rotate_keys --new-key`.
        "ENCRYPTION_KEYS": [],
        # Hosts ("127.0.0.1", "gateway.lan:8080", "10.0.0.0/8") that may be reached although they
        # are private, and without TLS. Everything else must be public and https.
        "ALLOWED_PRIVATE_HOSTS": [],
        # Where this site is reached from outside, e.g. "https://desk.example.com". Needed for
        # uploaded files on gateways that take links only.
        "PUBLIC_BASE_URL": "",
        # How long a signed media link lives, in seconds.
        "MEDIA_LINK_SECONDS": 3600,
        # The largest file of a customer that is kept, in bytes.
        "MEDIA_MAX_BYTES": 16_000_000,
        # Adapters, by dotted path. Add your own class here.
        "ADAPTERS": [
            "messaging.adapters.whatsapp_http.WhatsAppHttp",
            "messaging.adapters.intellisoftware.IntelliSoftware",
            "messaging.adapters.intellixent.Intellixent",
            "messaging.adapters.dummy.Dummy",
        ],
        # Region of numbers written without country code ("GB"); a provider may have its own.
        "DEFAULT_REGION": "",
        # Threads that talk to gateways in one worker process.
        "THREADS": 16,
        # Seconds one drain works before it makes room, looks on for new work after the last
        # message, and may be silent before another may take its place.
        "DRAIN_SECONDS": 60,
        "DRAIN_LINGER": 2,
        "DRAIN_LEASE": 10,
        # Seconds before the end of a window at which a waiting free-form message is not sent.
        "WINDOW_MARGIN": 120,
        # Seconds: to connect, without a byte, and for a whole call.
        "CONNECT_TIMEOUT": 5,
        "READ_TIMEOUT": 20,
        "TOTAL_TIMEOUT": 30,
        # Automatic tries again after a refusal that can pass, and the seconds before each.
        "RETRY_DELAYS": [5, 30, 180],
        # Seconds after which a paused account is tried with one message, doubling to an hour.
        "PAUSE_SECONDS": 60,
        # Hours a message waits at most before it expires, unless it says so itself; 0 = for ever.
        "EXPIRE_HOURS": 72,
        # Largest webhook body in bytes, files apart (they: MEDIA_MAX_BYTES).
        "WEBHOOK_MAX_BYTES": 4_000_000,
        # Keep people's status posts and newsletters too; they are dropped otherwise.
        "KEEP_STATUS_POSTS": False,
        # Words that opt a person out or in when they are a whole message, by language. They take
        # the place of our own for that language (messaging.consent); an empty list switches it off.
        "STOP_WORDS": {},
        "START_WORDS": {},
        # Tell people once that they opted out or in, and in which words; empty: in ours.
        "CONFIRM_OPT_OUT": True,
        "OPT_OUT_TEXT": "",
        "OPT_IN_TEXT": "",
        # Correct this host's clock by the database's (PostgreSQL only).
        "DATABASE_CLOCK": True,
        # Redacted calls are kept with their messages; False stores only those that failed.
        "KEEP_CALLS": True,
    }
)


def get(name: str) -> Any:
    """The setting's value, or its default. Raises ConfigurationError for a name that is none."""
    if name not in DEFAULTS:
        raise ConfigurationError(f"MESSAGING has no setting {name!r}.")
    return configured().get(name, DEFAULTS[name])


def configured() -> Mapping[str, Any]:
    """What the host's settings hold, as they are."""
    value = getattr(settings, "MESSAGING", {})
    if not isinstance(value, Mapping):
        raise ConfigurationError("MESSAGING must be a dict.")
    return value
