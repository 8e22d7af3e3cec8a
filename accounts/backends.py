"""Sign-in by user name and password, for members of the request's tenant."""

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

import realtime
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
        """Return the user if the password is right and the user is a member of this tenant.

        Raises Refusal (403) if the address or the user is banned.
        """
        tenant = getattr(request, "tenant", None)
        address = "" if request is None else request.META.get("REMOTE_ADDR", "")
        if tenant is not None:
            # Before the password is hashed, which takes long.
            realtime.require_not_banned(tenant.slug, address=address)
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if not isinstance(user, User) or tenant is None or membership_of(tenant.id, user.pk) is None:
            return None
        realtime.require_not_banned(tenant.slug, user_id=user.pk)
        return user
