"""The suite's settings, the lab, and the settings of `realtime` that have no variable of their own."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, REALTIME

INSTALLED_APPS = [*INSTALLED_APPS, "tests.lab"]
REALTIME = REALTIME | json.loads(os.environ.get("LAB_REALTIME", "{}"))
