"""The screens, for any admin site.

The default site has them without further ado: Django's autodiscovery imports this module. A host
with a site of its own says `messaging.admin.register(its_site)`.
"""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model

from ..models import (
    Contact,
    Conversation,
    Group,
    Label,
    Message,
    Provider,
    ProviderCall,
    Sender,
    Tag,
    Template,
    WebhookDelivery,
)
from .contacts import ContactAdmin, NameAdmin
from .conversations import ConversationAdmin
from .deliveries import WebhookDeliveryAdmin
from .groups import GroupAdmin
from .logs import ProviderCallAdmin
from .messages import MessageAdmin
from .providers import ProviderAdmin
from .senders import SenderAdmin
from .templates import TemplateAdmin

__all__ = ["register"]

_SCREENS: dict[type[Model], type[admin.ModelAdmin]] = {
    Provider: ProviderAdmin,
    Sender: SenderAdmin,
    Template: TemplateAdmin,
    Contact: ContactAdmin,
    Tag: NameAdmin,
    Label: NameAdmin,
    Conversation: ConversationAdmin,
    Message: MessageAdmin,
    Group: GroupAdmin,
    ProviderCall: ProviderCallAdmin,
    WebhookDelivery: WebhookDeliveryAdmin,
}


def register(site: admin.AdminSite) -> None:
    """Put our screens on this site. What it has already, ours or the host's own, stays."""
    for model, screen in _SCREENS.items():
        if not site.is_registered(model):
            site.register(model, screen)


# Django's autodiscovery imports this module for the default site. A host that imports it for a
# site of its own loses nothing: on a default site that has no address, nobody sees the screens.
register(admin.site)
