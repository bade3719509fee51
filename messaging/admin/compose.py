"""One form per kind of content. They ask; what may be sent is the outbox's to say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, ClassVar, Final

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.utils.html import conditional_escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..content import (
    MEDIA_KINDS,
    Buttons,
    CallButton,
    Content,
    ListMenu,
    ListRow,
    Location,
    Media,
    Reply,
    TemplateMessage,
    Text,
    UrlButton,
)
from ..models import MessageKind, Template
from .uploads import FilesMixin, file_fields, file_rows

REPLIES: Final = 3
ROWS: Final = 10


def line(label: Any, *, required: bool = False, **kwargs: Any) -> forms.CharField:
    return forms.CharField(label=label, required=required, widget=AdminTextInputWidget(), **kwargs)


def area(label: Any, rows: int = 5, **kwargs: Any) -> forms.CharField:
    widget = AdminTextareaWidget({"rows": rows, "dir": "auto"})
    return forms.CharField(label=label, widget=widget, **kwargs)


class ContentForm(FilesMixin):
    """Base. `content()` is what was written, once the form is valid."""

    kind: ClassVar[str] = ""
    template: Template | None = None
    fieldsets: Sequence[tuple[Any, dict[str, Any]]] = ()

    def __init__(self, *args: Any, user: Any, content: Content | None = None, **kwargs: Any):
        self.user = user
        #: What is being changed, for the parts of it that no field shows.
        self.original: Any = content
        super().__init__(*args, **{**kwargs, "prefix": "c"})
        if content is not None:
            self.initial = self.initial_of(content)

    def content(self) -> Content:
        raise NotImplementedError

    def initial_of(self, content: Any) -> dict[str, Any]:
        """The values of the fields for a content that exists."""
        raise NotImplementedError

    def text(self, name: str) -> str:
        return str(self.cleaned_data.get(name) or "").strip()


class TextForm(ContentForm):
    kind = "text"
    body = area(gettext_lazy("Text"), rows=8)
    fieldsets = [(None, {"fields": ["body"]})]

    def content(self) -> Content:
        return Text(self.text("body"))

    def initial_of(self, content: Any) -> dict[str, Any]:
        return {"body": content.body}


class MediaForm(ContentForm):
    caption = area(gettext_lazy("Text beside it"), rows=3, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields = {**file_fields(), **self.fields}
        self.fieldsets = [(None, {"fields": [*file_rows(), "caption"]})]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        self.store_upload()
        return data

    def content(self) -> Content:
        return self.media_of(self.kind, caption=self.text("caption"))

    def initial_of(self, content: Any) -> dict[str, Any]:
        return {"caption": content.caption, **self.initial_file(content)}


class LocationForm(ContentForm):
    kind = "location"
    latitude = forms.FloatField(
        label=gettext_lazy("Latitude"), min_value=-90, max_value=90, help_text="51.5007"
    )
    longitude = forms.FloatField(
        label=gettext_lazy("Longitude"), min_value=-180, max_value=180, help_text="-0.1246"
    )
    name = line(gettext_lazy("Name of the place"))
    address = line(gettext_lazy("Address"))
    url = line(gettext_lazy("Web address"))
    fieldsets = [(None, {"fields": [("latitude", "longitude"), "name", "address", "url"]})]

    def content(self) -> Content:
        return Location(
            self.cleaned_data["latitude"],
            self.cleaned_data["longitude"],
            name=self.text("name"),
            address=self.text("address"),
            url=self.text("url"),
        )

    def initial_of(self, content: Any) -> dict[str, Any]:
        names = ("latitude", "longitude", "name", "address", "url")
        return {name: getattr(content, name) for name in names}


class HeaderMixin(ContentForm):
    """For what may carry a file or a place above its text."""

    def header_of(self, kind: str) -> Content | None:
        if kind in MEDIA_KINDS:
            return self.media_of(kind, prefix="header_")
        if kind == "location":
            return Location(
                self.cleaned_data.get("header_latitude") or 0.0,
                self.cleaned_data.get("header_longitude") or 0.0,
                name=self.text("header_name"),
            )
        return Text(self.text("header_text")) if kind == "text" else None

    def check_place(self) -> None:
        for name in ("header_latitude", "header_longitude"):
            if self.cleaned_data.get(name) is None and name not in self.errors:
                self.add_error(name, _("Enter a number of degrees."))

    def initial_header(self, header: Content | None) -> dict[str, Any]:
        if isinstance(header, Media):
            return self.initial_file(header, "header_")
        if isinstance(header, Location):
            return {
                "header_latitude": header.latitude,
                "header_longitude": header.longitude,
                "header_name": header.name,
            }
        return {"header_text": header.body} if isinstance(header, Text) else {}


def place_fields() -> dict[str, forms.Field]:
    return {
        "header_latitude": forms.FloatField(
            label=gettext_lazy("Latitude"), required=False, min_value=-90, max_value=90
        ),
        "header_longitude": forms.FloatField(
            label=gettext_lazy("Longitude"), required=False, min_value=-180, max_value=180
        ),
        "header_name": line(gettext_lazy("Name of the place")),
    }


class ButtonsForm(HeaderMixin):
    kind = "buttons"
    body = area(gettext_lazy("Text above the buttons"))
    footer = line(gettext_lazy("Small text below"))
    header_kind = forms.ChoiceField(
        label=gettext_lazy("Header"),
        required=False,
        choices=[
            ("", gettext_lazy("none")),
            ("text", gettext_lazy("text")),
            *((kind, MessageKind(kind).label) for kind in ("image", "video", "document")),
            ("location", gettext_lazy("location")),
        ],
    )
    header_text = line(gettext_lazy("Header text"))
    call_text = line(gettext_lazy("Call button"))
    call_phone = line(gettext_lazy("Number it calls"))
    url_text = line(gettext_lazy("Link button"))
    url_url = line(gettext_lazy("Address it opens"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields |= {**file_fields("header_"), **place_fields()}
        names = [f"reply{number}" for number in range(1, REPLIES + 1)]
        for number, name in enumerate(names, start=1):
            self.fields[name] = line(_("Reply %(number)d") % {"number": number})
        place = ("header_latitude", "header_longitude", "header_name")
        self.fieldsets = [
            (None, {"fields": ["body", tuple(names)], "classes": ["messaging-rows"]}),
            (
                _("More buttons and small print"),
                {"fields": [("call_text", "call_phone"), ("url_text", "url_url"), "footer"]},
            ),
            (
                _("Header"),
                {
                    "fields": ["header_kind", "header_text", *file_rows("header_"), place],
                    "description": _("Choose what stands above the text, and fill in only that."),
                },
            ),
        ]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("header_kind") in MEDIA_KINDS:
            self.store_upload("header_")
        elif data.get("header_kind") == "location":
            self.check_place()
        return data

    def content(self) -> Content:
        titles = [self.text(f"reply{number}") for number in range(1, REPLIES + 1)]
        ids = [reply.id for reply in self.original.replies] if self.original else []
        replies = zip_longest(titles, ids[: len(titles)], fillvalue="")
        call = CallButton(self.text("call_text"), self.text("call_phone"))
        url = UrlButton(self.text("url_text"), self.text("url_url"))
        return Buttons(
            self.text("body"),
            replies=tuple(Reply(title, id=key) for title, key in replies if title),
            call=call if call.text or call.phone else None,
            url=url if url.text or url.url else None,
            header=self.header_of(self.text("header_kind")),
            footer=self.text("footer"),
        )

    def initial_of(self, content: Any) -> dict[str, Any]:
        found = {"body": content.body, "footer": content.footer}
        found |= {
            f"reply{number}": reply.title for number, reply in enumerate(content.replies, start=1)
        }
        if content.call:
            found |= {"call_text": content.call.text, "call_phone": content.call.phone}
        if content.url:
            found |= {"url_text": content.url.text, "url_url": content.url.url}
        if content.header:
            found["header_kind"] = content.header.kind
        return {**found, **self.initial_header(content.header)}


class ListForm(ContentForm):
    kind = "list"
    body = area(gettext_lazy("Text above the list"))
    button = line(gettext_lazy("Button that opens the list"), required=True)
    header = line(gettext_lazy("Header"))
    footer = line(gettext_lazy("Small text below"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        parts = [("title", _("Row %(number)d")), ("description", _("Description"))]
        parts.append(("section", _("Section")))
        lines = []
        for number in range(1, ROWS + 1):
            for part, label in parts:
                self.fields[f"row{number}_{part}"] = line(label % {"number": number})
            lines.append(tuple(f"row{number}_{part}" for part, _label in parts))
        help_text = _("Empty rows are left out. Rows of one section stand together.")
        self.fieldsets = [
            (None, {"fields": ["body", "button", ("header", "footer")]}),
            (
                _("Rows"),
                {"fields": lines, "description": help_text, "classes": ["messaging-rows"]},
            ),
        ]

    def content(self) -> Content:
        ids = [row.id for row in self.original.rows] if self.original else []
        numbers = zip_longest(range(1, ROWS + 1), ids[:ROWS], fillvalue="")
        found = [
            ListRow(
                self.text(f"row{number}_title"),
                section=self.text(f"row{number}_section"),
                description=self.text(f"row{number}_description"),
                id=str(key),
            )
            for number, key in numbers
        ]
        return ListMenu(
            self.text("body"),
            self.text("button"),
            rows=tuple(row for row in found if row.title or row.description),
            header=self.text("header"),
            footer=self.text("footer"),
        )

    def initial_of(self, content: Any) -> dict[str, Any]:
        found = {name: getattr(content, name) for name in ("body", "button", "header", "footer")}
        for number, row in enumerate(content.rows, start=1):
            for part in ("title", "description", "section"):
                found[f"row{number}_{part}"] = getattr(row, part)
        return found


class TemplateValuesForm(HeaderMixin):
    """One field per variable of the chosen template."""

    kind = "template"

    def __init__(self, *args: Any, template: Template | None = None, **kwargs: Any) -> None:
        self.template = template
        super().__init__(*args, **kwargs)
        assert template is not None
        self.ref = template.ref()
        samples = template.samples or {}
        for name in self.ref.variables:
            field = line(_variable_label(self.ref, name), required=True)
            if sample := samples.get(name):
                field.widget.attrs["placeholder"] = str(sample)
            self.fields[f"v_{name}"] = field
        names = [f"v_{name}" for name in self.ref.variables]
        shown = conditional_escape("\n".join((template.header, template.body, template.footer)))
        self.fieldsets = [(template.name, {"fields": names, "description": shown.strip()})]
        self._add_header()

    def _add_header(self) -> None:
        kind = self.ref.header_kind
        if kind in MEDIA_KINDS:
            self.fields |= file_fields("header_")
            self.fieldsets = [*self.fieldsets, (_("Header"), {"fields": file_rows("header_")})]
        elif kind == "location":
            self.fields |= place_fields()
            place = ("header_latitude", "header_longitude", "header_name")
            self.fieldsets = [*self.fieldsets, (_("Header"), {"fields": [place]})]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.ref.header_kind in MEDIA_KINDS:
            self.store_upload("header_")
        elif self.ref.header_kind == "location":
            self.check_place()
        return data

    def content(self) -> Content:
        kind = self.ref.header_kind
        return TemplateMessage(
            self.ref,
            variables={name: self.text(f"v_{name}") for name in self.ref.variables},
            header=None if kind in ("", "text") else self.header_of(kind),
        )

    def initial_of(self, content: Any) -> dict[str, Any]:
        values = {f"v_{name}": value for name, value in content.variables.items()}
        return {**values, **self.initial_header(content.header)}


def _variable_label(ref: Any, name: str) -> str:
    part, underscore, key = name.partition("_")
    if underscore and part == "header":
        return _("Header {{%(name)s}}") % {"name": key}
    if underscore and part.startswith("button") and part[6:].isdecimal():
        index = int(part[6:]) - 1
        text = ref.buttons[index].text if index < len(ref.buttons) else part
        return _("Button “%(text)s”: {{%(name)s}}") % {"text": text, "name": key}
    return f"{{{{{name}}}}}"
