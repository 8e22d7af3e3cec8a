"""Django's admin with the live page in it: stands in INSTALLED_APPS instead of `django.contrib.admin`."""

from django.contrib.admin.apps import AdminConfig


class LiveAdminConfig(AdminConfig):
    """The admin, on `LiveAdminSite`."""

    default_site = "realtime.dashboard.site.LiveAdminSite"
