"""The project's settings for workers under test: shorter times, and hooks that break things.

FAULTS_MESSAGING (JSON) changes the app's settings, FAULTS_HOOKS (JSON) is read by `hooks`.
FAULTS_SECRET_KEY is the key of the test that rings the bells.
"""

import json
import os

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS, MESSAGING

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.apps.FaultsConfig"]
MESSAGING = MESSAGING | json.loads(os.environ.get("FAULTS_MESSAGING", "{}"))
SECRET_KEY = os.environ["FAULTS_SECRET_KEY"]
