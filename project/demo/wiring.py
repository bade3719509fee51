"""What ties the sandbox to the demo: webhook addresses, a phone to pair, customers who answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from messaging import inbox
from messaging.models import Sender
from messaging.sandbox import SandboxClient, accounts

from .people import FRONT_DESK, SHOP

#: The instance that no phone is connected to until somebody scans its code.
NEW_PHONE: Final = accounts.WH_NEW_TOKEN

#: What customers say to what they get, and how long they take.
_ANSWERS: Final = (
    "Thank you!",
    "Great, see you then.",
    "👍",
    "Could you call me, please?",
    "What time do you open tomorrow?",
)
_SECONDS: Final = 6.0
_SHARE: Final = 0.7


def make_new_phone(senders: Mapping[str, Sender]) -> Sender:
    """A second phone of the clinic, which nobody has paired yet."""
    provider = senders[FRONT_DESK].provider
    known = [row for row in provider.senders.all() if row.credentials.get("token") == NEW_PHONE]
    if known:
        return known[0]
    return Sender.objects.create(
        provider=provider,
        name="Clinic mobile, to be paired",
        address=f"+{accounts.WH_NEW_NUMBER}",
        credentials={"token": NEW_PHONE},
    )


def phone_page(sandbox_url: str) -> str:
    """Where the sandbox's new phone scans the code."""
    return f"{sandbox_url}/phone/{NEW_PHONE}"


def set_webhooks(sandbox: SandboxClient, senders: Mapping[str, Sender]) -> None:
    """Let the gateways post to us, as their own pages would be told."""
    phones = inbox.address_of(senders[FRONT_DESK].provider)
    sandbox.webhook("whatsapp_http", phones)
    sandbox.webhook(NEW_PHONE, phones)
    official = inbox.address_of(senders[SHOP].provider)
    sandbox.webhook("intellisoftware", official, status_url=official)


def let_customers_answer(sandbox: SandboxClient) -> None:
    sandbox.answers(list(_ANSWERS), after=_SECONDS, share=_SHARE)
