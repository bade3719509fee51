"""The secret in a provider's webhook address: made, found, and changed without losing anything.

No gateway we speak signs what it posts, so the address itself is the proof. Only a keyed digest
is looked up; the token is kept encrypted, to be shown to those who set the gateway up.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urljoin

from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from .. import clock, conf
from ..models import Provider, WebhookToken
from ..models.fields import keyed_digests
from . import sql

#: How long the address before goes on being good after a change.
OVERLAP: Final = timedelta(days=7)

_BYTES: Final = 32


def provider_of(token: str, now: datetime | None = None) -> Provider | None:
    """The provider whose webhook address holds this token; None for any other token."""
    if not 20 <= len(token) <= 100:
        return None
    return sql.provider(keyed_digests("webhook", token), now or clock.now())


def token_of(provider: Provider) -> WebhookToken:
    """The token in use, made at the first call."""
    row = WebhookToken.objects.filter(provider=provider, expires_at=None).first()
    return row or _make(provider)


def rotate(provider: Provider, *, overlap: timedelta = OVERLAP) -> WebhookToken:
    """A new token; the ones before stay good for `overlap`, so that nothing is lost meanwhile."""
    until = clock.now() + overlap
    with transaction.atomic():
        Provider.objects.select_for_update(of=("self",)).get(pk=provider.pk)
        rows = WebhookToken.objects.filter(provider=provider)
        rows.filter(Q(expires_at=None) | Q(expires_at__gt=until)).update(expires_at=until)
        return _make(provider)


def address_of(provider: Provider, base: str = "") -> str:
    """The whole webhook address, on PUBLIC_BASE_URL or else `base`. A secret."""
    path = reverse("messaging:webhook", args=[token_of(provider).token])
    root = str(conf.get("PUBLIC_BASE_URL")) or base
    return urljoin(root.rstrip("/") + "/", path.lstrip("/")) if root else path


def _make(provider: Provider) -> WebhookToken:
    token = secrets.token_urlsafe(_BYTES)
    return WebhookToken.objects.create(
        provider=provider, digest=keyed_digests("webhook", token)[0], token=token
    )
