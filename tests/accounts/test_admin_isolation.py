"""Staff of a tenant in the admin: nothing of another tenant on any page, whatever they ask for."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.test import Client
from django.utils import timezone

from accounts.models import Domain, Membership, Revocation, Tenant, Ticket, User, UserSession
from chat.models import Message, Room, RoomMembership
from demo.models import Item
from tests.accounts.conftest import ACME_HOST, GLOBEX_HOST, add_member, sign_in

# In every text of the other tenant. Short: the shortest field has 16 characters, and needs a number besides.
CANARY = "zq7xw"
# Finds the same in a search, and is not the canary where the page repeats what was asked for.
SEARCH = CANARY[:3]
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
HOSTILE_FILTERS = [
    "tenant={globex}",
    "tenant__id__exact={globex}",
    "tenant__slug=globex",
    "tenant__slug__startswith=z",
    "tenant__name__contains=z",
    "tenant__isnull=False",
    "room__tenant__id__exact={globex}",
    "memberships__tenant__id__exact={globex}",
    "memberships__role=staff",
    "groups__name__startswith=z",
    "groups__id__exact=1",
    "user__memberships__status__startswith=z",
    "user__password__startswith=p",
    "password__startswith=p",
    "_to_field=username&_popup=1",
    "_to_field=slug&_popup=1",
    "all=1",
    "p=1",
    "_facets=True",
    "e=1",
]


@pytest.fixture
def browser(acme: Tenant, globex: Tenant) -> Client:
    """The browser of erin: staff of acme with every permission there is, and somebody in globex too."""
    erin = add_member(acme, "erin", role=Membership.Role.STAFF)
    User.objects.filter(pk=erin.pk).update(is_staff=True)
    erin.user_permissions.set(Permission.objects.all())
    _fill(acme, [erin, add_member(acme, "alice")])
    client = Client(headers={"host": ACME_HOST})
    sign_in(client, "erin")
    _fill(globex, [erin, User.objects.get(username="alice"), add_member(globex, "carol")], CANARY)
    return client


def _fill(tenant: Tenant, people: list[User], mark: str = "") -> None:
    """A row of every model for each of `people`; with `mark` in all its texts, but for users of other tenants."""
    room = Room.objects.create(tenant=tenant, name="lounge", name_key=f"lounge{tenant.pk}")
    rows: list[models.Model] = [tenant, Domain.objects.get(tenant=tenant), room]
    rows.append(Item.objects.create(tenant=tenant, name="book", category="books", price=1))
    for number, user in enumerate(people):
        membership, _ = Membership.objects.get_or_create(tenant=tenant, user=user)
        session = UserSession(session_key=f"{mark}{tenant.slug}{number}", expire_date=timezone.now())
        session.tenant, session.user, session.key_hash = tenant, user, uuid4().hex
        session.save()
        message = Message(tenant=tenant, room=room, seq=number + 1, author=user, text="hello")
        message.client_msg_id = uuid4()
        message.save()
        ticket = Ticket(tenant=tenant, user=user, expires_at=timezone.now(), token_hash=uuid4().hex)
        ticket.save()
        rows += [membership, session, message, ticket, RoomMembership.objects.create(room=room, user=user)]
        rows.append(_log(people[0], membership, mark or "own"))
        # What a superuser did to the user on the other host, in the words that Django writes.
        changed = (
            f'[{{"changed": {{"name": "membership", "object": "{user} in {mark}", "fields": ["role"]}}}}]'
        )
        rows.append(_log(people[-1], user, str(user), changed))
    if mark:
        now = timezone.now()
        ended = Revocation.objects.create(kind="family", value=mark, expires_at=now)
        rows += [people[-1], Group.objects.create(name=mark), ended]
        for number, row in enumerate(rows):
            _mark(row, f"{mark}{number}")


def _log(actor: User, row: models.Model, text: str, message: str = "") -> LogEntry:
    content_type = ContentType.objects.get_for_model(row)
    return LogEntry.objects.create(
        user=actor,
        content_type=content_type,
        object_id=str(row.pk),
        object_repr=text,
        action_flag=2,
        change_message=message,
    )


def _mark(row: models.Model, text: str) -> None:
    """Write `text` into every text field of the row, past whatever would judge it."""
    values: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        if field.primary_key or field.is_relation or field.choices or field.name in _KEPT:
            continue
        if isinstance(field, models.CharField | models.TextField):
            values[field.name] = text
        elif isinstance(field, models.JSONField):
            values[field.name] = [text]
    type(row)._default_manager.filter(pk=row.pk).update(**values)


# The message is Django's own JSON, and has the canary already; the number is what a page is found by.
_KEPT = {"change_message", "object_id"}


def addresses(model: type[models.Model]) -> Iterator[str]:
    """Every page that the admin has for a model: those of all rows, whosever they are, too."""
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    globex = Tenant.objects.get(domains__host__contains=CANARY).pk
    yield from (base, f"{base}add/", f"{base}?q={SEARCH}", f"{base}?_popup=1")
    yield from (f"{base}?o={column}.-{column + 1}" for column in range(1, 7))
    yield from (f"{base}?{query.format(globex=globex)}" for query in HOSTILE_FILTERS)
    for pk in model._default_manager.values_list("pk", flat=True):
        yield from (f"{base}{pk}/{page}/" for page in ("change", "delete", "history"))
        yield f"/admin/r/{ContentType.objects.get_for_model(model).pk}/{pk}/"
    for field in model._meta.get_fields():
        if field.is_relation and not field.auto_created:
            names = f"app_label={model._meta.app_label}&model_name={model._meta.model_name}"
            yield f"/admin/autocomplete/?{names}&field_name={field.name}&term={SEARCH}"
            yield f"/admin/autocomplete/?{names}&field_name={field.name}&term="


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_no_page_shows_anything_of_another_tenant(model: type[models.Model], browser: Client) -> None:
    told = {}
    for address in addresses(model):
        response = browser.get(address)
        assert response.status_code < 500, address
        body = response.content.decode().replace("&#x27;", "'")
        if CANARY in body:
            at = body.index(CANARY)
            told[address] = body[max(at - 60, 0) : at + 40]
    assert told == {}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_no_action_shows_anything_of_another_tenant(model: type[models.Model], browser: Client) -> None:
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    keys = list(model._default_manager.values_list("pk", flat=True))
    form = {"action": "delete_selected", "_selected_action": keys, "select_across": "1"}
    before = {each: each._default_manager.count() for each in MODELS}
    for address in (base, f"{base}?q={SEARCH}"):
        assert CANARY not in browser.post(address, form).content.decode()
    # A membership that ends takes its tickets and sessions along, and leaves a revocation.
    own = {Membership, Room, RoomMembership, Item, Ticket, UserSession, Revocation}
    browser.post(base, form | {"post": "yes"})
    for each in set(MODELS) - own:
        assert each._default_manager.count() == before[each], each
    for row in (Membership, Room, Item, Ticket, UserSession):
        assert row._default_manager.filter(tenant__domains__host__contains=CANARY).exists()


@pytest.mark.parametrize("address", ["/admin/", "/admin/accounts/", "/admin/chat/", "/admin/demo/"])
def test_no_index_shows_anything_of_another_tenant(address: str, browser: Client) -> None:
    page = browser.get(address)
    assert page.status_code == 200
    assert CANARY not in page.content.decode()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_no_relation_can_be_asked_by_filter(model: type[models.Model], browser: Client) -> None:
    """A row that is shown answers yes or no about all that hangs on it: other tenants' rows, session keys."""
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for field in model._meta.get_fields():
        if not field.is_relation:
            continue
        for lookup in ("", "__gte", "__in", "__isnull", "__pk"):
            response = browser.get(f"{base}?{field.name}{lookup}=1")
            assert response.status_code in {400, 403}, f"{field.name}{lookup}"


