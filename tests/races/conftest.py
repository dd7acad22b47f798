from tests.oidc.conftest import beijing, platform, rp, shanghai, signing_keys

__all__ = ["beijing", "platform", "rp", "shanghai", "signing_keys"]
