"""Users of a test's own, made and changed beside the server: what is done to them hurts nobody else."""

from dataclasses import dataclass
from uuid import uuid4

from tests.servers.pool import Site

_NEW = """
from accounts.models import Membership, Tenant, User
password = User.objects.get(username="alice").password
user = User.objects.create(username=username, password=password, is_staff=staff)
tenant = Tenant.objects.get(slug=slug)
Membership.objects.create(user=user, tenant=tenant, role="staff" if staff else "member")
result = user.pk
"""


@dataclass(frozen=True)
class Person:
    """A user with the demo's password."""

    site: Site
    id: int
    username: str

    @classmethod
    def new(cls, site: Site, *, slug: str = "acme", staff: bool = False) -> "Person":
        """A new member (or member of staff) of a tenant."""
        username = f"user-{uuid4().hex[:12]}"
        return cls(site, site.orm.run(_NEW, username=username, slug=slug, staff=staff), username)

    def permit(self, *codenames: str) -> None:
        """Give the user permissions of `realtime`, and take away others."""
        self._change(
            "from django.contrib.auth.models import Permission\n"
            "held = Permission.objects.filter(content_type__app_label='realtime', codename__in=codenames)\n"
            "user.user_permissions.set(held)",
            codenames=list(codenames),
        )

    def deactivate(self) -> None:
        """Switch the user off."""
        self._change("user.is_active = False; user.save(update_fields=['is_active'])")

    def set_password(self, password: str) -> None:
        """Give the user another password."""
        self._change("user.set_password(password); user.save(update_fields=['password'])", password=password)

    def leave(self) -> None:
        """End the membership."""
        self._change("user.memberships.all().delete()")

    def suspend(self) -> None:
        """Switch the membership off."""
        self._change("user.memberships.update(is_active=False)")

    def delete(self) -> None:
        """Remove the user."""
        self._change("user.delete()")

    def _change(self, code: str, **names: object) -> None:
        load = "from accounts.models import User\nuser = User.objects.get(pk=pk)\n"
        self.site.orm.run(load + code, pk=self.id, **names)
