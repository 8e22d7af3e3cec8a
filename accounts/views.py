"""The pages of signing in and out."""

from typing import Any

from django.contrib.auth import views
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from accounts.announcements import recheck_sockets_on_commit
from accounts.forms import OwnPasswordForm, SignInForm

TOO_MANY_REQUESTS = 429


class SignInView(views.LoginView):
    """User name and password, for members of the host's tenant."""

    template_name = "accounts/login.html"
    form_class = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]  # it is this view's form
        """The page again; 429 after too many failures."""
        response = super().form_invalid(form)
        if form.retry_after_s:
            response.status_code = TOO_MANY_REQUESTS
            response["Retry-After"] = str(form.retry_after_s)
        return response


class SignOutView(views.LogoutView):
    """Ends the session, and the sockets it opened."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign out and go to the sign-in page."""
        response = super().post(request, *args, **kwargs)
        recheck_sockets_on_commit()
        return response


@method_decorator(sensitive_post_parameters(), name="dispatch")
class PasswordView(views.PasswordChangeView):
    """Changing one's own password. This session goes on; everything else of the user ends."""

    template_name = "accounts/password_change.html"
    form_class = OwnPasswordForm
    success_url = reverse_lazy("password_change_done")


class PasswordDoneView(views.PasswordChangeDoneView):
    """Says that it worked."""

    template_name = "accounts/password_change_done.html"
