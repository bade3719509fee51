"""Says what is wrong with a built wheel: `python contents.py dist/*.whl`. Standard library only."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Kinds of files without which the app does not work for whoever installs it.
WANTED = [
    "messaging/py.typed",
    "messaging/sandbox/__main__.py",
    "messaging/migrations/0001_initial.py",
    "messaging/management/commands/messaging_worker.py",
]
FOLDERS = ["messaging/templates", "messaging/static", "messaging/locale"]


def problems(wheel: Path) -> list[str]:
    names = set(zipfile.ZipFile(wheel).namelist())
    found = [f"{name} is in it" for name in names if not _belongs(name)]
    found += [f"{name} is not in it" for name in [*WANTED, *_of_checkout()] if name not in names]
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    for line in ("Name: django-shared-inbox", "License-Expression: BSD-3-Clause"):
        if line not in text:
            found.append(f"its metadata does not say {line!r}")
    return found


def _belongs(name: str) -> bool:
    top = name.partition("/")[0]
    return top == "messaging" or (
        top.startswith("django_shared_inbox-") and top.endswith(".dist-info")
    )


def _of_checkout() -> list[str]:
    """Every template, static file and translation that is in the checkout."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return [path.relative_to(ROOT).as_posix() for path in files if path.is_file()]


if __name__ == "__main__":
    trouble = problems(Path(sys.argv[1]))
    print("\n".join(trouble) or "The wheel holds what it must, and nothing else.")
    sys.exit(bool(trouble))
