"""Keys, bans, quotas and the audit log in the admin. Staff see and make those of their own tenant."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from realtime.control.admin_addresses import CheckedAddresses
from realtime.control.export import export
from realtime.control.keys import new_secret
from realtime.control.operators import session_actor
from realtime.control.orders import Order
from realtime.control.service import record, tell_if_possible
from realtime.core.addresses import network_of
from realtime.models import KEY_SCOPES, ApiKey, AuditEntry, Ban, TenantQuota
from realtime.node.bans import ban_value
from realtime.node.node import current_node
from realtime.node.operations import AddBan, RemoveBan
from realtime.node.ports import require_tenant
from realtime.node.staff import session_identity, tenant_of
from realtime.protocol.errors import RequestError

# The lookups that Django's filters and its list of dates put into an address.
FILTER_LOOKUPS = frozenset({"", "exact", "isnull", "gte", "lt"})
DATE_LOOKUPS = frozenset({"year", "month", "day", "gte", "lt"})


class OwnTenantAdmin(CheckedAddresses, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Rows of the request's tenant, for its staff with Django's permissions. Superusers see everything."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows that may be seen."""
        rows = super().get_queryset(request)
        if is_superuser(request):
            return rows
        tenant = tenant_of(request)
        return rows.filter(tenant=tenant.slug) if tenant is not None and runs_tenant(request) else rows.none()

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Return the read-only fields. Staff cannot choose the tenant, because it is always their own."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if is_superuser(request) else (*fields, "tenant")

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Hide the filter by tenant from staff, because it lists the others."""
        filters = super().get_list_filter(request)
        return filters if is_superuser(request) else [each for each in filters if each != "tenant"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Return whether a lookup may be used. Staff may only use the filters that the list offers them.

        SQLite leaves regular expressions to Python, which serves no socket while it tries one.
        """
        if request is not None and is_superuser(request):
            return super().lookup_allowed(lookup, value, request)
        name, _, how = lookup.partition(LOOKUP_SEP)
        if name == self.date_hierarchy:
            return how in DATE_LOOKUPS
        return request is not None and name in self.get_list_filter(request) and how in FILTER_LOOKUPS

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the field of a form. A tenant that is named must exist: a row that names another has no effect."""
        made = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "tenant" and made is not None:
            made.validators.append(_check_tenant)
        return made

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a row. Staff save rows of their own tenant only."""
        tenant = tenant_of(request)
        if not is_superuser(request) and tenant is not None:
            obj.tenant = tenant.slug
        super().save_model(request, obj, form, change)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the app is listed."""
        return self._may(request) and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may see rows: staff of this tenant with the permission."""
        return self._may(request) and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may add rows: staff of this tenant with the permission."""
        return self._may(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may change rows: staff of this tenant with the permission."""
        return self._may(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may delete rows: staff of this tenant with the permission."""
        return self._may(request) and super().has_delete_permission(request, obj)

    def _may(self, request: HttpRequest) -> bool:
        return is_superuser(request) or runs_tenant(request)


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A key's name, scopes and end. `grantable` are the scopes that the editor may give."""

    scopes = forms.MultipleChoiceField(
        choices=[(each, each) for each in KEY_SCOPES], widget=forms.CheckboxSelectMultiple
    )
    grantable: frozenset[str] = frozenset()

    class Meta:
        model = ApiKey
        fields = ("name", "tenant", "scopes", "expires_at")

    def clean_scopes(self) -> list[str]:
        """Refuse scopes that the editor does not hold."""
        scopes: list[str] = self.cleaned_data["scopes"]
        too_much = set(scopes) - self.grantable
        if too_much:
            message = _("You do not hold {scopes}.")
            raise forms.ValidationError(message.format(scopes=", ".join(sorted(too_much))))
        return scopes


@admin.register(ApiKey)
class ApiKeyAdmin(OwnTenantAdmin):
    """API keys. The secret is shown once, after a key was made."""

    form = ApiKeyForm
    list_display = (
        "name",
        "prefix",
        "tenant",
        "scopes",
        "created_by",
        "created_at",
        "expires_at",
        "last_used_at",
    )
    list_filter = ("tenant",)
    search_fields = ("name", "prefix", "created_by")
    readonly_fields = ("prefix", "created_by", "created_at", "last_used_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form with the scopes that the editor may give."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        identity = session_identity(request)
        form.grantable = (
            frozenset(KEY_SCOPES) if is_superuser(request) else (identity and identity.scopes) or frozenset()
        )
        return form

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Give a new key its secret, and show it."""
        secret = "" if change else new_secret(obj)
        if not change:
            obj.created_by = request.user.get_username()
        super().save_model(request, obj, form, change)
        if secret:
            message = _("The key is {secret} — keep it now: it cannot be shown again.")
            messages.warning(request, message.format(secret=secret))


class BanForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A ban of a user or of an address, until a time in the future.

    `own_tenant` is the tenant of staff, who cannot choose another; None for superusers.
    """

    own_tenant: str | None = None

    class Meta:
        model = Ban
        fields = ("tenant", "user_id", "address", "until", "reason")

    def clean(self) -> dict[str, Any]:
        """Require exactly one target, a user that exists, a valid address or network, and a time in the future."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        user_id, address = values.get("user_id", ""), values.get("address", "")
        if bool(user_id) == bool(address):
            raise forms.ValidationError(_("Name either a user or an address."))
        knows_user = getattr(current_node().authenticator, "knows_user", None)
        tenant = self.own_tenant or values.get("tenant") or None
        if user_id and knows_user is not None and not knows_user(user_id, tenant):
            self.add_error("user_id", _("There is no user with this id."))
        if address and network_of(address) is None:
            self.add_error("address", _("Expected an address or a network."))
        if values.get("until") and values["until"] <= timezone.now():
            self.add_error("until", _("Expected a time in the future."))
        return values


class _Fixed(OwnTenantAdmin):
    """Rows that nobody may change."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False: nobody may change a row."""
        return False


@admin.register(Ban)
class BanAdmin(_Fixed):
    """Bans. Delete one to lift it."""

    form = BanForm
    list_display = ("__str__", "tenant", "until", "reason", "created_by", "created_at")
    list_filter = ("tenant",)
    search_fields = ("user_id", "address", "reason")
    fields = ("tenant", "user_id", "address", "until", "reason")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form of the editor's tenant."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        tenant = tenant_of(request)
        form.own_tenant = None if tenant is None or is_superuser(request) else tenant.slug
        return form

    def save_model(self, request: HttpRequest, obj: Ban, form: Any, change: bool) -> None:
        """Save the ban with an entry in the audit log, and put it in force at once."""
        obj.created_by = request.user.get_username()
        super().save_model(request, obj, form, change)
        _put_in_force(request, obj, "ban", AddBan(ban=ban_value(obj)))

    def delete_model(self, request: HttpRequest, obj: Ban) -> None:
        """Lift the ban at once, with an entry in the audit log."""
        ban_id = obj.pk
        super().delete_model(request, obj)
        _put_in_force(request, obj, "unban", RemoveBan(ban_id=ban_id))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Ban]) -> None:
        """Lift several bans."""
        for row in queryset:
            self.delete_model(request, row)


