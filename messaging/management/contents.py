"""A message from the command line: every kind of content as options, and back as a value."""

from __future__ import annotations

import csv
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from django.core.files.base import File
from django.db.models import F, Q

from .. import media
from ..content import (
    MEDIA_KINDS,
    Buttons,
    CallButton,
    CardPhone,
    ContactCard,
    ContactCards,
    Content,
    ListMenu,
    ListRow,
    Location,
    Media,
    TemplateMessage,
    Text,
    UrlButton,
    from_json,
)
from ..errors import InvalidContent
from ..i18n import gettext as _
from ..models import Attachment, Message, Sender, Template
from .base import UsageError

Options = Mapping[str, Any]

#: The options that say what is sent: exactly one of them is given.
KINDS: Final = ("text", *MEDIA_KINDS, "location", "contact", "buttons", "list", "template")

_HEADERS: Final = ("header_text", "header_image", "header_video", "header_document")
#: The options that go with each; one that goes with another is a mistake, not a detail.
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(MEDIA_KINDS, ("caption", "filename")),
    "location": ("name", "address", "url"),
    "buttons": ("body", "reply", "call", "url_button", "footer", "header_location", *_HEADERS),
    "list": ("body", "button", "row", "footer", "header_text"),
    "template": ("language", "var", "header_link", "header_location"),
}


def add_arguments(parser: ArgumentParser) -> None:
    """The options of every kind of content."""
    what = parser.add_argument_group("what to send (one of these)")
    one = what.add_mutually_exclusive_group(required=True)
    one.add_argument("--text", help="plain text; - reads standard input")
    for kind in MEDIA_KINDS:
        one.add_argument(f"--{kind}", metavar="LINK_OR_FILE")
    one.add_argument("--location", metavar="LAT,LON", help="--location=-33.86,151.21")
    one.add_argument(
        "--contact",
        action="append",
        metavar="NAME,PHONE[,COMPANY]",
        help="a contact card; may be repeated",
    )
    one.add_argument("--buttons", action="store_true", help="text with buttons")
    one.add_argument("--list", action="store_true", help="text with a list to choose from")
    one.add_argument("--template", metavar="NAME", help="an approved template")
    one.add_argument("--content", metavar="FILE", help="any content as JSON; - reads it")
    _add_parts(parser)


