"""Deletes what this package stores for a tenant. These rows name the tenant by its slug."""

from django.db import transaction

from realtime import tables

# What the audit log calls the tenant from then on. No slug has a space, so that no other tenant sees the entries.
DELETED = " (deleted)"


@transaction.atomic
def forget_tenant(slug: str) -> None:
    """Delete the keys, bans, quota and waiting publications of a tenant, which must not go to another of its slug.

    Call it in the transaction that deletes the tenant. The audit log goes on to show its entries to superusers.
    """
    for model in (tables.ApiKey, tables.Ban, tables.TenantQuota, tables.StoredPublication):
        model._default_manager.filter(tenant=slug).delete()  # noqa: SLF001 Django's public name for it
    # SQLite finds those of slugs in other letters, too.
    found = tables.IdempotentAnswer.objects.filter(actor__endswith=f":{slug}").values_list("pk", "actor")
    answers = [pk for pk, actor in found if actor.endswith(f":{slug}")]
    tables.IdempotentAnswer.objects.filter(pk__in=answers).delete()
    name = slug[: tables.SLUG_MAX_CHARS - len(DELETED)] + DELETED
    tables.AuditEntry.objects.filter(tenant=slug).update(tenant=name)
