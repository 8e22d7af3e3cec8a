"""A database of an older version is brought up with what it holds."""

from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from accounts.models import Revocation, User
from accounts.rights.revocation_log import RevocationLog


def apps_at(name: str) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate([("accounts", name)])
    return executor.loader.project_state([("accounts", name)]).apps


def test_users_and_revocations_of_the_first_version(transactional_db: None) -> None:
    try:
        former = apps_at("0001_initial")
        former.get_model("accounts", "User").objects.create(username="alice", password="x")
        rows = former.get_model("accounts", "Revocation").objects
        for kind in ("family", "stamp"):
            rows.create(kind=kind, value="f" * 16, expires_at=timezone.now() + timedelta(days=1))
    finally:
        call_command("migrate", verbosity=0)
    assert User.objects.get(username="alice").rights_version == 0
    assert [(each.kind, each.user_id, each.rights_below) for each in RevocationLog().read()] == [
        ("family", 0, 0),
        ("stamp", 0, 0),
    ]
    assert Revocation.objects.filter(user_id=None).count() == 2
