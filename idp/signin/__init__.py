"""The sign-in: a hub and its steps.

Owns: SignInTransaction, the hub (`begin`, `next_step`, `step_passed`, `step_refused`), the pages of password, forced change and contacts.
Routes: /login, /loginCorp.html, /signin/<id>/<step>, /signout. Called by: oidc, portal and other features, through `flow.begin`.
Does not: know its callers; it returns to the path they gave. STEPS stands in app.py.
"""
