"""Tickets: secrets that open one socket, once and within 30 seconds."""

import secrets
from collections.abc import Hashable
from datetime import timedelta
from hashlib import sha256

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.credentials.rates import take_credential_rate
from accounts.models import Ticket
from accounts.selectors import membership_of
from realtime import CredentialKind, Identity, Tenant, forbidden, unauthenticated

TICKET_LIFETIME_S = 30
TICKET_BYTES = 32


def ticket_issue(identity: Identity, tenant: Tenant) -> str:
    """Return a new ticket for `identity`, with its scopes. The socket ends when `identity` expires.

    Raises RequestError(rate_limited).
    """
    take_credential_rate(ticket_owner(identity))
    now = timezone.now()
    secret = secrets.token_urlsafe(TICKET_BYTES)
    Ticket.objects.create(
        token_hash=_hash(secret),
        user_id=identity.user_id,
        tenant_id=tenant.id,
        scopes=sorted(identity.scopes),
        family=identity.family,
        session_key_hash=identity.session_key_hash,
        stamp=identity.password_stamp,
        access_expires_at=identity.expires_at,
        expires_at=now + timedelta(seconds=TICKET_LIFETIME_S),
    )
    return secret


def ticket_owner(identity: Identity) -> Hashable:
    """Return the key by which the rate of tickets is counted."""
    return identity.tenant, identity.user_id


def ticket_redeem(secret: str, tenant: Tenant) -> Identity:
    """Use up a ticket. Raises Refusal: 403 for another tenant's ticket (it stays valid), otherwise 401."""
    ticket = Ticket.objects.filter(token_hash=_hash(secret), expires_at__gt=timezone.now()).first()
    if ticket is None:
        raise unauthenticated(_("This ticket is not valid: used, expired or unknown."))
    if ticket.tenant_id != tenant.id:
        raise forbidden("tenant_denied", _("This ticket belongs to another tenant."))
    deleted, _rows = Ticket.objects.filter(pk=ticket.pk).delete()
    if deleted != 1:
        raise unauthenticated(_("This ticket is not valid: used, expired or unknown."))
    membership = membership_of(tenant.id, ticket.user_id)
    if membership is None:
        raise unauthenticated(_("This ticket is no longer valid."))
    return Identity(
        user_id=ticket.user_id,
        username=membership.user.username,
        tenant=tenant.slug,
        scopes=frozenset(ticket.scopes) & membership.scopes,
        kind=CredentialKind.TICKET,
        is_staff=membership.is_staff,
        is_superuser=membership.user.is_superuser,
        expires_at=ticket.access_expires_at,
        family=ticket.family,
        session_key_hash=ticket.session_key_hash,
        password_stamp=ticket.stamp,
        rights=membership.user.rights_version,
    )


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()
