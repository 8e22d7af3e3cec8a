"""Writes to users and memberships. Each is one transaction and is announced after the commit."""

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from accounts.core.text import TextError, clean_name
from accounts.models import MAX_STATUS_CHARS, Domain, Membership, Tenant, User, UserSession
from accounts.rights.announcements import refresh_tenants_on_commit
from realtime import ErrorCode, RequestError, UserId


def status_update(tenant_id: int, user_id: UserId, status: str) -> None:
    """Set the status text beside the user's name: 1 to 64 characters, all visible.

    Raises RequestError(invalid_message), or RequestError(not_found) if the user is not an active member.
    """
    try:
        status = clean_name(status, max_chars=MAX_STATUS_CHARS)
    except TextError as refused:
        raise RequestError(
            ErrorCode.INVALID_MESSAGE,
            _("This cannot be a status. {refused}").format(refused=refused),
            details={"field": "payload.status"},
        ) from None
    members = Membership.objects.filter(tenant_id=tenant_id, user_id=user_id, is_active=True)
    if not members.update(status=status):
        raise RequestError(ErrorCode.NOT_FOUND, _("There is no such member."))


@transaction.atomic
def tenant_create(slug: str, name: str, *, hosts: list[str], staff: User | None) -> Tenant:
    """Create a tenant with these `hosts` and this `staff` member. Raises ValidationError."""
    tenant = Tenant(slug=slug, name=name)
    tenant.full_clean()
    tenant.save()
    for host in hosts:
        domain = Domain(tenant=tenant, host=host)
        domain.full_clean()
        domain.save()
    if staff is not None:
        Membership.objects.create(tenant=tenant, user=staff, role=Membership.Role.STAFF)
    refresh_tenants_on_commit()
    return tenant


@transaction.atomic
def access_changed() -> None:
    """Check access again after edits of users, memberships, tenants or domains.

    This deletes the sessions of users who lost their access. Saves and deletions write their own revocations.
    """
    live = Membership.objects.filter(
        user=OuterRef("user"), tenant=OuterRef("tenant"), is_active=True, user__is_active=True
    )
    UserSession.objects.filter(~Exists(live), user__isnull=False).delete()
    refresh_tenants_on_commit()
