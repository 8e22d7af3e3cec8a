"""Reads of users and memberships. Every one of them is given the tenant."""

from typing import Any

from accounts.models import Membership


def membership_of(tenant_id: int, user_id: int) -> Membership | None:
    """The live membership of an active user in an active tenant, with both loaded."""
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


def user_profile(tenant_id: int, user_id: int) -> dict[str, Any] | None:
    """What members of a tenant see of one another; None for whoever is no active member of it."""
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
