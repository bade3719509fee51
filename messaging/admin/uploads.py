"""A file in a form that is shown more than once: kept after the first upload, not asked again."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core import signing
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import media
from ..content import Media
from ..errors import InvalidContent

_SALT: Final = "messaging.admin.upload"
_DAY: Final = 86_400


def file_fields(prefix: str = "") -> dict[str, forms.Field]:
    """A link or an upload; `kept` remembers the upload between two showings of the form."""
    return {
        f"{prefix}link": forms.CharField(
            label=gettext_lazy("Link to the file"),
            required=False,
            max_length=2000,
            widget=AdminTextInputWidget({"placeholder": "https://"}),
        ),
        f"{prefix}upload": forms.FileField(
            label=gettext_lazy("or upload it"), required=False, max_length=255
        ),
        f"{prefix}kept": forms.CharField(required=False, widget=forms.HiddenInput()),
        f"{prefix}filename": forms.CharField(
            label=gettext_lazy("File name shown"),
            required=False,
            max_length=255,
            widget=AdminTextInputWidget(),
        ),
    }


def file_rows(prefix: str = "") -> list[Any]:
    """The fields one sees, for a fieldset."""
    return [f"{prefix}link", f"{prefix}upload", f"{prefix}filename"]


def keep_token(user: Any, key: str) -> str:
    """A reference to an upload that only this person can hand back: what others uploaded, or
    customers sent, is not for them to send."""
    return signing.dumps([user.pk, key], salt=_SALT)


def _kept_key(user: Any, token: str) -> str:
    try:
        owner, key = signing.loads(token, salt=_SALT, max_age=_DAY)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(key) if owner == user.pk else ""


class FilesMixin(forms.Form):
    """For forms with `file_fields`. `user` is whoever fills them in."""

    user: Any = None

    def store_upload(self, prefix: str = "") -> None:
        """Keep what was just uploaded; called by `clean`."""
        upload = self.cleaned_data.get(f"{prefix}upload")
        if not upload:
            self._say_kept(prefix)
            return
        try:
            row = media.store(upload)
        except InvalidContent as error:
            self.add_error(f"{prefix}upload", str(error))
            return
        token = keep_token(self.user, str(row.key))
        self.cleaned_data[f"{prefix}kept"] = token
        # The form is shown again with what was typed; the file itself is not typed again.
        data: Any = self.data
        data = data.copy()
        data[self.add_prefix(f"{prefix}kept")] = token
        self.data = data
        self._say_kept(prefix)

    def _say_kept(self, prefix: str) -> None:
        token = self.cleaned_data.get(f"{prefix}kept") or ""
        if row := self._row(token):
            self.fields[f"{prefix}upload"].help_text = _(
                "Uploaded. Choose another file, or give a link, to replace it."
            )
            self.fields[f"{prefix}upload"].label = _("uploaded file (%(size)d kB)") % {
                "size": max(1, row.size // 1000)
            }

    def _row(self, token: str) -> Any:
        key = _kept_key(self.user, token) if token else ""
        try:
            return media.attachment(key) if key else None
        except InvalidContent:
            return None

    def media_of(self, kind: str, prefix: str = "", caption: str = "") -> Media:
        """The file these fields name. A link replaces an upload of before."""
        data = self.cleaned_data
        link = str(data.get(f"{prefix}link") or "").strip()
        fresh = bool(data.get(f"{prefix}upload"))
        row = self._row(str(data.get(f"{prefix}kept") or "")) if fresh or not link else None
        filename = str(data.get(f"{prefix}filename") or "") or (row.filename if row else "")
        return Media(
            kind,
            link=link,
            file=str(row.key) if row else None,
            filename=filename,
            caption=caption,
        )

    def initial_file(self, found: Media | None, prefix: str = "") -> dict[str, Any]:
        """What these fields show for a file that is there already."""
        if found is None:
            return {}
        return {
            f"{prefix}link": found.link,
            f"{prefix}kept": keep_token(self.user, found.file) if found.file else "",
            f"{prefix}filename": found.filename,
        }
