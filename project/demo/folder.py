"""The demo's own folder: its database, files, logs and secrets, and nobody else's."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cryptography.fernet import Fernet
from django.conf import settings

#: The file that says that a folder is ours to empty.
MARK: Final = "shared-inbox-demo.json"
_OURS: Final = ("db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm", "media", "logs")


class FolderError(Exception):
    """The folder cannot be used; the text says why."""


class DemoFolder:
    """A folder that one demo at a time works in."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: Any = None
        self._secrets: dict[str, str] = {}

    def claim(self, *, keep: bool = False) -> bool:
        """Make it ours, empty unless it is to be kept; True where data of before is there.

        Raises FolderError for a folder that is not a demo's, or is in use by another.
        """
        self._refuse_strangers()
        self._take_lock()
        known = self._known_secrets()
        kept = keep and bool(known) and (self.path / "db.sqlite3").is_file()
        if not kept:
            self._empty()
            known = {
                "secret_key": secrets.token_urlsafe(48),
                "encryption_key": Fernet.generate_key().decode(),
            }
            self._write_mark(known)
        self._secrets = known
        self.logs.mkdir(exist_ok=True)
        return kept

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def release(self) -> None:
        """Let another demo have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def environment(self, web_url: str) -> dict[str, str]:
        """What a process of this demo gets as its environment."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATABASE_URL": "sqlite:///" + quote(str(self.path / "db.sqlite3")),
            "MEDIA_ROOT": str(self.path / "media"),
            "SECRET_KEY": self._secrets["secret_key"],
            "MESSAGING_ENCRYPTION_KEYS": self._secrets["encryption_key"],
            "MESSAGING_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "MESSAGING_DEFAULT_REGION": "GB",
            "PUBLIC_BASE_URL": web_url,
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "TIME_ZONE": "Europe/London",
            "DEBUG": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(
                part for part in (str(settings.BASE_DIR), os.environ.get("PYTHONPATH", "")) if part
            ),
        }

    def _refuse_strangers(self) -> None:
        if not self.path.exists():
            self.path.mkdir(parents=True, mode=0o700)
        elif not self.path.is_dir():
            raise FolderError(f"{self.path} is a file.")
        elif any(self.path.iterdir()) and not (self.path / MARK).is_file():
            raise FolderError(
                f"{self.path} holds something else. Choose a folder that is empty, does not exist "
                "or was made by the demo."
            )

    def _take_lock(self) -> None:
        """Held until this process ends, however it ends."""
        mark = self.path / MARK
        if not mark.exists():
            self._write_mark({})
        self._lock = mark.open("r+")
        try:
            import fcntl

            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # no such lock on this system: two demos in one folder are then the user's care
        except OSError:
            self.release()
            raise FolderError(f"A demo is running in {self.path} already.") from None

    def _known_secrets(self) -> dict[str, str]:
        try:
            known = json.loads((self.path / MARK).read_text("utf-8"))
        except ValueError:
            return {}
        complete = isinstance(known, dict) and {"secret_key", "encryption_key"} <= known.keys()
        return known if complete else {}

    def _write_mark(self, values: Mapping[str, str]) -> None:
        # Written in place: the lock is on this very file.
        mark = self.path / MARK
        mark.touch(mode=0o600)
        mark.write_text(json.dumps(dict(values)), "utf-8")

    def _empty(self) -> None:
        for name in _OURS:
            item = self.path / name
            if item.is_symlink() or item.is_file():
                item.unlink()
            elif item.is_dir():
                shutil.rmtree(item)
