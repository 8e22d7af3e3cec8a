"""Writes to users and memberships: one transaction each, announced once it is in."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings

from accounts.announcements import recheck_sockets_on_commit, refresh_tenants_on_commit
from accounts.models import MAX_STATUS_CHARS, Domain, Membership, Revocation, Tenant, User, UserSession
from accounts.text import TextError, clean_name
from realtime.protocol.errors import ErrorCode, RequestError


def status_update(tenant_id: int, user_id: int, status: str) -> None:
    """Set what others see beside the user's name: 1-64 characters, none of them invisible.

    Raises RequestError(invalid_message), and (not_found) for whoever is no active member.
    """
    try:
        status = clean_name(status, max_chars=MAX_STATUS_CHARS)
    except TextError as refused:
        raise RequestError(
            ErrorCode.INVALID_MESSAGE,
            f"This cannot be a status. {refused}",
            details={"field": "payload.status"},
        ) from None
    members = Membership.objects.filter(tenant_id=tenant_id, user_id=user_id, is_active=True)
    if not members.update(status=status):
        raise RequestError(ErrorCode.NOT_FOUND, "There is no such member.")


@transaction.atomic
def revocation_create(kind: Revocation.Kind, value: str) -> None:
    """End every token named by `value` now, for as long as any of them could still be used or refreshed."""
    now = timezone.now()
    longest: timedelta = max(api_settings.ACCESS_TOKEN_LIFETIME, api_settings.REFRESH_TOKEN_LIFETIME)
    Revocation.objects.filter(expires_at__lte=now).delete()
    Revocation.objects.update_or_create(kind=kind, value=value, defaults={"expires_at": now + longest})
    recheck_sockets_on_commit()


@transaction.atomic
def tenant_create(slug: str, name: str, *, hosts: list[str], staff: User | None) -> Tenant:
    """A new tenant that answers to `hosts` and is run by `staff`. Raises ValidationError."""
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
    """After edits of users, memberships, tenants or domains: end the sessions of whoever lost their place."""
    live = Membership.objects.filter(
        user=OuterRef("user"), tenant=OuterRef("tenant"), is_active=True, user__is_active=True
    )
    UserSession.objects.filter(~Exists(live), user__isnull=False).delete()
    refresh_tenants_on_commit()
    recheck_sockets_on_commit()


@contextmanager
def password_changing(user: User) -> Iterator[None]:
    """Store the user's new password inside: the tokens made under the former one end with it.

    Sessions end by themselves: Django compares the hash.
    """
    former_stamp = user.password_stamp()
    with transaction.atomic():
        yield
        revocation_create(Revocation.Kind.STAMP, former_stamp)
