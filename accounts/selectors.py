"""Reads of users and memberships. Every selector takes the tenant."""

from typing import Any

from django.http import HttpRequest

from accounts.models import Membership
from realtime import Tenant as CoreTenant
from realtime import UserId

# The request attribute that holds the membership which TenantSessionMiddleware found.
MEMBERSHIP = "_membership"


def membership_of(tenant_id: int, user_id: UserId) -> Membership | None:
    """Return the active membership of an active user in an active tenant, with user and tenant loaded."""
    return (
        Membership.objects.select_related("user", "tenant")
        .filter(
            tenant_id=tenant_id,
            user_id=user_id,
            is_active=True,
            user__is_active=True,
            tenant__is_active=True,
        )
        .first()
    )


def membership_of_request(request: HttpRequest) -> Membership | None:
    """Return the membership of the signed-in user in the tenant of the request's host. One query for each request."""
    user_id = request.user.pk
    if user_id is None:
        return None
    known: Membership | None = getattr(request, MEMBERSHIP, None)
    if known is None or known.user_id != user_id:
        tenant: CoreTenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        known = membership_of(tenant.id, user_id)
        setattr(request, MEMBERSHIP, known)
    return known


def user_profile(tenant_id: int, user_id: UserId) -> dict[str, Any] | None:
    """Return a user's profile as members of a tenant see it; None if the user is not an active member."""
    membership = membership_of(tenant_id, user_id)
    if membership is None:
        return None
    user = membership.user
    return {
        "id": user.pk,
        "username": user.username,
        "status": membership.status,
        "first_name": user.first_name,
        "last_name": user.last_name,
    }
