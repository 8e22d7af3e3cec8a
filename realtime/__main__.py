"""`python -m realtime`: as `manage.py realtime_init`, for a project that does not have the app yet.

It reads DJANGO_SETTINGS_MODULE, or takes `--settings`.
"""

import sys

from realtime.management.commands.realtime_init import Command

if __name__ == "__main__":
    sys.path.insert(0, "")
    Command().run_from_argv(["python -m realtime", "init", *sys.argv[1:]])
