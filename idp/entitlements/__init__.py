"""Which account may use which business system, now.

Owns: BusinessSystem (data, not code), Entitlement (approvals, blocks, holds), the rule that joins them with the key's licences.
Routes: none. Called by: signin's features, portal, oidc, legacy. Does not: approve applications (approvals), nor show anything (portal).
"""
