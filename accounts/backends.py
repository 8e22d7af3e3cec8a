"""Sign-in by user name and password, for members of the request's tenant."""

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User
from accounts.selectors import membership_of


class MembershipBackend(ModelBackend):
    """Django's backend, which also requires an active membership of the request's tenant.

    A user of another tenant gets the same answer as for a wrong password, after the same hashing.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: object,
    ) -> User | None:
        """Return the user if the password is right and the user is a member of this tenant."""
        user = super().authenticate(request, username=username, password=password, **kwargs)
        tenant = getattr(request, "tenant", None)
        if not isinstance(user, User) or tenant is None or membership_of(tenant.id, user.pk) is None:
            return None
        return user
