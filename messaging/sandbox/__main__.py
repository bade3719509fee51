"""`python -m messaging.sandbox`."""

from .cli import run

raise SystemExit(run())
