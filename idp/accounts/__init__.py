"""Accounts: one person at one enterprise, all the names they may type, their passwords and contacts.

Owns: Account, names (aliases), keys of an account, contacts, platform and former passwords, password policy, lock-out, the directory.
Routes: none yet. Called by: entitlements, signin and the features above. Does not: know business systems, sessions of browsers or OIDC.
"""
