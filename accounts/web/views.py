"""The pages to sign in, sign out and change the password."""

from typing import Any

from django.contrib.auth import views
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from accounts.web.forms import OwnPasswordForm, SignInForm


class SignInView(views.LoginView):
    """Sign in with user name and password, for members of the host's tenant."""

    template_name = "accounts/login.html"
    form_class = SignInForm
    redirect_authenticated_user = True


class SignOutView(views.LogoutView):
    """End the session and the sockets that it opened."""


@method_decorator(sensitive_post_parameters(), name="dispatch")
class PasswordView(views.PasswordChangeView):
    """Change the user's own password. This session stays; all other credentials of the user are revoked."""

    template_name = "accounts/password_change.html"
    form_class = OwnPasswordForm
    success_url = reverse_lazy("password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        """Give the form the request, because guesses are counted by tenant and address."""
        return super().get_form_kwargs() | {"request": self.request}


class PasswordDoneView(views.PasswordChangeDoneView):
    """Confirm that the password was changed."""

    template_name = "accounts/password_change_done.html"
