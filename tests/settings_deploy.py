"""The project as a public site would run it: `check --deploy` must have nothing to say."""

from cryptography.fernet import Fernet

from project.settings import *  # noqa: F403
from project.settings import MESSAGING

SECRET_KEY = Fernet.generate_key().decode() * 2
DEBUG = False
ALLOWED_HOSTS = ["desk.example.com"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_SSL_REDIRECT = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
MESSAGING = {
    **MESSAGING,
    "ENCRYPTION_KEYS": [Fernet.generate_key().decode()],
    "PUBLIC_BASE_URL": "https://desk.example.com",
}
