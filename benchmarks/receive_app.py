"""The server benchmarks/receive.py posts to: our webhook, and a view that does one INSERT."""

from __future__ import annotations

import os
import sys
from typing import Any

import django
from django.conf import settings

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
django.setup()
settings.MIDDLEWARE = []
settings.ROOT_URLCONF = "benchmarks.receive_app"
settings.ALLOWED_HOSTS = ["127.0.0.1"]

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402

from messaging.models import Label  # noqa: E402

_numbers = iter(range(10**9))


def floor(request: HttpRequest) -> HttpResponse:
    """One INSERT."""
    request.read()
    Label.objects.create(name=f"{os.getpid()}-{next(_numbers)}")
    return HttpResponse("OK")


urlpatterns: list[Any] = [
    path("floor/", floor),
    path("messaging/", include("messaging.urls")),
]
application = get_wsgi_application()
