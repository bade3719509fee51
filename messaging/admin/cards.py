"""The form for contact cards, with every part a card can have."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _

from ..content import (
    CardAddress,
    CardEmail,
    CardPhone,
    CardUrl,
    ContactCard,
    ContactCards,
    Content,
)
from .compose import ContentForm, line

MOST: Final = 5

_TYPES: Final = [("", "---------"), *((name, name) for name in ("WORK", "HOME", "CELL", "MAIN"))]
_PLAIN: Final = (
    "name",
    "organization",
    "department",
    "title",
    "birthday",
    "prefix",
    "first_name",
    "middle_name",
    "last_name",
    "suffix",
)
_ADDRESS: Final = ("street", "city", "state", "zip", "country", "country_code")


class CardsForm(ContentForm):
    """One card, and one more each time another is asked for."""

    kind = "contacts"
    cards = forms.IntegerField(widget=forms.HiddenInput(), initial=1, min_value=1, max_value=MOST)

    def __init__(self, *args: Any, more: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.count = min(self._count() + more, MOST)
        self.can_add = self.count < MOST
        if more and self.is_bound:
            data: Any = self.data
            self.data = data.copy()
            self.data[self.add_prefix("cards")] = str(self.count)  # type: ignore[index]
        self.initial.setdefault("cards", self.count)
        self.fieldsets = []
        for number in range(1, self.count + 1):
            self.fields |= _card_fields(number)
            self.fieldsets += _card_fieldsets(number)

    def _count(self) -> int:
        if not self.is_bound:
            return int(self.initial.get("cards", 1))
        asked = str(self.data.get(self.add_prefix("cards"), "1"))
        return min(max(int(asked), 1), MOST) if asked.isdecimal() else 1

    def content(self) -> Content:
        found = [self._card(number) for number in range(1, self.count + 1)]
        return ContactCards(tuple(card for card in found if card != ContactCard("")))

    def _card(self, number: int) -> ContactCard:
        def get(part: str) -> str:
            return self.text(f"card{number}_{part}")

        phones = [CardPhone(get(f"phone{n}"), get(f"phone{n}_type")) for n in (1, 2)]
        emails = [CardEmail(get(f"email{n}"), get(f"email{n}_type")) for n in (1, 2)]
        url = CardUrl(get("url"), get("url_type"))
        place = {part: get(part) for part in _ADDRESS}
        address = CardAddress(**place, type=get("address_type"))
        return ContactCard(
            **{part: get(part) for part in _PLAIN},
            phones=(*(row for row in phones if row.phone), *self._rest(number, "phones", 2)),
            emails=(*(row for row in emails if row.email), *self._rest(number, "emails", 2)),
            urls=(*((url,) if url.url else ()), *self._rest(number, "urls", 1)),
            addresses=(
                *((address,) if any(place.values()) else ()),
                *self._rest(number, "addresses", 1),
            ),
        )

    def _rest(self, number: int, part: str, shown: int) -> tuple[Any, ...]:
        """What the card being changed has beyond the fields there are."""
        cards = self.original.cards if self.original else ()
        return tuple(getattr(cards[number - 1], part)[shown:]) if number <= len(cards) else ()

    def initial_of(self, content: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"cards": max(1, len(content.cards))}
        for number, card in enumerate(content.cards, start=1):
            values = {part: getattr(card, part) for part in _PLAIN}
            for n, phone in enumerate(card.phones[:2], start=1):
                values |= {f"phone{n}": phone.phone, f"phone{n}_type": phone.type}
            for n, email in enumerate(card.emails[:2], start=1):
                values |= {f"email{n}": email.email, f"email{n}_type": email.type}
            for url in card.urls[:1]:
                values |= {"url": url.url, "url_type": url.type}
            for address in card.addresses[:1]:
                values |= {part: getattr(address, part) for part in _ADDRESS}
                values["address_type"] = address.type
            found |= {f"card{number}_{part}": value for part, value in values.items()}
        return found


def _type_field() -> forms.Field:
    return forms.ChoiceField(label=_("Kind"), choices=_TYPES, required=False)


def _card_fields(number: int) -> dict[str, forms.Field]:
    labels = {
        "name": _("Name shown"),
        "organization": _("Company"),
        "department": _("Department"),
        "title": _("Job title"),
        "birthday": _("Birthday"),
        "prefix": _("Title before the name"),
        "first_name": _("First name"),
        "middle_name": _("Middle name"),
        "last_name": _("Last name"),
        "suffix": _("After the name"),
        "street": _("Street"),
        "city": _("City"),
        "state": _("State"),
        "zip": _("Postcode"),
        "country": _("Country"),
        "country_code": _("Country code"),
        "phone1": _("Phone"),
        "phone2": _("Second phone"),
        "email1": _("E-mail"),
        "email2": _("Second e-mail"),
        "url": _("Web address"),
    }
    found: dict[str, forms.Field] = {part: line(label) for part, label in labels.items()}
    found["birthday"].help_text = _("Year-month-day, such as 1980-12-31.")
    for part in ("phone1", "phone2", "email1", "email2", "url", "address"):
        found[f"{part}_type"] = _type_field()
    found["name"].required = number == 1
    return {f"card{number}_{part}": field for part, field in found.items()}


def _card_fieldsets(number: int) -> list[tuple[Any, dict[str, Any]]]:
    def names(*parts: str) -> tuple[str, ...]:
        return tuple(f"card{number}_{part}" for part in parts)

    main = [
        *names("name"),
        names("phone1", "phone1_type"),
        names("phone2", "phone2_type"),
        names("email1", "email1_type"),
        names("email2", "email2_type"),
        names("organization", "department", "title"),
    ]
    more = [
        names("prefix", "first_name", "middle_name", "last_name", "suffix"),
        *names("birthday"),
        names("url", "url_type"),
        names("street", "city", "state"),
        names("zip", "country", "country_code", "address_type"),
    ]
    first, second = _("Card %(number)d"), _("More of card %(number)d")
    return [
        (first % {"number": number}, {"fields": main}),
        (second % {"number": number}, {"fields": more, "classes": ["collapse"]}),
    ]
