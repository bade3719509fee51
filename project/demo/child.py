"""Runs a management command as the demo's child: it ends when its parent has gone.

python -m project.demo.child messaging_worker
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from django.core.management import execute_from_command_line


def end_with_parent() -> None:
    """The parent holds the other end of our standard input; when it is closed, so are we."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    execute_from_command_line(["manage.py", *sys.argv[1:]])
