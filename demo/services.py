"""Writing the demo data."""

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts.models import Domain, Membership, Tenant, User
from chat.services import seed_demo_rooms
from demo.catalogue import ADMIN, PASSWORD, SHOPS, Shop
from demo.models import Item


@transaction.atomic
def seed() -> None:
    """Add the demo's missing data. Existing data stays unchanged."""
    admin = _seed_users()[ADMIN]
    for shop in SHOPS:
        tenant = _seed_tenant(shop, admin)
        _seed_items(shop, tenant)
        seed_demo_rooms(tenant)
        seed_demo_rooms(tenant)


def _seed_users() -> dict[str, User]:
    # The administrator first: on a fresh database it is user 1.
    names = [ADMIN, *(name for shop in SHOPS for name in shop.members)]
    users = User.objects.in_bulk(names, field_name="username")
    missing = [name for name in names if name not in users]
    # One hash for all users: hashing is slow by design, and the password is public.
    password = make_password(PASSWORD) if missing else ""
    for name in missing:
        users[name] = User.objects.create(
            username=name,
            first_name=name.capitalize(),
            email=f"{name}@example.com",
            password=password,
            is_staff=name == ADMIN,
            is_superuser=name == ADMIN,
        )
    return users


def _seed_tenant(shop: Shop, admin: User) -> Tenant:
    tenant, _ = Tenant.objects.get_or_create(slug=shop.slug, defaults={"name": shop.name})
    Domain.objects.get_or_create(host=shop.host, defaults={"tenant": tenant})
    Membership.objects.get_or_create(tenant=tenant, user=admin, defaults={"role": Membership.Role.STAFF})
    for member in User.objects.filter(username__in=shop.members):
        Membership.objects.get_or_create(tenant=tenant, user=member)
    return tenant


def _seed_items(shop: Shop, tenant: Tenant) -> None:
    Item.objects.bulk_create(
        [
            Item(tenant=tenant, category=category, name=name, price=price)
            for category, items in shop.items.items()
            for name, price in items.items()
        ],
        ignore_conflicts=True,
    )
