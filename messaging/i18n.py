"""Translation for modules that must not know Django: one name, one home.

Adapters and contents speak to clerks, so their sentences are translated, but they import
nothing of the framework. They import from here.
"""

from typing import TYPE_CHECKING

from django.utils.translation import gettext, gettext_noop, ngettext

if TYPE_CHECKING:

    def gettext_lazy(message: str) -> str:
        """Translated when it is shown. To everyone who only shows it, it is a string."""

else:
    from django.utils.translation import gettext_lazy

__all__ = ["gettext", "gettext_lazy", "gettext_noop", "ngettext"]
