"""Encrypted columns. Fail closed: what cannot be decrypted is an error, never a value."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from .. import conf
from ..errors import ConfigurationError, DecryptionError

_PREFIX = "fernet:"


def encryption_keys() -> tuple[str, ...]:
    """The configured keys, first the one that encrypts.

    Only with DEBUG on may there be none: then one is made from SECRET_KEY. Raises
    ConfigurationError otherwise.
    """
    keys = tuple(str(key) for key in conf.get("ENCRYPTION_KEYS") if key)
    if keys:
        return keys
    if settings.DEBUG:
        digest = hashlib.sha256(b"messaging.fields" + settings.SECRET_KEY.encode()).digest()
        return (base64.urlsafe_b64encode(digest).decode(),)
    raise ConfigurationError("MESSAGING['ENCRYPTION_KEYS'] is empty.")


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        # From None: the text of the original names the key's bytes.
        raise ConfigurationError(
            "MESSAGING['ENCRYPTION_KEYS'] holds a key that is not 32 url-safe base64 bytes."
        ) from None


def encrypt(text: str) -> str:
    """The text as a token only the configured keys can read."""
    return _PREFIX + _cipher(encryption_keys()).encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Raises DecryptionError where the token is damaged or no configured key made it."""
    if not token.startswith(_PREFIX):
        raise DecryptionError("A stored secret is not encrypted.")
    try:
        return _cipher(encryption_keys()).decrypt(token.removeprefix(_PREFIX).encode()).decode()
    except InvalidToken:
        raise DecryptionError(
            "A stored secret cannot be read with the configured ENCRYPTION_KEYS."
        ) from None


def rotate(token: str) -> str:
    """The same secret under the first key; the token itself where that key made it.

    Raises DecryptionError.
    """
    text, newest = decrypt(token), _cipher(encryption_keys()[:1])
    try:
        newest.decrypt(token.removeprefix(_PREFIX).encode())
    except InvalidToken:
        return encrypt(text)
    return token


def keyed_digests(purpose: str, value: str) -> list[str]:
    """Digests that mean nothing without our keys: one per key, first the one to store."""
    return [
        hmac.new(key.encode(), f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()
        for key in encryption_keys()
    ]


class Secrets(Mapping[str, str]):
    """A dict of secrets that is decrypted when it is read, and shown by nothing."""

    __slots__ = ("_token", "_values")

    def __init__(self, values: Mapping[str, str] | None = None, token: str = "") -> None:
        self._values = None if values is None else {k: str(v) for k, v in values.items()}
        self._token = token

    def _read(self) -> dict[str, str]:
        if self._values is None:
            self._values = json.loads(decrypt(self._token)) if self._token else {}
        return self._values

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __bool__(self) -> bool:
        return bool(self._token) if self._values is None else bool(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self._read() == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<Secrets>"

    __str__ = __repr__

    def __deepcopy__(self, memo: object) -> Secrets:
        return Secrets(self._values, self._token)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled (into a cache, say) it stays encrypted.
        return (Secrets, (None, self.to_token()))

    def to_token(self) -> str:
        """What the column holds: stored secrets stay as they are, read or not."""
        if self._token:
            return self._token
        return encrypt(json.dumps(self._values, sort_keys=True)) if self._values else ""


class _SecretsAttribute(DeferredAttribute):
    """Turns a plain dict into Secrets where it is assigned, so that no row shows it either."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self.field.to_python(value)


if TYPE_CHECKING:
    _DictColumn = models.TextField[Mapping[str, str], Secrets]
else:
    _DictColumn = models.TextField


class EncryptedDictField(_DictColumn):
    """A dict of strings, encrypted at rest with MESSAGING["ENCRYPTION_KEYS"].

    Never part of a form, of `values()` in clear, or of a serialised fixture.
    """

    description = "Encrypted dict of strings"
    descriptor_class = _SecretsAttribute

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("blank", True)
        kwargs.setdefault("default", dict)
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("editable", None)
        return name, path, args, kwargs

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Secrets:
        return Secrets(token=value or "")

    def to_python(self, value: Any) -> Secrets:
        if isinstance(value, Secrets):
            return value
        if isinstance(value, Mapping):
            return Secrets(value)
        if value in (None, ""):
            return Secrets({})
        raise ValidationError("A dict is expected.")

    def get_prep_value(self, value: Any) -> str:
        return self.to_python(value).to_token()

    def value_to_string(self, obj: models.Model) -> str:
        return ""


class EncryptedTextField(models.TextField):
    """A text, encrypted at rest. Reading it without the right key raises DecryptionError."""

    description = "Encrypted text"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str:
        return decrypt(value) if value else ""

    def get_prep_value(self, value: Any) -> str:
        return encrypt(str(value)) if value else ""

    def value_to_string(self, obj: models.Model) -> str:
        return ""