@admin.register(TenantQuota)
class TenantQuotaAdmin(OwnTenantAdmin):
    """Quotas of tenants. Staff may only see those of their own tenant."""

    list_display = ("tenant", "max_connections", "max_connections_per_user", "messages_per_s")
    search_fields = ("tenant",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may add quotas: superusers only."""
        return is_superuser(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may change quotas: superusers only."""
        return is_superuser(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may delete quotas: superusers only."""
        return is_superuser(request) and super().has_delete_permission(request, obj)


@admin.register(AuditEntry)
class AuditEntryAdmin(_Fixed):
    """The audit log of operators' actions; read-only."""

    list_display = ("at", "actor", "actor_kind", "tenant", "action", "target", "reason", "outcome", "count")
    list_filter = ("action", "outcome", "actor_kind", "tenant")
    search_fields = ("actor", "reason", "address")
    date_hierarchy = "at"
    actions = ("export_csv", "export_json")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: nobody may add an entry."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False: nobody may delete an entry."""
        return False

    @admin.action(description=gettext_lazy("Export as CSV"))
    def export_csv(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> HttpResponseBase:
        """Return the chosen entries."""
        return export(queryset, "csv")

    @admin.action(description=gettext_lazy("Export as JSON lines"))
    def export_json(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> HttpResponseBase:
        """Return the chosen entries."""
        return export(queryset, "json")


def _put_in_force(request: HttpRequest, row: Ban, action: str, operation: Any) -> None:
    """Record a change of a ban in the audit log, and tell the nodes after the commit."""
    actor = session_actor(request)
    assert actor is not None  # the admin is for staff
    target = {"user_id": row.user_id, "address": row.address, "until": row.until}
    record(Order(action, actor, row.tenant or None, target, row.reason))
    transaction.on_commit(lambda: tell_if_possible(operation))


def _check_tenant(slug: str) -> None:
    try:
        require_tenant(current_node().directory, slug)
    except RequestError as error:
        raise forms.ValidationError(error.message) from None


def is_superuser(request: HttpRequest) -> bool:
    """Return whether the user of the request is a superuser."""
    return bool(getattr(request.user, "is_superuser", False))


def runs_tenant(request: HttpRequest) -> bool:
    """Return whether the session belongs to staff of the host's tenant; checked once for each request."""
    cached: bool | None = getattr(request, "_runs_realtime", None)
    if cached is None:
        identity = session_identity(request)
        cached = identity is not None and identity.is_staff is True
        request._runs_realtime = cached  # type: ignore[attr-defined]  # noqa: SLF001 kept for this request
    return cached
