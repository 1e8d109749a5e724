"""django-scim2-server in one file, over SQLite. Its DELETE makes an account inactive and keeps its name taken."""

import os
import sys

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="loopback-only",
    ALLOWED_HOSTS=["127.0.0.1"],
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_scim2_server"],
    # IMMEDIATE: two writers wait for each other, and neither is told that the database is locked.
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(os.environ["FOLDER"], "accounts.sqlite3"),
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ROOT_URLCONF=__name__,
    APPEND_SLASH=False,
    MIDDLEWARE=[],
    SCIM2_SERVER_AUTH_CHECK=f"{__name__}.authorized",
)
django.setup()

from django.core.management import call_command  # noqa: E402  (Django is set up first)
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("scim/v2/", include("django_scim2_server.urls"))]


def authorized(request):
    return request.headers.get("Authorization") == f"Bearer {os.environ['TOKEN']}"


call_command("migrate", verbosity=0, stdout=sys.stderr)
application = get_wsgi_application()
