"""What the host project includes at `messaging/`."""

from django.urls import path

from .views import media, webhook

app_name = "messaging"
urlpatterns = [
    path("media/<str:token>/", media.public_media, name="media"),
    path("webhooks/<str:token>/", webhook.receive, name="webhook"),
    # Never a redirect: a gateway would take it for an error, and repeat its post for ever.
    path("webhooks/<str:token>", webhook.receive),
]
