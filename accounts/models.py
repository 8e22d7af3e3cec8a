"""Users, the tenants they are members of, and the short-lived records of tokens, tickets and sessions."""

from collections.abc import Callable, Collection
from functools import partial
from hashlib import sha256
from importlib import import_module
from time import time_ns
from typing import Any, Protocol

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.core.hosts import MAX_HOST_CHARS, validate_host
from accounts.core.scopes import member_scopes, validate_scopes
from accounts.core.text import TextError, clean_name, poses_as_ascii
from accounts.passwords import hashing

SHA256_HEX_CHARS = 64
FAMILY_CHARS = 32
STAMP_CHARS = 16
MAX_STATUS_CHARS = 64
MAX_NAME_CHARS = 64
MAX_STATUS_EMOJI_CHARS = 32


Save = Callable[[Collection[str] | None], None]


class Rights(Protocol):
    """Saves rows and revokes rights that a change takes away: `accounts.rights.revocations`."""

    def user_save(self, user: "User", save: Save, update_fields: Collection[str] | None) -> None:
        """Save a user with `save`, and revoke credentials with rights that the change takes away."""
        ...

    def membership_save(
        self, membership: "Membership", save: Save, update_fields: Collection[str] | None
    ) -> None:
        """Save a membership with `save`, and revoke credentials with rights that the change takes away."""
        ...


def _rights() -> Rights:
    rights: Rights = apps.get_app_config("accounts").rights  # type: ignore[attr-defined] # AccountsConfig
    return rights


def first_rights_version() -> int:
    """Return a new user's version: above that of any former user with the same id.

    Microseconds since 1970.
    """
    return time_ns() // 1000


class User(AbstractUser):
    """A user. The membership of a tenant says what the user may do there.

    `rights_version` rises whenever a right is taken away. Credentials carry the version of their
    creation. It is not a time, because clocks of machines differ and two changes may happen in one second.
    """

    rights_version = models.BigIntegerField(default=first_rights_version, db_default=0, editable=False)

    def save(self, **kwargs: Any) -> None:
        """Save the user. A new password, or a right taken away, revokes earlier credentials."""
        _rights().user_save(self, partial(_saver, super().save, kwargs), kwargs.get("update_fields"))

    def set_password(self, raw_password: str | None) -> None:
        """Hash a new password in the bounded pool. None makes it unusable.

        Raises Refusal(503) if the pool is busy.
        """
        self.password = hashing.make(raw_password)
        self._password = raw_password

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether the password is right, checked in the bounded pool.

        Raises Refusal(503) if the pool is busy.
        """
        is_right, must_update = hashing.verify(raw_password, self.password)
        if is_right and must_update:
            self.set_password(raw_password)
            # As in Django, this marks that only the hash has changed and not the password.
            self._password = None
            self.save(update_fields=["password"])
        return is_right

    def clean(self) -> None:
        """Require visible names and a user name without lookalikes; raises ValidationError.

        Every form calls it.
        """
        super().clean()
        _require_visible_names(self, "username", "first_name", "last_name")
        if poses_as_ascii(self.username):
            raise ValidationError(
                _("Username: It contains letters that only look like plain ones; use plain letters.")
            )

    def password_stamp(self) -> str:
        """A short fingerprint of the current password. Credentials with another one are not valid."""
        # It includes the id, so that users with the same stored password have different stamps.
        return sha256(f"{self.pk}:{self.get_session_auth_hash()}".encode()).hexdigest()[:STAMP_CHARS]


def _saver(save: Callable[..., None], kwargs: dict[str, Any], update_fields: Collection[str] | None) -> None:
    save(**kwargs | {"update_fields": update_fields})


class Tenant(models.Model):
    """A customer of the site, with its own name, hosts, members and data."""

    slug = models.SlugField(
        max_length=50, unique=True, help_text=gettext_lazy("Its name in tokens, topics and logs.")
    )
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(
        default=True, help_text=gettext_lazy("Off: its hosts answer 404 and its sockets close.")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Require a visible name; raises ValidationError."""
        super().clean()
        _require_visible_names(self, "name")


