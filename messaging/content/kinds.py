"""The kinds of content, templates apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from ..i18n import gettext as _
from .parts import Content, Part, filled, freeze, in_range, is_web_link, part, parts

MEDIA_KINDS: Final = ("image", "video", "audio", "document", "sticker")


@dataclass(frozen=True, slots=True)
class Text(Content):
    """Plain text. WhatsApp draws *bold*, _italic_ and ~strike~."""

    KIND: ClassVar[str] = "text"
    body: str

    def _problems(self) -> Iterator[str]:
        if not filled(self.body):
            yield _("The message is empty.")

    def preview(self) -> str:
        return self.body


@dataclass(frozen=True, slots=True)
class Media(Content):
    """A picture, film, sound, document or sticker, by link or by uploaded file.

    `kind` is one of MEDIA_KINDS. `file` is the key of an Attachment; exactly one of `link`
    and `file` is set. `caption` is text beside it.
    """

    kind: str = field()  # an explicit field, or the base's property would be taken for a default
    link: str = ""
    file: str | None = None
    filename: str = ""
    caption: str = ""

    def _problems(self) -> Iterator[str]:
        if self.kind not in MEDIA_KINDS:
            yield _("“%(kind)s” is not a kind of file that can be sent.") % {"kind": self.kind}
        if bool(self.link) == bool(self.file):
            yield _("Give either a link or a file.")
        elif self.link and not is_web_link(self.link):
            yield _("The link must be a full web address, starting with https://.")

    def preview(self) -> str:
        label = {
            "image": _("Picture"),
            "video": _("Video"),
            "audio": _("Audio"),
            "document": _("Document"),
            "sticker": _("Sticker"),
        }.get(self.kind, _("File"))
        return ": ".join(part for part in (label, self.caption or self.filename) if part)

    @property
    def media(self) -> Media | None:
        return self

    def with_media(self, media: Media) -> Content:
        return media


@dataclass(frozen=True, slots=True)
class Location(Content):
    """A place on the map. Latitude and longitude are in degrees."""

    KIND: ClassVar[str] = "location"
    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    url: str = ""

    def _problems(self) -> Iterator[str]:
        if not in_range(self.latitude, 90):
            yield _("The latitude must be a number between −90 and 90.")
        if not in_range(self.longitude, 180):
            yield _("The longitude must be a number between −180 and 180.")
        if self.url and not is_web_link(self.url):
            yield _("The link must be a full web address, starting with https://.")

    def preview(self) -> str:
        return ": ".join(part for part in (_("Location"), self.name or self.address) if part)


@dataclass(frozen=True, slots=True)
class CardPhone(Part):
    phone: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class CardEmail(Part):
    email: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class CardUrl(Part):
    url: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class CardAddress(Part):
    street: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    country_code: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class ContactCard(Part):
    """One person's card, with every part the IntelliSoftware document shows.

    `name` is the name as it is displayed. `birthday` is written YYYY-MM-DD. Types are words such
    as WORK and HOME. Phones, emails and urls may be given as plain strings.
    """

    name: str
    phones: tuple[CardPhone, ...] = parts(CardPhone, "phone")
    organization: str = ""
    department: str = ""
    title: str = ""
    first_name: str = ""
    last_name: str = ""
    middle_name: str = ""
    suffix: str = ""
    prefix: str = ""
    birthday: str = ""
    addresses: tuple[CardAddress, ...] = parts(CardAddress)
    emails: tuple[CardEmail, ...] = parts(CardEmail, "email")
    urls: tuple[CardUrl, ...] = parts(CardUrl, "url")

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True)
class ContactCards(Content):
    """One or more people's cards."""

    KIND: ClassVar[str] = "contacts"
    cards: tuple[ContactCard, ...] = parts(ContactCard, "name")

    def _problems(self) -> Iterator[str]:
        if not self.cards:
            yield _("Add at least one contact card.")
        for card in self.cards:
            if not filled(card.name):
                yield _("Every contact card needs a name.")
            if card.birthday and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", card.birthday):
                yield _("A birthday is written as year-month-day, such as 1980-12-31.")

    def preview(self) -> str:
        names = ", ".join(card.name for card in self.cards)
        return ": ".join(part for part in (_("Contact"), names) if part)


@dataclass(frozen=True, slots=True)
class Reply(Part):
    """A quick-reply button. Without an `id`, adapters make one from its position."""

    title: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class CallButton(Part):
    text: str
    phone: str


@dataclass(frozen=True, slots=True)
class UrlButton(Part):
    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Buttons(Content):
    """Text with buttons under it: replies to tap, a number to call, an address to visit.

    `header` is a Text, a Media or a Location.
    """

    KIND: ClassVar[str] = "buttons"
    body: str
    replies: tuple[Reply, ...] = parts(Reply, "title")
    call: CallButton | None = part(CallButton)
    url: UrlButton | None = part(UrlButton)
    header: Content | None = part(Content)
    footer: str = ""

    def _problems(self) -> Iterator[str]:
        if not filled(self.body):
            yield _("The message above the buttons is empty.")
        if not (self.replies or self.call or self.url):
            yield _("Add at least one button.")
        titles = [reply.title.strip() for reply in self.replies]
        if not all(titles) or (self.call and not filled(self.call.text, self.call.phone)):
            yield _("Every button needs a text, and a call button a number.")
        if len(set(titles)) != len(titles):
            yield _("Two buttons have the same text.")
        if self.url and not (filled(self.url.text) and is_web_link(self.url.url)):
            yield _("A link button needs a text and a full web address, starting with https://.")
        if self.header is not None:
            yield from self._header_problems(self.header)

    def _header_problems(self, header: Content) -> Iterator[str]:
        if isinstance(header, Text | Media | Location):
            yield from header.problems()
        else:
            yield _("The header must be a text, a file or a location.")

    def preview(self) -> str:
        labels = [reply.title for reply in self.replies]
        labels += [button.text for button in (self.call, self.url) if button]
        return " ".join([self.body, *(f"[{label}]" for label in labels)])

    @property
    def media(self) -> Media | None:
        return self.header if isinstance(self.header, Media) else None

    def with_media(self, media: Media) -> Content:
        return replace(self, header=media)


@dataclass(frozen=True, slots=True)
class ListRow(Part):
    """One choice of a list. Rows with equal `section` stand together."""

    title: str
    section: str = ""
    description: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class ListMenu(Content):
    """Text with a button that opens a list to choose from."""

    KIND: ClassVar[str] = "list"
    body: str
    button: str
    rows: tuple[ListRow, ...] = parts(ListRow, "title")
    header: str = ""
    footer: str = ""

    def _problems(self) -> Iterator[str]:
        if not filled(self.body):
            yield _("The message above the list is empty.")
        if not filled(self.button):
            yield _("The button that opens the list needs a text.")
        if not self.rows:
            yield _("Add at least one row to the list.")
        elif not all(filled(row.title) for row in self.rows):
            yield _("Every row of the list needs a title.")

    def preview(self) -> str:
        return " ".join([self.body, *(f"[{row.title}]" for row in self.rows)])
