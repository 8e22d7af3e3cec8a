"""The Django app."""

from types import ModuleType
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete

import realtime


class AccountsConfig(AppConfig):
    """Makes every deletion of a user, membership or session revoke the credentials that depend on it.

    The deletion of a tenant takes along what goes by its slug.
    """

    name = "accounts"
    # `accounts.rights.revocations`, for the models. It is set when the models are loaded.
    rights: ModuleType

    def ready(self) -> None:
        """Called by Django once, when all models are loaded."""
        from accounts import models  # noqa: PLC0415 models must be ready first
        from accounts.rights import revocations as rights  # noqa: PLC0415

        self.rights = rights

        # A bulk or cascading deletion does not call a row's delete(), but it sends this signal.
        def user(instance: models.User, **_: Any) -> None:
            rights.user_deleted(instance)

        def membership(instance: models.Membership, origin: object, **_: Any) -> None:
            rights.membership_deleted(instance, origin)

        def session(instance: models.UserSession, origin: object, **_: Any) -> None:
            rights.session_deleted(instance, origin)

        def tenant(instance: models.Tenant, **_: Any) -> None:
            realtime.forget_tenant(instance.slug)

        post_delete.connect(tenant, models.Tenant, weak=False, dispatch_uid="tenant")
        post_delete.connect(user, models.User, weak=False, dispatch_uid="user")
        post_delete.connect(membership, models.Membership, weak=False, dispatch_uid="membership")
        post_delete.connect(session, models.UserSession, weak=False, dispatch_uid="session")