def test_a_session_key_cannot_be_guessed_by_halves(browser: Client) -> None:
    key = UserSession.objects.filter(user__username="alice").first()
    assert key is not None
    for page in ("user", "tenant"):
        response = browser.get(f"/admin/accounts/{page}/?sessions__gte={key.session_key}")
        assert response.status_code == 400


@pytest.mark.parametrize(
    "lookup", ["role__regex", "role__iregex", "role__startswith", "status", "pk", "id__gte"]
)
def test_what_no_list_offers_is_refused(lookup: str, browser: Client) -> None:
    assert browser.get(f"/admin/accounts/membership/?{lookup}=(a|a)*$").status_code == 400


def test_what_a_list_offers_works(browser: Client) -> None:
    for address in (
        "accounts/membership/?is_active__exact=1&role__exact=staff",
        "accounts/user/?is_active__exact=1",
        "chat/room/?is_public__exact=1",
        "demo/item/?category=books",
    ):
        page = browser.get(f"/admin/{address}")
        assert page.status_code == 200, address
        assert page.context["cl"].result_count >= 1, address


def test_lists_show_staff_no_filter_by_tenant_or_group(browser: Client) -> None:
    for model in MODELS:
        page = browser.get(f"/admin/{model._meta.app_label}/{model._meta.model_name}/")
        if page.status_code != 200:
            continue
        titles = {spec.title for spec in page.context["cl"].filter_specs}
        assert not {title for title in titles if "tenant" in title or "group" in title}, model


