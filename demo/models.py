"""The table that the demo's live query reads."""

from django.db import models

from accounts.models import Tenant


class Item(models.Model):
    """An item that a tenant sells."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="items")
    name = models.CharField(max_length=100)
    category = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "category", "name"], name="one_item_per_name"),
        ]
        indexes = [models.Index(fields=["tenant", "category", "id"], name="item_by_category")]

    def __str__(self) -> str:
        return self.name
