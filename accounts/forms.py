"""Sign-in and password forms."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AdminPasswordChangeForm, AuthenticationForm, PasswordChangeForm

from accounts.models import User
from accounts.services import password_changing
from accounts.throttling import SignInAttempt


class SignInForm(AuthenticationForm):
    """Django's, held back after too many failures; `retry_after_s` is above 0 when it was."""

    retry_after_s = 0

    def clean(self) -> dict[str, Any]:
        """The checked values; raises ValidationError for a wrong password or too many of them."""
        if self.request is None:
            raise TypeError("The form needs the request, for its tenant and address.")
        attempt = SignInAttempt(self.request, self.cleaned_data.get("username") or "")
        self.retry_after_s = attempt.wait_s()
        if self.retry_after_s:
            message = f"Too many failed attempts. Try again in {self.retry_after_s} seconds."
            raise forms.ValidationError(message, code="rate_limited")
        try:
            return super().clean()
        except forms.ValidationError:
            attempt.failed()
            raise


class AdminSignInForm(SignInForm, AdminAuthenticationForm):
    """The same for the admin's own sign-in page."""


class OwnPasswordForm(PasswordChangeForm):
    """Changing one's own password ends what was proved under the former one."""

    def save(self, commit: bool = True) -> User:
        """Store the new password."""
        with password_changing(self.user):
            return super().save(commit)


class UserPasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # not generic at run time
    """Setting somebody's password in the admin ends what was proved under the former one."""

    def save(self, commit: bool = True) -> User:
        """Store the new password."""
        user: User = self.user
        with password_changing(user):
            super().save(commit)
        return user
