"""The project's own admin site, which is not called `admin`."""

from django.contrib.admin import AdminSite
from django.urls import include, path

import messaging.admin

site = AdminSite(name="backoffice")
messaging.admin.register(site)

urlpatterns = [
    path("backoffice/", site.urls),
    path("messaging/", include("messaging.urls")),
]
