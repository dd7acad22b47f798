"""The OpenID Provider.

Owns: clients, authorization requests, codes, grants, signing keys and the protocol endpoints. Routes: /.well-known/*, /oauth2/*.
Called by: nobody; it calls signin's hub, sessions, accounts and entitlements. Does not: show log-in pages. authlib and joserfc live only here.
"""
