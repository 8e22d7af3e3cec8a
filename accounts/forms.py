"""Sign-in and password forms. What refuses them is noted on the request, and answered by `RefusalMiddleware`."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.http import HttpRequest

from accounts.middleware import refuse_by
from accounts.throttling import counted
from realtime import Refusal


class SignInForm(AuthenticationForm):
    """Django's, held back after too many failures."""

    def clean(self) -> dict[str, Any]:
        """The checked values; raises ValidationError for a wrong password or too many of them."""
        if self.request is None:
            raise TypeError("The form needs the request, for its tenant and address.")
        try:
            with counted(self.request, self.cleaned_data.get("username") or "") as attempt:
                try:
                    return super().clean()
                except forms.ValidationError:
                    attempt.failed()
                    raise
        except Refusal as refusal:
            raise _as_form_error(self.request, refusal) from refusal


class AdminSignInForm(SignInForm, AdminAuthenticationForm):
    """The same for the admin's own sign-in page."""


class OwnPasswordForm(PasswordChangeForm):
    """Changing one's own password: the old one is guessed here no faster than on the sign-in page."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        self._request = request
        super().__init__(*args, **kwargs)

    def clean_old_password(self) -> str:
        """The old password; raises ValidationError when it is wrong, or after too many that were."""
        try:
            with counted(self._request, self.user.get_username()) as attempt:
                try:
                    return super().clean_old_password()
                except forms.ValidationError:
                    attempt.failed()
                    raise
        except Refusal as refusal:
            raise _as_form_error(self._request, refusal) from refusal


def _as_form_error(request: HttpRequest, refusal: Refusal) -> forms.ValidationError:
    refuse_by(request, refusal)
    return forms.ValidationError(refusal.message, code=refusal.code)
