"""Who is signed in, in which browser, since when, by which factors.

Owns: Session, SessionClient (`sid` per client), the session cookie, start / touch / end. Routes: none. Called by: signin and the features above.
Does not: know accounts (ids only), so that a password change can end sessions without a circle; a hook that app.py wires tells the OP of an end.
"""
