"""The commands of the OpenID Provider: `idp client …`, `idp keys …`, `idp dev …`."""

from idp.oidc.cli import lifecycle  # noqa: F401  # adds its commands to the group of clients
from idp.oidc.cli.clients import client_group
from idp.oidc.cli.dev import dev_group
from idp.oidc.cli.keys import ensure_keys, keys_group

__all__ = ["client_group", "dev_group", "ensure_keys", "keys_group"]
