"""The pages of signing in and out."""

from typing import Any

from django.contrib.auth import views
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from accounts.forms import OwnPasswordForm, SignInForm


class SignInView(views.LoginView):
    """User name and password, for members of the host's tenant."""

    template_name = "accounts/login.html"
    form_class = SignInForm
    redirect_authenticated_user = True


class SignOutView(views.LogoutView):
    """Ends the session, and with it the sockets it opened."""


@method_decorator(sensitive_post_parameters(), name="dispatch")
class PasswordView(views.PasswordChangeView):
    """Changing one's own password. This session goes on; everything else of the user ends."""

    template_name = "accounts/password_change.html"
    form_class = OwnPasswordForm
    success_url = reverse_lazy("password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form counts guesses by the request's tenant and address."""
        return super().get_form_kwargs() | {"request": self.request}


class PasswordDoneView(views.PasswordChangeDoneView):
    """Says that it worked."""

    template_name = "accounts/password_change_done.html"
