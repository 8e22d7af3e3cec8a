"""`python -m tests.simulation`: see `--help`, and README.md beside this file."""

import os

from tests.simulation import determinism

if __name__ == "__main__":
    determinism.require_fixed_hashes()
    determinism.install()
    # After the fake clock: setting up Django imports the project, which takes its clocks by name.
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django
    from django.conf import settings

    # Each world's record has its log.
    settings.LOGGING_CONFIG = None
    django.setup()
    from tests.simulation.cli import main

    raise SystemExit(main())
