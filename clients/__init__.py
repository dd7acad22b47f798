"""The business systems of the demo: strangers to the platform, who speak OpenID Connect over HTTP and import nothing of it."""
