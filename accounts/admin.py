"""Users, tenants and related models in the admin. Changes take effect at once, on every node."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, Prefetch, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, reverse_lazy
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.admin_actions import resume, sign_out_everywhere, suspend
from accounts.admin_keys import tenants_run_by, users_of, warn_of_keys
from accounts.admin_links import NOTHING, linked, page_link
from accounts.admin_scope import (
    BoundedFilter,
    RecordAdmin,
    SuperuserAdmin,
    TenantScopedAdmin,
    TenantScopedInline,
    is_superuser,
)
from accounts.core.scopes import validate_scopes
from accounts.models import Domain, Membership, Revocation, Tenant, Ticket, User, UserSession
from accounts.selectors import membership_of_request
from accounts.services import access_changed
from accounts.web.forms import AdminSignInForm
from accounts.web.views import PasswordView

# The number of tenants that the list of users shows for each.
TENANTS_SHOWN = 3

admin.site.site_header = "Rockstar"
admin.site.site_title = "Rockstar"
admin.site.login_form = AdminSignInForm


def _own_password_change(
    request: HttpRequest, extra_context: dict[str, Any] | None = None
) -> HttpResponseBase:
    """The admin's page on which users change their own password.

    It limits wrong old passwords, like the site's own page.
    """
    request.current_app = admin.site.name  # as AdminSite.password_change does
    view = PasswordView.as_view(
        template_name="registration/password_change_form.html",
        success_url=reverse_lazy("admin:password_change_done"),
        extra_context={**admin.site.each_context(request), **(extra_context or {})},
    )
    return view(request)


admin.site.password_change = _own_password_change  # type: ignore[assignment,method-assign]  # no hook passes the request
# These have no data for people to read, and no tenant to filter by.
admin.site.unregister([OutstandingToken, BlacklistedToken])
# Registered again below, for superusers only.
admin.site.unregister(Group)


class AccessAdmin(TenantScopedAdmin):
    """The base for models that decide about access.

    After a change, sessions and sockets are checked again.
    """

    def save_model(self, request: HttpRequest, obj: Model, form: "ModelForm[Any]", change: bool) -> None:
        """Save the row, and tell who takes rights away of the keys that go on."""
        before = tenants_run_by(obj)
        super().save_model(request, obj, form, change)
        if before - tenants_run_by(obj):
            warn_of_keys(request, users_of([obj]))

    def save_related(self, request: HttpRequest, form: "ModelForm[Any]", formsets: Any, change: bool) -> None:
        """Save related rows, the last step of every save, then check access again."""
        super().save_related(request, form, formsets, change)
        access_changed()

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete one row and check access again."""
        makers = users_of([obj])
        super().delete_model(request, obj)
        access_changed()
        warn_of_keys(request, makers)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete several rows and check access again."""
        makers = users_of(queryset)
        super().delete_queryset(request, queryset)
        access_changed()
        warn_of_keys(request, makers)


class DomainInline(TenantScopedInline):
    """The hosts of a tenant, on its page."""

    model = Domain


class UserMembershipInline(TenantScopedInline):
    """The tenants of a user, on the user's page. Staff see their own tenant only.

    New ones are added here; each has a page of its own to be changed, since a search field costs a query a row.
    """

    model = Membership
    autocomplete_fields = ("tenant",)
    show_change_link = True
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows that the user may see, with the related rows that their texts need."""
        return super().get_queryset(request).select_related("user", "tenant")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Always False: a membership is changed on its own page."""
        return False


class MembershipForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A member's role and scopes. `grantable` are the scopes that the editor may give; None means all."""

    grantable: frozenset[str] | None = None

    class Meta:
        model = Membership
        fields = ("user", "tenant", "role", "extra_scopes", "is_active", "status")

    def clean_extra_scopes(self) -> list[str]:
        """Refuse scopes that the editor does not have. Scopes that the member already has may stay."""
        # None if the field was emptied.
        scopes: list[str] = self.cleaned_data["extra_scopes"] or []
        validate_scopes(scopes)
        if self.grantable is not None:
            too_much = set(scopes) - self.grantable - set(self.initial.get("extra_scopes") or ())
            if too_much:
                message = _("You do not have the scopes {scopes}.")
                raise forms.ValidationError(message.format(scopes=", ".join(sorted(too_much))))
        return scopes


