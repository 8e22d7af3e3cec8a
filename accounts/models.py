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

from accounts import hashing
from accounts.hosts import MAX_HOST_CHARS, validate_host
from accounts.scopes import member_scopes, validate_scopes
from accounts.text import TextError, clean_name, poses_as_ascii

SHA256_HEX_CHARS = 64
FAMILY_CHARS = 32
STAMP_CHARS = 16
MAX_STATUS_CHARS = 64


Save = Callable[[Collection[str] | None], None]


class Rights(Protocol):
    """What a save may take away, and what that ends: `accounts.rights`, which the app's config hands over."""

    def user_save(self, user: "User", save: Save, update_fields: Collection[str] | None) -> None:
        """Save a user by `save`, and end what the change takes away."""
        ...

    def membership_save(
        self, membership: "Membership", save: Save, update_fields: Collection[str] | None
    ) -> None:
        """Save a membership by `save`, and end what the change takes away."""
        ...


def _rights() -> Rights:
    rights: Rights = apps.get_app_config("accounts").rights  # type: ignore[attr-defined] # AccountsConfig
    return rights


def first_rights_version() -> int:
    """Of a user made now: above that of any former user with the same id. Microseconds since 1970."""
    return time_ns() // 1000


class User(AbstractUser):
    """A person. What they may do is said by their membership of each tenant.

    `rights_version` rises whenever something is taken away; credentials carry the one they were made under. It is
    no time: the clocks of several machines differ, and two things may happen within one second.
    """

    rights_version = models.BigIntegerField(default=first_rights_version, db_default=0, editable=False)

    def save(self, **kwargs: Any) -> None:
        """Store it; a new password, or a right taken away, ends the credentials made before."""
        _rights().user_save(self, partial(_saver, super().save, kwargs), kwargs.get("update_fields"))

    def set_password(self, raw_password: str | None) -> None:
        """Hash a new password, in the bounded pool; None makes it unusable. Raises Refusal(503) when that is busy."""
        self.password = hashing.make(raw_password)
        self._password = raw_password

    def check_password(self, raw_password: str | None) -> bool:
        """Whether it is the password, judged in the bounded pool. Raises Refusal(503) when that is busy."""
        is_right, must_update = hashing.verify(raw_password, self.password)
        if is_right and must_update:
            self.set_password(raw_password)
            # Django's own way to say that nothing but the hash has changed.
            self._password = None
            self.save(update_fields=["password"])
        return is_right

    def clean(self) -> None:
        """Names that can be seen, and a user name that is what it looks like; raises ValidationError. For every form."""
        super().clean()
        _require_visible_names(self, "username", "first_name", "last_name")
        if poses_as_ascii(self.username):
            raise ValidationError("Username: Only its look is that of plain letters; write it with them.")

    def password_stamp(self) -> str:
        """A short fingerprint of the current password; what was proved under another is worth nothing."""
        # With the id: users whose stored passwords are the same text still have different stamps.
        return sha256(f"{self.pk}:{self.get_session_auth_hash()}".encode()).hexdigest()[:STAMP_CHARS]


def _saver(save: Callable[..., None], kwargs: dict[str, Any], update_fields: Collection[str] | None) -> None:
    save(**kwargs | {"update_fields": update_fields})


class Tenant(models.Model):
    """One site of the many: a name of its own, hosts, members, and everything they make."""

    slug = models.SlugField(max_length=50, unique=True, help_text="Its name in tokens, topics and logs.")
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(
        default=True, help_text="Off: its hosts answer 404 and its sockets close."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A name that can be seen; raises ValidationError."""
        super().clean()
        _require_visible_names(self, "name")


class Domain(models.Model):
    """A host that serves a tenant. Looked up exactly."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="domains")
    host = models.CharField(
        max_length=MAX_HOST_CHARS,
        unique=True,
        validators=[validate_host],
        help_text="Lower case, without a port.",
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
    """A user in a tenant: the role, and what others there see of them."""

    class Role(models.TextChoices):
        """What a member is to the tenant."""

        MEMBER = "member"
        STAFF = "staff"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    extra_scopes = models.JSONField(default=list, blank=True, validators=[validate_scopes])
    is_active = models.BooleanField(default=True)
    status = models.CharField(max_length=MAX_STATUS_CHARS, default="online", blank=True)

    class Meta:
        ordering = ["tenant_id", "user_id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "tenant"], name="one_membership_per_user_and_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"

    def save(self, **kwargs: Any) -> None:
        """Store it; what it takes away ends the credentials that hold it."""
        _rights().membership_save(self, partial(_saver, super().save, kwargs), kwargs.get("update_fields"))

    def clean(self) -> None:
        """A status that can be seen, or none; raises ValidationError."""
        super().clean()
        _require_visible_names(self, "status")

    @property
    def is_staff(self) -> bool:
        """Whether the member runs this tenant: by role, or as the site's superuser."""
        return self.role == self.Role.STAFF or self.user.is_superuser

    @property
    def scopes(self) -> frozenset[str]:
        """Everything a credential of this member may be given."""
        return member_scopes(self.extra_scopes, is_staff=self.is_staff)


class Ticket(models.Model):
    """A single-use way in for a socket. Only the hash of its secret is kept.

    `family`, `session_key_hash`, `stamp` and `access_expires_at` are those of the credential it was made
    with: a socket opened by a ticket ends when that credential would have.
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
    """Credentials that end before their time: never changed, read in the order of ids, kept while one could be used.

    `value` is a token family, the hash of a session's key, a tenant's slug (membership), else empty. Of users and
    memberships it ends what was made under a version of the user's rights below `rights_below`; `lost` narrows that
    to what holds one of these scopes or flags. `user_id` is no foreign key: it outlives the user.
    """

    class Kind(models.TextChoices):
        """What ended."""

        FAMILY = "family", "all tokens of one sign-in"
        STAMP = "stamp", "all tokens made under a former password (of an older version)"
        SESSION = "session", "a session"
        USER = "user", "what a user held"
        MEMBERSHIP = "membership", "what a user held in a tenant"

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
    """A Django session of one tenant. The hash lets a connection name its session without holding its key."""

    key_hash = models.CharField(max_length=SHA256_HEX_CHARS, unique=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="sessions")
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="sessions")

    class Meta(AbstractBaseSession.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"Session of {self.user or 'nobody'}"

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        """The store that reads and writes these rows."""
        store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
        return store


def _require_visible_names(row: models.Model, *fields: str) -> None:
    """Raises ValidationError where one of `fields` is neither empty nor a name by `accounts.text`."""
    for name in fields:
        value: str = getattr(row, name)
        try:
            if value:
                clean_name(value, max_chars=len(value))
        except TextError as refused:
            # Not bound to the field: a form may show the row without it.
            raise ValidationError(f"{name.replace('_', ' ').capitalize()}: {refused}") from None
