"""Writes revocations for rights that a change takes away, in its transaction, and announces them on commit.

Every `save()` and `delete()` of a user, a membership or a session passes here. `QuerySet.update()` and raw
SQL do not: their effect is found by the regular check of open sockets.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, Model, OuterRef, QuerySet
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings

from accounts.core.scopes import member_scopes
from accounts.models import Membership, Revocation, Save, Ticket, User, UserSession, first_rights_version
from accounts.rights.announcements import revoke_on_commit
from realtime import LOST_STAFF, LOST_SUPERUSER, RevocationKind, UserId
from realtime import Revocation as RevocationValue

Lost = tuple[str, ...]
# Results of a comparison, besides a list of lost scopes and flags.
NOTHING: Lost = ()
EVERYTHING = None

# Seconds to keep a session's revocation. Sessions are read at every use, so only open sockets need the row,
# also on nodes that were disconnected for a while.
SESSION_REVOCATION_S = 3600

_USER_FIELDS = ("password", "is_active", "is_staff", "is_superuser", "rights_version")
_MEMBERSHIP_FIELDS = ("user_id", "tenant_id", "user", "tenant", "role", "extra_scopes", "is_active")


def user_save(user: User, save: Save, update_fields: Collection[str] | None) -> None:
    """Save a user with `save`. If the change takes a right away, revoke earlier credentials."""
    written = _written(user, update_fields)
    if user.pk is None or written.isdisjoint(_USER_FIELDS):
        save(update_fields)
        return
    with transaction.atomic():
        former = User.objects.select_for_update().filter(pk=user.pk).values(*_USER_FIELDS).first()
        if former is None:
            save(update_fields)
            return
        # This object may have been read before the version rose.
        user.rights_version = former["rights_version"]
        lost = _lost_of_user(former, user, written)
        if lost == NOTHING:
            save(update_fields)
            return
        user.rights_version += 1
        save(None if update_fields is None else {*update_fields, "rights_version"})
        _revoke(Revocation.Kind.USER, user.pk, "", lost=lost, rights_below=user.rights_version)
        Ticket.objects.filter(user_id=user.pk).delete()
        if former["is_active"] and not user.is_active:
            UserSession.objects.filter(user_id=user.pk).delete()


def membership_save(membership: Membership, save: Save, update_fields: Collection[str] | None) -> None:
    """Save a membership with `save`. If the change takes a right away, revoke earlier credentials."""
    written = _written(membership, update_fields)
    if membership.pk is None or written.isdisjoint(_MEMBERSHIP_FIELDS):
        save(update_fields)
        return
    with transaction.atomic():
        rows = Membership.objects.select_for_update(of=("self",)).select_related("user", "tenant")
        former = rows.filter(pk=membership.pk).first()
        save(update_fields)
        lost = NOTHING if former is None else _lost_of_member(former, membership)
        if former is not None and lost != NOTHING:
            _end_membership(former, lost)


def membership_deleted(membership: Membership, origin: object) -> None:
    """Revoke after a deletion, also a bulk or cascading one.

    A deleted user's revocation covers all memberships.
    """
    if membership.is_active and not _is_of(origin, User):
        _end_membership(membership, EVERYTHING)


def user_deleted(user: User) -> None:
    """Revoke after a deletion, which has deleted the user's sessions and tickets too."""
    above_all = max(user.rights_version, first_rights_version()) + 1
    _revoke(Revocation.Kind.USER, user.pk, "", lost=EVERYTHING, rights_below=above_all)


def session_deleted(session: UserSession, origin: object) -> None:
    """Revoke after a sign-out or any other deletion of a live session."""
    if session.user_id and session.expire_date > timezone.now() and not _is_of(origin, User):
        _revoke(Revocation.Kind.SESSION, session.user_id, session.key_hash)


def family_end(family: str, user_id: UserId) -> None:
    """Revoke all tokens of one sign-in. If they are revoked already, nothing is written."""
    ended = Revocation.objects.filter(
        kind=Revocation.Kind.FAMILY, value=family, expires_at__gt=timezone.now()
    )
    if not ended.exists():
        with transaction.atomic():
            _revoke(Revocation.Kind.FAMILY, user_id, family)


