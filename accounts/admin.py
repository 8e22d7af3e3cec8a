"""Users, tenants and what belongs to them, in the admin. What is edited here holds at once, on every node."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.admin_scope import TenantScopedAdmin, is_superuser
from accounts.forms import AdminSignInForm, UserPasswordForm
from accounts.models import Domain, Membership, Revocation, Tenant, Ticket, User
from accounts.services import access_changed

admin.site.site_header = "Rockstar"
admin.site.site_title = "Rockstar"
admin.site.login_form = AdminSignInForm
# They hold nothing for people, and no tenant to show them by.
admin.site.unregister([OutstandingToken, BlacklistedToken])


class AccessAdmin(TenantScopedAdmin):
    """Of models that decide who may be here: after an edit, sessions and sockets are checked again."""

    def save_related(self, request: HttpRequest, form: "ModelForm[Any]", formsets: Any, change: bool) -> None:
        """The last step of every save."""
        super().save_related(request, form, formsets, change)
        access_changed()

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete one."""
        super().delete_model(request, obj)
        access_changed()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete several."""
        super().delete_queryset(request, queryset)
        access_changed()


class DomainInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """The hosts of a tenant, on its page."""

    model = Domain
    extra = 0


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """The members of a tenant, on its page."""

    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


class UserMembershipInline(MembershipInline):
    """The tenants of a user, on their page."""

    autocomplete_fields = ("tenant",)


@admin.register(Tenant)
class TenantAdmin(AccessAdmin):
    """Tenants, with their hosts and members."""

    tenant_path = "id"
    is_for_superusers = True
    list_display = ("name", "slug", "is_active", "created_at")
    list_filter = ("is_active",)
    search_fields = ("name", "slug", "domains__host")
    inlines = (DomainInline, MembershipInline)


@admin.register(Domain)
class DomainAdmin(AccessAdmin):
    """Hosts."""

    is_for_superusers = True
    list_display = ("host", "tenant", "is_active")
    list_filter = ("is_active", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("host",)


@admin.register(Membership)
class MembershipAdmin(AccessAdmin):
    """Who is a member of what."""

    list_display = ("user", "tenant", "role", "status", "is_active")
    list_filter = ("is_active", "role", "tenant")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "user__email", "tenant__name")
    autocomplete_fields = ("user",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers: staff of one tenant are not shown the people of the others."""
        return is_superuser(request) and super().has_add_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Whose membership it is stays as it is."""
        return () if obj is None else ("user", "tenant")


@admin.register(User)
class RockstarUserAdmin(UserAdmin, AccessAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Users. Staff of a tenant see its members, and none of what makes a superuser."""

    tenant_path = "memberships__tenant"
    is_for_superusers = True
    change_password_form = UserPasswordForm
    inlines = (UserMembershipInline,)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Names only, for whoever is no superuser."""
        if is_superuser(request):
            return super().get_fieldsets(request, obj)
        return ((None, {"fields": ("username", "first_name", "last_name", "is_active", "last_login")}),)


class RecordAdmin(TenantScopedAdmin):
    """Rows that the code writes and people read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


@admin.register(Ticket)
class TicketAdmin(RecordAdmin):
    """Tickets nobody has used yet, without their secret."""

    list_display = ("user", "tenant", "expires_at")
    list_filter = ("tenant",)
    list_select_related = ("user", "tenant")
    search_fields = ("user__username",)
    fields = ("user", "tenant", "scopes", "expires_at", "access_expires_at")


@admin.register(Revocation)
class RevocationAdmin(RecordAdmin):
    """Tokens ended before their time. They carry no tenant: superusers only."""

    is_for_superusers = True
    list_display = ("kind", "value", "created_at", "expires_at")
    list_filter = ("kind",)
    search_fields = ("value",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Superusers."""
        return is_superuser(request)
