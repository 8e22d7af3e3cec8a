"""Django's admin with the live page. Put it into INSTALLED_APPS instead of `django.contrib.admin`."""

from django.contrib.admin.apps import AdminConfig


class LiveAdminConfig(AdminConfig):
    """Uses `LiveAdminSite` as the default admin site."""

    default_site = "realtime.dashboard.site.LiveAdminSite"
