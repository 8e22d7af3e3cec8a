"""The admin's pages with 50,000 members: `DEBUG=1 DATABASE_URL=… python -m bench.admin`, on an empty database.

Fills it once, and prints the time (best of five) and the queries of each page, as a superuser sees it.
"""

import os
import re
import time
from datetime import timedelta
from uuid import uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 needs Django set up
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import Domain, Membership, Tenant, User, UserSession  # noqa: E402
from chat.models import Message, Room, RoomMembership  # noqa: E402

HOST = "acme.localhost"
PASSWORD = "rockstar"
ROWS = 50_000
# The messages of the user with the most.
MESSAGES_OF_ONE = 30_000
BATCH = 500
TIMES = 5
MAX_MS, MAX_QUERIES = 300.0, 15


def fill() -> None:
    """Make a tenant with ROWS members, all of them in a room with ROWS messages, each signed in."""
    call_command("migrate", verbosity=0)
    acme = Tenant.objects.create(slug="acme", name="Acme")
    Domain.objects.create(tenant=acme, host=HOST)
    root = User.objects.create_superuser("root", password=PASSWORD)
    Membership.objects.create(tenant=acme, user=root)
    rows = (User(username=f"user{number:05}", password="x") for number in range(ROWS))
    User.objects.bulk_create(rows, batch_size=BATCH)
    users = list(User.objects.exclude(pk=root.pk).order_by("id"))
    room = Room.objects.create(tenant=acme, name="all", name_key="all", last_seq=ROWS)
    Membership.objects.bulk_create((Membership(tenant=acme, user=user) for user in users), batch_size=BATCH)
    RoomMembership.objects.bulk_create(
        (RoomMembership(room=room, user=user) for user in users), batch_size=BATCH
    )
    Message.objects.bulk_create(
        (_message(acme, room, users, number) for number in range(ROWS)), batch_size=BATCH
    )
    UserSession.objects.bulk_create((_session(acme, user) for user in users), batch_size=BATCH)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _message(tenant: Tenant, room: Room, users: list[User], number: int) -> Message:
    author = users[0] if number < MESSAGES_OF_ONE else users[number]
    text = f"message {number} with some words"
    return Message(tenant=tenant, room=room, seq=number + 1, author=author, text=text, client_msg_id=uuid4())


def _session(tenant: Tenant, user: User) -> UserSession:
    ends = timezone.now() + timedelta(days=7)
    key = f"session{user.pk:025}"
    return UserSession(session_key=key, key_hash=key, expire_date=ends, tenant=tenant, user=user)


def pages() -> list[str]:
    """Every list, with a search and by links of other pages, and the pages with the most related rows."""
    tenant, room = Tenant.objects.get(slug="acme").pk, Room.objects.get(name="all").pk
    user = User.objects.get(username="user00000").pk
    lists = ["accounts/user", "accounts/tenant", "accounts/membership", "accounts/usersession"]
    lists += ["chat/room", "chat/roommembership", "chat/message"]
    found = [f"{each}/{query}" for each in lists for query in ("", "?q=user0")]
    found += [f"accounts/tenant/{tenant}/{page}/" for page in ("change", "delete")]
    found += [f"accounts/user/{user}/{page}/" for page in ("change", "delete")]
    found += [f"chat/room/{room}/{page}/" for page in ("change", "delete")]
    found += ["accounts/membership/add/", "chat/roommembership/add/"]
    found += [f"accounts/membership/?tenant__id__exact={tenant}", f"chat/message/?author__id__exact={user}"]
    found += [f"chat/message/?room__id__exact={room}", f"chat/roommembership/?room__id__exact={room}"]
    return found


def main() -> None:
    """Fill the database if it is empty, then measure."""
    if "accounts_tenant" not in connection.introspection.table_names():
        fill()
    browser = Client(headers={"host": HOST})
    browser.post("/admin/login/?next=/admin/", {"username": "root", "password": PASSWORD})
    print(
        f"{connection.vendor}, {ROWS:,} members: best of {TIMES}; > is over {MAX_MS:.0f} ms or {MAX_QUERIES} queries"
    )
    for page in pages():
        ms, queries = measure(browser, f"/admin/{page}")
        mark = ">" if ms > MAX_MS or queries > MAX_QUERIES else " "
        print(f"{mark} {ms:6.0f} ms {queries:3} queries  {re.sub(r'[0-9]{2,}', 'n', page)}")


def measure(browser: Client, address: str) -> tuple[float, int]:
    """The best time of a page in ms, and its queries."""
    best_ms = float("inf")
    for _ in range(TIMES):
        with CaptureQueriesContext(connection) as queries:
            started_s = time.perf_counter()
            answer = browser.get(address)
            best_ms = min(best_ms, (time.perf_counter() - started_s) * 1000)
        assert answer.status_code == 200, (address, answer.status_code)
    return best_ms, len(queries)


if __name__ == "__main__":
    main()
