"""The tables of operators (keys, bans, quotas, the audit log), of the transactional outbox and of the samples. One
more model only has a permission.

Tenants are named by their slug, users by their id as text: this package has no tables of either.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

SLUG_MAX_CHARS = 50
NAME_MAX_CHARS = 100
USER_MAX_CHARS = 64
ADDRESS_MAX_CHARS = 64
REASON_MAX_CHARS = 200
SHA256_HEX_CHARS = 64
KEY_PREFIX_CHARS = 11
IDEMPOTENCY_KEY_MAX_CHARS = 128
# The scopes that an ApiKey may hold.
KEY_SCOPES = ("control:read", "control:write", "metrics:read")


class NoRows(models.Manager["LivePage"]):
    """There is no table. `dumpdata` asks every model for its rows all the same."""

    def get_queryset(self) -> "models.QuerySet[LivePage]":
        """Return nothing."""
        return super().get_queryset().none()


class LivePage(models.Model):
    """The live page of the admin, and what staff may order there, each with a permission of its own.

    Grant them to users or groups; superusers have all. Bans have Django's own: `add_ban`, `delete_ban`.
    """

    objects = NoRows()

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("view_live", "Can view the live page"),
            ("publish_topic", "Can publish to topics"),
            ("disconnect_connection", "Can disconnect clients"),
            ("subscribe_user", "Can subscribe users to topics, and unsubscribe them"),
            ("revoke_user", "Can sign users out everywhere"),
            ("announce", "Can announce something to everyone connected"),
            ("drain_node", "Can drain nodes, which serve all tenants"),
        ]

    def __str__(self) -> str:
        return "live page"


def validate_key_scopes(scopes: object) -> None:
    """Raise ValidationError unless `scopes` is a list of scopes that a key may hold."""
    if not isinstance(scopes, list) or not scopes or set(map(str, scopes)) - set(KEY_SCOPES):
        message = _("Expected a list of some of: {scopes}.")
        raise ValidationError(message.format(scopes=", ".join(KEY_SCOPES)))


class ApiKey(models.Model):
    """A credential of a machine: `Authorization: Bearer rk_…`. Only the hash of its secret is stored.

    `tenant` is the slug of the tenant that the key is bound to; "" makes it an operator's key, for all
    tenants. A key without `expires_at` does not expire. `last_used_at` is written at most once a minute.
    """

    name = models.CharField(max_length=NAME_MAX_CHARS, help_text=gettext_lazy("What or who uses it."))
    tenant = models.CharField(
        max_length=SLUG_MAX_CHARS,
        blank=True,
        help_text=gettext_lazy("Slug of its tenant. Empty: an operator's key, for all."),
    )
    scopes = models.JSONField(default=list, validators=[validate_key_scopes])
    prefix = models.CharField(max_length=KEY_PREFIX_CHARS, editable=False)
    secret_hash = models.CharField(max_length=SHA256_HEX_CHARS, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=NAME_MAX_CHARS, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("API key")
        verbose_name_plural = gettext_lazy("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AuditEntry(models.Model):
    """One action of an operator, done or tried. Rows are written once; only retention deletes them.

    `tenant` is "" if the action concerns all tenants. `target` names the object of the action, never the data of a
    publication. `outcome` is `begun` until the operation has ended; `count` is its answer.
    """

    class Outcome(models.TextChoices):
        """The outcome of an operation."""

        BEGUN = "begun"
        DONE = "done"
        FAILED = "failed"

    class ActorKind(models.TextChoices):
        """The kind of credential that the operator used."""

        SESSION = "session"
        TOKEN = "token"  # noqa: S105 a kind, not a secret
        KEY = "key", "API key"
        COMMAND = "command", "manage.py"
        CODE = "code", "Python"

    at = models.DateTimeField(db_default=Now(), db_index=True)
    actor_kind = models.CharField(max_length=10, choices=ActorKind.choices)
    actor_id = models.CharField(max_length=USER_MAX_CHARS, blank=True)
    actor = models.CharField(max_length=150, blank=True)
    tenant = models.CharField(max_length=SLUG_MAX_CHARS, blank=True, db_index=True)
    action = models.CharField(max_length=20, db_index=True)
    target = models.JSONField(default=dict)
    reason = models.CharField(max_length=REASON_MAX_CHARS, blank=True)
    address = models.CharField(max_length=ADDRESS_MAX_CHARS, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.BEGUN)
    error = models.CharField(max_length=REASON_MAX_CHARS, blank=True)
    count = models.IntegerField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = gettext_lazy("audit entries")

    def __str__(self) -> str:
        return f"{self.action} by {self.actor or self.actor_kind}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert a new row; raises TypeError for an existing one."""
        if not self._state.adding:
            raise TypeError("The audit log is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raise TypeError: only retention deletes entries."""
        raise TypeError("The audit log is append-only.")


class Ban(models.Model):
    """A user, or an address or network, that may not connect or sign in until a time.

    `tenant` is "" for a ban on every tenant. Either `user_id` or `address` is set. Rows are not changed:
    delete a ban and make another.
    """

    tenant = models.CharField(
        max_length=SLUG_MAX_CHARS, blank=True, help_text=gettext_lazy("Empty: on every tenant.")
    )
    user_id = models.CharField(max_length=USER_MAX_CHARS, blank=True)
    address = models.CharField(
        max_length=ADDRESS_MAX_CHARS, blank=True, help_text=gettext_lazy("Address or network.")
    )
    until = models.DateTimeField(db_index=True)
    reason = models.CharField(max_length=REASON_MAX_CHARS, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(user_id="") ^ models.Q(address=""), name="ban_of_user_or_address"
            ),
        ]

    def __str__(self) -> str:
        return f"ban of {self.address or f'user {self.user_id}'}"


