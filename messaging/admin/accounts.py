"""Forms for providers and senders, built from what their adapter declares.

Secrets go in and never come out: a field shows whether something is stored, not what. They
belong to one address: when the base URL or the gateway changes, what is stored is dropped, so
that nobody who may edit a provider can send its secrets to a server of their own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Final
from zoneinfo import available_timezones

import phonenumbers
from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.html import conditional_escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import adapters, addresses, conf
from ..adapters.base import SMS, Adapter, CredentialField, OptionField
from ..errors import ConfigurationError, DecryptionError, InvalidAddress
from ..i18n import gettext_lazy as lazy_words
from ..models import Channel, Provider, Sender, account_digests

CREDENTIAL: Final = "credential_"
OPTION: Final = "option_"
MOVED: Final = "_messaging_moved"

#: What every gateway that posts to us may be held to.
RECEIVING: Final = (
    OptionField(
        name="webhook_addresses",
        label=lazy_words("Webhook allowed from"),
        help=lazy_words(
            "IP addresses or networks the gateway posts from, such as 203.0.113.7 or "
            "198.51.100.0/24, with commas between. Posts from elsewhere are turned away. Empty: "
            "from everywhere. Behind a proxy, make sure that your server knows the real address."
        ),
    ),
)


class SecretInput(forms.PasswordInput):
    """A field whose value is never written into a page."""

    def __init__(self, *, stored: bool) -> None:
        attrs = {"class": "vTextField", "autocomplete": "new-password"}
        if stored:
            attrs["placeholder"] = _("Stored. Leave empty to keep it.")
        super().__init__(attrs=attrs, render_value=False)


def adapter_of(slug: str) -> type[Adapter] | None:
    """The adapter, or None where the one this row was made for is no longer installed."""
    try:
        return adapters.adapter_class(slug)
    except ConfigurationError:
        return None


def options_of(cls: type[Adapter]) -> tuple[OptionField, ...]:
    """The adapter's own settings, and those of everything that receives."""
    return (*cls.options, *(RECEIVING if cls.supports("parse_webhook") else ()))


def credential_names(specs: Iterable[CredentialField]) -> list[str]:
    return [CREDENTIAL + spec.name for spec in specs]


def option_names(specs: Iterable[OptionField]) -> list[str]:
    return [OPTION + spec.name for spec in specs]


def credential_fields(specs: Iterable[CredentialField]) -> dict[str, forms.Field]:
    return {
        CREDENTIAL + spec.name: forms.CharField(
            label=spec.label,
            help_text=conditional_escape(spec.help),
            required=False,
            widget=SecretInput(stored=False),
        )
        for spec in specs
    }


def option_fields(specs: Iterable[OptionField]) -> dict[str, forms.Field]:
    found: dict[str, forms.Field] = {}
    for spec in specs:
        common: dict[str, Any] = {
            "label": spec.label,
            "help_text": conditional_escape(spec.help),
            "required": False,
        }
        found[OPTION + spec.name] = (
            forms.ChoiceField(choices=spec.choices, **common)
            if spec.choices
            else forms.CharField(widget=AdminTextInputWidget(), **common)
        )
    return found


def stored_names(row: Provider | Sender) -> set[str]:
    """Which credentials are stored; none where they cannot be read with the present keys."""
    try:
        return {name for name, value in row.credentials.items() if value}
    except DecryptionError:
        return set()