def test_superusers_see_it_all(acme: Tenant, browser: Client) -> None:
    root = add_member(acme, "root")
    User.objects.filter(pk=root.pk).update(is_staff=True, is_superuser=True)
    boss = Client(headers={"host": ACME_HOST})
    sign_in(boss, "root")
    for page in ("accounts/membership", "chat/message", "demo/item"):
        shown = boss.get(f"/admin/{page}/?tenant__id__exact={acme.pk}")
        assert shown.status_code == 200
        assert "tenant" in {spec.title for spec in shown.context["cl"].filter_specs}
    assert boss.get("/admin/auth/group/").status_code == 200
    assert boss.get(f"/admin/accounts/user/{root.pk}/history/").status_code == 200
    alice = User.objects.get(username="alice")
    form = boss.get(f"/admin/accounts/user/{alice.pk}/change/")
    (formset,) = form.context["inline_admin_formsets"]
    assert len(formset.formset.initial_forms) == 2


def test_a_shared_person_is_shown_with_one_membership(browser: Client) -> None:
    alice = User.objects.get(username="alice")
    page = browser.get(f"/admin/accounts/user/{alice.pk}/change/")
    assert page.status_code == 200
    (formset,) = page.context["inline_admin_formsets"]
    assert [each.instance.tenant.slug for each in formset.formset.forms] == ["acme"]
    # These say what happened on other tenants' hosts.
    for told in ("last_login", "is_staff", "date_joined"):
        assert told not in page.content.decode()
    assert "is_staff" not in browser.get("/admin/accounts/user/").context["cl"].list_display
    assert browser.get(f"/admin/accounts/user/{alice.pk}/history/").status_code == 403


@pytest.mark.parametrize("page", ["", "add/", "{pk}/change/", "{pk}/delete/", "{pk}/history/"])
def test_groups_are_for_superusers(page: str, browser: Client) -> None:
    group = Group.objects.create(name="theirs")
    address = f"/admin/auth/group/{page.format(pk=group.pk)}"
    assert browser.get(address).status_code == 403
    assert browser.post(address, {"name": "mine"}).status_code == 403
    assert not Group.objects.filter(name="mine").exists()


@pytest.fixture
def root_membership(acme: Tenant) -> Membership:
    """The membership of a superuser in erin's tenant."""
    root = add_member(acme, "root", role=Membership.Role.STAFF)
    User.objects.filter(pk=root.pk).update(is_superuser=True, is_staff=True)
    return Membership.objects.get(user=root)