def _add_parts(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("with a file")
    group.add_argument("--caption", help="text beside the file")
    group.add_argument("--filename", help="the name the customer sees")
    group = parser.add_argument_group("with --location")
    for name in ("name", "address", "url"):
        group.add_argument(f"--{name}")
    group = parser.add_argument_group("with --buttons and --list")
    group.add_argument("--body", help="the message above")
    group.add_argument("--reply", action="append", metavar="TEXT", help="a reply button")
    group.add_argument("--call", metavar="TEXT=PHONE", help="a button that calls")
    group.add_argument("--url-button", metavar="TEXT=LINK", help="a button that opens a link")
    group.add_argument("--button", metavar="TEXT", help="what opens the list")
    group.add_argument(
        "--row", action="append", metavar="[SECTION:]TITLE[:DESCRIPTION]", help="a choice"
    )
    group.add_argument("--footer", help="small print below")
    for header in _HEADERS:
        metavar = "TEXT" if header == "header_text" else "LINK_OR_FILE"
        group.add_argument(f"--{header.replace('_', '-')}", metavar=metavar)
    group.add_argument("--header-location", metavar="LAT,LON[,NAME]")
    group = parser.add_argument_group("with --template")
    group.add_argument("--language", help="where the template has several, such as en_GB")
    group.add_argument("--var", action="append", metavar="NAME=VALUE", help="--var 1=Asha")
    group.add_argument("--header-link", metavar="LINK_OR_FILE", help="the header's file")


class Files:
    """The local files of one command.

    A file that a message of the same key carries already is not stored again, so a command that
    is repeated says the same and sends nothing twice.
    """

    def __init__(self, key: str = "") -> None:
        self._key = key
        self._stored: list[Attachment] = []

    def media(self, kind: str, source: str, filename: str = "", caption: str = "") -> Media:
        """A file by its link or its path."""
        if "://" in source:
            return Media(kind, link=source, filename=filename, caption=caption)
        path = Path(source)
        if not path.is_file():
            raise UsageError(_("“%(source)s” is neither a link nor a file.") % {"source": source})
        row = self._sent_before(path) or self._store(path, filename)
        return Media(kind, file=str(row.key), filename=filename, caption=caption)

    def discard(self) -> None:
        """Delete what was stored: nothing was queued with it."""
        for row in self._stored:
            row.file.delete(save=False)
            row.delete()
        self._stored.clear()

    def _store(self, path: Path, filename: str) -> Attachment:
        with path.open("rb") as stream:
            row = media.store(File(stream, name=path.name), filename=filename)
        self._stored.append(row)
        return row

    def _sent_before(self, path: Path) -> Attachment | None:
        if not self._key:
            return None
        same = Q(key=self._key) | Q(key__startswith=f"{self._key}:")
        message = Message.objects.filter(same).order_by("id").first()
        try:
            kept = message.value.media if message else None
            row = media.attachment(kept.file) if kept and kept.file else None
        except InvalidContent:
            return None
        return row if row and _same_bytes(row, path) else None


def _same_bytes(row: Attachment, path: Path) -> bool:
    if row.size != os.path.getsize(path):
        return False
    try:
        with row.file.open("rb") as kept:
            return bool(kept.read() == path.read_bytes())
    except OSError:
        return False


def build(options: Options, sender: Sender, files: Files) -> Content:
    """The content the options describe. Raises UsageError and InvalidContent."""
    if options["content"] is not None:
        _refuse_strangers("content", options)
        return _from_file(options["content"])
    kind = next(name for name in KINDS if options[name] not in (None, False))
    _refuse_strangers(kind, options)
    if kind in MEDIA_KINDS:
        more = {name: options[name] or "" for name in ("caption", "filename")}
        return files.media(kind, options[kind], **more)
    if kind == "template":
        return _template(options, sender, files)
    make: dict[str, Callable[[Options, Files], Content]] = {
        "text": _text,
        "location": _location,
        "contact": _contacts,
        "buttons": _buttons,
        "list": _list,
    }
    return make[kind](options, files)


def _refuse_strangers(kind: str, options: Options) -> None:
    allowed = _PARTS.get(kind, ())
    every = dict.fromkeys(name for names in _PARTS.values() for name in names)
    strangers = [_flag(name) for name in every if options[name] and name not in allowed]
    if strangers:
        raise UsageError(
            _("%(options)s cannot be used with %(kind)s.")
            % {"options": ", ".join(strangers), "kind": _flag(kind)}
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(options: Options, files: Files) -> Content:
    body = options["text"]
    return Text(sys.stdin.read().rstrip("\n") if body == "-" else body)


def _location(options: Options, files: Files) -> Content:
    latitude, longitude = _degrees(options["location"].split(","), options["location"])
    more = {name: options[name] or "" for name in ("name", "address", "url")}
    return Location(latitude, longitude, **more)


def _degrees(parts: Iterable[str], shown: str) -> tuple[float, float]:
    try:
        latitude, longitude = (float(part) for part in parts)
    except ValueError:
        raise UsageError(
            _("“%(text)s” is not a place. Write latitude,longitude such as 51.5072,-0.1276.")
            % {"text": shown}
        ) from None
    return latitude, longitude


def _header_location(text: str) -> Location:
    *degrees, name = [*text.split(",", 2), ""][:3]
    return Location(*_degrees(degrees, text), name=name.strip())


def _contacts(options: Options, files: Files) -> Content:
    return ContactCards(tuple(_card(text) for text in options["contact"]))


def _card(text: str) -> ContactCard:
    parts = [part.strip() for part in next(csv.reader([text], skipinitialspace=True), [])]
    if not 2 <= len(parts) <= 3:
        raise UsageError(
            _("“%(text)s” is not a contact. Write name,phone or name,phone,company.")
            % {"text": text}
        )
    name, phone, company = [*parts, ""][:3]
    return ContactCard(name, phones=(CardPhone(phone),), organization=company)


def _buttons(options: Options, files: Files) -> Content:
    return Buttons(
        body=options["body"] or "",
        replies=options["reply"] or (),
        call=CallButton(*_pair(options["call"])) if options["call"] else None,
        url=UrlButton(*_pair(options["url_button"])) if options["url_button"] else None,
        header=_header(options, files),
        footer=options["footer"] or "",
    )


def _header(options: Options, files: Files) -> Content | None:
    given = [name for name in (*_HEADERS, "header_location") if options[name]]
    if not given:
        return None
    if len(given) > 1:
        flags = ", ".join(_flag(name) for name in given)
        raise UsageError(_("Give one header only, not %(options)s.") % {"options": flags})
    kind, value = given[0].removeprefix("header_"), options[given[0]]
    if kind == "text":
        return Text(value)
    return _header_location(value) if kind == "location" else files.media(kind, value)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(_("“%(text)s” has no =.") % {"text": text})
    return name.strip(), value.strip()


def _list(options: Options, files: Files) -> Content:
    return ListMenu(
        body=options["body"] or "",
        button=options["button"] or "",
        rows=tuple(_row(text) for text in options["row"] or ()),
        header=options["header_text"] or "",
        footer=options["footer"] or "",
    )


def _row(text: str) -> ListRow:
    parts = [part.strip() for part in text.split(":")]
    if len(parts) == 1:
        return ListRow(parts[0])
    if len(parts) > 3:
        raise UsageError(
            _("“%(text)s” has more than two colons. Write section:title:description.")
            % {"text": text}
        )
    section, title, description = [*parts, ""][:3]
    return ListRow(title, section=section, description=description)


def _template(options: Options, sender: Sender, files: Files) -> Content:
    template = find_template(options["template"], options["language"] or "", sender)
    header: Content | None = None
    if options["header_link"]:
        header = files.media(template.header_kind, options["header_link"])
    elif options["header_location"]:
        header = _header_location(options["header_location"])
    variables = dict(_pair(text) for text in options["var"] or ())
    return TemplateMessage(template.ref(), variables, header=header)


def find_template(name: str, language: str, sender: Sender) -> Template:
    """The sender's template of that name. Raises UsageError where there is none, or several."""
    known = Template.objects.filter(provider=sender.provider).filter(
        Q(sender=None) | Q(sender=sender)
    )
    found = known.filter(name=name)
    if language:
        found = found.filter(language=language)
    rows = list(found.order_by("language", F("sender").desc(nulls_last=True)))
    if not rows:
        names = ", ".join(str(row) for row in known.order_by("name", "language")[:20])
        raise UsageError(
            _("“%(sender)s” has no template “%(name)s”. It has: %(names)s.")
            % {"sender": sender, "name": name, "names": names or "–"}
        )
    if len({row.language for row in rows}) > 1:
        languages = ", ".join(row.language or "–" for row in rows)
        raise UsageError(
            _("The template exists in %(languages)s. Choose one with --language.")
            % {"languages": languages}
        )
    return rows[0]


def _from_file(source: str) -> Content:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
        return from_json(json.loads(text))
    except OSError as error:
        raise UsageError(
            _("“%(source)s” cannot be read: %(reason)s.")
            % {"source": source, "reason": error.strerror}
        ) from None
    except ValueError:
        raise UsageError(_("“%(source)s” is not JSON.") % {"source": source}) from None
    except InvalidContent as error:
        raise UsageError(str(error)) from None