@admin.register(Tenant)
class TenantAdmin(AccessAdmin):
    """Tenants, with their hosts, and links to the lists of their members, rooms and others."""

    tenant_path = "id"
    is_for_superusers = True
    list_display = ("name", "slug", "is_active", "created_at")
    list_filter = ("is_active",)
    search_fields = ("name", "slug", "domains__host")
    inlines = (DomainInline,)
    actions = (suspend, resume)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Make the slug of an existing tenant read-only: topics, tokens, keys, bans and the audit log go by it."""
        return () if obj is None else ("slug",)


@admin.register(Domain)
class DomainAdmin(AccessAdmin):
    """Hosts."""

    is_for_superusers = True
    list_display = ("host", linked("tenant"), "is_active")
    list_filter = ("is_active", ("tenant", BoundedFilter))
    link_filters = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("host",)
    autocomplete_fields = ("tenant",)


@admin.register(Membership)
class MembershipAdmin(AccessAdmin):
    """Memberships of users in tenants."""

    form = MembershipForm
    list_display = ("id", linked("user"), linked("tenant"), "role", "status", "is_active")
    list_filter = ("is_active", "role", ("tenant", BoundedFilter))
    link_filters = ("user", "tenant")
    # No column has an index to sort by.
    sortable_by = ()
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "user__email")
    autocomplete_fields = ("user", "tenant")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers only, because staff of one tenant must not see the users of others."""
        return is_superuser(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse staff who change the membership of a superuser."""
        return _is_in_reach(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse staff who delete the membership of a superuser."""
        return _is_in_reach(request, obj) and super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Make user and tenant of an existing membership read-only."""
        return () if obj is None else ("user", "tenant")

    def get_form(
        self, request: HttpRequest, obj: Membership | None = None, change: bool = False, **kwargs: Any
    ) -> "type[ModelForm[Any]]":
        """Return the form with the scopes that the editor may give."""
        form = super().get_form(request, obj, change, **kwargs)
        if not is_superuser(request):
            own = membership_of_request(request)
            form.grantable = own.scopes if own else frozenset()  # type: ignore[attr-defined]  # MembershipForm's
        return form


@admin.register(User)
class RockstarUserAdmin(UserAdmin, AccessAdmin):  # type: ignore[type-arg, misc]  # not generic at run time
    """Users. Staff of a tenant see its members, but nothing about them in other tenants."""

    tenant_path = "memberships__tenant"
    is_for_superusers = True
    is_shared = True
    inlines = (UserMembershipInline,)
    actions = (sign_out_everywhere,)
    list_display = (
        "username", "email", "first_name", "last_name", "is_staff", "is_active", "last_login", "tenants"
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the users that may be seen; for superusers, with the first memberships of each."""
        rows = super().get_queryset(request)
        if not is_superuser(request) or not _is_list(request):
            return rows
        memberships = Membership.objects.select_related("tenant").order_by("tenant_id")[: TENANTS_SHOWN + 1]
        return rows.prefetch_related(Prefetch("memberships", memberships, to_attr="first_memberships"))

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may sign others out everywhere: those that they may see."""
        return self.has_view_permission(request) and request.user.has_perm("realtime.revoke_user")

    @admin.display(description=gettext_lazy("tenants"))
    def tenants(self, user: User) -> str:
        """The user's tenants, each with a link to the membership."""
        found: list[Membership] = user.first_memberships  # type: ignore[attr-defined]  # get_queryset()'s
        links = [(page_link(each, str(each.tenant)),) for each in found[:TENANTS_SHOWN]]
        more = ", …" if len(found) > TENANTS_SHOWN else ""
        return format_html("{}{}", format_html_join(", ", "{}", links), more) if links else NOTHING

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Show only names to anyone but superusers."""
        if is_superuser(request):
            return super().get_fieldsets(request, obj)
        return ((None, {"fields": ("username", "first_name", "last_name", "is_active")}),)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Hide the staff flag from staff, because it may be about another tenant."""
        if is_superuser(request):
            return super().get_list_display(request)
        return ("username", "email", "first_name", "last_name", "is_active")

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Hide the same fields from the filters."""
        return super().get_list_filter(request) if is_superuser(request) else ("is_active",)


@admin.register(Ticket)
class TicketAdmin(RecordAdmin, TenantScopedAdmin):
    """Unused tickets, without their secret."""

    is_deleted_with_others = True
    list_display = ("id", linked("user"), linked("tenant"), "expires_at")
    list_filter = (("tenant", BoundedFilter),)
    link_filters = ("user", "tenant")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username",)
    fields = ("user", "tenant", "scopes", "expires_at", "access_expires_at")


@admin.register(UserSession)
class UserSessionAdmin(RecordAdmin, TenantScopedAdmin):
    """The open sessions of all users, for superusers. There is no page for one session: its address would hold the key."""

    is_for_superusers = True
    is_deleted_with_others = True
    list_display = (linked("user"), linked("tenant"), "expire_date")
    list_display_links = None
    list_filter = (("tenant", BoundedFilter),)
    link_filters = ("user", "tenant")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username",)
    # The boxes of actions would hold the keys.
    actions = None
    ordering = ("-expire_date",)

    def get_urls(self) -> list[URLPattern]:
        """Return the address of the list alone."""
        return [each for each in super().get_urls() if str(each.name).endswith("_changelist")]


@admin.register(Revocation)
class RevocationAdmin(RecordAdmin, SuperuserAdmin):
    """Revocations of credentials. They have no tenant."""

    list_display = ("kind", "user_id", "value", "created_at", "expires_at")
    list_filter = ("kind",)
    search_fields = ("value", "user_id")


@admin.register(Group)
class SiteGroupAdmin(GroupAdmin, SuperuserAdmin):
    """Groups, for superusers only, because their permissions hold on every tenant."""


def _is_list(request: HttpRequest) -> bool:
    found = request.resolver_match
    return found is not None and str(found.url_name).endswith("_changelist")


def _is_in_reach(request: HttpRequest, row: Model | None) -> bool:
    return is_superuser(request) or not (isinstance(row, Membership) and row.user.is_superuser)
