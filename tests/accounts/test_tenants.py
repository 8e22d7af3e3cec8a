"""Hosts and their tenants."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.core.hosts import validate_host
from accounts.models import Domain, Tenant
from accounts.tenants import Directory
from realtime.control.keys import create_key, find_key
from realtime.models import AuditEntry, Ban, IdempotentAnswer, StoredPublication, TenantQuota
from tests.accounts.conftest import ACME_HOST, GLOBEX_HOST, fresh_directory


def test_lookups_cost_no_query_hit_or_miss(
    globex: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        directory = fresh_directory()
    with django_assert_num_queries(0):
        found = directory.lookup(GLOBEX_HOST)
        assert directory.lookup("nobody.localhost") is None
        assert directory.lookup("ACME.localhost") is None
    assert found is not None
    assert (found.id, found.slug, found.hosts) == (globex.pk, "globex", frozenset({GLOBEX_HOST}))


def test_an_unread_directory_reads_itself(acme: Tenant) -> None:
    found = Directory().lookup(ACME_HOST)
    assert found is not None
    assert found.slug == "acme"


def test_refresh_sees_edits(acme: Tenant) -> None:
    directory = fresh_directory()
    Domain.objects.create(tenant=acme, host="chat.acme.example")
    assert directory.lookup("chat.acme.example") is None
    directory.refresh()
    assert directory.lookup("chat.acme.example") is not None


def test_inactive_domains_and_tenants_answer_to_nothing(acme: Tenant, globex: Tenant) -> None:
    Domain.objects.filter(tenant=acme).update(is_active=False)
    Tenant.objects.filter(pk=globex.pk).update(is_active=False)
    directory = fresh_directory()
    assert directory.lookup(ACME_HOST) is None
    assert directory.lookup(GLOBEX_HOST) is None


def test_development_hosts_serve_the_first_tenant(globex: Tenant, settings: Settings) -> None:
    settings.REALTIME = settings.REALTIME | {"DEVELOPMENT_HOSTS": ("localhost", "127.0.0.1", "[::1]")}
    found = fresh_directory().lookup("127.0.0.1")
    assert found is not None
    assert found.slug == "acme"
    assert found.hosts == {ACME_HOST, "localhost", "127.0.0.1", "[::1]"}
    assert Client(headers={"host": "[::1]:8000"}).get("/accounts/login/").status_code == 200
    Domain.objects.create(tenant=globex, host="localhost")
    other = fresh_directory().lookup("localhost")
    assert other is not None
    assert other.slug == "globex"


def test_without_development_hosts_localhost_is_unknown(acme: Tenant, settings: Settings) -> None:
    settings.REALTIME = settings.REALTIME | {"DEVELOPMENT_HOSTS": ()}
    assert fresh_directory().lookup("localhost") is None


def test_unknown_hosts_get_404(acme: Tenant, browser: Client) -> None:
    assert browser.get("/accounts/login/").status_code == 200
    response = browser.get("/accounts/login/", headers={"host": "nobody.localhost"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_host"


def test_ports_do_not_matter_to_the_lookup(acme: Tenant, browser: Client) -> None:
    assert browser.get("/accounts/login/", headers={"host": f"{ACME_HOST}:8000"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["acme.example.com", "localhost", "127.0.0.1", "a-b.c", "xn--bcher-kva.example"]
)
def test_hosts_that_are_good(host: str) -> None:
    validate_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "Acme.example",
        "acme:8000",
        "http://acme",
        "a..b",
        "-a.b",
        "a.b.",
        "a_b",
        "a b",
        "a" * 64,
        "a\n",
        "ä" * 64,
        "-ü.b",
    ],
)
def test_hosts_that_are_not(host: str) -> None:
    with pytest.raises(ValidationError):
        validate_host(host)


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("Acme.example", "acme.example"),
    ],
)
def test_a_host_in_other_letters_is_told_as_browsers_send_it(host: str, written: str) -> None:
    with pytest.raises(ValidationError, match=f"as browsers send it: {written}"):
        validate_host(host)
    validate_host(written)


def test_the_table_itself_wants_lower_case(acme: Tenant) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Domain.objects.create(tenant=acme, host="Shouting.localhost")


def test_nothing_of_a_deleted_tenant_goes_to_the_next_of_its_slug(acme: Tenant, globex: Tenant) -> None:
    """This package's tables name tenants by their slug."""
    secrets = [_rows_of(slug) for slug in ("acme", "globex", "")]
    IdempotentAnswer.objects.create(actor="user:1:ACME", key="k", fingerprint="f")
    Tenant.objects.filter(slug="acme").delete()
    Tenant.objects.create(slug="acme", name="Another")
    assert [find_key(secret) is not None for secret in secrets] == [False, True, True]
    for model in (Ban, TenantQuota, StoredPublication):
        assert set(model._default_manager.values_list("tenant", flat=True)) == {"globex", ""}
    actors = set(IdempotentAnswer.objects.values_list("actor", flat=True))
    assert actors == {"user:1:ACME", "user:1:globex", "user:1:"}
    # The operators of the site still see what was done.
    entries = AuditEntry.objects.order_by("id").values_list("tenant", "action")
    assert list(entries) == [("acme (deleted)", "ban"), ("globex", "ban"), ("", "ban")]


def _rows_of(slug: str) -> str:
    until = timezone.now() + timedelta(hours=1)
    Ban.objects.create(tenant=slug, address="192.0.2.1", until=until)
    TenantQuota.objects.create(tenant=slug, max_connections=1)
    AuditEntry.objects.create(tenant=slug, action="ban", actor_kind="code")
    IdempotentAnswer.objects.create(actor=f"user:1:{slug}", key="k", fingerprint="f")
    StoredPublication.objects.create(tenant=slug, topic="lobby", body="{}", key="k", stored_s=0.0)
    return create_key("machine", ["control:read"], tenant=slug)[1]
