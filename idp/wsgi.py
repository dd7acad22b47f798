"""The server's entry point: `granian --interface wsgi idp.wsgi:app`."""

from idp.app import create_app

app = create_app()