def test_staff_look_at_a_superusers_membership_only(root_membership: Membership, browser: Client) -> None:
    base = f"/admin/accounts/membership/{root_membership.pk}"
    form = {"role": "member", "extra_scopes": "[]", "status": ""}
    assert browser.get(f"{base}/change/").status_code == 200
    assert browser.post(f"{base}/change/", form).status_code == 403
    assert browser.post(f"{base}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [root_membership.pk], "post": "yes"}
    browser.post("/admin/accounts/membership/", chosen)
    root_membership.refresh_from_db()
    assert (root_membership.role, root_membership.is_active) == ("staff", True)
    assert browser.post(f"/admin/accounts/user/{root_membership.user_id}/change/", {}).status_code == 403


def test_staff_give_no_scope_that_they_do_not_hold(browser: Client) -> None:
    own = Membership.objects.get(user__username="erin", tenant__slug="acme")
    other = Membership.objects.get(user__username="alice", tenant__slug="acme")
    Membership.objects.filter(pk=other.pk).update(extra_scopes=["orders:read"])
    held = "metrics:read"
    for membership in (own, other):
        path = f"/admin/accounts/membership/{membership.pk}/change/"
        form = {"role": membership.role, "is_active": "on", "status": "online"}
        page = browser.post(path, form | {"extra_scopes": '["operator:all"]'})
        assert page.status_code == 200
        assert "operator:all" in str(page.context["adminform"].form.errors["extra_scopes"])
    # What somebody has already may stay, and what staff hold may be given.
    kept = f'["orders:read", "{held}"]'
    path = f"/admin/accounts/membership/{other.pk}/change/"
    form = {"role": "member", "is_active": "on", "status": "online", "extra_scopes": kept}
    saved = browser.post(path, form)
    assert saved.status_code == 302
    # What is said about it is in the session: a cookie would be read on every host.
    assert "messages" not in saved.cookies
    assert "was changed successfully" in browser.get("/admin/accounts/membership/").content.decode()
    other.refresh_from_db()
    assert other.extra_scopes == ["orders:read", held]


@pytest.mark.parametrize("scopes", ["5", '"orders:read"', '{"a": 1}', "[[1]]", "[null]", '["no scope"]', "{"])
def test_what_is_no_list_of_scopes_is_refused(scopes: str, browser: Client) -> None:
    membership = Membership.objects.get(user__username="alice", tenant__slug="acme")
    form = {"role": "member", "is_active": "on", "status": "", "extra_scopes": scopes}
    page = browser.post(f"/admin/accounts/membership/{membership.pk}/change/", form)
    assert page.status_code == 200
    assert page.context["adminform"].form.errors.keys() == {"extra_scopes"}


def test_no_scopes_are_an_empty_list(browser: Client) -> None:
    membership = Membership.objects.get(user__username="alice", tenant__slug="acme")
    Membership.objects.filter(pk=membership.pk).update(extra_scopes=["orders:read"])
    form = {"role": "member", "is_active": "on", "status": "", "extra_scopes": ""}
    assert browser.post(f"/admin/accounts/membership/{membership.pk}/change/", form).status_code == 302
    membership.refresh_from_db()
    assert membership.extra_scopes == []


def test_a_membership_stays_in_its_tenant(browser: Client) -> None:
    membership = Membership.objects.get(user__username="alice", tenant__slug="acme")
    globex = Tenant.objects.get(domains__host__contains=CANARY)
    erin = User.objects.get(username="erin")
    form = {"role": "staff", "is_active": "on", "status": "online", "extra_scopes": "[]"}
    path = f"/admin/accounts/membership/{membership.pk}/change/"
    assert browser.post(path, form | {"tenant": globex.pk, "user": erin.pk}).status_code == 302
    membership.refresh_from_db()
    assert (membership.tenant.slug, membership.user.username) == ("acme", "alice")
    assert browser.post("/admin/accounts/membership/add/", form | {"tenant": globex.pk}).status_code == 403


def test_items_and_rooms_stay_in_their_tenant(browser: Client) -> None:
    globex = Tenant.objects.get(domains__host__contains=CANARY)
    item = Item.objects.get(tenant__slug="acme")
    form = {"tenant": globex.pk, "name": "x", "category": "books", "price": "1"}
    assert browser.post(f"/admin/demo/item/{item.pk}/change/", form).status_code == 200
    assert browser.post("/admin/demo/item/add/", form).status_code == 200
    assert Item.objects.filter(tenant=globex).count() == 1


def test_on_the_other_host_the_shared_person_is_nobody(browser: Client, globex: Tenant) -> None:
    Domain.objects.filter(tenant=globex).update(host=GLOBEX_HOST)
    there = Client(headers={"host": GLOBEX_HOST})
    sign_in(there, "erin", host=GLOBEX_HOST)
    for model in MODELS:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert there.get(address).status_code == 403, address
