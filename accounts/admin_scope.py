"""Restricts administrators who are not superusers to the rows of their own tenant."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.filters import RelatedFieldListFilter
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models import ForeignKey, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse

from accounts.admin_deletion import Deleted, deleted_objects
from accounts.admin_links import related_links
from accounts.models import Tenant, User
from accounts.selectors import membership_of_request
from realtime import CheckedAddresses
from realtime import Tenant as CoreTenant

# Lookups that Django's own filters put into a URL. Others may be expensive (regex) and are not needed.
FILTER_LOOKUPS = frozenset({"", "exact", "isnull", "gte", "lt"})
# Choices of a filter by another model. Beyond it, the list of one of them is opened from its page.
FILTER_CHOICES_MAX = 100
# Rows of an inline. Each has several fields, and Django refuses forms with more than 1,000. Beyond it the page
# links to their list.
INLINE_ROWS_MAX = 20


def tenant_of(request: HttpRequest) -> CoreTenant:
    """Return the tenant of the request's host."""
    tenant: CoreTenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
    return tenant


def is_superuser(request: HttpRequest) -> bool:
    """Return whether the user of the request is a superuser."""
    return isinstance(request.user, User) and request.user.is_superuser


def runs_tenant(request: HttpRequest) -> bool:
    """Return whether the user is staff of the tenant of the request's host."""
    membership = membership_of_request(request)
    return membership is not None and membership.is_staff


def rows_of(request: HttpRequest, rows: QuerySet[Any], tenant_path: str) -> QuerySet[Any]:
    """Return the `rows` that the user may see: all for superusers, otherwise those of their tenant."""
    if is_superuser(request):
        return rows
    if not runs_tenant(request):
        return rows.none()
    return rows.filter(**{tenant_path: tenant_of(request).id})


class BoundedFilter(RelatedFieldListFilter):
    """A filter by another model with at most FILTER_CHOICES_MAX choices, and the chosen one."""

    def has_output(self) -> bool:
        """Return whether the filter is shown. It also is with the chosen value as the only choice."""
        return bool(self.lookup_val) or super().has_output()

    def field_choices(self, field: Any, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> Any:
        """Return the choices. If there are more than FILTER_CHOICES_MAX, return the chosen one only."""
        rows = field.remote_field.model._default_manager.all()  # noqa: SLF001 Django's public name for it
        if rows.count() > FILTER_CHOICES_MAX:
            rows = rows.filter(pk__in=[key for key in self.lookup_val or () if key.isdigit()])
        return [(row.pk, str(row)) for row in rows]


class TenantScopedInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """Rows of the request's tenant on the page of another model. That model's change permission decides.

    A page leaves it out if there would be more than INLINE_ROWS_MAX of them.
    """

    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that may be seen."""
        return rows_of(request, super().get_queryset(request), "tenant")


class BoundedAdmin(CheckedAddresses, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The base of all pages: none of them reads all rows, however many there are."""

    list_per_page = 50
    # Otherwise every list is counted twice.
    show_full_result_count = False

    def get_deleted_objects(self, objs: "QuerySet[Any] | Sequence[Any]", request: HttpRequest) -> Deleted:
        """Return the rows that a deletion would delete, within bounds."""
        return deleted_objects(objs, request, self.admin_site)


class TenantScopedAdmin(BoundedAdmin):
    """Rows of the request's tenant, for its staff with Django's permissions. Superusers see everything.

    `tenant_path` leads from the model to the tenant. If `is_for_superusers`, staff may only view the rows.
    If `is_shared`, a row belongs to several tenants and its history is for superusers only.
    `link_filters` are the foreign keys by which other pages link to this list.
    """

    tenant_path = "tenant"
    is_for_superusers = False
    is_shared = False
    link_filters: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that may be seen."""
        return rows_of(request, super().get_queryset(request), self.tenant_path)

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Remove filters by other models for staff, because they list rows of all tenants."""
        filters = super().get_list_filter(request)
        if is_superuser(request):
            return filters
        return [each for each in filters if isinstance(each, str) and self._is_own_field(each)]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Return whether the URL may filter by this. Staff may only use the filters that the list offers.

        Django allows comparisons with the key of every related model. With them, staff could find out the
        keys of the sessions of a visible row, and its rows in other tenants.
        """
        if request is not None and is_superuser(request):
            return super().lookup_allowed(lookup, value, request)
        name, _, how = lookup.partition(LOOKUP_SEP)
        if how == "id__exact" and name in self.link_filters:
            # A key of the row that its list shows anyway.
            return request is not None
        return request is not None and name in self.get_list_filter(request) and how in FILTER_LOOKUPS

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the history of a row.

        Superusers only if it is shared, because other tenants' staff may have changed it.
        """
        if self.is_shared and not is_superuser(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out inlines with too many rows."""
        inlines = super().get_inline_instances(request, obj)
        return inlines if obj is None else [each for each in inlines if _fits(each, request, obj)]

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Show the page with links to the lists of rows that belong to this one."""
        if obj is not None:
            context["related_links"] = related_links(self.admin_site, request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        """Staff get no search for a tenant: there is only theirs."""
        fields = super().get_autocomplete_fields(request)
        return fields if is_superuser(request) else [each for each in fields if each != "tenant"]

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> "ModelChoiceField[Any] | None":
        """Offer staff only their own tenant, chosen already."""
        if db_field.related_model is Tenant and not is_superuser(request):
            kwargs |= {"queryset": Tenant.objects.filter(pk=tenant_of(request).id), "empty_label": None}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the app is listed."""
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

    def _is_own_field(self, name: str) -> bool:
        try:
            return not self.opts.get_field(name).is_relation
        except FieldDoesNotExist:
            # A path through another model.
            return False


def _fits(inline: Any, request: HttpRequest, row: Model) -> bool:
    # The foreign key has the name of the model.
    rows = inline.get_queryset(request).filter(**{str(row._meta.model_name): row.pk})  # noqa: SLF001
    return bool(rows[: INLINE_ROWS_MAX + 1].count() <= INLINE_ROWS_MAX)


class SuperuserAdmin(BoundedAdmin):
    """Rows of the whole site, for superusers only, even if others have the permissions."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return is_superuser(request) and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Superusers."""
        return is_superuser(request) and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return is_superuser(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Superusers."""
        return is_superuser(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Superusers."""
        return is_superuser(request) and super().has_delete_permission(request, obj)


class RecordAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Rows that are written by the code and read-only in the admin.

    If `is_deleted_with_others`, deleting the row that they belong to needs no permission for them.
    """

    is_deleted_with_others = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False
