"""Tickets for one socket."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.credentials.identity import Authenticator
from accounts.credentials.rates import CredentialRates
from accounts.credentials.sweeps import sweep
from accounts.models import Membership, Tenant, Ticket, User
from realtime.core.identity import CredentialKind, Identity
from realtime.core.identity import Tenant as CoreTenant
from realtime.node.node import current_node
from realtime.protocol.errors import Refusal
from tests.accounts.conftest import ACME_HOST, Post, core, sign_in, tokens


def refused(ticket: str, tenant: CoreTenant) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        Authenticator().redeem_ticket(ticket, tenant)
    return caught.value.status, caught.value.code


def ticket_for(post: Post, **body: object) -> str:
    response = post("ws-ticket/", body, token=tokens(post)["access"])
    assert response.status_code == 200, response.content
    assert response.json()["expires_in"] == 30
    return str(response.json()["ticket"])


def test_a_ticket_opens_once(alice: User, acme: Tenant, post: Post) -> None:
    ticket = ticket_for(post, scopes="chat:read control:write")
    assert not Ticket.objects.filter(token_hash=ticket).exists()
    identity = Authenticator().redeem_ticket(ticket, core(acme))
    assert (identity.user_id, identity.username, identity.kind) == (alice.pk, "alice", CredentialKind.TICKET)
    assert identity.scopes == {"chat:read"}
    assert identity.family
    assert identity.expires_at is not None
    assert refused(ticket, core(acme)) == (401, "unauthenticated")


@pytest.mark.parametrize("ticket", ["", "x", "\x00", "\ud800", "x" * 5000])
def test_garbage_is_refused(acme: Tenant, ticket: str) -> None:
    assert refused(ticket, core(acme)) == (401, "unauthenticated")


def test_another_tenant_is_denied_and_uses_nothing_up(
    alice: User, acme: Tenant, globex: Tenant, post: Post
) -> None:
    ticket = ticket_for(post)
    assert refused(ticket, core(globex)) == (403, "tenant_denied")
    assert Authenticator().redeem_ticket(ticket, core(acme)).user_id == alice.pk


def test_a_ticket_ends_after_30_seconds(alice: User, acme: Tenant, post: Post) -> None:
    ticket = ticket_for(post)
    left = Ticket.objects.get().expires_at - timezone.now()
    assert timedelta(seconds=25) < left <= timedelta(seconds=30)
    Ticket.objects.update(expires_at=timezone.now())
    assert refused(ticket, core(acme)) == (401, "unauthenticated")
    assert Ticket.objects.count() == 1
    assert not sweep()
    assert not Ticket.objects.exists()


@pytest.mark.parametrize("ending", ["user", "membership", "password", "family"])
def test_a_ticket_ends_with_its_credential(alice: User, acme: Tenant, post: Post, ending: str) -> None:
    pair = tokens(post)
    ticket = post("ws-ticket/", {}, token=pair["access"]).json()["ticket"]
    if ending == "user":
        User.objects.update(is_active=False)
    elif ending == "membership":
        Membership.objects.update(is_active=False)
    elif ending == "password":
        alice.set_password("another one")
        alice.save(update_fields=["password"])
    else:
        post("token/revoke/", {"refresh": pair["refresh"]})
    assert refused(ticket, core(acme)) == (401, "unauthenticated")


def test_a_session_gets_tickets_that_end_with_it(alice: User, acme: Tenant) -> None:
    browser = Client(headers={"host": ACME_HOST}, enforce_csrf_checks=True)
    browser.get("/accounts/login/")
    token = browser.cookies["csrftoken"].value
    form = {"username": "alice", "password": "correct horse", "csrfmiddlewaretoken": token}
    assert browser.post("/accounts/login/", form).status_code == 302
    denied = browser.post("/api/ws-ticket/")
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "permission_denied")
    headers = {"x-csrftoken": browser.cookies["csrftoken"].value}
    first, second = (browser.post("/api/ws-ticket/", headers=headers).json()["ticket"] for _ in range(2))
    identity = Authenticator().redeem_ticket(first, core(acme))
    assert identity.session_key_hash
    browser.post("/accounts/logout/", headers=headers)
    assert set(Authenticator().recheck([identity])) == {identity}
    assert refused(second, core(acme)) == (401, "unauthenticated")


def test_nobody_gets_no_ticket(
    acme: Tenant, alice: User, globex: Tenant, browser: Client, post: Post
) -> None:
    assert post("ws-ticket/", {}).status_code == 401
    assert post("ws-ticket/", {}, token="x").status_code == 401
    elsewhere = post("ws-ticket/", {}, token=tokens(post)["access"], host="globex.localhost")
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (403, "tenant_denied")


@pytest.mark.django_db(transaction=True)
def test_of_fifty_tries_at_once_one_wins(
    transactional_db: None, acme: Tenant, alice: User, browser: Client, post: Post
) -> None:
    sign_in(browser, "alice")
    ticket = ticket_for(post)
    tenant = core(acme)

    def attempt(_: int) -> Identity | None:
        try:
            return Authenticator().redeem_ticket(ticket, tenant)
        except Refusal:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        won = [identity for identity in pool.map(attempt, range(50)) if identity is not None]
    assert [identity.user_id for identity in won] == [alice.pk]


def _without_tenants(queries: CaptureQueriesContext) -> list[str]:
    """The queries but those of the directory of tenants, which is read again now and then."""
    return [each["sql"] for each in queries.captured_queries if '"accounts_domain"' not in each["sql"]]


def test_tickets_of_a_user_and_refreshes_of_a_family_have_rates(alice: User, post: Post) -> None:
    """A client that exceeds one is told how long to wait, without a query. An old token does not use up its user's rate."""
    used, pair = tokens(post), tokens(post)
    rates = CredentialRates(per_s=0.1, burst=2)
    current_node()._shared[CredentialRates] = rates
    try:
        answers = [post("ws-ticket/", {}, token=pair["access"]) for _ in range(2)]
        with CaptureQueriesContext(connection) as queries:
            answers.append(post("ws-ticket/", {}, token=pair["access"]))
        asked = _without_tenants(queries)
        answers += [post("token/refresh/", {"refresh": used["refresh"]}) for _ in range(2)]
        with queries:
            answers.append(post("token/refresh/", {"refresh": used["refresh"]}))
        assert asked + _without_tenants(queries) == []
        assert [each.status_code for each in answers] == [200, 200, 429, 200, 401, 429]
        assert answers[2].json()["error"]["code"] == "rate_limited"
        assert int(answers[2]["Retry-After"]) in range(1, 11)
        assert post("token/refresh/", {"refresh": pair["refresh"]}).status_code == 200
        assert post("token/revoke/", {"refresh": used["refresh"]}).status_code == 200
    finally:
        del current_node()._shared[CredentialRates]
    # The refused one has used nothing up.
    assert Ticket.objects.count() == 2