def sign_out_everywhere(user_id: int, tenant_slug: str | None) -> bool:
    """End all tokens, tickets and sessions of a user, on one tenant or on all (None), at once.

    False if there is no such user, or no such member of the tenant. The user may sign in again.
    """
    users = User.objects.filter(pk=user_id)
    place = {} if tenant_slug is None else {"tenant__slug": tenant_slug}
    with transaction.atomic():
        if tenant_slug is not None:
            users = users.filter(Exists(Membership.objects.filter(user=OuterRef("pk"), **place)))
        if not users.update(rights_version=F("rights_version") + 1):
            return False
        below = User.objects.values_list("rights_version", flat=True).get(pk=user_id)
        kind = Revocation.Kind.USER if tenant_slug is None else Revocation.Kind.SIGN_OUT
        _revoke(kind, user_id, tenant_slug or "", rights_below=below)
        Ticket.objects.filter(user_id=user_id, **place).delete()
        UserSession.objects.filter(user_id=user_id, **place).delete()
    return True


def revocation_value(row: Revocation) -> RevocationValue:
    """Return a row as the value that `realtime` uses."""
    return RevocationValue(
        RevocationKind(row.kind),
        row.user_id or 0,
        row.value,
        row.rights_below,
        EVERYTHING if row.lost is None else tuple(row.lost),
        row.expires_at.timestamp(),
    )


def _written(row: Model, update_fields: Collection[str] | None) -> set[str]:
    if update_fields is not None:
        return set(update_fields)
    concrete = row._meta.concrete_fields  # noqa: SLF001 Django's public name for it
    fields = {name for field in concrete for name in (field.name, field.attname)}
    return fields - row.get_deferred_fields()


def _lost_of_user(former: Mapping[str, Any], user: User, written: Collection[str]) -> Lost | None:
    if "password" in written and former["password"] != user.password:
        return EVERYTHING
    if "is_active" in written and former["is_active"] and not user.is_active:
        return EVERYTHING
    flags = (("is_staff", LOST_STAFF), ("is_superuser", LOST_SUPERUSER))
    return tuple(
        lost for field, lost in flags if field in written and former[field] and not getattr(user, field)
    )


def _lost_of_member(former: Membership, membership: Membership) -> Lost | None:
    now = Membership.objects.select_related("user").get(pk=membership.pk)
    if not former.is_active:
        return NOTHING
    is_same = (former.user_id, former.tenant_id) == (now.user_id, now.tenant_id)
    if not is_same or not now.is_active:
        return EVERYTHING
    held = member_scopes(now.extra_scopes, is_staff=now.is_staff)
    lost = sorted(former.scopes - held)
    return (*lost, LOST_STAFF) if former.is_staff and not now.is_staff else tuple(lost)


def _end_membership(membership: Membership, lost: Lost | None) -> None:
    users = User.objects.filter(pk=membership.user_id)
    with transaction.atomic():
        users.update(rights_version=F("rights_version") + 1)
        below = users.values_list("rights_version", flat=True).first() or first_rights_version()
        _revoke(
            Revocation.Kind.MEMBERSHIP,
            membership.user_id,
            membership.tenant.slug,
            lost=lost,
            rights_below=below,
        )
        if lost is EVERYTHING:
            place = {"user_id": membership.user_id, "tenant_id": membership.tenant_id}
            Ticket.objects.filter(**place).delete()
            UserSession.objects.filter(**place).delete()


def _revoke(
    kind: Revocation.Kind,
    user_id: UserId,
    value: str,
    *,
    lost: Lost | None = EVERYTHING,
    rights_below: int = 0,
) -> None:
    row = Revocation.objects.create(
        kind=kind,
        user_id=user_id,
        value=value,
        lost=lost,
        rights_below=rights_below,
        expires_at=timezone.now() + _lifetime(kind),
    )
    revoke_on_commit(revocation_value(row))


def _lifetime(kind: Revocation.Kind) -> timedelta:
    """Return how long a revocation is needed: until every credential that it ends has expired."""
    if kind is Revocation.Kind.SESSION:
        return timedelta(seconds=SESSION_REVOCATION_S)
    longest: timedelta = max(api_settings.ACCESS_TOKEN_LIFETIME, api_settings.REFRESH_TOKEN_LIFETIME)
    return longest


def _is_of(origin: object, model: type[Model]) -> bool:
    """Return whether a deletion was started on one or more rows of `model`."""
    return isinstance(origin, model) or (isinstance(origin, QuerySet) and origin.model is model)
