"""What the host project includes at `messaging/`."""

from django.urls import path

from .views import media

app_name = "messaging"
urlpatterns = [
    path("media/<str:token>/", media.public_media, name="media"),
]
