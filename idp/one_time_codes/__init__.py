"""One-time codes by short message and mail: six digits that prove who can read a mobile number or a mailbox.

Owns: OneTimeCode, sending with its caps, the one use. Routes: none. Called by: signin, accounts and the features above them.
Does not: know accounts, or decide what a proven contact allows; a purpose and a subject are texts of its caller.
"""