class IdempotentAnswer(models.Model):
    """The answer to a request with an `Idempotency-Key`, for the next request with the same key.

    `status` is None while the first request runs. `fingerprint` is a hash of the request, so that a key
    cannot be reused for another one.
    """

    actor = models.CharField(max_length=80)
    key = models.CharField(max_length=IDEMPOTENCY_KEY_MAX_CHARS)
    fingerprint = models.CharField(max_length=SHA256_HEX_CHARS)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["actor", "key"], name="one_answer_per_actor_and_key"),
        ]

    def __str__(self) -> str:
        return f"answer to {self.key}"


class TenantQuota(models.Model):
    """Limits of one tenant, in force on every node within two seconds. 0 switches a limit off."""

    tenant = models.CharField(
        max_length=SLUG_MAX_CHARS, unique=True, help_text=gettext_lazy("The tenant's slug.")
    )
    max_connections = models.PositiveIntegerField(
        default=0, help_text=gettext_lazy("Open WebSockets on all nodes. The next is refused with 429.")
    )
    max_connections_per_user = models.PositiveIntegerField(
        default=0,
        help_text=gettext_lazy("Open WebSockets of one user on one node, if lower than the site's limit."),
    )
    messages_per_s = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0.0)],
        help_text=gettext_lazy(
            "Messages from all clients of the tenant on one node. Beyond it they are rate_limited."
        ),
    )

    class Meta:
        ordering = ["tenant"]

    def __str__(self) -> str:
        return self.tenant


class StoredPublication(models.Model):
    """A publication that committed with a transaction and waits to be sent (`realtime.node.outbox_rows`).

    `body` is JSON; `key` is its idempotency key; `stored_s` is Unix time.
    """

    tenant = models.TextField()
    topic = models.TextField()
    body = models.TextField()
    key = models.TextField()
    stored_s = models.FloatField()

    class Meta:
        db_table = "realtime_outbox"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.tenant}/{self.topic}"


class OutboxLease(models.Model):
    """The one row that says which node sends the stored publications ("": none); `beat` rises while it works."""

    holder = models.CharField(max_length=32)
    beat = models.BigIntegerField()

    class Meta:
        db_table = "realtime_outbox_lease"
        default_permissions = ()

    def __str__(self) -> str:
        return self.holder


class FiguresSample(models.Model):
    """The figures of all nodes in the seconds before `at_s`, Unix time (`realtime.core.samples`).

    `body` has the sums of all tenants, `tenants` the rows of each. `is_coarse`: it sums up several others, for the
    long ranges of the charts.
    """

    at_s = models.FloatField()
    is_coarse = models.BooleanField(default=False)
    body = models.BinaryField()
    tenants = models.BinaryField(default=bytes)

    class Meta:
        db_table = "realtime_sample"
        default_permissions = ()
        indexes = [models.Index(fields=["is_coarse", "at_s"], name="realtime_sample_by_time")]

    def __str__(self) -> str:
        return f"sample at {self.at_s:.0f}"


class SamplesLease(models.Model):
    """The one row that says which node takes the samples ("": none); `beat` rises with each.

    `base` has all counts as of the last sample, so that the next node goes on from there.
    """

    holder = models.CharField(max_length=32)
    beat = models.BigIntegerField()
    base = models.BinaryField(default=bytes)

    class Meta:
        db_table = "realtime_samples_lease"
        default_permissions = ()

    def __str__(self) -> str:
        return self.holder
