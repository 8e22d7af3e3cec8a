"""`python -m bench.people COUNT`: add members to the demo's first tenant and to one room, print their tokens.

Run with the server's own environment; prints `{"tokens": [...], "room_id": ...}`.
"""

import json
import os
import sys

import django


def main() -> None:
    """Make them, in bulk: hashing a password for each would take minutes."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rockstar_site.settings")
    django.setup()
    from accounts.credentials.tokens import token_issue  # noqa: PLC0415
    from accounts.models import Membership, Tenant, User  # noqa: PLC0415 Django must be set up
    from chat.models import Room, RoomMembership  # noqa: PLC0415

    tenant = Tenant.objects.get(slug="acme")
    names = [f"bench{number}" for number in range(int(sys.argv[1]))]
    User.objects.bulk_create([User(username=name, password="!") for name in names])
    users = list(User.objects.filter(username__in=names))
    Membership.objects.bulk_create([Membership(user=user, tenant=tenant) for user in users])
    room = Room.objects.create(tenant=tenant, name="Bench", name_key="bench")
    RoomMembership.objects.bulk_create([RoomMembership(room=room, user=user) for user in users])
    members = Membership.objects.filter(tenant=tenant, user__in=users).select_related("user", "tenant")
    tokens = [token_issue(member, None).access for member in members]
    json.dump({"tokens": tokens, "room_id": room.pk}, sys.stdout)


if __name__ == "__main__":
    main()
