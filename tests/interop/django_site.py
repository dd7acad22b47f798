"""A Django site in one file whose people sign in by mozilla-django-oidc, as its manual sets it up.

`python django_site.py PORT`; what differs from site to site comes as JSON in the environment (SITE, settings of Django). Requests are answered
in this process by the standard library's server; nothing of the platform is imported.
"""

import json
import os
import sys
from urllib.parse import urlencode
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import URLPattern, URLResolver, include, path

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "mozilla_django_oidc.middleware.SessionRefresh",
]


@login_required
def private(request: HttpRequest) -> JsonResponse:
    """Who is signed in here; `csrf` is for the button that signs out."""
    user, held = request.user, request.session
    known = {"username": user.get_username(), "email": user.email, "joined": str(user.date_joined)}
    return JsonResponse(known | {"id_token": held.get("oidc_id_token"), "access_token": held.get("oidc_access_token"), "csrf": get_token(request)})


def age(request: HttpRequest) -> HttpResponse:
    """As if the ID token had been held for a quarter of an hour."""
    request.session["oidc_id_token_expiration"] = 0
    return HttpResponse("aged")


def bye(_request: HttpRequest) -> HttpResponse:
    """Where people land who have left."""
    return HttpResponse("bye")


def leave(request: HttpRequest) -> str:
    """Where the sign-out goes on: the provider's end_session_endpoint (OIDC_OP_LOGOUT_URL_METHOD)."""
    asked = {"id_token_hint": request.session["oidc_id_token"], "post_logout_redirect_uri": request.build_absolute_uri("/bye")}
    return f"{settings.OIDC_OP_LOGOUT_ENDPOINT}?{urlencode(asked)}"


urlpatterns: list[URLPattern | URLResolver] = [path("private", private), path("age", age), path("bye", bye)]


def main(port: int) -> None:
    """Make the site's database and serve until somebody ends the process."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "mozilla_django_oidc"],
        MIDDLEWARE=MIDDLEWARE,
        AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
        LOGIN_URL="oidc_authentication_init",
        OIDC_OP_LOGOUT_URL_METHOD=f"{__name__}.leave",
        # these two pages ask nobody whether the session still holds
        OIDC_EXEMPT_URLS=["/age", "/bye"],
        OIDC_STORE_ID_TOKEN=True,
        OIDC_STORE_ACCESS_TOKEN=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        # why it refused something
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"log": {"class": "logging.StreamHandler"}},
            "root": {"handlers": ["log"], "level": "WARNING"},
        },
        **json.loads(os.environ["SITE"]),
    )
    django.setup()
    # it reads the settings when it is imported
    urlpatterns.append(path("oidc/", include("mozilla_django_oidc.urls")))
    call_command("migrate", verbosity=0)
    with make_server("127.0.0.1", port, get_wsgi_application()) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
