"""Items in the admin."""

from django.contrib import admin

from accounts.admin_scope import TenantScopedAdmin
from demo.models import Item


@admin.register(Item)
class ItemAdmin(TenantScopedAdmin):
    """Items, searched by name."""

    list_display = ["name", "category", "price", "tenant", "updated_at"]
    list_filter = ["tenant", "category"]
    search_fields = ["name"]
    list_select_related = ["tenant"]
