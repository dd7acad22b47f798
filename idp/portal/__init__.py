"""What a signed-in person sees: the business hall and the module page.

Owns: no table. Routes: /, /hall, /hall/licences. Called by: nobody. Does not: decide rights (entitlements) or approve anything (approvals).
"""
