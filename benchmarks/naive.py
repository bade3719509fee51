"""What a developer would write first: one task per message."""

from __future__ import annotations

import requests

from messaging.models import Message
from messaging.sandbox import accounts

_session = requests.Session()


def send_one(pk: int) -> None:
    row = Message.objects.select_related("conversation__address", "sender__provider").get(pk=pk)
    form = {
        "token": accounts.WH_TOKEN,
        "phone": row.conversation.address.value.lstrip("+"),
        "message": row.text,
    }
    answer = _session.post(
        f"{row.sender.provider.base_url}/api/sendText", data=form, timeout=(5, 20)
    )
    row.external_id = answer.json()["data"]["messageIDs"][0]
    row.status = "accepted"
    row.save(update_fields=["status", "external_id"])
