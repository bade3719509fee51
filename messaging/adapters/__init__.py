"""The registry: which adapters there are. Read from MESSAGING["ADAPTERS"] on first use."""

from __future__ import annotations

from functools import lru_cache

from django.utils.module_loading import import_string

from .. import conf
from ..errors import ConfigurationError
from .base import Account, Adapter
from .http import Http

__all__ = ["adapter_class", "adapter_classes", "choices", "connect", "http_client", "is_known"]


@lru_cache(maxsize=8)
def _load(paths: tuple[str, ...]) -> dict[str, type[Adapter]]:
    classes: dict[str, type[Adapter]] = {}
    for path in paths:
        try:
            cls = import_string(path)
        except ImportError as error:
            raise ConfigurationError(f"MESSAGING['ADAPTERS']: cannot import {path!r}.") from error
        if not (isinstance(cls, type) and issubclass(cls, Adapter)):
            raise ConfigurationError(f"MESSAGING['ADAPTERS']: {path!r} is not an Adapter.")
        if cls.slug in classes:
            raise ConfigurationError(f"MESSAGING['ADAPTERS']: two adapters are {cls.slug!r}.")
        classes[cls.slug] = cls
    return classes


def adapter_classes() -> dict[str, type[Adapter]]:
    """Every adapter by its slug."""
    paths = conf.get("ADAPTERS")
    if not isinstance(paths, list | tuple):
        raise ConfigurationError("MESSAGING['ADAPTERS'] must be a list of dotted paths.")
    return _load(tuple(paths))


def adapter_class(slug: str) -> type[Adapter]:
    """The adapter of that slug. Raises ConfigurationError where it is not installed."""
    try:
        return adapter_classes()[slug]
    except KeyError as error:
        raise ConfigurationError(f"No adapter {slug!r} in MESSAGING['ADAPTERS'].") from error


def is_known(slug: str) -> bool:
    return slug in adapter_classes()


def choices() -> list[tuple[str, str]]:
    """For model fields and forms; a callable, so a new adapter makes no migration.

    Empty where the setting is wrong: the system check says what, instead of a traceback here.
    """
    try:
        classes = adapter_classes()
    except ConfigurationError:
        return []
    return [(slug, str(cls.label)) for slug, cls in classes.items()]


@lru_cache(maxsize=8)
def _http(allowed: tuple[str, ...], timeouts: tuple[float, float, float]) -> Http:
    connect, read, total = timeouts
    return Http(
        allowed_private_hosts=allowed,
        connect_timeout=connect,
        read_timeout=read,
        total_timeout=total,
    )


def http_client() -> Http:
    """This process's pooled client, made on first use from the settings."""
    return _http(
        tuple(conf.get("ALLOWED_PRIVATE_HOSTS")),
        (conf.get("CONNECT_TIMEOUT"), conf.get("READ_TIMEOUT"), conf.get("TOTAL_TIMEOUT")),
    )


def connect(slug: str, account: Account) -> Adapter:
    """An adapter that speaks for this account."""
    return adapter_class(slug)(account, http_client())
