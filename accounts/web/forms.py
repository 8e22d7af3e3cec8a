"""Sign-in and password forms. They note a refusal on the request, and `RefusalMiddleware` sets the status."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.http import HttpRequest

from accounts.passwords.throttling import counted
from accounts.web.middleware import refuse_by
from realtime import Refusal


class SignInForm(AuthenticationForm):
    """Django's sign-in form, with a limit on failures."""

    def clean(self) -> dict[str, Any]:
        """Return the checked values.

        Raises ValidationError for a wrong password or after too many of them.
        """
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
    """The form in which users change their own password. Wrong old passwords count like failed sign-ins."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        self._request = request
        super().__init__(*args, **kwargs)

    def clean_old_password(self) -> str:
        """Return the old password. Raises ValidationError if it is wrong, or after too many wrong ones."""
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
