"""The pages under /accounts/."""

from django.urls import path

from accounts.web import views

urlpatterns = [
    path("login/", views.SignInView.as_view(), name="login"),
    path("logout/", views.SignOutView.as_view(), name="logout"),
    path("password/", views.PasswordView.as_view(), name="password_change"),
    path("password/done/", views.PasswordDoneView.as_view(), name="password_change_done"),
]
