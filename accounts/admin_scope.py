"""What an administrator who is no superuser sees: the rows of their own tenant."""

from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest

from accounts.models import Tenant, User
from accounts.selectors import membership_of
from realtime.core.identity import Tenant as CoreTenant


def tenant_of(request: HttpRequest) -> CoreTenant:
    """The tenant of the host the admin was opened on."""
    tenant: CoreTenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
    return tenant


def is_superuser(request: HttpRequest) -> bool:
    """Whether the site's superuser is asking."""
    return isinstance(request.user, User) and request.user.is_superuser


def runs_tenant(request: HttpRequest) -> bool:
    """Whether whoever asks is staff of the tenant whose host they ask on. One query, once a request."""
    cached: bool | None = getattr(request, "_runs_tenant", None)
    if cached is None:
        membership = membership_of(tenant_of(request).id, request.user.pk) if request.user.pk else None
        cached = membership is not None and membership.is_staff
        request._runs_tenant = cached  # type: ignore[attr-defined]  # noqa: SLF001 kept for this request
    return cached


class TenantScopedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Rows of the request's tenant, for its staff, by Django's permissions; superusers see everything.

    `tenant_path` leads from the model to the tenant. Where `is_for_superusers`, staff may look but not touch.
    """

    tenant_path = "tenant"
    is_for_superusers = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that may be seen."""
        rows = super().get_queryset(request)
        if is_superuser(request):
            return rows
        if not runs_tenant(request):
            return rows.none()
        return rows.filter(**{self.tenant_path: tenant_of(request).id})

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> "ModelChoiceField[Any] | None":
        """Offers no tenant but one's own."""
        if db_field.related_model is Tenant and not is_superuser(request):
            kwargs["queryset"] = Tenant.objects.filter(pk=tenant_of(request).id)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the application is listed at all."""
        return runs_tenant(request) and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Staff of this tenant, with the permission."""
        return runs_tenant(request) and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Staff of this tenant, with the permission."""
        return self._may_write(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Staff of this tenant, with the permission."""
        return self._may_write(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Staff of this tenant, with the permission."""
        return self._may_write(request) and super().has_delete_permission(request, obj)

    def _may_write(self, request: HttpRequest) -> bool:
        return is_superuser(request) if self.is_for_superusers else runs_tenant(request)
