"""`python -m realtime`: as `manage.py realtime_init`, for a project that does not have the app yet.

It reads DJANGO_SETTINGS_MODULE, or takes `--settings`.
"""

import sys

from django.core.management.base import CommandError, handle_default_options

from realtime.management.commands.realtime_init import Command


def main() -> None:
    """Run the command. `run_from_argv` would read the settings once more at its end, also where there are none."""
    command = Command()
    options = command.create_parser("python -m", "realtime").parse_args()
    handle_default_options(options)
    try:
        command.execute(**vars(options))
    except CommandError as error:
        if options.traceback:
            raise
        sys.exit(f"CommandError: {error}")


if __name__ == "__main__":
    sys.path.insert(0, "")
    main()
