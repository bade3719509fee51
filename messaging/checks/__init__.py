"""System checks: what is missing, unsafe or misspelt in the host's settings, said at start.

    messaging.E001 to E009    errors: the app would not work, or not safely
    messaging.W001 to W009    the settings of this app, its database and its permissions
    messaging.W010 to W020    departures of Q_CLUSTER from what the queue needs to be only a bell
    messaging.I001            worth knowing

Those marked `deploy` run under `check --deploy` only, the one on permissions needs `--database`.
"""

from . import options, queue, storage

__all__ = ["options", "queue", "storage"]
