from tests.oidc.conftest import beijing, platform, public, refreshing, rp, shanghai, signing_keys

__all__ = ["beijing", "platform", "public", "refreshing", "rp", "shanghai", "signing_keys"]
