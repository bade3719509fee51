"""Installs the hooks in worker processes. No part of the shipped package knows of them."""

from django.apps import AppConfig


class FaultsConfig(AppConfig):
    name = "tests.faults"

    def ready(self) -> None:
        from . import hooks

        hooks.install()
