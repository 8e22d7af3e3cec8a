"""API keys: secrets of machines. Only their hashes are stored."""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256

from django.db.models import Q, QuerySet
from django.utils import timezone

from realtime import tables

# The start of every key, by which it differs from an access token.
KEY_START = "rk_"
# 256 bits from the system's random source: a fast hash is enough for them.
SECRET_BYTES = 32
# How often the last use is written, at most.
USE_NOTED_EVERY = timedelta(minutes=1)


def new_secret(key: "tables.ApiKey") -> str:
    """Give an unsaved key its secret, and return it: it cannot be read again."""
    secret = KEY_START + secrets.token_urlsafe(SECRET_BYTES)
    key.prefix = secret[: tables.KEY_PREFIX_CHARS]
    key.secret_hash = _hash(secret)
    return secret


def create_key(
    name: str, scopes: Collection[str], *, tenant: str = "", expires_at: datetime | None = None
) -> "tuple[tables.ApiKey, str]":
    """Make a key; returns its row and its secret. Without a `tenant` it is an operator's, for all tenants.

    Raises ValidationError for unknown scopes.
    """
    key = tables.ApiKey(name=name, tenant=tenant, scopes=sorted(scopes), expires_at=expires_at)
    secret = new_secret(key)
    key.full_clean()
    key.save()
    return key, secret


def find_key(secret: str) -> "tables.ApiKey | None":
    """Return the key with this secret, unless it has expired. Records the use."""
    now = timezone.now()
    key = _live(now).filter(secret_hash=_hash(secret)).first()
    if key is not None and (key.last_used_at is None or now - key.last_used_at > USE_NOTED_EVERY):
        tables.ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


def count_keys_made_by(usernames: Collection[str], *, tenant: str | None = None) -> int:
    """Return how many keys in force these users made in the admin, for one tenant or, with None, for all.

    A key does not end with the account of its maker: ask where an account is switched off. It has the maker's name of
    then: keys of a renamed user are not found, and those of a name's last owner are.
    """
    made = _live(timezone.now()).filter(created_by__in=usernames)
    return (made if tenant is None else made.filter(tenant=tenant)).count()


def _live(now: datetime) -> "QuerySet[tables.ApiKey]":
    return tables.ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now))


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()
