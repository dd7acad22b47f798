"""A forgotten password (R30, R50, R58, R59): by a contact, by the e-key; at the end a new password and no session.

Owns: the steps `recover`, `recover-code`, `recover-second`, `recovered` of a transaction that never ends in a session. Routes: /recover, those steps.
Called by: nobody. Does not: set the password (the step `change` of signin does), judge the e-key (ekey does).
"""
