"""The description of the sockets. `realtime.rest.urls` has them, too; this module needs no REST framework."""

from django.urls import path

from realtime.rest.asyncapi import asyncapi_json, asyncapi_page

urlpatterns = [
    path("api/asyncapi/", asyncapi_json, name="asyncapi"),
    path("api/asyncapi/page/", asyncapi_page, name="asyncapi_page"),
]
