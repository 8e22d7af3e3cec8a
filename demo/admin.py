"""Items in the admin."""

from django.contrib import admin

from accounts.admin_links import linked
from accounts.admin_scope import BoundedFilter, TenantScopedAdmin
from demo.models import Item


@admin.register(Item)
class ItemAdmin(TenantScopedAdmin):
    """Items, searched by name."""

    list_display = ["name", "category", "price", linked("tenant"), "updated_at"]
    list_filter = [("tenant", BoundedFilter), "category"]
    link_filters = ("tenant",)
    autocomplete_fields = ("tenant",)
    search_fields = ["name"]
    list_select_related = ["tenant"]
