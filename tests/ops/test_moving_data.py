"""The data of a site, moved to another database as docs/production.md says."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from accounts.models import Domain, Membership, Tenant, User
from tests.docs.pages import ROOT

KEPT_BY_MIGRATE = ("contenttypes", "auth.permission")


@pytest.mark.django_db
@pytest.mark.usefixtures("tenants")
def test_all_data_is_dumped_and_loaded(tmp_path: Path) -> None:
    told = StringIO()
    call_command("dumpdata", natural_foreign=True, natural_primary=True, exclude=KEPT_BY_MIGRATE, stdout=told)
    models = {each["model"] for each in json.loads(told.getvalue())}
    assert {"accounts.tenant", "accounts.user", "accounts.domain", "accounts.membership"} <= models
    file = tmp_path / "data.json"
    file.write_text(told.getvalue())
    counts = [model.objects.count() for model in (Tenant, Domain, User, Membership)]
    Tenant.objects.all().delete()
    User.objects.all().delete()
    call_command("loaddata", str(file), verbosity=0)
    assert [model.objects.count() for model in (Tenant, Domain, User, Membership)] == counts


def test_the_page_leaves_out_what_migrate_makes() -> None:
    page = (ROOT / "docs" / "production.md").read_text()
    assert all(f"--exclude {app}" in page for app in KEPT_BY_MIGRATE)
