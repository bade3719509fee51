"""Who may be written to: pure rules over what is stored, and over what people wrote."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from . import conf
from .i18n import gettext as _

STOP: Final = "stop"
START: Final = "start"

#: Only words nobody uses for anything else: "cancel", "end" and "yes" answer questions about
#: appointments, and an opt-out nobody meant silences the clinic.
STOP_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("STOP", "STOP ALL", "STOPALL", "UNSUBSCRIBE", "OPT OUT", "OPTOUT"),
    "de": ("STOPP", "ABMELDEN", "ABBESTELLEN", "AUSTRAGEN"),
    "es": ("BAJA", "DAR DE BAJA", "DARME DE BAJA", "DETENER"),
    "fr": ("ARRET", "ARRETER", "ARRETEZ", "DESABONNER", "DESINSCRIRE"),
    "pt": ("SAIR", "PARAR", "PARE", "DESCADASTRAR"),
    "ar": ("توقف", "أوقف", "إيقاف", "إلغاء الاشتراك"),
}
START_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("START", "UNSTOP", "SUBSCRIBE", "OPT IN", "OPTIN"),
    "de": ("ANMELDEN",),
    "es": ("ALTA", "SUSCRIBIR", "SUSCRIBIRME"),
    "fr": ("ABONNER", "REPRENDRE"),
    "pt": ("INSCREVER", "VOLTAR A RECEBER"),
    "ar": ("ابدأ", "اشترك", "اشتراك"),
}

#: Keys of messages we queue ourselves begin with this; nobody else's may.
OUR_KEYS: Final = "messaging:"
_CONFIRMATIONS: Final = "messaging:opt-out:"

_LONGEST_WORD: Final = 100
#: Letters, by Unicode's word, that nobody sees.
_UNSEEN: Final = frozenset("\u115f\u1160\u3164\uffa0")
#: Stretches an Arabic word and means nothing.
_TATWEEL: Final = "\u0640"


def refusal(*opted_out_at: datetime | None, suppressed: bool = False) -> str:
    """Why this person may not be written to, in words; empty where they may."""
    if suppressed:
        return _("This number asked not to be written to, and its person was erased.")
    if times := [at for at in opted_out_at if at is not None]:
        return _("This person opted out on %(date)s and is not written to.") % {
            "date": min(times).date().isoformat()
        }
    return ""


# What people write


def word(text: str) -> str:
    """`stop` or `start` where a whole message is one of the words for it, else nothing.

    Letter case, accents, punctuation, emoji and what is invisible do not count.
    """
    said = _plain(text)
    if not said:
        return ""
    if said in _words("STOP_WORDS", STOP_WORDS):
        return STOP
    return START if said in _words("START_WORDS", START_WORDS) else ""


def _words(setting: str, ours: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """All languages' words: people do not write in the language we have on file for them."""
    languages: Mapping[str, Any] = {**ours, **conf.get(setting)}
    return _plain_words(tuple(word for words in languages.values() for word in words))


@lru_cache(maxsize=8)
def _plain_words(words: tuple[str, ...]) -> frozenset[str]:
    """Every message is held against them, and they hardly ever change."""
    return frozenset(_plain(word) for word in words) - {""}


def _plain(text: str) -> str:
    """The words in a text as they are compared; nothing where it is too long to be one."""
    if len(text) > _LONGEST_WORD:
        return ""
    # Taken apart twice: what folds to letters with marks (ẞ, İ) gives up the marks too.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join("".join(map(_seen, folded)).split())


def _seen(character: str) -> str:
    kind = unicodedata.category(character)
    if character in _UNSEEN or character == _TATWEEL:
        return ""
    if kind[0] in "LN":
        return character
    # Marks and formats stand inside words; the rest stands between them.
    return "" if kind[0] == "M" or kind == "Cf" else " "


# What we answer


def confirmation_key(address_id: int, at: datetime) -> str:
    """The key of the one message that still goes to whoever opted out at that time."""
    return f"{_CONFIRMATIONS}{address_id}:{int(at.timestamp())}"


def is_confirmation(key: str | None, address_id: int) -> bool:
    """Whether a message with this key may go to this address although it opted out."""
    return bool(key) and str(key).startswith(f"{_CONFIRMATIONS}{address_id}:")


#: The same for an outbound row `m` and its address `a`. No parameters.
IS_CONFIRMATION: Final = f"m.key LIKE '{_CONFIRMATIONS}' || a.id || ':%%'"
