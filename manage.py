#!/usr/bin/env python
"""Django's command line."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rockstar_site.settings")
    from rockstar_site.command_line import run

    run(sys.argv)
