"""A deterministic simulator: nodes of the real project on a fake clock, in seeded worlds with injected faults."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
# The node imports the models of its tables.
django.setup()
