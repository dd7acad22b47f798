"""A small OpenID Connect relying party, as a business system would build one on authlib's Flask client.

Owns: the registration it hands to the platform (`registration`), the platform as it sees it (`provider`), the check of access tokens
(`access_tokens`), of logout tokens (`logout_tokens`) and of account events (`account_events`), both brought by the platform itself
(`platform_tokens`), who is signed in (`signed_in`), the pages (`app`).
Routes: /, /login, /callback, /logout, /signed-out, /backchannel-logout, /security-events.
Does not: know passwords, keys or the platform's database. Everything it knows comes in tokens and from userinfo.
"""
