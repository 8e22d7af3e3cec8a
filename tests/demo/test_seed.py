"""The demo data."""

from io import StringIO

import pytest
from django.contrib.auth.hashers import check_password
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import Domain, Membership, User
from chat.models import Room
from demo.models import Item

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_development(settings: Settings) -> None:
    settings.DEBUG = True


def seed(*arguments: str) -> str:
    out = StringIO()
    call_command("seed_demo", *arguments, stdout=out)
    return out.getvalue()


def test_it_makes_what_the_protocol_names() -> None:
    printed = seed()
    assert "http://acme.localhost" in printed
    assert "alice" in printed
    members = {(each.tenant.slug, each.user.username) for each in Membership.objects.select_related()}
    assert members == {
        ("acme", "admin"),
        ("acme", "alice"),
        ("acme", "bob"),
        ("globex", "admin"),
        ("globex", "carol"),
        ("globex", "dave"),
    }
    assert set(Domain.objects.values_list("host", "tenant__slug")) == {
        ("acme.localhost", "acme"),
        ("globex.localhost", "globex"),
    }
    admin = User.objects.get(username="admin")
    assert admin.is_superuser
    assert admin.pk == min(User.objects.values_list("pk", flat=True))
    assert all(check_password("rockstar", user.password) for user in User.objects.all())


def test_tenants_sell_different_things() -> None:
    seed()
    for category in ("books", "games"):
        acme, globex = (
            set(Item.objects.filter(tenant__slug=slug, category=category).values_list("name", flat=True))
            for slug in ("acme", "globex")
        )
        assert len(acme) == len(globex) == 12
        assert not acme & globex


def test_members_find_rooms_to_talk_in() -> None:
    seed()
    for slug in ("acme", "globex"):
        rooms = Room.objects.filter(tenant__slug=slug)
        assert rooms.count() >= 2
        assert all(room.last_seq for room in rooms)


def test_it_repeats_and_leaves_edits_alone() -> None:
    seed()
    User.objects.filter(username="alice").update(first_name="Alix")
    before = (User.objects.count(), Item.objects.count(), Membership.objects.count())
    seed()
    assert (User.objects.count(), Item.objects.count(), Membership.objects.count()) == before
    assert User.objects.get(username="alice").first_name == "Alix"


def test_it_wants_force_where_debug_is_off(settings: Settings) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="--force"):
        seed()
    assert not User.objects.exists()
    seed("--force")
    assert User.objects.exists()


def test_the_sign_in_page_names_who_may_come(client: Client, settings: Settings) -> None:
    seed()
    host = {"host": "globex.localhost"}
    page = client.get("/accounts/login/", headers=host).content.decode()
    assert "carol" in page
    assert "alice" not in page
    settings.DEBUG = False
    assert "carol" not in client.get("/accounts/login/", headers=host).content.decode()