class SecretsForm(forms.ModelForm):
    """Base: credential fields, kept or replaced, and one account never stored twice."""

    adapter: type[Adapter] | None = None
    specs: tuple[CredentialField, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.touched: set[str] = set()
        stored = stored_names(self.instance)
        for spec in self.specs:
            field = self.fields[CREDENTIAL + spec.name]
            field.widget = SecretInput(stored=spec.name in stored)
            # What is stored need not be typed again, and what was dropped can be missing a while.
            field.required = spec.required and self.instance._state.adding

    def drops_stored(self) -> bool:
        """Whether what is stored may not be kept."""
        return False

    def given(self) -> dict[str, str]:
        """The secrets typed into this form."""
        values = {spec.name: self.cleaned_data.get(CREDENTIAL + spec.name) for spec in self.specs}
        return {name: str(value) for name, value in values.items() if value}

    def clean_credentials(self, slug: str) -> None:
        """Work out what is to be stored, and set it on the instance."""
        given, row = self.given(), self.instance
        keep = set() if self.drops_stored() else stored_names(row)
        if not given and not self.drops_stored():
            return
        kept = {name: row.credentials[name] for name in keep}
        values = {**kept, **given}
        if self._is_taken(slug, values):
            self.add_error(CREDENTIAL + self.specs[0].name, self.taken_text())
            return
        row.credentials = values
        self.touched.add("credentials")

    def _is_taken(self, slug: str, values: Mapping[str, str]) -> bool:
        digests = [digest for digest in account_digests(slug, values) if digest]
        rows = self._meta.model._default_manager.filter(account_digest__in=digests)
        return bool(digests) and rows.exclude(pk=self.instance.pk).exists()

    def taken_text(self) -> str:
        raise NotImplementedError


class ProviderForm(SecretsForm):
    """A provider. Its gateway is chosen before this form opens (`adapter`)."""

    class Meta:
        model = Provider
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets name them

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.was = (self.instance.adapter, _address(self.instance.base_url))
        if self.adapter is not None:
            self._fit(self.adapter)

    def _fit(self, cls: type[Adapter]) -> None:
        """Show what this gateway needs, with its documented values to begin with."""
        row = self.instance
        if row.adapter != cls.slug:
            self.initial["base_url"] = cls.default_base_url
            self.initial["window_policy"] = cls.window_policy
            row.adapter = cls.slug
        if "base_url" in self.fields:
            # A gateway that takes no credentials (the dummy) has no address either.
            signs = bool(cls.provider_credentials or cls.sender_credentials)
            self.fields["base_url"].required = signs and not cls.default_base_url
        for spec in options_of(cls):
            self.initial[OPTION + spec.name] = row.options.get(spec.name, spec.default)

    def drops_stored(self) -> bool:
        return self.moved

    @property
    def moved(self) -> bool:
        """Whether the secrets would go to another place than they were entered for."""
        if self.instance._state.adding or self.adapter is None:
            return False
        base_url = self.cleaned_data.get("base_url", self.instance.base_url)
        return self.was != (self.adapter.slug, _address(base_url))

    def clean_base_url(self) -> str:
        value = _address(self.cleaned_data["base_url"])
        return value or (self.adapter.default_base_url if self.adapter else "")

    def clean_default_region(self) -> str:
        value = str(self.cleaned_data["default_region"]).strip().upper()
        if value and value not in phonenumbers.SUPPORTED_REGIONS:
            raise ValidationError(_("Enter a country's two letters, such as GB."))
        return value

    def clean_time_zone(self) -> str:
        value = str(self.cleaned_data["time_zone"]).strip()
        if value not in available_timezones():
            raise ValidationError(_("Enter a time zone such as Europe/London or UTC."))
        return value

    def clean_option_webhook_addresses(self) -> str:
        listed = str(self.cleaned_data["option_webhook_addresses"]).replace(",", " ").split()
        for item in listed:
            try:
                ipaddress.ip_network(item, strict=False)
            except ValueError:
                raise ValidationError(
                    _("“%(item)s” is no IP address or network. Write 203.0.113.7 or 10.0.0.0/8.")
                    % {"item": item}
                ) from None
        return ", ".join(listed)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.adapter is None:
            return data
        # The senders' forms ask the row, since they know no more of this one.
        setattr(self.instance, MOVED, self.moved)
        self._clean_options(self.adapter)
        self.clean_credentials(self.adapter.slug)
        if self.was[0] != self.adapter.slug:
            self.touched |= {"adapter", "base_url", "window_policy"}
        return data

    def _clean_options(self, cls: type[Adapter]) -> None:
        stored = self.instance.options
        given = {
            spec.name: value
            for spec in options_of(cls)
            if (value := self.cleaned_data.get(OPTION + spec.name)) is not None
            # Nothing, where nothing is what there was.
            and (value or spec.default or spec.name in stored)
        }
        values = {**self.instance.options, **given}
        if values != self.instance.options:
            self.instance.options = values
            self.touched.add("options")

    def taken_text(self) -> str:
        return _(
            "These credentials are stored with another provider already. One account is kept "
            "once, so that its pace and balance are known; add your sender to that provider."
        )


def _address(base_url: str) -> str:
    return (base_url or "").strip().rstrip("/")


class SenderForm(SecretsForm):
    """A sender of one provider, alone or as a row of the provider's page."""

    #: The provider a new sender is added to on its own page.
    preset: Provider | None = None

    class Meta:
        model = Sender
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets name them

    def __init__(self, *args: Any, provider: Provider | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.preset is not None and self.instance._state.adding:
            self.instance.provider = self.preset
        if provider is None and self.instance.provider_id:
            provider = self.instance.provider
        self.provider = provider
        if self.adapter is not None and "channel" in self.fields:
            allowed = self.adapter.channels | {self.instance.channel or Channel.WHATSAPP}
            if self.instance._state.adding:
                allowed = self.adapter.channels
            choices = [(value, name) for value, name in Channel.choices if value in allowed]
            self.fields["channel"].choices = choices  # type: ignore[attr-defined]

    def drops_stored(self) -> bool:
        return bool(getattr(self.provider, MOVED, False))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if "address" in data:
            data["address"] = self._clean_address(str(data["address"]).strip())
            self._refuse_twins(data)
        if self.adapter is not None:
            self.clean_credentials(self.adapter.slug)
        return data

    def _refuse_twins(self, data: dict[str, Any]) -> None:
        """Say that the number is there already; the constraint names a column no form has."""
        if not data["address"] or self.provider is None or self.provider.pk is None:
            return
        same = {"channel": data.get("channel"), "address": data["address"]}
        rows = Sender.objects.filter(provider=self.provider, **same).exclude(pk=self.instance.pk)
        if rows.exists():
            self.add_error("address", _("This provider has a sender with this number already."))

    def _clean_address(self, value: str) -> str:
        if not value or (self.cleaned_data.get("channel") == SMS and _is_sms_name(value)):
            return value
        region = (self.provider.default_region if self.provider else "") or conf.get(
            "DEFAULT_REGION"
        )
        try:
            return addresses.parse_phone(value, str(region))
        except InvalidAddress as error:
            self.add_error("address", str(error))
            return value

    def _get_validation_exclusions(self) -> set[str]:
        # A new default takes the place of the old one when it is saved.
        inherited: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return inherited | {"is_default"}

    def taken_text(self) -> str:
        return _("These credentials are stored with another sender already.")


def _is_sms_name(value: str) -> bool:
    """A name or short code, which SMS may be sent from instead of a number."""
    is_name = value.isascii() and len(value) <= 11 and any(letter.isalpha() for letter in value)
    return is_name or (value.isdecimal() and len(value) <= 6)


class SenderFormSet(BaseInlineFormSet):
    """The senders on a provider's page: no account, and no default, twice among them."""

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "provider": self.instance}

    def clean(self) -> None:
        super().clean()
        seen: set[tuple[tuple[str, str], ...]] = set()
        places: set[tuple[Any, Any]] = set()
        defaults = 0
        for form in self.forms:
            if not hasattr(form, "cleaned_data"):
                continue
            defaults += bool(form.cleaned_data.get("is_default"))
            assert isinstance(form, SenderForm)
            given = tuple(sorted(form.given().items()))
            if given and given in seen:
                raise ValidationError(_("Two senders have the same credentials."))
            seen.add(given)
            place = (form.cleaned_data.get("channel"), form.cleaned_data.get("address"))
            if place[1] and place in places:
                raise ValidationError(_("Two senders have the same number."))
            places.add(place)
        if defaults > 1:
            raise ValidationError(_("Only one sender can be the default."))


def provider_form(cls: type[Adapter] | None) -> type[SecretsForm]:
    """The provider's form with the fields this adapter declares."""
    specs, options = (cls.provider_credentials, options_of(cls)) if cls else ((), ())
    fields = {**credential_fields(specs), **option_fields(options)}
    return type("ProviderForm", (ProviderForm,), {"adapter": cls, "specs": specs, **fields})


def sender_form(cls: type[Adapter] | None, preset: Provider | None = None) -> type[SecretsForm]:
    """The sender's form with the fields this adapter declares."""
    specs = cls.sender_credentials if cls else ()
    known = {"adapter": cls, "specs": specs, "preset": preset}
    return type("SenderForm", (SenderForm,), {**known, **credential_fields(specs)})


#: What the two risky numbers of a provider mean, said beside their fields.
RATE_HELP: Final = gettext_lazy(
    "At most this many calls a second. Empty: what the gateway documents. A higher number than "
    "it allows makes it refuse messages, or block the account."
)
RECIPIENTS_HELP: Final = gettext_lazy(
    "Equal messages that may share one call. More is quicker; but if the answer to a call is "
    "lost, all its messages become “may have been sent” and wait for a person. Empty: %(count)d."
)
POLICY_HELP: Final = gettext_lazy(
    "When free text may be sent. Set it to what your account is held to: if this is looser than "
    "the gateway, messages are taken here and refused there."
)