class Domain(models.Model):
    """A host of a tenant. It is looked up by its exact name."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="domains")
    host = models.CharField(
        max_length=MAX_HOST_CHARS,
        unique=True,
        validators=[validate_host],
        help_text=gettext_lazy("Lower case, without a port."),
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["host"]
        constraints = [
            models.CheckConstraint(condition=models.Q(host=Lower("host")), name="domain_host_is_lower_case"),
        ]

    def __str__(self) -> str:
        return self.host


class Membership(models.Model):
    """A user's membership of a tenant: the role, and the status that other members see."""

    class Role(models.TextChoices):
        """The role of a member."""

        MEMBER = "member"
        STAFF = "staff"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    extra_scopes = models.JSONField(default=list, blank=True, validators=[validate_scopes])
    is_active = models.BooleanField(default=True)
    status = models.CharField(max_length=MAX_STATUS_CHARS, default="online", blank=True)
    status_emoji = models.CharField(max_length=MAX_STATUS_EMOJI_CHARS, default="", db_default="", blank=True)
    # Shown beside the user name, and instead of it where there is little space.
    name = models.CharField(max_length=MAX_NAME_CHARS, default="", db_default="", blank=True)

    class Meta:
        ordering = ["tenant_id", "user_id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "tenant"], name="one_membership_per_user_and_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"

    def save(self, **kwargs: Any) -> None:
        """Save the membership. Credentials with rights that it takes away are revoked."""
        _rights().membership_save(self, partial(_saver, super().save, kwargs), kwargs.get("update_fields"))

    def clean(self) -> None:
        """Require a visible name and status, or empty ones; raises ValidationError."""
        super().clean()
        _require_visible_names(self, "status", "name")

    @property
    def is_staff(self) -> bool:
        """Whether the member is staff of this tenant, by role or as a superuser."""
        return self.role == self.Role.STAFF or self.user.is_superuser

    @property
    def scopes(self) -> frozenset[str]:
        """All scopes that a credential of this member may have."""
        return member_scopes(self.extra_scopes, is_staff=self.is_staff)


class Ticket(models.Model):
    """A single-use credential for one socket. Only the hash of its secret is stored.

    `family`, `session_key_hash`, `stamp` and `access_expires_at` come from the credential that requested it.
    A socket that is opened with the ticket ends when that credential would end.
    """

    token_hash = models.CharField(max_length=SHA256_HEX_CHARS, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tickets")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="tickets")
    scopes = models.JSONField(default=list)
    family = models.CharField(max_length=FAMILY_CHARS, blank=True, default="")
    session_key_hash = models.CharField(max_length=SHA256_HEX_CHARS, blank=True, default="")
    stamp = models.CharField(max_length=STAMP_CHARS)
    access_expires_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"Ticket {self.pk} of {self.user}"


class Revocation(models.Model):
    """A revocation: it ends credentials before their expiry.

    Rows are never changed. They are read in the order of ids and kept as long as such a credential could be
    used.

    `value` is a token family, the hash of a session's key or a tenant's slug (membership), otherwise empty.
    For users and memberships the revocation ends credentials with a `rights_version` below `rights_below`. If
    `lost` is not empty, it ends only those with one of these scopes or flags. `user_id` is not a foreign key,
    because the row is kept after the user is deleted.
    """

    class Kind(models.TextChoices):
        """The kind of subject of a revocation."""

        FAMILY = "family", "all tokens of one sign-in"
        STAMP = "stamp", "all tokens made under a former password (of an older version)"
        SESSION = "session", "a session"
        USER = "user", "what a user held"
        MEMBERSHIP = "membership", "what a user held in a tenant"
        SIGN_OUT = "sign_out", "what a member had signed in with on a tenant"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    user_id = models.BigIntegerField(null=True, db_index=True)
    value = models.CharField(max_length=64, db_index=True, blank=True)
    rights_below = models.BigIntegerField(default=0, db_default=0)
    lost = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.kind} {self.value or self.user_id}"


class UserSession(AbstractBaseSession):
    """A Django session of one tenant. Connections keep the hash to name the session without its key."""

    key_hash = models.CharField(max_length=SHA256_HEX_CHARS, unique=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="sessions")
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="sessions")

    class Meta(AbstractBaseSession.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"Session of {self.user or 'nobody'}"

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        """Return the store that reads and writes these rows."""
        store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
        return store


def _require_visible_names(row: models.Model, *fields: str) -> None:
    """Raise ValidationError if one of `fields` is neither empty nor a valid name (`accounts.core.text`)."""
    for name in fields:
        value: str = getattr(row, name)
        try:
            if value:
                clean_name(value, max_chars=len(value))
        except TextError as refused:
            # Not an error of the field, because a form may not contain the field.
            label = capfirst(str(getattr(row._meta.get_field(name), "verbose_name", name)))  # noqa: SLF001
            raise ValidationError(f"{label}: {refused}") from None
