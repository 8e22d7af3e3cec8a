"""No tables: the model exists for the permissions of this app."""

from django.db import models


class LivePage(models.Model):
    """The live page of the admin. Grant `realtime.view_live` to users or groups; superusers have it."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("view_live", "Can view the live page")]

    def __str__(self) -> str:
        return "live page"
